# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""A snapshot read in C: orders, leases and bills into a state's own slots and records; books by
`engine.compiled.restoring_books`, what follows of leases and bills by `engine.compiled.indexing`.

What there are few of is the law's decoder's to read. What isn't plain (a number that its field can't hold, a
form that the law's encoder doesn't write, an order out of its turn) is left to it too, which knows what to
refuse: here nothing is decided. It knows no rule of the market.
"""

from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memset

from engine.compiled.dues cimport Bill
from engine.compiled.indexing cimport index_bill, index_lease
from engine.compiled.lookups cimport add_lease
from engine.compiled.memories cimport read_account
from engine.compiled.ordered cimport TimerSet
from engine.compiled.orders cimport Orders, Rare
from engine.compiled.plain cimport (
    any_id, any_number, code, few, flag, not_plain, number, open_record, open_table, price, skip, small, text,
    view_any_text, view_blob,
)
from engine.compiled.reading cimport Cursor, read_nil
from engine.compiled.records cimport Account, Lease
from engine.compiled.restoring_books cimport read_books
from engine.compiled.slots cimport (
    OrderSlot, Slots, admit_slot, hash_of, reserve_chains, take_slot,
)
from engine.compiled.state cimport Core
from engine.compiled.wire cimport FIX_ARRAY, View, bytes_of, view_bytes
from engine.fast.core cimport prefetch

import msgspec

from engine import snapshot, timers
from engine.compiled.parts import part
from engine.dues import Bill as LawBill
from engine.dues import PaidHours
from engine.kinds import EndReason, Kind, LeaseState, OrderType, Origin, TimeInForce
from engine.records import SelfTrade
from engine.state import Account as LawAccount
from engine.state import Lease as LawLease
from engine.state import Order as LawOrder
from engine.timers import TimerKind

cdef enum:
    BUY = 1
    SELL = 2
    ONDEMAND = 2
    HOUR_NS = 3600000000000
    FEATURES_MAX = 15
    RATING_MAX = 127
    # Orders that are read ahead.
    AHEAD = 16

cdef uint32_t ORDER_FIELDS = len(LawOrder.__struct_fields__)
cdef uint32_t LEASE_FIELDS = len(LawLease.__struct_fields__)
cdef uint32_t BILL_FIELDS = len(LawBill.__struct_fields__)
cdef uint32_t BODY_FIELDS = len(snapshot.Body.__struct_fields__)
cdef uint8_t EXPIRED = TimerKind.ORDER_EXPIRED
cdef uint8_t WINDOW_CLOSED = TimerKind.WINDOW_CLOSED
cdef uint8_t LAST_KIND = max(Kind)
cdef uint8_t LAST_TYPE = max(OrderType)
cdef uint8_t LAST_TIME = max(TimeInForce)
cdef uint8_t LAST_ORIGIN = max(Origin)
cdef uint8_t LAST_SELF_TRADE = max(SelfTrade)
cdef uint8_t LAST_LEASE_STATE = max(LeaseState)
cdef uint8_t LAST_END_REASON = max(EndReason)
# What the law's rooms raise over what is no state; those that are its own errors are raised by it again.
cdef tuple DOUBTS = (ValueError, LookupError, TypeError, ArithmeticError, msgspec.MsgspecError)


cdef tuple MEMORIES = ("client_ids", "older_live_ids", "closed_orders", "wiped_leases")
# An account with what it remembers left as it is encoded.
cdef object ACCOUNT = part(LawAccount, LawAccount.__struct_fields__, **dict.fromkeys(MEMORIES, msgspec.Raw))
cdef object decode_before = msgspec.msgpack.Decoder(
    part(snapshot.Body, snapshot.BEFORE_MANY, accounts=list[ACCOUNT])
).decode
cdef object decode_behind = msgspec.msgpack.Decoder(part(snapshot.Body, snapshot.BEHIND_MANY)).decode
cdef uint32_t FEW_BEFORE = len(snapshot.BEFORE_MANY)
cdef uint32_t FEW_BEHIND = len(snapshot.BEHIND_MANY)


cdef bytes blob(Cursor *cursor, dict interned):
    """Bytes that others may have too: all share one object."""
    cdef View found
    view_blob(cursor, &found)
    if not found.size:
        return b""
    read = bytes_of(&found)
    return interned.setdefault(read, read)


# ---- orders


# What is rare of the order that is read: few keep it.
cdef Rare TERMS = Rare.__new__(Rare)


cdef uint64_t read_order(Cursor *cursor, Core state, dict interned, uint64_t after) except 0:
    """One order, live from now on, its timers set; its id, which is behind this one."""
    cdef OrderSlot read
    cdef Rare rare = TERMS
    cdef uint16_t hours, min_hours
    cdef int64_t window_end_ns
    cdef View delivery
    memset(&read, 0, sizeof(OrderSlot))
    open_record(cursor, ORDER_FIELDS)
    read.order_id = any_id(cursor)
    read.account = small(cursor)
    read.instrument = small(cursor)
    read.kind = code(cursor, 1, LAST_KIND)
    read.side = code(cursor, BUY, SELL)
    read.order_type = code(cursor, 1, LAST_TYPE)
    read.time_in_force = code(cursor, 1, LAST_TIME)
    read.price_ticks = price(cursor)
    read.quantity = small(cursor)
    read.leaves_quantity = small(cursor)
    read.origin = code(cursor, 1, LAST_ORIGIN)
    read.post_only = flag(cursor)
    rare.client_order_id = text(cursor)
    hours = few(cursor)
    read.baron = small(cursor)
    window_end_ns = number(cursor, 0, INT64_MAX)
    view_blob(cursor, &delivery)
    rare.stop_price_ticks = price(cursor)
    rare.display_quantity = small(cursor)
    rare.min_quantity = small(cursor)
    read.self_trade = code(cursor, 0, LAST_SELF_TRADE)
    read.features = <uint32_t>number(cursor, 0, FEATURES_MAX)
    read.same_baron = flag(cursor)
    read.lot = few(cursor)
    min_hours = few(cursor)
    rare.tag = text(cursor)
    rare.expire_ns = number(cursor, 0, INT64_MAX)
    read.armed = flag(cursor)
    rare.connection = any_number(cursor)
    rare.quote_set = text(cursor)
    read.min_rating = <uint32_t>number(cursor, 0, RATING_MAX)
    read.hold_ticks = price(cursor)
    if read.order_id <= after or window_end_ns % HOUR_NS:
        not_plain()
    if (hours or delivery.size) if read.side == SELL else min_hours:
        not_plain()
    read.hours = min_hours if read.side == SELL else hours
    read.window_end_h = <uint32_t>(window_end_ns // HOUR_NS)
    admit(state, &read, rare, &delivery, interned)
    arm(state.timers, &read, rare.expire_ns)
    return read.order_id


cdef bytes shared(Account account, const View *delivery, dict interned):
    """Where to deliver: mostly where its account's bid before said."""
    cdef View last
    if account.last_delivery is not None:
        view_bytes(&last, account.last_delivery)
        if last.size == delivery.size and memcmp(last.data, delivery.data, last.size) == 0:
            return account.last_delivery
    read = bytes_of(delivery)
    account.last_delivery = interned.setdefault(read, read)
    return account.last_delivery


