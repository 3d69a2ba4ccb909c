# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# Plain method descriptors, which the interpreter calls directly: a tenth of a single call.
# cython: binding=False
"""The fast order book: docs/book.md in C structs, compiled from Cython, the interpreter lock given up in
`batch`.

Here are the Python doors alone: what goes in becomes a record, what comes out becomes bytes or a struct.
Matching and memory are the rooms of `engine.fast`, all of them inlined into this one module. The plain book
is the law: the same commands give the same events, depth and state. It never knows money, capacity, leases,
expiry times or client ids.
"""

from cpython.buffer cimport PyBuffer_Release
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from engine.fast.apply cimport STOPS_STARVED, apply_at_length, apply_command, finish_stops
from engine.fast.auction cimport Clearing, find_clearing
from engine.fast.band cimport reference_price, take_reference
from engine.fast.buffers cimport open_buffer
from engine.fast.core cimport IN_USE, LOST, NO_ASK, NO_BID, STOPS_WAIT, unlikely
from engine.fast.entry cimport NO_MEMORY
from engine.fast.ids cimport find_order, prefetch_head, prefetch_node
from engine.fast.levels cimport begin_level, end_level
from engine.fast.order cimport Order as OwnOrder
from engine.fast.questions cimport asked_of
from engine.fast.records cimport (
    SELL, SESSION_CONTINUOUS, CommandRecord, DeltaRecord, EventRecord, Sink,
)
from engine.fast.sink cimport drain as tell_pending
from engine.fast.sink cimport put_back
from engine.fast.telling cimport forget_changes
from engine.fast.telling cimport keep_changes as begin_changes
from engine.fast.telling cimport tell_changes as write_changes
from engine.fast.views cimport (
    best_levels, free_orders, free_pools, order_at, orders_at_rest, pool_bytes, restore_state, state_of,
    take_limits, wide,
)
from engine.fast.whole cimport as_u8, read_values

from engine.book import BatchResult, BookLimits, Indicative
from engine.fast.order import Order  # no-cython-lint: for whoever imports it from here
from engine.kinds import Side
from engine.reasons import Reason
from engine.records import Command, Session

cdef enum:
    # Events of a single call that are kept on the stack.
    AT_HAND = 128
    # A book of fewer orders stands in the cache; asking ahead would only cost.
    PREFETCH_FROM = 16384
    HEADS_AHEAD = 12
    NODES_AHEAD = 6
    # What waits for a caller seldom needs more; a larger buffer goes when it is empty.
    PENDING_KEPT = 64
    # More orders than a book can hold.
    ALL = 0x7FFFFFFFFFFFFFFF

cdef uint64_t[4] REASONS
memset(REASONS, 0, sizeof(REASONS))
for _reason in Reason:
    REASONS[<int>_reason >> 6] |= <uint64_t>1 << (<int>_reason & 63)

cdef tuple SIDES = (None, *Side)
cdef tuple SESSIONS = (None, *Session)


cdef inline bint _overlap(const Py_buffer *one, const Py_buffer *other) noexcept:
    """Whether two buffers share a byte."""
    return (
        one.len > 0 and other.len > 0 and <char *>one.buf < <char *>other.buf + other.len
        and <char *>other.buf < <char *>one.buf + one.len
    )


