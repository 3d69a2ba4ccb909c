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

cimport cython
from cpython.buffer cimport PyBuffer_FillInfo, PyBuffer_Release
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from engine.fast.apply cimport apply_at_length, apply_command
from engine.fast.auction cimport Clearing, find_clearing
from engine.fast.band cimport reference_price, take_reference
from engine.fast.buffers cimport open_buffer
from engine.fast.checks cimport is_malformed, read_order
from engine.fast.core cimport NO_ASK, NO_BID, Fills, Taker, unlikely
from engine.fast.entry cimport protection_price
from engine.fast.ids cimport find_order, prefetch_head, prefetch_node
from engine.fast.levels cimport begin_level, end_level
from engine.fast.matching cimport match_dry, reserve_refills
from engine.fast.records cimport (
    OP_NEW, SELL, SESSION_CONTINUOUS, TYPE_LIMIT, TYPE_MARKET, TYPE_STOP, CommandRecord, DeltaRecord,
    EventRecord, Sink,
)
from engine.fast.sink cimport drain as tell_pending
from engine.fast.telling cimport forget_changes
from engine.fast.telling cimport keep_changes as begin_changes
from engine.fast.telling cimport tell_changes as write_changes
from engine.fast.views cimport (
    best_levels, free_orders, free_pools, order_at, orders_at_rest, pool_bytes, restore_state, state_of,
    take_limits, wide,
)
from engine.fast.whole cimport as_i4, as_i8, as_u1, as_u2, as_u4, as_u8, read_values

from engine.book import BatchResult, BookLimits, Fill, Indicative, Stop, Walk
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

cdef uint64_t[4] REASONS
memset(REASONS, 0, sizeof(REASONS))
for _reason in Reason:
    REASONS[<int>_reason >> 6] |= <uint64_t>1 << (<int>_reason & 63)

cdef tuple SIDES = (None, *Side)
cdef tuple SESSIONS = (None, *Session)
cdef tuple STOPS = tuple(Stop)
cdef object NOUGHT = 0