cdef int admit(
    Core state, const OrderSlot *read, Rare rare, const View *delivery, dict interned
) except -1:
    """It gets its slot, and is the newest order of its account; known by its id it will be later."""
    cdef Orders orders = state.orders
    cdef PyObject *account = state.accounts.find(read.account)
    cdef OrderSlot *slot
    cdef uint32_t index
    if account == NULL:
        not_plain()
    slot = take_slot(&orders.slots, &index)
    slot[0] = read[0]
    if delivery.size:
        keys = shared(<Account>account, delivery, interned)
        Py_INCREF(keys)
        slot.delivery = <PyObject *>keys
    if (
        rare.client_order_id or rare.tag or rare.quote_set or rare.expire_ns or rare.connection
        or rare.stop_price_ticks or rare.display_quantity or rare.min_quantity
    ):
        orders.put_rare(slot, rare.copy())
    state.join(<Account>account, index)
    return 0


cdef int arm(TimerSet due, const OrderSlot *read, int64_t expire_ns) except -1:
    """As `engine.timers` arms it."""
    cdef int64_t hours
    if expire_ns:
        due.insert(expire_ns, EXPIRED, read.order_id)
    if read.side == SELL and read.kind == ONDEMAND:
        hours = <int64_t>read.window_end_h - (read.hours if read.hours else 1)
        due.insert(hours * HOUR_NS + 1, WINDOW_CLOSED, read.order_id)
    return 0


