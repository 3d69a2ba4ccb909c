# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What a snapshot has a million of, read in C into a state's own slots, leases and books
(`engine.compiled.saving` wrote it).

What isn't plain (a number that its field can't hold, a form that the law's encoder doesn't write, an order
out of its turn) is left to the law's decoder, which knows what to refuse: here nothing is decided. It knows
no rule of the market.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport (
    INT32_MAX, INT64_MAX, INT64_MIN, UINT8_MAX, UINT16_MAX, UINT32_MAX, int32_t, int64_t, uint8_t,
    uint16_t, uint32_t, uint64_t,
)
from libc.string cimport memset

from engine.book_fast cimport FastBook
from engine.compiled.ordered cimport TimerSet
from engine.compiled.lookups cimport add_lease
from engine.compiled.memories cimport read_account
from engine.compiled.orders cimport Orders, Rare
from engine.compiled.reading cimport (
    Cursor, read_any_text, read_blob, read_code, read_count, read_flag, read_number, read_text,
)
from engine.compiled.records cimport Account, Lease
from engine.compiled.slots cimport OrderSlot, admit_slot, take_slot
from engine.compiled.state cimport Core, Listed
from engine.compiled.wire cimport View, bytes_of, text_of
from engine.fast.core cimport POSTED, Taker
from engine.fast.views cimport restore_bare, restore_order

import msgspec

from engine import snapshot, timers
from engine.book import BookState, RestingOrder
from engine.codec import DecodeError
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

cdef uint32_t ORDER_FIELDS = len(LawOrder.__struct_fields__)
cdef uint32_t LEASE_FIELDS = len(LawLease.__struct_fields__)
cdef uint32_t RESTING_FIELDS = len(RestingOrder.__struct_fields__)
cdef uint8_t EXPIRED = TimerKind.ORDER_EXPIRED
cdef uint8_t WINDOW_CLOSED = TimerKind.WINDOW_CLOSED
cdef uint8_t LAST_KIND = max(Kind)
cdef uint8_t LAST_TYPE = max(OrderType)
cdef uint8_t LAST_TIME = max(TimeInForce)
cdef uint8_t LAST_ORIGIN = max(Origin)
cdef uint8_t LAST_SELF_TRADE = max(SelfTrade)
cdef uint8_t LAST_LEASE_STATE = max(LeaseState)
cdef uint8_t LAST_END_REASON = max(EndReason)


def split(struct, names, **types):
    """A struct's type with these fields left as they are encoded, and these of another type."""
    fields = []
    for field in msgspec.structs.fields(struct):
        kind = msgspec.Raw if field.name in names else types.get(field.name, field.type)
        default, factory = field.default, field.default_factory
        if field.name in names and not field.required:
            default, factory = msgspec.Raw(msgspec.msgpack.encode(factory())), msgspec.NODEFAULT
        fields.append((field.name, kind, msgspec.field(default=default, default_factory=factory)))
    return msgspec.defstruct(
        struct.__name__, fields, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True,
    )


cdef object ACCOUNT = split(LawAccount, ("client_ids", "older_live_ids", "closed_orders", "wiped_leases"))
cdef object decode_body = msgspec.msgpack.Decoder(
    split(snapshot.Body, ("orders", "leases", "books"), accounts=list[ACCOUNT])
).decode
cdef object decode_books = msgspec.msgpack.Decoder(list[split(BookState, ("bids", "asks", "stops"))]).decode


class NotPlain(Exception):
    """The law's decoder has to look at it."""


cdef inline int64_t number(Cursor *cursor, int64_t least, int64_t most) except? -1:
    cdef int64_t found = 0
    if not read_number(cursor, &found) or not least <= found <= most:
        raise NotPlain
    return found


cdef inline int64_t any_number(Cursor *cursor) except? -1:
    return number(cursor, INT64_MIN, INT64_MAX)


cdef inline uint64_t any_id(Cursor *cursor) except? 18446744073709551615:
    return <uint64_t>number(cursor, 0, INT64_MAX)


cdef inline uint32_t small(Cursor *cursor) except? 4294967295:
    return <uint32_t>number(cursor, 0, UINT32_MAX)


cdef inline int32_t price(Cursor *cursor) except? -1:
    return <int32_t>number(cursor, 0, INT32_MAX)


cdef inline uint8_t code(Cursor *cursor, uint8_t first, uint8_t last) except? 255:
    cdef uint8_t found = 0
    if not read_code(cursor, first, last, &found):
        raise NotPlain
    return found


