# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What a snapshot has a million of, written in C: orders, leases, what the books know of their orders, and
what accounts remember (`engine.compiled.memories`).

The bytes are those that the law's encoder makes of its structs (`engine.snapshot`), field by field in their
order; tests hold every field of each against it. It knows no rule of the market.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, qsort
from libc.string cimport memset

from engine.book_fast cimport FastBook
from engine.compiled.memories cimport saved_account
from engine.compiled.orders cimport Orders, Rare
from engine.compiled.records cimport Account, Lease
from engine.compiled.slots cimport OrderSlot, slot_at
from engine.compiled.state cimport Core
from engine.compiled.wire cimport (
    LENGTH_BYTES, View, WireSink, bytes_of, free_sink, put_array, put_blob, put_code, put_flag,
    put_number, put_text, room, view_bytes, view_text, written,
)
from engine.fast.core cimport NO_KEY, BookCore, Ladder
from engine.fast.levels cimport key_behind, level_at
from engine.fast.views cimport Shown, look_at, state_with

from operator import itemgetter

from msgspec import Raw

from engine.snapshot import Many

cdef enum:
    SELL = 2
    HOUR_NS = 3600000000000
    # Fields of `engine.state.Order` and `Lease`, and of `engine.book.RestingOrder`.
    ORDER_FIELDS = 32
    LEASE_FIELDS = 40
    RESTING_FIELDS = 23
    # Bytes that the numbers, flags and lengths of one record take at most.
    RECORD_BYTES = 512
    # And one price of a lease.
    PRICE_BYTES = 19


cdef struct Place:
    uint64_t order_id
    uint32_t index


cdef int by_id(const void *one, const void *other) noexcept nogil:
    cdef uint64_t left = (<const Place *>one).order_id
    cdef uint64_t right = (<const Place *>other).order_id
    return -1 if left < right else left > right


cdef object raw(WireSink *sink, uint64_t count):
    """An array of so many records, out of the sink that holds them, which is free again."""
    cdef uint8_t head[LENGTH_BYTES]
    cdef View begin
    cdef View body
    begin.data, begin.size = head, put_array(head, <uint32_t>count) - head
    body.data, body.size = sink.data, sink.size
    try:
        return Raw(bytes_of(&begin) + (bytes_of(&body) if sink.size else b""))
    finally:
        free_sink(sink)


# ---- orders


cdef int put_order(WireSink *sink, Orders orders, OrderSlot *slot) except -1:
    """As `engine.state.Order`; what a side doesn't have stands in its slot as something else."""
    cdef Rare rare = orders.rare_of(slot)
    cdef bint sells = slot.side == SELL
    cdef View client_order_id, tag, quote_set, delivery
    cdef uint8_t *at
    client_order_id.size = tag.size = quote_set.size = delivery.size = 0
    client_order_id.data = tag.data = quote_set.data = delivery.data = NULL
    if rare is not None:
        view_text(&client_order_id, rare.client_order_id)
        view_text(&tag, rare.tag)
        view_text(&quote_set, rare.quote_set)
    if not sells and slot.delivery != NULL:
        view_bytes(&delivery, <bytes>slot.delivery)
    at = room(sink, RECORD_BYTES + client_order_id.size + tag.size + quote_set.size + delivery.size)
    at = put_array(at, ORDER_FIELDS)
    at = put_number(at, slot.order_id)
    at = put_number(at, slot.account)
    at = put_number(at, slot.instrument)
    at = put_code(at, slot.kind)
    at = put_code(at, slot.side)
    at = put_code(at, slot.order_type)
    at = put_code(at, slot.time_in_force)
    at = put_number(at, slot.price_ticks)
    at = put_number(at, slot.quantity)
    at = put_number(at, slot.leaves_quantity)
    at = put_code(at, slot.origin)
    at = put_flag(at, slot.post_only)
    at = put_text(at, &client_order_id)
    at = put_number(at, 0 if sells else slot.hours)
    at = put_number(at, slot.baron)
    at = put_number(at, slot.window_end_h * <int64_t>HOUR_NS)
    at = put_blob(at, &delivery)
    at = put_number(at, rare.stop_price_ticks if rare is not None else 0)
    at = put_number(at, rare.display_quantity if rare is not None else 0)
    at = put_number(at, rare.min_quantity if rare is not None else 0)
    at = put_code(at, slot.self_trade)
    at = put_number(at, slot.features)
    at = put_flag(at, slot.same_baron)
    at = put_number(at, slot.lot)
    at = put_number(at, slot.hours if sells else 0)
    at = put_text(at, &tag)
    at = put_number(at, rare.expire_ns if rare is not None else 0)
    at = put_flag(at, slot.armed)
    at = put_number(at, rare.connection if rare is not None else 0)
    at = put_text(at, &quote_set)
    at = put_number(at, slot.min_rating)
    at = put_number(at, slot.hold_ticks)
    written(sink, at)
    return 0