cdef int read_orders(Cursor *cursor, Core state, dict interned) except -1:
    """All orders, by id. Each is admitted some turns after it was read: the place of its id in a large table
    is on the way meanwhile. Slots of a new state follow each other.
    """
    cdef Slots *slots = &state.orders.slots
    cdef uint64_t count = open_table(cursor, ORDER_FIELDS)
    cdef uint64_t after = 0
    cdef uint32_t first = slots.used
    cdef uint64_t turn
    reserve_chains(slots, count)
    for turn in range(count + AHEAD):
        if turn < count:
            after = read_order(cursor, state, interned, after)
            prefetch(&slots.heads[hash_of(after) >> slots.shift])
        if turn >= AHEAD:
            admit_slot(slots, <uint32_t>(first + turn - AHEAD))
    return 0


# ---- leases and bills


cdef list read_pairs(Cursor *cursor):
    """Pairs of numbers; None where there are none."""
    cdef uint32_t count = open_table(cursor, 2)
    cdef uint32_t _place
    if count == 0:
        return None
    pairs = []
    for _place in range(count):
        open_record(cursor, 2)
        first = any_number(cursor)
        pairs.append((first, any_number(cursor)))
    return pairs


cdef Lease read_lease(Cursor *cursor, dict interned):
    cdef Lease lease = Lease.__new__(Lease)
    cdef View detail
    detail.data, detail.size = NULL, 0
    open_record(cursor, LEASE_FIELDS)
    lease.lease_id = any_id(cursor)
    lease.renter = small(cursor)
    lease.provider = small(cursor)
    lease.baron = small(cursor)
    lease.kind_code = code(cursor, 1, LAST_KIND)
    lease.quantity = any_number(cursor)
    lease.offer_quantity = any_number(cursor)
    lease.price_ticks = any_number(cursor)
    lease.start_ns = any_number(cursor)
    lease.term_end_ns = any_number(cursor)
    lease.minimum_s = any_number(cursor)
    lease.renter_fee_ppm = any_number(cursor)
    lease.provider_fee_ppm = any_number(cursor)
    lease.prefund_micros = any_number(cursor)
    lease.state_code = code(cursor, 1, LAST_LEASE_STATE)
    lease.reason_code = code(cursor, 0, LAST_END_REASON)
    lease.active_ns = any_number(cursor)
    lease.ended_ns = any_number(cursor)
    lease.due_ns = any_number(cursor)
    lease.usage_micros = any_number(cursor)
    lease.renter_fee_micros = any_number(cursor)
    lease.provider_fee_micros = any_number(cursor)
    lease.access = blob(cursor, interned)
    view_any_text(cursor, &detail)
    lease.detail = PyUnicode_DecodeUTF8(<const char *>detail.data, detail.size, NULL) if detail.size else ""
    lease.ends_ns = any_number(cursor)
    lease.priced = read_pairs(cursor)
    lease.limit_ticks = any_number(cursor)
    lease.auto_extend = flag(cursor)
    lease.auto_due_ns = any_number(cursor)
    lease.wipe_due_ns = any_number(cursor)
    lease.overdue = flag(cursor)
    lease.returned = flag(cursor)
    lease.waits_for = any_id(cursor)
    lease.promised_to = any_id(cursor)
    lease.bond_micros = any_number(cursor)
    lease.obligation_id = any_id(cursor)
    lease.delivery = blob(cursor, interned)
    lease.features = any_number(cursor)
    lease.min_rating = any_number(cursor)
    lease.same_baron = flag(cursor)
    return lease


cdef int read_leases(Cursor *cursor, Core state, dict interned) except -1:
    """All leases, by id."""
    cdef uint32_t count = open_table(cursor, LEASE_FIELDS)
    cdef uint64_t after = 0
    cdef uint32_t _place
    cdef Lease lease
    for _place in range(count):
        lease = read_lease(cursor, interned)
        if lease.lease_id <= after or not state.barons.has(lease.baron):
            not_plain()
        add_lease(state, lease)
        after = lease.lease_id
    return 0


