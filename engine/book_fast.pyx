# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The fast order book: docs/book.md in C structs, compiled from Cython, the interpreter lock given up in `batch`.

Here are the Python doors alone: what goes in becomes a record, what comes out becomes bytes or a struct. Matching and
memory are the rooms of `engine.fast`, all of them inlined into this one module. The plain book is the law: the same
commands give the same events, depth and state. It never knows money, capacity, leases, expiry times or client ids.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from engine.fast.apply cimport TOLD, apply_command
from engine.fast.auction cimport Clearing, find_clearing
from engine.fast.band cimport MINUTE_NS, auction_counts, begin_minute, reference_price, reserve_hour, take_reference
from engine.fast.checks cimport is_malformed, read_order
from engine.fast.core cimport (
    ARMED, CONDITIONAL, MINUTES, MODE_SHIFT, NO_ASK, NO_BID, POSTED, PRICE_LIMIT, RARE, SELLS, Branch, Fills, Hour,
    Ladder, Level, Node, Pair, Taker, Terms, uint128_t,
)
from engine.fast.eligibility cimport RATING_SHIFT, is_conditional, is_rare
from engine.fast.entry cimport protection_price
from engine.fast.ids cimport find_order, prefetch_node, prefetch_slot
from engine.fast.levels cimport is_price, level_at, price_behind
from engine.fast.lives cimport price_of, reserve_rest, rest, wait
from engine.fast.maps cimport reserve_pair, set_value
from engine.fast.matching cimport match_dry, reserve_refills
from engine.fast.pool cimport shown_of, terms_of
from engine.fast.records cimport *
from engine.fast.sink cimport drain
from engine.fast.telling cimport forget_changes, keep_changes, tell_changes

from engine import kinds, records
from engine.book import BatchResult, BookLimits, BookState, Fill, Indicative, Level as DepthLevel, RestingOrder
from engine.book import Stop, Walk
from engine.kinds import OrderType, Side, TimeInForce
from engine.reasons import Reason
from engine.records import Command, SelfTrade, Session

cdef enum:
    # Events of a single call that are kept on the stack.
    AT_HAND = 128
    # A book of fewer orders stands in the cache; asking ahead would only cost.
    PREFETCH_FROM = 16384
    SLOTS_AHEAD = 12
    NODES_AHEAD = 6
    # What waits for a caller seldom needs more; a larger buffer goes when it is empty.
    PENDING_KEPT = 64

cdef uint64_t[4] REASONS
memset(REASONS, 0, sizeof(REASONS))
for _reason in Reason:
    REASONS[<int>_reason >> 6] |= <uint64_t>1 << (<int>_reason & 63)

cdef tuple SIDES = (None, *Side)
cdef tuple TYPES = (None, *OrderType)
cdef tuple TIMES = (None, *TimeInForce)
cdef tuple MODES = tuple(SelfTrade)
cdef tuple SESSIONS = (None, *Session)
cdef tuple STOPS = tuple(Stop)


cdef object _wide(uint128_t value):
    """A Python int of 128 bits."""
    cdef uint64_t high = <uint64_t>(value >> 64)
    cdef uint64_t low = <uint64_t>value
    return (<object>high << 64) | low


@cython.final
@cython.freelist(64)
cdef class Order:
    """A command for `submit`, its 64 bytes made at once; OverflowError for a value that its field can't hold."""

    def __cinit__(
        self, uint8_t op, uint64_t order_id=0, int64_t ts_ns=0, uint32_t account=0, int32_t price=0,
        uint32_t quantity=0, uint8_t shape=0, uint8_t flags=0, uint32_t display_quantity=0, uint32_t min_quantity=0,
        int32_t stop_price=0, uint32_t window_end_h=0, uint32_t baron=0, uint32_t tag=0, uint16_t features=0,
        uint16_t hours=0, uint16_t lot=0, uint8_t min_rating=0, uint8_t reason=0, uint8_t reserved=0,
    ):
        cdef CommandRecord *record = &self.record
        record.order_id = order_id
        record.ts_ns = ts_ns
        record.account = account
        record.price = price
        record.quantity = quantity
        record.display_quantity = display_quantity
        record.min_quantity = min_quantity
        record.stop_price = stop_price
        record.window_end_h = window_end_h
        record.baron = baron
        record.tag = tag
        record.features = features
        record.hours = hours
        record.lot = lot
        record.min_rating = min_rating
        record.reason = reason
        record.op = op
        record.shape = shape
        record.flags = flags
        record.reserved = reserved

    def pack(self):
        """Its 64 bytes."""
        return PyBytes_FromStringAndSize(<char *>&self.record, sizeof(CommandRecord))