cdef object saved_orders(Orders orders):
    """All live orders, by id."""
    cdef uint32_t live = orders.slots.live
    cdef Place *places = <Place *>malloc((<size_t>live + 1) * sizeof(Place))
    cdef WireSink sink
    cdef uint32_t index
    cdef uint32_t found = 0
    memset(&sink, 0, sizeof(WireSink))
    if places == NULL:
        raise MemoryError("no memory for a snapshot")
    try:
        for index in range(1, orders.slots.used):
            if slot_at(&orders.slots, index).admitted:
                places[found].order_id = slot_at(&orders.slots, index).order_id
                places[found].index = index
                found += 1
        qsort(places, found, sizeof(Place), by_id)
        for index in range(found):
            put_order(&sink, orders, slot_at(&orders.slots, places[index].index))
        return raw(&sink, found)
    finally:
        free(places)
        free_sink(&sink)


# ---- leases


cdef int put_lease(WireSink *sink, Lease lease) except -1:
    """As `engine.state.Lease`."""
    cdef View access, detail, delivery
    cdef uint32_t prices = 0 if lease.priced is None else <uint32_t>len(lease.priced)
    cdef uint8_t *at
    view_bytes(&access, lease.access)
    view_text(&detail, lease.detail)
    view_bytes(&delivery, lease.delivery)
    at = room(
        sink, RECORD_BYTES + access.size + detail.size + delivery.size + PRICE_BYTES * prices
    )
    at = put_array(at, LEASE_FIELDS)
    at = put_number(at, lease.lease_id)
    at = put_number(at, lease.renter)
    at = put_number(at, lease.provider)
    at = put_number(at, lease.baron)
    at = put_code(at, lease.kind_code)
    at = put_number(at, lease.quantity)
    at = put_number(at, lease.offer_quantity)
    at = put_number(at, lease.price_ticks)
    at = put_number(at, lease.start_ns)
    at = put_number(at, lease.term_end_ns)
    at = put_number(at, lease.minimum_s)
    at = put_number(at, lease.renter_fee_ppm)
    at = put_number(at, lease.provider_fee_ppm)
    at = put_number(at, lease.prefund_micros)
    at = put_code(at, lease.state_code)
    at = put_code(at, lease.reason_code)
    at = put_number(at, lease.active_ns)
    at = put_number(at, lease.ended_ns)
    at = put_number(at, lease.due_ns)
    at = put_number(at, lease.usage_micros)
    at = put_number(at, lease.renter_fee_micros)
    at = put_number(at, lease.provider_fee_micros)
    at = put_blob(at, &access)
    at = put_text(at, &detail)
    at = put_number(at, lease.ends_ns)
    at = put_array(at, prices)
    for from_ns, price_ticks in lease.priced or ():
        at = put_array(at, 2)
        at = put_number(at, from_ns)
        at = put_number(at, price_ticks)
    at = put_number(at, lease.limit_ticks)
    at = put_flag(at, lease.auto_extend)
    at = put_number(at, lease.auto_due_ns)
    at = put_number(at, lease.wipe_due_ns)
    at = put_flag(at, lease.overdue)
    at = put_flag(at, lease.returned)
    at = put_number(at, lease.waits_for)
    at = put_number(at, lease.promised_to)
    at = put_number(at, lease.bond_micros)
    at = put_number(at, lease.obligation_id)
    at = put_blob(at, &delivery)
    at = put_number(at, lease.features)
    at = put_number(at, lease.min_rating)
    at = put_flag(at, lease.same_baron)
    written(sink, at)
    return 0