@cython.final
@cython.freelist(64)
cdef class Order:
    """A command for `submit`, its 64 bytes made at once; OverflowError for a value that its field can't hold.
    """

    def __cinit__(
        self, op, order_id=NOUGHT, ts_ns=NOUGHT, account=NOUGHT, price=NOUGHT, quantity=NOUGHT, shape=NOUGHT,
        flags=NOUGHT, display_quantity=NOUGHT, min_quantity=NOUGHT, stop_price=NOUGHT, window_end_h=NOUGHT,
        baron=NOUGHT, tag=NOUGHT, features=NOUGHT, hours=NOUGHT, lot=NOUGHT, min_rating=NOUGHT, reason=NOUGHT,
        reserved=NOUGHT,
    ):
        cdef CommandRecord *record = &self.record
        memset(record, 0, sizeof(CommandRecord))
        record.op = as_u1(op)
        if order_id is not NOUGHT:
            record.order_id = as_u8(order_id)
        if ts_ns is not NOUGHT:
            record.ts_ns = as_i8(ts_ns)
        if account is not NOUGHT:
            record.account = as_u4(account)
        if price is not NOUGHT:
            record.price = as_i4(price)
        if quantity is not NOUGHT:
            record.quantity = as_u4(quantity)
        if shape is not NOUGHT:
            record.shape = as_u1(shape)
        if flags is not NOUGHT:
            record.flags = as_u1(flags)
        if display_quantity is not NOUGHT:
            record.display_quantity = as_u4(display_quantity)
        if min_quantity is not NOUGHT:
            record.min_quantity = as_u4(min_quantity)
        if stop_price is not NOUGHT:
            record.stop_price = as_i4(stop_price)
        if window_end_h is not NOUGHT:
            record.window_end_h = as_u4(window_end_h)
        if baron is not NOUGHT:
            record.baron = as_u4(baron)
        if tag is not NOUGHT:
            record.tag = as_u4(tag)
        if features is not NOUGHT:
            record.features = as_u2(features)
        if hours is not NOUGHT:
            record.hours = as_u2(hours)
        if lot is not NOUGHT:
            record.lot = as_u2(lot)
        if min_rating is not NOUGHT:
            record.min_rating = as_u1(min_rating)
        if reason is not NOUGHT:
            record.reason = as_u1(reason)
        if reserved is not NOUGHT:
            record.reserved = as_u1(reserved)

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, &self.record, sizeof(CommandRecord), True, flags)

    def pack(self):
        """Its 64 bytes."""
        return PyBytes_FromStringAndSize(<char *>&self.record, sizeof(CommandRecord))


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

    cdef int apply(self, const CommandRecord *command, Sink *sink) noexcept nogil:
        """Apply one command: 0, the reason of its refusal, or -1 without memory with nothing changed."""
        return apply_command(&self.core, sink, command)

    cdef uint64_t drain(self, Sink *sink) noexcept nogil:
        """Write the events that found no room, as far as there is room now; how many still wait."""
        tell_pending(&self.core, sink)
        return self.core.pending_count - self.core.pending_first

    cdef int keep_changes(self, bint keep) noexcept nogil:
        """From now on note the levels that change, or forget them; 0, or -1 without memory."""
        return begin_changes(&self.core, keep)

    cdef uint64_t tell_changes(self, DeltaRecord *deltas, uint64_t room) noexcept nogil:
        """Write the levels that changed, in order of first change; how many."""
        return write_changes(&self.core, deltas, room)

    # ---- commands

    cdef int _free_to_use(self) except -1:
        if self.busy:
            raise RuntimeError("another thread is using this book: give each book one thread at a time")
        return 0

    cdef int _read(self, object order, CommandRecord *record) except -1:
        """The record of a command; one whose values don't fit becomes a malformed one."""
        cdef Py_buffer buffer
        if type(order) is Order:
            record[0] = (<Order>order).record
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
        """What waited, then the events at hand, then those that found no room there."""
        cdef uint64_t waited = self.core.pending_count - self.core.pending_first
        cdef bytes data
        if waited == 0:
            self._trim()
            return PyBytes_FromStringAndSize(<const char *>events, <Py_ssize_t>(count * sizeof(EventRecord)))
        data = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>((waited + count) * sizeof(EventRecord)))
        memcpy(<char *>data, events, <size_t>(count * sizeof(EventRecord)))
        memcpy(
            <char *>data + count * sizeof(EventRecord), &self.core.pending[self.core.pending_first],
            <size_t>(waited * sizeof(EventRecord)),
        )
        self.core.pending_first = 0
        self.core.pending_count = 0
        self._trim()
        return data

    cdef int _trim(self) except -1:
        # Of ten thousands of books most are empty: what those had for orders goes back.
        if self.core.ids.count == 0 and self.core.change_count == 0 and self.core.node_capacity:
            free_orders(&self.core)
        if self.core.pending_count == 0 and self.core.pending_capacity > PENDING_KEPT:
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
        if type(order) is Order:
            command = &(<Order>order).record
        else:
            self._read(order, &record)
        # Reading may have run Python, and so another thread.
        if unlikely(self.busy):
            self._free_to_use()
        if unlikely(self.core.change_count != 0):
            forget_changes(&self.core)
        if unlikely(self.core.pending_count != 0):
            return self.submit_many((order,))
        sink.next = &events[0]
        sink.end = &events[0] + AT_HAND
        sink.command = 0
        if apply_command(&self.core, &sink, command) < 0:
            raise MemoryError("no memory for this command: nothing was done")
        if unlikely(self.core.pending_capacity > PENDING_KEPT):
            return self._told(&events[0], <uint64_t>(sink.next - &events[0]))
        if self.core.pending_count == 0:
            return PyBytes_FromStringAndSize(
                <const char *>&events[0], <Py_ssize_t>((sink.next - &events[0]) * sizeof(EventRecord))
            )
        return self._told(&events[0], <uint64_t>(sink.next - &events[0]))

    def submit_many(self, orders):
        """Apply commands in order; all event records, each with the index of its command, after those that
        waited.
        """
        cdef tuple given = tuple(orders)
        cdef Py_ssize_t count = len(given)
        cdef Py_ssize_t place
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
                if apply_command(&self.core, &sink, &commands[place]) < 0:
                    raise MemoryError("no memory for all commands: the next call tells what was done")
        finally:
            free(commands)
        return self._told(&nowhere[0], 0)

    cdef uint64_t _run(
        self, const CommandRecord *commands, uint64_t count, Sink *sink, bint *starved
    ) noexcept nogil:
        """Apply records while there is room for events; how many."""
        cdef BookCore *core = &self.core
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
            if apply_command(core, sink, &commands[place]) < 0:
                starved[0] = True
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
        cdef uint64_t consumed, changed
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
            # Opening a buffer may have run Python, and so another thread.
            self._free_to_use()
            if begin_changes(&self.core, deltas is not None) < 0:
                raise MemoryError("no memory for deltas: nothing was done")
            begin = <EventRecord *>room.buf
            sink.next = begin
            sink.end = begin + room.len // <Py_ssize_t>sizeof(EventRecord)
            self.busy = True
            with nogil:
                consumed = self._run(
                    <const CommandRecord *>given.buf, <uint64_t>given.len // sizeof(CommandRecord), &sink,
                    &starved
                )
                changed = write_changes(
                    &self.core, <DeltaRecord *>told.buf, <uint64_t>told.len // sizeof(DeltaRecord)
                )
            self.core.tracking = False
            self.busy = False
        finally:
            PyBuffer_Release(&told)
            PyBuffer_Release(&room)
            PyBuffer_Release(&given)
        if starved and consumed == 0:
            raise MemoryError("no memory for the first command: nothing was done")
        self._trim()
        return BatchResult(
            consumed, sink.next - begin, changed, self.core.pending_count - self.core.pending_first
        )

    # ---- questions

    def _as_of(self, order, bint walks):
        """Ask about an order at its own time, if that is later than the book's; a stop as if it fired."""
        cdef CommandRecord record
        cdef Taker taker
        cdef Fills fills
        cdef BookCore *core = &self.core
        cdef int64_t before_ns = core.now_ns
        cdef uint64_t[2] found
        cdef uint8_t stop
        self._read(order, &record)
        self._free_to_use()
        if record.op != OP_NEW or is_malformed(core, &record):
            raise ValueError("ask about a NEW record whose every bit means something")
        read_order(&record, &taker)
        if taker.order_type >= TYPE_STOP:
            taker.order_type = TYPE_MARKET if taker.order_type == TYPE_STOP else TYPE_LIMIT
        if reserve_refills(core) < 0:
            raise MemoryError("no memory to walk")
        memset(&fills, 0, sizeof(fills))
        core.referenced = False
        if record.ts_ns > before_ns:
            core.now_ns = record.ts_ns
        try:
            if not walks:
                return protection_price(core, &taker)
            if taker.order_type == TYPE_MARKET and taker.price == 0:
                taker.price = protection_price(core, &taker)
            stop = match_dry(core, &taker, &fills, &found[0], False)
            if fills.failed:
                raise MemoryError("no memory for what the walk takes")
            taken = [
                Fill(fills.order_ids[place], fills.prices[place], fills.quantities[place])
                for place in range(fills.count)
            ]
            return Walk(taken, taker.leaves, STOPS[stop])
        finally:
            core.now_ns = before_ns
            core.referenced = False
            free(fills.order_ids)
            free(fills.prices)
            free(fills.quantities)

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
        return order_at(&self.core, index)

    def __contains__(self, order_id):
        return self._find(order_id) != 0

    def __len__(self):
        """Live orders, armed stops included."""
        self._free_to_use()
        return self.core.ids.count

    def depth(self, side, Py_ssize_t max_levels):
        """The best levels of a side, best first."""
        self._free_to_use()
        return best_levels(&self.core, side == SELL, max_levels)

    def resting(self, side, max_orders=None):
        """The orders at rest of a side, in priority order; all of them, or the first so many."""
        cdef Py_ssize_t most = self.core.ids.count if max_orders is None else max_orders
        self._free_to_use()
        return iter(orders_at_rest(&self.core, side == SELL, most))

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
        return wide(self.core.reference_notional), self.core.reference_quantity

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
        self._free_to_use()
        return state_of(&self.core, self.limits)

    def restore(self, state):
        """Become what `state` says; for a book that has just been made. Deltas start empty."""
        self._free_to_use()
        self.limits = state.limits
        take_limits(&self.core, self.limits)
        restore_state(&self.core, state)

    def __sizeof__(self):
        """Bytes of the book and all its pools."""
        return object.__sizeof__(self) + pool_bytes(&self.core)