cdef object read_paid(Cursor *cursor):
    """The hours of a bill that may be undone, or None."""
    cdef uint32_t count, _place
    cdef list hours = []
    if read_nil(cursor):
        return None
    count = open_table(cursor, len(PaidHours.__struct_fields__))
    for _place in range(count):
        open_record(cursor, len(PaidHours.__struct_fields__))
        hours.append(PaidHours(**{name: any_number(cursor) for name in PaidHours.__struct_fields__}))
    return hours


cdef Bill read_bill(Cursor *cursor):
    cdef Bill bill = Bill.__new__(Bill)
    open_record(cursor, BILL_FIELDS)
    bill.bill_id = any_id(cursor)
    bill.renter = small(cursor)
    bill.provider = small(cursor)
    bill.due_ns = any_number(cursor)
    bill.charge_micros = any_number(cursor)
    bill.receivable_micros = any_number(cursor)
    bill.run_from_ns = any_number(cursor)
    bill.over_ns = any_number(cursor)
    bill.stopped = read_pairs(cursor)
    bill.out_ns = any_number(cursor)
    bill.out_until_ns = any_number(cursor)
    bill.hours = read_paid(cursor)
    return bill


cdef int read_bills(Cursor *cursor, Core state) except -1:
    """All bills, by id."""
    cdef uint32_t count = open_table(cursor, BILL_FIELDS)
    cdef uint64_t after = 0
    cdef uint32_t _place
    cdef Bill bill
    for _place in range(count):
        bill = read_bill(cursor)
        if bill.bill_id <= after:
            not_plain()
        state.bills.put(bill.bill_id, bill)
        after = bill.bill_id
    return 0


# ---- all of them


cdef bytes some(const uint8_t *begin, const uint8_t *end, uint32_t fields):
    """Fields of the body as an array of their own: they are few."""
    cdef View found
    found.data, found.size = begin, <size_t>(end - begin)
    return bytes([FIX_ARRAY | fields]) + bytes_of(&found)


cdef int read_accounts(Core state, list accounts) except -1:
    for saved in accounts:
        account = read_account(saved)
        if account is None:
            not_plain()
        state.accounts.put(account.account, account)
    return 0


cdef int index_many(Core state) except -1:
    """What follows of leases and bills, as in `engine.snapshot.decode`."""
    cdef uint64_t turn = 0
    cdef PyObject *found = state.leases.walk(&turn)
    cdef list paid = []
    while found != NULL:
        index_lease(state, <Lease>found)
        found = state.leases.walk(&turn)
    turn = 0
    found = state.bills.walk(&turn)
    while found != NULL:
        index_bill(state, <Bill>found)
        if (<Bill>found).hours is not None:
            paid.append(<Bill>found)
        found = state.bills.walk(&turn)
    snapshot.index_paid(state, paid)
    return 0


cdef object read_body(object data, make):
    """The state that a body says; whatever is wrong with it, an error of DOUBTS."""
    cdef const uint8_t[::1] body = data
    cdef Cursor cursor
    cdef const uint8_t *begin
    cdef dict interned = {}
    cdef Core state
    cursor.at, cursor.end = &body[0], &body[0] + body.shape[0]
    open_record(&cursor, BODY_FIELDS)
    begin = cursor.at
    skip(&cursor, FEW_BEFORE)
    before = decode_before(some(begin, cursor.at, FEW_BEFORE))
    state = make(before.shard, before.limits)
    read_accounts(state, before.accounts)
    snapshot.fill_tables(state, before)
    read_orders(&cursor, state, interned)
    read_leases(&cursor, state, interned)
    read_bills(&cursor, state)
    read_books(&cursor, state, before.instruments)
    behind = decode_behind(some(cursor.at, cursor.end, FEW_BEHIND))
    snapshot.fill_rest(state, before.rows, behind)
    index_many(state)
    timers.rearm_few(state)
    return state


def decode(bytes data not None, make):
    """As `engine.snapshot.decode`, of a compiled state."""
    body = snapshot.body_of(data)
    if len(body) == 0:
        return snapshot.decode(data, make)
    try:
        return read_body(body, make)
    except DOUBTS:
        return snapshot.decode(data, make)