cdef inline bint flag(Cursor *cursor) except? True:
    cdef bint found = False
    if not read_flag(cursor, &found):
        raise NotPlain
    return found


cdef inline str text(Cursor *cursor):
    """A text of ASCII; an empty one is no new object."""
    cdef View found
    if not read_text(cursor, &found):
        raise NotPlain
    return text_of(&found) if found.size else ""


cdef inline bytes blob(Cursor *cursor, dict interned):
    """Bytes that others may have too: all share one object."""
    cdef View found
    if not read_blob(cursor, &found):
        raise NotPlain
    if not found.size:
        return b""
    read = bytes_of(&found)
    return interned.setdefault(read, read)


cdef inline int open_record(Cursor *cursor, uint32_t fields) except -1:
    cdef uint32_t count = 0
    if not read_count(cursor, &count) or count != fields:
        raise NotPlain
    return 0


# ---- orders


# What is rare of the order that is read: few keep it.
cdef Rare TERMS = Rare.__new__(Rare)


cdef uint64_t read_order(Cursor *cursor, Core state, dict interned, uint64_t after) except 0:
    """One order, live from now on, its timers set; its id, which is behind this one."""
    cdef OrderSlot read
    cdef Rare rare = TERMS
    cdef uint16_t hours, min_hours
    cdef int64_t window_end_ns
    cdef bytes delivery
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
    hours = <uint16_t>number(cursor, 0, UINT16_MAX)
    read.baron = small(cursor)
    window_end_ns = number(cursor, 0, INT64_MAX)
    delivery = blob(cursor, interned)
    rare.stop_price_ticks = price(cursor)
    rare.display_quantity = small(cursor)
    rare.min_quantity = small(cursor)
    read.self_trade = code(cursor, 0, LAST_SELF_TRADE)
    read.features = <uint32_t>number(cursor, 0, FEATURES_MAX)
    read.same_baron = flag(cursor)
    read.lot = <uint16_t>number(cursor, 0, UINT16_MAX)
    min_hours = <uint16_t>number(cursor, 0, UINT16_MAX)
    rare.tag = text(cursor)
    rare.expire_ns = number(cursor, 0, INT64_MAX)
    read.armed = flag(cursor)
    rare.connection = any_number(cursor)
    rare.quote_set = text(cursor)
    read.min_rating = <uint32_t>number(cursor, 0, RATING_MAX)
    read.hold_ticks = price(cursor)
    if read.order_id <= after or window_end_ns % HOUR_NS:
        raise NotPlain
    if (hours or delivery) if read.side == SELL else min_hours:
        raise NotPlain
    read.hours = min_hours if read.side == SELL else hours
    read.window_end_h = <uint32_t>(window_end_ns // HOUR_NS)
    admit(state, &read, rare, delivery)
    arm(state.timers, &read, rare.expire_ns)
    return read.order_id


cdef int admit(Core state, OrderSlot *read, Rare rare, bytes delivery) except -1:
    """It gets its slot, and is the newest order of its account."""
    cdef Orders orders = state.orders
    cdef PyObject *account = state.accounts.find(read.account)
    cdef OrderSlot *slot
    cdef uint32_t index
    if account == NULL:
        raise NotPlain
    slot = take_slot(&orders.slots, &index)
    slot[0] = read[0]
    if delivery:
        Py_INCREF(delivery)
        slot.delivery = <PyObject *>delivery
    if (
        rare.client_order_id or rare.tag or rare.quote_set or rare.expire_ns or rare.connection
        or rare.stop_price_ticks or rare.display_quantity or rare.min_quantity
    ):
        orders.put_rare(slot, rare.copy())
    admit_slot(&orders.slots, index)
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


# ---- leases


cdef list read_prices(Cursor *cursor):
    cdef uint32_t count = 0
    cdef uint32_t _place
    if not read_count(cursor, &count):
        raise NotPlain
    if count == 0:
        return None
    prices = []
    for _place in range(count):
        open_record(cursor, 2)
        from_ns = any_number(cursor)
        prices.append((from_ns, any_number(cursor)))
    return prices


cdef Lease read_lease(Cursor *cursor, dict interned):
    cdef Lease lease = Lease.__new__(Lease)
    cdef View detail
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
    if not read_any_text(cursor, &detail):
        raise NotPlain
    lease.detail = PyUnicode_DecodeUTF8(<const char *>detail.data, detail.size, NULL) if detail.size else ""
    lease.ends_ns = any_number(cursor)
    lease.priced = read_prices(cursor)
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


# ---- books


cdef int read_resting(Cursor *cursor, FastBook book, bint waits) except -1:
    """One order of a book takes its place."""
    cdef Taker taker
    cdef uint32_t shown
    memset(&taker, 0, sizeof(Taker))
    open_record(cursor, RESTING_FIELDS)
    taker.order_id = any_id(cursor)
    taker.account = small(cursor)
    taker.sells = code(cursor, BUY, SELL) == SELL
    taker.order_type = code(cursor, 1, LAST_TYPE)
    taker.time_in_force = code(cursor, 1, LAST_TIME)
    taker.mode = code(cursor, 0, LAST_SELF_TRADE)
    taker.flags = POSTED if flag(cursor) else 0
    taker.terms.same_baron = flag(cursor)
    taker.price = price(cursor)
    taker.quantity = small(cursor)
    taker.leaves = small(cursor)
    shown = small(cursor)
    taker.terms.display = small(cursor)
    taker.terms.min_quantity = small(cursor)
    taker.terms.stop_price = price(cursor)
    taker.terms.window_end_h = small(cursor)
    taker.terms.baron = small(cursor)
    taker.terms.tag = small(cursor)
    taker.terms.features = <uint16_t>number(cursor, 0, UINT16_MAX)
    taker.terms.hours = <uint16_t>number(cursor, 0, UINT16_MAX)
    taker.terms.lot = <uint16_t>number(cursor, 0, UINT16_MAX)
    taker.terms.min_rating = <uint8_t>number(cursor, 0, UINT8_MAX)
    taker.terms.triggered = flag(cursor)
    return restore_order(&book.core, &taker, shown, waits)


cdef int read_queue(object raw, FastBook book, bint waits) except -1:
    cdef bytes queue = bytes(raw)
    cdef Cursor cursor
    cdef uint32_t _place
    cdef uint32_t count = open_table(&cursor, queue)
    for _place in range(count):
        read_resting(&cursor, book, waits)
    return 0


cdef FastBook read_book(object saved):
    cdef FastBook book = FastBook(saved.limits)
    restore_bare(&book.core, saved)
    read_queue(saved.bids, book, False)
    read_queue(saved.asks, book, False)
    read_queue(saved.stops, book, True)
    return book


# ---- all of them


cdef uint32_t open_table(Cursor *cursor, bytes table) except? 4294967295:
    """The records of an array that is all of these bytes."""
    cdef uint32_t count = 0
    cursor.at = <const uint8_t *>PyBytes_AS_STRING(table)
    cursor.end = cursor.at + PyBytes_GET_SIZE(table)
    if not read_count(cursor, &count):
        raise NotPlain
    return count


cdef int read_accounts(Core state, object body) except -1:
    cdef Account account
    for saved in body.accounts:
        account = read_account(saved)
        if account is None:
            raise NotPlain
        state.accounts.put(account.account, account)
    return 0


cdef int read_many(Core state, object body) except -1:
    cdef bytes orders = bytes(body.orders)
    cdef bytes leases = bytes(body.leases)
    cdef dict interned = {}
    cdef Cursor cursor
    cdef Lease lease
    cdef uint64_t after = 0
    cdef uint32_t _place
    cdef uint32_t count = open_table(&cursor, orders)
    for _place in range(count):
        after = read_order(&cursor, state, interned, after)
    count = open_table(&cursor, leases)
    for _place in range(count):
        lease = read_lease(&cursor, interned)
        if state.leases.has(lease.lease_id):
            raise NotPlain
        add_lease(state, lease)
    books = decode_books(body.books)
    if len(books) != len(body.instruments):
        raise NotPlain
    for instrument, saved in zip(body.instruments, books):
        book = read_book(saved)
        state.books.put(instrument.instrument, book)
        (<Listed>state.listed.find(instrument.instrument)).book = book
    return 0


def decode(bytes data not None, make):
    """As `engine.snapshot.decode`, of a compiled state."""
    try:
        body = decode_body(snapshot.body_of(data))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DecodeError(str(error)) from error
    state = make(body.shard, body.limits)
    try:
        read_accounts(state, body)
        snapshot.fill_tables(state, body)
        read_many(state, body)
    except (NotPlain, ValueError, msgspec.MsgspecError):
        return snapshot.decode(data, make)
    snapshot.fill_rest(state, body)
    timers.rearm_others(state)
    return state