cdef class FastBook:
    """One instrument; implements `engine.book.Book`. Compiled code finds more in `book_fast.pxd`."""

    def __cinit__(self, limits=None):
        self.limits = BookLimits() if limits is None else limits
        self.core.reasons = &REASONS[0]
        self.core.session = SESSION_CONTINUOUS
        self.core.sides[1].sells = True
        self.core.sides[0].best_price = NO_BID
        self.core.sides[1].best_price = NO_ASK
        self.core.buy_trigger = NO_ASK
        self.core.sell_trigger = NO_BID
        self._take_limits()

    def __dealloc__(self):
        cdef int side
        for side in range(2):
            free(self.core.sides[side].levels)
            free(self.core.sides[side].marks)
        free(self.core.nodes)
        free(self.core.term_of)
        free(self.core.terms)
        free(self.core.branches)
        free(self.core.pending)
        free(self.core.changes)
        free(self.core.hour)
        free(self.core.refills)
        free(self.core.ids.now.slots)
        free(self.core.ids.old.slots)
        free(self.core.accounts.pairs)
        free(self.core.barons.pairs)
        free(self.core.buy_stops.nodes)
        free(self.core.sell_stops.nodes)
        free(self.core.due.nodes)

    def _take_limits(self):
        limits = self.limits
        if not 1 <= limits.price_max <= PRICE_LIMIT:
            raise ValueError(f"price_max is from 1 to {PRICE_LIMIT} ticks")
        self.core.limits.max_looked = limits.max_looked
        self.core.limits.max_stops = limits.max_stops
        self.core.limits.max_conditional_account = limits.max_conditional_account
        self.core.limits.max_conditional_side = limits.max_conditional_side
        self.core.limits.display_ratio = limits.display_ratio
        self.core.limits.quantity_max = limits.quantity_max
        self.core.limits.price_max = limits.price_max
        self.core.limits.market_protection_ppm = limits.market_protection_ppm
        self.core.limits.band_ppm = limits.band_ppm
        self.core.limits.auction_s = limits.auction_s
        self.core.limits.cooldown_s = limits.cooldown_s
        self.core.limits.fires = limits.fires

    # ---- compiled callers

    cdef int apply(self, const CommandRecord *command, Sink *sink) noexcept nogil:
        """Apply one command: 0, the reason of its refusal, or -1 without memory, nothing changed and nothing said."""
        return apply_command(&self.core, sink, command)

    cdef uint64_t drain(self, Sink *sink) noexcept nogil:
        """Write the events that found no room, as far as there is room now; how many still wait."""
        drain(&self.core, sink)
        return self.core.pending_count - self.core.pending_first

    cdef int keep_changes(self, bint keep) noexcept nogil:
        """From now on note the levels that change, or forget them; 0, or -1 without memory."""
        return keep_changes(&self.core, keep)

    cdef uint64_t tell_changes(self, DeltaRecord *deltas, uint64_t room) noexcept nogil:
        """Write the levels that changed, in order of first change; how many."""
        return tell_changes(&self.core, deltas, room)

    # ---- commands

    cdef int _free_to_use(self) except -1:
        if self.busy:
            raise RuntimeError("another thread is using this book: give each book one thread at a time")
        return 0

    cdef int _read(self, object order, CommandRecord *record) except -1:
        """The record of a command; one whose values don't fit becomes a malformed one."""
        cdef Py_buffer buffer
        cdef tuple values
        if type(order) is Order:
            record[0] = (<Order>order).record
            return 0
        if isinstance(order, Command):
            values = order
            memset(record, 0, sizeof(CommandRecord))
            try:
                record.order_id = values[1]
                record.ts_ns = values[2]
                record.account = values[3]
                record.price = values[4]
                record.quantity = values[5]
                record.shape = values[6]
                record.flags = values[7]
                record.display_quantity = values[8]
                record.min_quantity = values[9]
                record.stop_price = values[10]
                record.window_end_h = values[11]
                record.baron = values[12]
                record.tag = values[13]
                record.features = values[14]
                record.hours = values[15]
                record.lot = values[16]
                record.min_rating = values[17]
                record.reason = values[18]
                record.reserved = values[19]
                record.op = values[0]
            except (OverflowError, TypeError):
                # No op is 0.
                record.op = 0
            return 0
        PyObject_GetBuffer(order, &buffer, PyBUF_SIMPLE)
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

    def _trim(self):
        if self.core.pending_count == 0 and self.core.pending_capacity > PENDING_KEPT:
            free(self.core.pending)
            self.core.pending = NULL
            self.core.pending_capacity = 0

    def submit(self, order):
        """Apply one command; its event records, after those that waited."""
        cdef EventRecord events[AT_HAND]
        cdef CommandRecord record
        cdef const CommandRecord *command = &record
        cdef Sink sink
        cdef int done
        if self.busy:
            self._free_to_use()
        if type(order) is Order:
            command = &(<Order>order).record
        else:
            self._read(order, &record)
        if self.core.change_count:
            forget_changes(&self.core)
        if self.core.pending_count:
            return self.submit_many((order,))
        sink.next = &events[0]
        sink.end = &events[0] + AT_HAND
        sink.command = 0
        done = apply_command(&self.core, &sink, command)
        if done < 0:
            raise MemoryError("no memory for this command: nothing was done")
        if self.core.pending_count == 0:
            return PyBytes_FromStringAndSize(
                <const char *>&events[0], <Py_ssize_t>((sink.next - &events[0]) * sizeof(EventRecord))
            )
        return self._told(&events[0], <uint64_t>(sink.next - &events[0]))

    def submit_many(self, orders):
        """Apply commands in order; all event records, each with the index of its command, after those that waited."""
        cdef Py_ssize_t count = len(orders)
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
            for place, order in enumerate(orders):
                if place < count:
                    self._read(order, &commands[place])
            keep_changes(&self.core, False)
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
        drain(core, sink)
        while place < count and sink.next < sink.end:
            if ahead:
                if place + SLOTS_AHEAD < count:
                    prefetch_slot(core, commands[place + SLOTS_AHEAD].order_id)
                if place + NODES_AHEAD < count:
                    prefetch_node(core, commands[place + NODES_AHEAD].order_id)
            sink.command = <uint32_t>place
            if apply_command(core, sink, &commands[place]) < 0:
                starved[0] = True
                break
            place += 1
        return place

    def batch(self, commands, out, deltas=None):
        """Apply command records until they, or `out`, are at their end; the interpreter lock is given up meanwhile."""
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
            PyObject_GetBuffer(commands, &given, PyBUF_SIMPLE)
            PyObject_GetBuffer(out, &room, PyBUF_SIMPLE | PyBUF_WRITABLE)
            if deltas is not None:
                PyObject_GetBuffer(deltas, &told, PyBUF_SIMPLE | PyBUF_WRITABLE)
            if given.len % <Py_ssize_t>sizeof(CommandRecord):
                raise ValueError(f"commands are whole records of {sizeof(CommandRecord)} bytes")
            if keep_changes(&self.core, deltas is not None) < 0:
                raise MemoryError("no memory for deltas: nothing was done")
            begin = <EventRecord *>room.buf
            sink.next = begin
            sink.end = begin + room.len // <Py_ssize_t>sizeof(EventRecord)
            self.busy = True
            with nogil:
                consumed = self._run(
                    <const CommandRecord *>given.buf, <uint64_t>given.len // sizeof(CommandRecord), &sink, &starved
                )
                changed = tell_changes(
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
        self._free_to_use()
        self._read(order, &record)
        if record.op != OP_NEW or is_malformed(core, &record):
            raise ValueError("ask about a NEW record whose every bit means something")
        read_order(&record, &taker)
        if taker.order_type >= TYPE_STOP:
            taker.order_type = TYPE_MARKET if taker.order_type == TYPE_STOP else TYPE_LIMIT
        # No price above is at rest, and what stands for the end of a side lies far beyond.
        if taker.price > PRICE_LIMIT:
            taker.price = PRICE_LIMIT
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
            stop = match_dry(core, &taker, &fills, &found[0])
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
        """The protection price of a market order without one; 0 when nothing that it is eligible for is there."""
        return self._as_of(order, False)

    cdef object _resting(self, unsigned int index):
        """A live order as the protocol shows it."""
        cdef Node *node = &self.core.nodes[index]
        cdef Terms plain
        cdef Terms *terms = &plain
        if node.place & RARE:
            terms = terms_of(&self.core, index)
        else:
            memset(&plain, 0, sizeof(Terms))
            plain.order_type = TYPE_LIMIT
            plain.time_in_force = TIME_GTC
        return RestingOrder(
            order_id=node.order_id,
            account=node.account,
            side=SIDES[SELL if node.place & SELLS else BUY],
            order_type=TYPES[terms.order_type],
            time_in_force=TIMES[terms.time_in_force],
            self_trade=MODES[(node.place >> MODE_SHIFT) & 3],
            post_only=node.place & POSTED != 0,
            same_baron=terms.same_baron != 0,
            price=price_of(&self.core, index),
            quantity=node.quantity,
            leaves=node.leaves,
            shown=node.leaves if node.place & ARMED else shown_of(&self.core, index),
            display_quantity=terms.display,
            min_quantity=terms.min_quantity,
            stop_price=terms.stop_price,
            window_end_h=terms.window_end_h,
            baron=terms.baron,
            tag=terms.tag,
            features=terms.features,
            hours=terms.hours,
            lot=terms.lot,
            min_rating=terms.min_rating,
            triggered=terms.triggered != 0,
        )

    cdef unsigned int _find(self, object order_id) except? 0xFFFFFFFF:
        """The node of a live order, or 0; an id that no 64 bits hold is one that isn't there."""
        cdef uint64_t number
        self._free_to_use()
        try:
            number = order_id
        except (OverflowError, TypeError):
            return 0
        return find_order(&self.core, number)

    def get(self, order_id):
        """A live order, armed stops included; KeyError when it isn't there."""
        cdef unsigned int index = self._find(order_id)
        if index == 0:
            raise KeyError(order_id)
        return self._resting(index)

    def __contains__(self, order_id):
        return self._find(order_id) != 0

    def __len__(self):
        """Live orders, armed stops included."""
        return self.core.ids.count

    def depth(self, side, Py_ssize_t max_levels):
        """The best levels of a side, best first."""
        cdef Ladder *ladder = &self.core.sides[1 if side == SELL else 0]
        cdef int32_t price = ladder.best_price
        cdef Level *level
        self._free_to_use()
        levels = []
        while is_price(price) and len(levels) < max_levels:
            level = &ladder.levels[level_at(&self.core, ladder, price)]
            levels.append(DepthLevel(price, level.unconditional, level.conditional, level.orders))
            price = price_behind(&self.core, ladder, price)
        return levels

    def _queued(self, side):
        """All orders at rest of a side, in priority order."""
        cdef Ladder *ladder = &self.core.sides[1 if side == SELL else 0]
        cdef int32_t price = ladder.best_price
        cdef uint32_t index
        self._free_to_use()
        orders = []
        while is_price(price):
            index = ladder.levels[level_at(&self.core, ladder, price)].first
            while index:
                orders.append(self._resting(index))
                index = self.core.nodes[index].next
            price = price_behind(&self.core, ladder, price)
        return orders

    def resting(self, side):
        """All orders at rest of a side, in priority order."""
        return iter(self._queued(side))

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
        """The reference price as of the last command's time, as (sum of price x quantity, quantity); (0, 0): none."""
        self._free_to_use()
        self.core.referenced = False
        take_reference(&self.core)
        return _wide(self.core.reference_notional), self.core.reference_quantity

    @property
    def session(self):
        return SESSIONS[self.core.session]

    @property
    def last_price(self):
        """Ticks; 0: never traded."""
        return self.core.last_price

    @property
    def stops_due(self):
        """Whether a TICK would do something now: stops wait to fire by themselves, or a clearing isn't finished."""
        return self.core.clearing_price != 0 or (self.core.limits.fires and self.next_stop() != 0)

    def next_stop(self):
        """Id of the first triggered stop in order of entry, in `continuous`; 0 when none may fire now."""
        if self.core.session != SESSION_CONTINUOUS or self.core.due.count == 0:
            return 0
        return self.core.nodes[self.core.due.nodes[0]].order_id

    # ---- state

    def state(self):
        """All of it, for snapshots and hashes."""
        cdef BookCore *core = &self.core
        cdef uint32_t index = core.stop_first
        cdef uint64_t minute
        cdef Pair *pair
        self._free_to_use()
        minutes = []
        if core.hour != NULL:
            minute = core.hour.minute - (MINUTES - 1) if core.hour.minute >= MINUTES else 0
            while minute <= core.hour.minute:
                entry = &core.hour.minutes[minute % MINUTES]
                if entry.quantity:
                    minutes.append((minute, _wide(entry.notional), entry.quantity))
                minute += 1
        barons = []
        if core.barons.pairs != NULL:
            for place in range(core.barons.mask + 1):
                pair = &core.barons.pairs[place]
                if pair.key:
                    barons.append((pair.key, (pair.value >> RATING_SHIFT) & 0xFF, pair.value & 0xFFFF))
        stops = []
        while index:
            stops.append(self._resting(index))
            index = core.nodes[index].next
        return BookState(
            limits=self.limits,
            session=SESSIONS[core.session],
            last_ts_ns=core.now_ns,
            last_price=core.last_price,
            auction_price=core.auction_price if auction_counts(core) else 0,
            auction_end_ns=core.auction_end_ns,
            clearing_price=core.clearing_price,
            minutes=tuple(minutes),
            barons=tuple(sorted(barons)),
            bids=tuple(self._queued(Side.BUY)),
            asks=tuple(self._queued(Side.SELL)),
            stops=tuple(stops),
        )

    cdef int _restore_order(self, object order, bint waits) except -1:
        """One order of a state takes its place."""
        cdef Taker taker
        cdef Terms *terms = &taker.terms
        cdef Level *level
        cdef uint32_t index
        memset(&taker, 0, sizeof(Taker))
        taker.order_id = order.order_id
        taker.account = order.account
        taker.quantity = order.quantity
        taker.leaves = order.leaves
        taker.price = order.price
        taker.mode = order.self_trade
        taker.sells = order.side == SELL
        taker.order_type = order.order_type
        taker.time_in_force = order.time_in_force
        taker.flags = (
            (SELLS if taker.sells else 0) | (POSTED if order.post_only else 0) | <uint32_t>taker.mode << MODE_SHIFT
        )
        terms.display = order.display_quantity
        terms.min_quantity = order.min_quantity
        terms.price = taker.price
        terms.stop_price = order.stop_price
        terms.window_end_h = order.window_end_h
        terms.baron = order.baron
        terms.tag = order.tag
        terms.features = order.features
        terms.hours = order.hours
        terms.lot = order.lot
        terms.min_rating = order.min_rating
        terms.order_type = taker.order_type
        terms.time_in_force = taker.time_in_force
        terms.same_baron = order.same_baron
        terms.triggered = order.triggered
        if is_rare(terms) or waits:
            taker.flags |= RARE
        if is_conditional(terms):
            taker.flags |= CONDITIONAL
        if not waits and not 1 <= taker.price <= PRICE_LIMIT or find_order(&self.core, taker.order_id):
            raise ValueError("the state holds an order twice, or one at no price")
        if reserve_rest(&self.core, &taker) < 0:
            raise MemoryError("no memory for the orders of a state")
        if waits:
            wait(&self.core, &taker)
            return 0
        rest(&self.core, &taker)
        index = find_order(&self.core, taker.order_id)
        if taker.terms.display and taker.terms.shown != order.shown:
            level = &self.core.sides[taker.sells].levels[self.core.nodes[index].place >> 8]
            if taker.flags & CONDITIONAL:
                level.conditional += <uint64_t><uint32_t>order.shown - taker.terms.shown
            else:
                level.unconditional += <uint64_t><uint32_t>order.shown - taker.terms.shown
            terms_of(&self.core, index).shown = order.shown
        return 0

    def restore(self, state):
        """Become what `state` says; for a book that has just been made. Deltas start empty."""
        cdef BookCore *core = &self.core
        self._free_to_use()
        self.limits = state.limits
        self._take_limits()
        core.session = state.session
        core.now_ns = state.last_ts_ns
        core.last_price = state.last_price
        core.auction_price = state.auction_price
        core.auction_end_ns = state.auction_end_ns
        core.clearing_price = state.clearing_price
        if reserve_hour(core) < 0:
            raise MemoryError("no memory for the trades of a state")
        for minute, notional, quantity in state.minutes:
            begin_minute(core.hour, minute)
            entry = &core.hour.minutes[<uint64_t>minute % MINUTES]
            entry.notional = <uint128_t><uint64_t>(notional >> 64) << 64 | <uint64_t>(notional & 0xFFFFFFFFFFFFFFFF)
            entry.quantity = quantity
            core.hour.notional += entry.notional
            core.hour.quantity += entry.quantity
        for baron, rating, features in state.barons:
            if reserve_pair(&core.barons) < 0:
                raise MemoryError("no memory for the Barons of a state")
            set_value(
                &core.barons, baron, TOLD | <uint32_t><uint8_t>rating << RATING_SHIFT | <uint32_t><uint16_t>features
            )
        for order in (*state.bids, *state.asks):
            self._restore_order(order, False)
        for order in state.stops:
            self._restore_order(order, True)

    def __sizeof__(self):
        """Bytes of the book and all its pools."""
        cdef BookCore *core = &self.core
        cdef uint64_t size = sizeof(BookCore) + 48
        cdef int side
        for side in range(2):
            size += core.sides[side].level_capacity * sizeof(Level)
            size += core.sides[side].level_capacity * sizeof(uint32_t) if core.sides[side].marks != NULL else 0
        size += core.node_capacity * (sizeof(Node) + (sizeof(uint32_t) if core.term_of != NULL else 0))
        size += core.term_capacity * sizeof(Terms) + core.branch_capacity * sizeof(Branch)
        size += core.pending_capacity * sizeof(EventRecord) + core.refill_capacity * sizeof(core.refills[0])
        size += core.change_capacity * sizeof(core.changes[0]) + core.stop_capacity * 3 * sizeof(uint32_t)
        size += sizeof(Hour) if core.hour != NULL else 0
        size += (core.ids.now.mask + 1) * sizeof(uint64_t) if core.ids.now.slots != NULL else 0
        size += (core.ids.old.mask + 1) * sizeof(uint64_t) if core.ids.old.slots != NULL else 0
        size += (core.accounts.mask + 1) * sizeof(Pair) if core.accounts.pairs != NULL else 0
        size += (core.barons.mask + 1) * sizeof(Pair) if core.barons.pairs != NULL else 0
        return size