cdef class FastBook:
    """One instrument; implements `engine.book.Book`. Compiled code finds more in `book_fast.pxd`."""

    def __cinit__(self, limits=None):
        self.limits = BookLimits() if limits is None else limits
        self.core.at_length = apply_at_length
        self.core.begin_level = begin_level
        self.core.end_level = end_level
        self.core.reasons = &REASONS[0]
        self.core.session = SESSION_CONTINUOUS
        self.core.buy_trigger = NO_ASK
        self.core.sell_trigger = NO_BID
        take_limits(&self.core, self.limits)

    def __dealloc__(self):
        free_pools(&self.core)

    # ---- compiled callers

    cdef int enter(self) except -1:
        """From now on the book is its caller's alone; RuntimeError if somebody is inside."""
        self._free_to_use()
        self.core.held |= IN_USE
        return 0

    cdef void leave(self) noexcept nogil:
        self.core.held &= ~<uint8_t>IN_USE

    cdef int apply(self, const CommandRecord *command, Sink *sink) noexcept nogil:
        """Write what waits, then apply a command: 0, the reason of its refusal, or below 0 without memory."""
        if unlikely(self.core.held & (STOPS_WAIT | LOST)):
            if self.core.held & LOST or finish_stops(&self.core) < 0:
                return NO_MEMORY
        if unlikely(self.core.pending_count != 0):
            tell_pending(&self.core, sink)
        return apply_command(&self.core, sink, command)

    cdef int64_t drain(self, Sink *sink) noexcept nogil:
        """Write the events that wait, as far as there is room; how many still wait, or -1 while stops of the
        last command find no memory.
        """
        cdef int finished = finish_stops(&self.core)
        tell_pending(&self.core, sink)
        return -1 if finished < 0 else <int64_t>(self.core.pending_count - self.core.pending_first)

    cdef int keep_changes(self, bint keep) noexcept nogil:
        """From now on note the levels that change, or forget them; 0, or -1 without memory."""
        return begin_changes(&self.core, keep)

    cdef uint64_t tell_changes(self, DeltaRecord *deltas, uint64_t room) noexcept nogil:
        """Write the levels that changed, in order of first change; how many."""
        return write_changes(&self.core, deltas, room)

    # ---- commands

    cdef int _free_to_use(self) except -1:
        """Whether a call may begin. Who makes Python objects inside holds the book meanwhile: a collection of
        garbage may run anything, and another thread.
        """
        if self.core.held & IN_USE:
            raise RuntimeError("another thread is using this book: give each book one thread at a time")
        if self.core.held & LOST:
            raise MemoryError("events were lost for want of memory: restore this book from its journal")
        if self.core.held & STOPS_WAIT:
            if finish_stops(&self.core) < 0:
                raise MemoryError("no memory for stops that the last command fires: nothing was done since")
            self.core.tracking = False
        return 0

    cdef int _read(self, object order, CommandRecord *record) except -1:
        """The record of a command; one whose values don't fit becomes a malformed one."""
        cdef Py_buffer buffer
        if type(order) is OwnOrder:
            record[0] = (<OwnOrder>order).record
            return 0
        if isinstance(order, Command):
            try:
                read_values(<tuple>order, record)
            except (OverflowError, TypeError):
                # No op is 0.
                record.op = 0
            return 0
        open_buffer(order, &buffer, False)
        try:
            if buffer.len != sizeof(CommandRecord):
                raise ValueError(f"a command is a record of {sizeof(CommandRecord)} bytes")
            memcpy(record, buffer.buf, sizeof(CommandRecord))
        finally:
            PyBuffer_Release(&buffer)
        return 0

    cdef bytes _told(self, const EventRecord *events, uint64_t count):
        """What waits, but for the events at hand before it; without memory for the answer those wait, too."""
        cdef BookCore *core = &self.core
        cdef uint64_t waits = core.pending_count - core.pending_first
        cdef bytes data
        try:
            data = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>((count + waits) * sizeof(EventRecord)))
        except MemoryError:
            if put_back(core, events, count) < 0:
                core.held |= LOST
            raise
        memcpy(<char *>data, events, <size_t>(count * sizeof(EventRecord)))
        if waits:
            memcpy(
                <char *>data + count * sizeof(EventRecord), &core.pending[core.pending_first],
                <size_t>(waits * sizeof(EventRecord)),
            )
        core.pending_first = 0
        core.pending_count = 0
        self._trim()
        return data

    cdef int _trim(self) except -1:
        # Of ten thousands of books most are empty: what those had for orders goes back.
        if self.core.ids.count == 0 and self.core.change_count == 0 and self.core.node_capacity:
            free_orders(&self.core)
        if self.core.pending_count == 0 and (
            self.core.pending_capacity > PENDING_KEPT or self.core.ids.count == 0
        ):
            free(self.core.pending)
            self.core.pending = NULL
            self.core.pending_capacity = 0
        return 0

    def submit(self, order, /):
        """Apply one command; its event records, after those that waited."""
        cdef EventRecord events[AT_HAND]
        cdef CommandRecord record
        cdef const CommandRecord *command = &record
        cdef Sink sink
        if type(order) is OwnOrder:
            command = &(<OwnOrder>order).record
        else:
            self._read(order, &record)
        # Reading may have run Python, and so another thread.
        if unlikely(self.core.held != 0):
            self._free_to_use()
        if unlikely(self.core.change_count != 0):
            forget_changes(&self.core)
        if unlikely(self.core.pending_count != 0):
            return self.submit_many((order,))
        sink.next = &events[0]
        sink.end = &events[0] + AT_HAND
        sink.command = 0
        if unlikely(apply_command(&self.core, &sink, command) == NO_MEMORY):
            raise MemoryError("no memory for this command: nothing was done")
        if self.core.pending_capacity == 0 and self.core.ids.count != 0:
            try:
                return PyBytes_FromStringAndSize(
                    <const char *>&events[0], <Py_ssize_t>((sink.next - &events[0]) * sizeof(EventRecord))
                )
            except MemoryError:
                # Again, at length: what can't be told has to wait.
                pass
        return self._told(&events[0], <uint64_t>(sink.next - &events[0]))

    def submit_many(self, orders):
        """Apply commands in order; all event records, each with the index of its command, after those that
        waited.
        """
        cdef tuple given = tuple(orders)
        cdef Py_ssize_t count = len(given)
        cdef Py_ssize_t place
        cdef int outcome
        cdef CommandRecord *commands
        cdef EventRecord nowhere[1]
        cdef Sink sink
        self._free_to_use()
        commands = <CommandRecord *>calloc(<size_t>count + 1, sizeof(CommandRecord))
        if commands == NULL:
            raise MemoryError("no memory for these commands: nothing was done")
        sink.next = &nowhere[0]
        sink.end = &nowhere[0]
        try:
            # All are read before the first is applied: a wrong one leaves the book as it was.
            for place in range(count):
                self._read(given[place], &commands[place])
            # Reading may have run Python, and so another thread.
            self._free_to_use()
            begin_changes(&self.core, False)
            for place in range(count):
                sink.command = <uint32_t>place
                outcome = apply_command(&self.core, &sink, &commands[place])
                if outcome == NO_MEMORY or outcome == STOPS_STARVED and place + 1 < count:
                    raise MemoryError("no memory for all commands: the next call tells what was done")
        finally:
            free(commands)
        return self._told(&nowhere[0], 0)

    cdef uint64_t _run(
        self, const CommandRecord *commands, uint64_t count, Sink *sink, bint *starved
    ) noexcept nogil:
        """Apply records while there is room for events; how many."""
        cdef BookCore *core = &self.core
        cdef int outcome
        cdef bint ahead = core.ids.count > PREFETCH_FROM
        cdef uint64_t place = 0
        tell_pending(core, sink)
        while place < count and sink.next < sink.end:
            if ahead:
                if place + HEADS_AHEAD < count:
                    prefetch_head(core, commands[place + HEADS_AHEAD].order_id)
                if place + NODES_AHEAD < count:
                    prefetch_node(core, commands[place + NODES_AHEAD].order_id)
            sink.command = <uint32_t>place
            outcome = apply_command(core, sink, &commands[place])
            if unlikely(outcome < 0):
                starved[0] = True
                # It was applied itself where but its stops found none.
                place += outcome == STOPS_STARVED
                break
            place += 1
        return place

    def batch(self, commands, out, deltas=None):
        """Apply command records until they, or `out`, are at their end; the interpreter lock is given up
        meanwhile.
        """
        cdef Py_buffer given, room, told
        cdef Sink sink
        cdef EventRecord *begin
        cdef uint64_t consumed, changed, waits
        cdef bint starved = False
        self._free_to_use()
        # A buffer that was never filled is released as nothing.
        memset(&given, 0, sizeof(given))
        memset(&room, 0, sizeof(room))
        memset(&told, 0, sizeof(told))
        try:
            open_buffer(commands, &given, False)
            if given.len % <Py_ssize_t>sizeof(CommandRecord):
                raise ValueError(f"commands are whole records of {sizeof(CommandRecord)} bytes")
            open_buffer(out, &room, True)
            if deltas is not None:
                open_buffer(deltas, &told, True)
            if _overlap(&given, &room) or _overlap(&given, &told) or _overlap(&room, &told):
                raise ValueError("commands, out and deltas may not overlap")
            # Opening a buffer may have run Python, and so another thread.
            self._free_to_use()
            if begin_changes(&self.core, deltas is not None) < 0:
                raise MemoryError("no memory for deltas: nothing was done")
            begin = <EventRecord *>room.buf
            sink.next = begin
            sink.end = begin + room.len // <Py_ssize_t>sizeof(EventRecord)
            self.core.held |= IN_USE
            with nogil:
                consumed = self._run(
                    <const CommandRecord *>given.buf, <uint64_t>given.len // sizeof(CommandRecord), &sink,
                    &starved
                )
                changed = write_changes(
                    &self.core, <DeltaRecord *>told.buf, <uint64_t>told.len // sizeof(DeltaRecord)
                )
            # What starved stops will change is told by the call that fires them.
            self.core.tracking = self.core.tracking and self.core.held & STOPS_WAIT != 0
            self._trim()
            waits = self.core.pending_count - self.core.pending_first
            self.leave()
        finally:
            PyBuffer_Release(&told)
            PyBuffer_Release(&room)
            PyBuffer_Release(&given)
        # Whatever was written has to be said, if only that; then the next call finds no memory, or does.
        if starved and consumed == 0 and sink.next == begin and changed == 0:
            raise MemoryError("no memory for the first command: nothing was done")
        return BatchResult(consumed, sink.next - begin, changed, waits)

    # ---- questions

    def _as_of(self, order, bint walks):
        """Ask about an order at its own time, if that is later than the book's; a stop as if it fired."""
        cdef CommandRecord record
        self._read(order, &record)
        self.enter()
        try:
            return asked_of(&self.core, &record, walks)
        finally:
            self.leave()

    def walk(self, order):
        """What a NEW would take if it were entered now as it stands; ValueError for a malformed one."""
        return self._as_of(order, True)

    def protection(self, order):
        """The protection price of a market order without one; 0 when nothing it may trade with is there."""
        return self._as_of(order, False)

    cdef unsigned int _find(self, object order_id) except? 0xFFFFFFFF:
        """The node of a live order, or 0; an id that no 64 bits hold is one that isn't there."""
        cdef uint64_t number
        try:
            number = as_u8(order_id)
        except (OverflowError, TypeError):
            return 0
        self._free_to_use()
        return find_order(&self.core, number)

    def get(self, order_id):
        """A live order, armed stops included; KeyError when it isn't there."""
        cdef unsigned int index = self._find(order_id)
        if index == 0:
            raise KeyError(order_id)
        self.enter()
        try:
            return order_at(&self.core, index)
        finally:
            self.leave()

    def __contains__(self, order_id):
        return self._find(order_id) != 0

    def __len__(self):
        """Live orders, armed stops included."""
        self._free_to_use()
        return self.core.ids.count

    def depth(self, side, Py_ssize_t max_levels):
        """The best levels of a side, best first."""
        cdef bint sells = side == SELL
        self.enter()
        try:
            return best_levels(&self.core, sells, max_levels)
        finally:
            self.leave()

    def resting(self, side, max_orders=None):
        """The orders at rest of a side, in priority order; all of them, or the first so many."""
        cdef bint sells = side == SELL
        cdef Py_ssize_t most = ALL if max_orders is None else max_orders
        self.enter()
        try:
            return iter(orders_at_rest(&self.core, sells, most))
        finally:
            self.leave()

    def indicative(self):
        """What an auction would clear at now; None when nothing crosses."""
        cdef Clearing clearing
        self._free_to_use()
        self.core.referenced = False
        if not find_clearing(&self.core, reference_price(&self.core), &clearing):
            return None
        side = SIDES[clearing.side] if clearing.side else 0
        return Indicative(clearing.price, clearing.volume, clearing.surplus, side)

    def reference(self):
        """The reference price as of the last command's time, as (sum of price x quantity, quantity); (0, 0):
        none.
        """
        self._free_to_use()
        self.core.referenced = False
        take_reference(&self.core)
        quantity = self.core.reference_quantity
        return wide(self.core.reference_notional), quantity

    @property
    def session(self):
        self._free_to_use()
        return SESSIONS[self.core.session]

    @property
    def last_price(self):
        """Ticks; 0: never traded."""
        self._free_to_use()
        return self.core.last_price

    @property
    def stops_due(self):
        """Whether a TICK would do something now: stops to fire by themselves, or a clearing to finish."""
        self._free_to_use()
        return self.core.clearing_price != 0 or (self.core.limits.fires and self.next_stop() != 0)

    @property
    def clearing_price(self):
        """Of a clearing that isn't finished; 0 none."""
        self._free_to_use()
        return self.core.clearing_price

    def next_stop(self):
        """Id of the first triggered stop in order of entry, in `continuous`; 0 when none may fire now."""
        self._free_to_use()
        if self.core.session != SESSION_CONTINUOUS or self.core.due.count == 0:
            return 0
        return self.core.nodes[self.core.due.nodes[0]].order_id

    # ---- state

    def state(self):
        """All of it, for snapshots and hashes."""
        self.enter()
        try:
            return state_of(&self.core, self.limits)
        finally:
            self.leave()

    def restore(self, state):
        """Become what `state` says, whatever it was: what waited to be told is forgotten. A wrong state
        leaves all as it was.
        """
        cdef FastBook fresh
        cdef BookCore was
        if self.core.held & IN_USE:
            self._free_to_use()
        self.core.held |= IN_USE
        try:
            limits = state.limits
            fresh = FastBook(limits)
            restore_state(&fresh.core, state)
            was = self.core
            self.core = fresh.core
            self.core.held = IN_USE
            fresh.core = was
        finally:
            self.leave()
        self.limits = limits

    def __sizeof__(self):
        """Bytes of the book and all its pools."""
        return object.__sizeof__(self) + pool_bytes(&self.core)
