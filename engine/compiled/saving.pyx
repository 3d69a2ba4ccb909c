# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""A snapshot written in C, once and into the bytes that it is: orders, leases and bills; books by
`engine.compiled.saving_books`, what accounts remember by `engine.compiled.memories`.

The bytes are those that the law's encoder makes of its structs (`engine.snapshot`), field by field in their
order; tests hold every field of each against it. What there are few of, the law's encoder writes itself. It
knows no rule of the market.
"""

from cpython.bytes cimport PyBytes_AS_STRING
from cpython.memoryview cimport PyMemoryView_FromMemory
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from engine.compiled.dues cimport Bill
from engine.compiled.memories cimport saved_account
from engine.compiled.orders cimport Orders, Rare
from engine.compiled.places cimport Place, new_places, sort_places
from engine.compiled.records cimport Account, Lease
from engine.compiled.saving_books cimport open_table, put_books, put_object
from engine.compiled.sheets cimport Sheet, space, throw_away, torn_off
from engine.compiled.slots cimport OrderSlot, slot_at
from engine.compiled.state cimport Core
from engine.compiled.tables cimport IdTable
from engine.compiled.wire cimport (
    LENGTH_BYTES, View, WireSink, put_array, put_blob, put_code, put_flag, put_number, put_text, view_bytes,
    view_text, written,
)

from operator import itemgetter

from engine import snapshot
from engine.dues import Bill as LawBill
from engine.state import Lease as LawLease
from engine.state import Order as LawOrder

cdef extern from "Python.h":
    const int PyBUF_READ

cdef enum:
    SELL = 2
    HOUR_NS = 3600000000000
    # Bytes that the numbers, flags and lengths of one record take at most.
    RECORD_BYTES = 512
    # A price of a lease, or an outage of a bill.
    PAIR_BYTES = 19

cdef uint32_t ORDER_FIELDS = len(LawOrder.__struct_fields__)
cdef uint32_t LEASE_FIELDS = len(LawLease.__struct_fields__)
cdef uint32_t BILL_FIELDS = len(LawBill.__struct_fields__)
cdef uint32_t BODY_FIELDS = len(snapshot.Body.__struct_fields__)
# Of a snapshot before its body: its format and the body's digest.
cdef size_t HEAD_BYTES = 1 + snapshot.DIGEST_BYTES
cdef uint8_t FORMAT = snapshot.FORMAT
# What stands around what is written here.
cdef tuple BEFORE = snapshot.BEFORE_MANY
cdef tuple BEHIND = snapshot.BEHIND_MANY


cdef int put_pairs(WireSink *sink, list pairs) except -1:
    """Pairs of numbers; None is no pair."""
    cdef uint32_t count = 0 if pairs is None else <uint32_t>len(pairs)
    cdef uint8_t *at = put_array(space(sink, LENGTH_BYTES + PAIR_BYTES * count), count)
    for first, second in pairs or ():
        at = put_number(put_number(put_array(at, 2), first), second)
    written(sink, at)
    return 0


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
    at = space(sink, RECORD_BYTES + client_order_id.size + tag.size + quote_set.size + delivery.size)
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


cdef int put_orders(WireSink *sink, Orders orders) except -1:
    """All live orders, by id."""
    cdef Place *places = new_places(orders.slots.live)
    cdef uint32_t index
    cdef uint64_t found = 0
    cdef uint64_t place
    try:
        for index in range(1, orders.slots.used):
            if slot_at(&orders.slots, index).admitted:
                places[found].id = slot_at(&orders.slots, index).order_id
                places[found].record = index
                found += 1
        sort_places(places, found)
        open_table(sink, found)
        for place in range(found):
            put_order(sink, orders, slot_at(&orders.slots, <uint32_t>places[place].record))
        return 0
    finally:
        free(places)


# ---- leases and bills


ctypedef uint64_t (*IdOf)(PyObject *record) noexcept


cdef uint64_t id_of_lease(PyObject *record) noexcept:
    return (<Lease>record).lease_id


cdef uint64_t id_of_bill(PyObject *record) noexcept:
    return (<Bill>record).bill_id


cdef Place *places_of(IdTable table, IdOf id_of) except NULL:
    """What is in a table, by id; to be freed by the caller."""
    cdef Place *places = new_places(table.length())
    cdef uint64_t turn = 0
    cdef uint64_t found = 0
    cdef PyObject *record = table.walk(&turn)
    while record != NULL:
        places[found].id = id_of(record)
        places[found].record = <uint64_t>record
        found += 1
        record = table.walk(&turn)
    try:
        sort_places(places, found)
    except MemoryError:
        free(places)
        raise
    return places


cdef int put_lease(WireSink *sink, Lease lease) except -1:
    """As `engine.state.Lease`."""
    cdef View access, detail, delivery
    cdef uint8_t *at
    view_bytes(&access, lease.access)
    view_text(&detail, lease.detail)
    view_bytes(&delivery, lease.delivery)
    at = space(sink, RECORD_BYTES + access.size + detail.size + delivery.size)
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
    written(sink, at)
    put_pairs(sink, lease.priced)
    at = space(sink, RECORD_BYTES + delivery.size)
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


cdef int put_leases(WireSink *sink, IdTable leases) except -1:
    """All of them, by id."""
    cdef Place *places = places_of(leases, id_of_lease)
    cdef uint64_t place
    try:
        open_table(sink, leases.length())
        for place in range(leases.length()):
            put_lease(sink, <Lease><PyObject *>places[place].record)
        return 0
    finally:
        free(places)


cdef int put_bill(WireSink *sink, Bill bill) except -1:
    """As `engine.dues.Bill`."""
    cdef uint8_t *at = put_array(space(sink, RECORD_BYTES), BILL_FIELDS)
    at = put_number(at, bill.bill_id)
    at = put_number(at, bill.renter)
    at = put_number(at, bill.provider)
    at = put_number(at, bill.due_ns)
    at = put_number(at, bill.charge_micros)
    at = put_number(at, bill.receivable_micros)
    at = put_number(at, bill.run_from_ns)
    at = put_number(at, bill.over_ns)
    written(sink, at)
    put_pairs(sink, bill.stopped)
    at = space(sink, RECORD_BYTES)
    at = put_number(at, bill.out_ns)
    at = put_number(at, bill.out_until_ns)
    written(sink, at)
    return put_object(sink, bill.hours)


cdef int put_bills(WireSink *sink, IdTable bills) except -1:
    """All of them, by id."""
    cdef Place *places = places_of(bills, id_of_bill)
    cdef uint64_t place
    try:
        open_table(sink, bills.length())
        for place in range(bills.length()):
            put_bill(sink, <Bill><PyObject *>places[place].record)
        return 0
    finally:
        free(places)


# ---- all of them


cdef int put_body(WireSink *sink, Core state) except -1:
    """As `engine.snapshot.Body`."""
    by_number = sorted(state.accounts.items(), key=itemgetter(0))
    accounts = [saved_account(<Account?>each) for _, each in by_number]
    few = snapshot.body_with(state, snapshot.Many(accounts, [], [], [], []))
    open_table(sink, BODY_FIELDS)
    for name in BEFORE:
        put_object(sink, getattr(few, name))
    put_orders(sink, state.orders)
    put_leases(sink, state.leases)
    put_bills(sink, state.bills)
    put_books(sink, state.books)
    for name in BEHIND:
        put_object(sink, getattr(few, name))
    return 0


cdef bytes digest_of(const WireSink *sink, size_t begin):
    """Of all that is written from there on."""
    return snapshot.digest_of(
        PyMemoryView_FromMemory(<char *>sink.data + begin, <Py_ssize_t>(sink.size - begin), PyBUF_READ)
    )


def encoded(Core state not None):
    """As `engine.snapshot.encode`."""
    cdef Sheet sheet
    cdef bytes digest
    memset(&sheet, 0, sizeof(Sheet))
    try:
        space(&sheet.sink, HEAD_BYTES)[0] = FORMAT
        sheet.sink.size = HEAD_BYTES
        put_body(&sheet.sink, state)
        digest = digest_of(&sheet.sink, HEAD_BYTES)
        memcpy(sheet.sink.data + 1, PyBytes_AS_STRING(digest), len(digest))
        return torn_off(&sheet)
    finally:
        throw_away(&sheet)


def hash_of(Core state not None):
    """As `engine.snapshot.state_hash`."""
    cdef Sheet sheet
    memset(&sheet, 0, sizeof(Sheet))
    try:
        put_body(&sheet.sink, state)
        return digest_of(&sheet.sink, 0).hex()
    finally:
        throw_away(&sheet)
