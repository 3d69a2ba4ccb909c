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
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memset

from engine.compiled.dues cimport Bill
from engine.compiled.indexing cimport index_bill, index_lease
from engine.compiled.lookups cimport add_lease
from engine.compiled.memories cimport read_account
from engine.compiled.ordered cimport TimerSet
from engine.compiled.orders cimport Orders, Rare
from engine.compiled.plain cimport (
    any_number, code, flag, not_plain, number, open_record, open_table, skip, text, view_any_text, view_blob,
)
from engine.compiled.reading cimport Cursor, read_nil
from engine.compiled.records cimport Account, Lease
from engine.compiled.restoring_books cimport read_books
from engine.compiled.slots cimport (
    OrderSlot, Slots, admit_slot, reserve_chains, take_slot,
)
from engine.compiled.state cimport Core
from engine.compiled.wire cimport FIX_ARRAY, View, bytes_of, view_bytes
from engine.fast.core cimport prefetch
from engine.fast.ids cimport chain_of

import msgspec

from engine import snapshot, snapshot_bounds, timers
from engine.compiled.agreeing import agree
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
cdef tuple DOUBTS = snapshot.FORGED


# ---- what numbers may be (`engine.snapshot_bounds`), field by field


cdef struct Range:
    int64_t least
    int64_t most


cdef Range ORDER[32]
cdef Range LEASE[40]
cdef Range BILL[12]
cdef Range PRICE[2]
cdef Range OUTAGE[2]


cdef int take_bounds(Range *ranges, Py_ssize_t room, bounds) except -1:
    cdef Py_ssize_t place
    if len(bounds) != room:
        raise ValueError(f"{len(bounds)} fields, and {room} are read")
    for place in range(room):
        ranges[place].least, ranges[place].most = bounds[place]
    return 0


take_bounds(&ORDER[0], 32, snapshot_bounds.of_fields(LawOrder, snapshot_bounds.ORDER))
take_bounds(&LEASE[0], 40, snapshot_bounds.of_fields(LawLease, snapshot_bounds.LEASE))
take_bounds(&BILL[0], 12, snapshot_bounds.of_fields(LawBill, snapshot_bounds.BILL))
take_bounds(&PRICE[0], 2, snapshot_bounds.PRICE)
take_bounds(&OUTAGE[0], 2, snapshot_bounds.OUTAGE)


cdef inline int64_t within(Cursor *cursor, const Range *bounds) except? -1:
    return number(cursor, bounds.least, bounds.most)


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
    read.order_id = <uint64_t>within(cursor, &ORDER[0])
    read.account = <uint32_t>within(cursor, &ORDER[1])
    read.instrument = <uint32_t>within(cursor, &ORDER[2])
    read.kind = code(cursor, 1, LAST_KIND)
    read.side = code(cursor, BUY, SELL)
    read.order_type = code(cursor, 1, LAST_TYPE)
    read.time_in_force = code(cursor, 1, LAST_TIME)
    read.price_ticks = <int32_t>within(cursor, &ORDER[7])
    read.quantity = <uint32_t>within(cursor, &ORDER[8])
    read.leaves_quantity = <uint32_t>within(cursor, &ORDER[9])
    read.origin = code(cursor, 1, LAST_ORIGIN)
    read.post_only = flag(cursor)
    rare.client_order_id = text(cursor)
    hours = <uint16_t>within(cursor, &ORDER[13])
    read.baron = <uint32_t>within(cursor, &ORDER[14])
    window_end_ns = within(cursor, &ORDER[15])
    view_blob(cursor, &delivery)
    rare.stop_price_ticks = <int32_t>within(cursor, &ORDER[17])
    rare.display_quantity = <uint32_t>within(cursor, &ORDER[18])
    rare.min_quantity = <uint32_t>within(cursor, &ORDER[19])
    read.self_trade = code(cursor, 0, LAST_SELF_TRADE)
    read.features = <uint32_t>within(cursor, &ORDER[21])
    read.same_baron = flag(cursor)
    read.lot = <uint16_t>within(cursor, &ORDER[23])
    min_hours = <uint16_t>within(cursor, &ORDER[24])
    rare.tag = text(cursor)
    rare.expire_ns = within(cursor, &ORDER[26])
    read.armed = flag(cursor)
    rare.connection = within(cursor, &ORDER[28])
    rare.quote_set = text(cursor)
    read.min_rating = <uint32_t>within(cursor, &ORDER[30])
    read.hold_ticks = <int32_t>within(cursor, &ORDER[31])
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
            prefetch(&slots.heads[chain_of(after, slots.shift)])
        if turn >= AHEAD:
            admit_slot(slots, <uint32_t>(first + turn - AHEAD))
    return 0


# ---- leases and bills