cdef object saved_leases(Core state):
    """All leases, by id."""
    cdef WireSink sink
    memset(&sink, 0, sizeof(WireSink))
    try:
        for _, lease in sorted(state.leases.items(), key=itemgetter(0)):
            put_lease(&sink, <Lease?>lease)
        return raw(&sink, len(state.leases))
    finally:
        free_sink(&sink)


# ---- books


cdef int put_resting(WireSink *sink, BookCore *core, uint32_t index) except -1:
    """As `engine.book.RestingOrder`."""
    cdef uint8_t *at = room(sink, RECORD_BYTES)
    cdef Shown order
    look_at(core, index, &order)
    at = put_array(at, RESTING_FIELDS)
    at = put_number(at, order.order_id)
    at = put_number(at, order.account)
    at = put_code(at, order.side)
    at = put_code(at, order.terms.order_type)
    at = put_code(at, order.terms.time_in_force)
    at = put_code(at, order.mode)
    at = put_flag(at, order.post_only)
    at = put_flag(at, order.terms.same_baron)
    at = put_number(at, order.price)
    at = put_number(at, order.quantity)
    at = put_number(at, order.leaves)
    at = put_number(at, order.shown)
    at = put_number(at, order.terms.display)
    at = put_number(at, order.terms.min_quantity)
    at = put_number(at, order.terms.stop_price)
    at = put_number(at, order.terms.window_end_h)
    at = put_number(at, order.terms.baron)
    at = put_number(at, order.terms.tag)
    at = put_number(at, order.terms.features)
    at = put_number(at, order.terms.hours)
    at = put_number(at, order.terms.lot)
    at = put_number(at, order.terms.min_rating)
    at = put_flag(at, order.terms.triggered)
    written(sink, at)
    return 0


cdef object saved_side(BookCore *core, bint sells):
    """All orders at rest of a side, in priority order."""
    cdef Ladder *ladder = &core.sides[1 if sells else 0]
    cdef int64_t key = ladder.best_key
    cdef WireSink sink
    cdef uint32_t index
    memset(&sink, 0, sizeof(WireSink))
    try:
        while key != NO_KEY:
            index = ladder.levels[level_at(core, ladder, key)].first
            while index:
                put_resting(&sink, core, index)
                index = core.nodes[index].next
            key = key_behind(core, ladder, key)
        return raw(&sink, sink.events)
    finally:
        free_sink(&sink)


cdef object saved_stops(BookCore *core):
    """All stops that wait, in order of entry."""
    cdef uint32_t index = core.stop_first
    cdef WireSink sink
    memset(&sink, 0, sizeof(WireSink))
    try:
        while index:
            put_resting(&sink, core, index)
            index = core.nodes[index].next
        return raw(&sink, sink.events)
    finally:
        free_sink(&sink)


cdef object saved_book(FastBook book):
    """A book's state with its orders encoded."""
    cdef BookCore *core = &book.core
    book.enter()
    try:
        bids, asks = saved_side(core, False), saved_side(core, True)
        return state_with(core, book.limits, bids, asks, saved_stops(core))
    finally:
        book.leave()


def many_of(Core state not None):
    """What `engine.snapshot.many_of` gives, encoded: the same bytes in a snapshot."""
    return Many(
        [saved_account(<Account?>each) for _, each in sorted(state.accounts.items(), key=itemgetter(0))],
        saved_orders(state.orders),
        saved_leases(state),
        [saved_book(book) for _, book in sorted(state.books.items(), key=itemgetter(0))],
    )