cdef list read_pairs(Cursor *cursor, const Range *bounds):
    """Pairs of numbers in bounds; None where there are none."""
    cdef uint32_t count = open_table(cursor, 2)
    cdef uint32_t _place
    if count == 0:
        return None
    pairs = []
    for _place in range(count):
        open_record(cursor, 2)
        first = within(cursor, &bounds[0])
        pairs.append((first, within(cursor, &bounds[1])))
    return pairs


cdef Lease read_lease(Cursor *cursor, dict interned):
    cdef Lease lease = Lease.__new__(Lease)
    cdef View detail
    detail.data, detail.size = NULL, 0
    open_record(cursor, LEASE_FIELDS)
    lease.lease_id = <uint64_t>within(cursor, &LEASE[0])
    lease.renter = <uint32_t>within(cursor, &LEASE[1])
    lease.provider = <uint32_t>within(cursor, &LEASE[2])
    lease.baron = <uint32_t>within(cursor, &LEASE[3])
    lease.kind_code = code(cursor, 1, LAST_KIND)
    lease.quantity = within(cursor, &LEASE[5])
    lease.offer_quantity = within(cursor, &LEASE[6])
    lease.price_ticks = within(cursor, &LEASE[7])
    lease.start_ns = within(cursor, &LEASE[8])
    lease.term_end_ns = within(cursor, &LEASE[9])
    lease.minimum_s = within(cursor, &LEASE[10])
    lease.renter_fee_ppm = within(cursor, &LEASE[11])
    lease.provider_fee_ppm = within(cursor, &LEASE[12])
    lease.prefund_micros = within(cursor, &LEASE[13])
    lease.state_code = code(cursor, 1, LAST_LEASE_STATE)
    lease.reason_code = code(cursor, 0, LAST_END_REASON)
    lease.active_ns = within(cursor, &LEASE[16])
    lease.ended_ns = within(cursor, &LEASE[17])
    lease.due_ns = within(cursor, &LEASE[18])
    lease.usage_micros = within(cursor, &LEASE[19])
    lease.renter_fee_micros = within(cursor, &LEASE[20])
    lease.provider_fee_micros = within(cursor, &LEASE[21])
    lease.access = blob(cursor, interned)
    view_any_text(cursor, &detail)
    lease.detail = PyUnicode_DecodeUTF8(<const char *>detail.data, detail.size, NULL) if detail.size else ""
    lease.ends_ns = within(cursor, &LEASE[24])
    lease.priced = read_pairs(cursor, &PRICE[0])
    lease.limit_ticks = within(cursor, &LEASE[26])
    lease.auto_extend = flag(cursor)
    lease.auto_due_ns = within(cursor, &LEASE[28])
    lease.wipe_due_ns = within(cursor, &LEASE[29])
    lease.overdue = flag(cursor)
    lease.returned = flag(cursor)
    lease.waits_for = <uint64_t>within(cursor, &LEASE[32])
    lease.promised_to = <uint64_t>within(cursor, &LEASE[33])
    lease.bond_micros = within(cursor, &LEASE[34])
    lease.obligation_id = <uint64_t>within(cursor, &LEASE[35])
    lease.delivery = blob(cursor, interned)
    lease.features = within(cursor, &LEASE[37])
    lease.min_rating = within(cursor, &LEASE[38])
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
    snapshot_bounds.paid_hours(hours)
    return hours


cdef Bill read_bill(Cursor *cursor):
    cdef Bill bill = Bill.__new__(Bill)
    open_record(cursor, BILL_FIELDS)
    bill.bill_id = <uint64_t>within(cursor, &BILL[0])
    bill.renter = <uint32_t>within(cursor, &BILL[1])
    bill.provider = <uint32_t>within(cursor, &BILL[2])
    bill.due_ns = within(cursor, &BILL[3])
    bill.charge_micros = within(cursor, &BILL[4])
    bill.receivable_micros = within(cursor, &BILL[5])
    bill.run_from_ns = within(cursor, &BILL[6])
    bill.over_ns = within(cursor, &BILL[7])
    bill.stopped = read_pairs(cursor, &OUTAGE[0])
    bill.out_ns = within(cursor, &BILL[9])
    bill.out_until_ns = within(cursor, &BILL[10])
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
    snapshot_bounds.shard(before.shard, before.limits)
    state = make(before.shard, before.limits)
    snapshot.check_accounts(before.accounts)
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
    try:
        state = read(body, make)
        agree(state)
    except DOUBTS as error:
        raise snapshot.no_state(error) from error
    return state


def read(body, make):
    """As `engine.snapshot.read`, of a compiled state."""
    if len(body) == 0:
        return snapshot.read(body, make)
    try:
        return read_body(body, make)
    except DOUBTS:
        return snapshot.read(body, make)
