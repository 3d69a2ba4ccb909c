# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What a snapshot says of books, read in C into new ones (`engine.compiled.restoring`)."""

from libc.stdint cimport INT32_MAX, UINT8_MAX, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from engine.book_fast cimport FastBook
from engine.compiled.plain cimport (
    any_id, code, few, flag, not_plain, number, open_record, open_table, price, skip, small,
)
from engine.compiled.reading cimport Cursor
from engine.compiled.state cimport Core, Listed
from engine.compiled.wire cimport FIX_ARRAY, View, bytes_of
from engine.fast.core cimport POSTED, BookCore, Taker, Terms
from engine.fast.ids cimport prefetch_head, prefetch_node
from engine.fast.records cimport TIME_FOK, TIME_GTC, TYPE_LIMIT, TYPE_STOP, TYPE_STOP_LIMIT
from engine.fast.views cimport reserve_orders, restore_bare, restore_order

import msgspec

from engine import snapshot
from engine.book import BookState, RestingOrder
from engine.compiled.parts import part
from engine.kinds import OrderType, TimeInForce
from engine.records import SelfTrade

cdef enum:
    BUY = 1
    SELL = 2
    # Orders that are read ahead.
    AHEAD = 16
    HALFWAY = 8
    RATING_MOST = 100


cdef struct Queue:
    # What orders are held against: the queue that they stand in, and its book's bounds.
    bint sells
    bint waits
    uint32_t quantity_max
    int32_t price_max


cdef uint32_t RESTING_FIELDS = len(RestingOrder.__struct_fields__)
cdef uint32_t BOOK_FIELDS = len(BookState.__struct_fields__)
cdef uint32_t FEW_BEFORE = len(snapshot.BOOK_BEFORE_ORDERS)
cdef uint8_t LAST_TYPE = max(OrderType)
cdef uint8_t LAST_TIME = max(TimeInForce)
cdef uint8_t LAST_SELF_TRADE = max(SelfTrade)
cdef object decode_before = msgspec.msgpack.Decoder(part(BookState, snapshot.BOOK_BEFORE_ORDERS)).decode


cdef int read_resting(Cursor *cursor, Taker *taker, uint32_t *shown, const Queue *queue) except -1:
    """One order of a book, and what it showed."""
    memset(taker, 0, sizeof(Taker))
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
    shown[0] = small(cursor)
    taker.terms.display = small(cursor)
    taker.terms.min_quantity = small(cursor)
    taker.terms.stop_price = price(cursor)
    taker.terms.window_end_h = small(cursor)
    taker.terms.baron = small(cursor)
    taker.terms.tag = small(cursor)
    taker.terms.features = few(cursor)
    taker.terms.hours = few(cursor)
    taker.terms.lot = few(cursor)
    taker.terms.min_rating = <uint8_t>number(cursor, 0, UINT8_MAX)
    taker.terms.triggered = flag(cursor)
    if not (is_stop(taker, shown[0], queue) if queue.waits else is_resting(taker, shown[0], queue)):
        not_plain()
    if taker.leaves == 0 or taker.leaves > taker.quantity or taker.quantity > queue.quantity_max:
        not_plain()
    if taker.order_id == 0 or taker.price > queue.price_max or taker.terms.min_rating > RATING_MOST:
        not_plain()
    if taker.sells:
        if taker.terms.features or taker.terms.min_rating or taker.terms.same_baron:
            not_plain()
    elif taker.terms.baron or taker.terms.lot or taker.terms.window_end_h:
        not_plain()
    return 0


cdef inline bint is_resting(const Taker *taker, uint32_t shown, const Queue *queue) noexcept:
    """As `engine.book_state` has it of an order at rest in this queue, with what it shows."""
    cdef const Terms *terms = &taker.terms
    cdef uint32_t most = taker.leaves
    if taker.sells != queue.sells or taker.order_type != TYPE_LIMIT or taker.time_in_force != TIME_GTC:
        return False
    if terms.stop_price or terms.triggered or taker.price < 1:
        return False
    if not terms.display:
        return shown == most
    most = terms.display if terms.display < most else most
    return 1 <= shown <= most


cdef inline bint is_stop(const Taker *taker, uint32_t shown, const Queue *queue) noexcept:
    """The same of a stop."""
    cdef const Terms *terms = &taker.terms
    if taker.order_type != TYPE_STOP and taker.order_type != TYPE_STOP_LIMIT:
        return False
    if taker.time_in_force > TIME_FOK or taker.flags & POSTED or shown != taker.leaves:
        return False
    if taker.price < 1 and (taker.order_type == TYPE_STOP_LIMIT or not taker.sells):
        return False
    return 1 <= terms.stop_price <= queue.price_max


cdef int read_queue(Cursor *cursor, FastBook book, bint sells, bint waits) except -1:
    """Orders of a book take their places in their turn, each read some turns before: where its id has its
    place in a large table, and who stands there already, is on the way meanwhile.
    """
    cdef BookCore *core = &book.core
    cdef Taker takers[16]
    cdef uint32_t shown[16]
    cdef uint64_t turn
    cdef uint64_t count = open_table(cursor, RESTING_FIELDS)
    cdef int32_t worst = 0 if sells else INT32_MAX
    cdef int32_t here
    cdef Queue queue
    queue.sells, queue.waits = sells, waits
    queue.quantity_max, queue.price_max = core.limits.quantity_max, <int32_t>core.limits.price_max
    if reserve_orders(core, count) < 0:
        raise MemoryError("no memory for the orders of a state")
    for turn in range(count + AHEAD):
        if turn >= AHEAD:
            restore_order(core, &takers[turn % AHEAD], shown[turn % AHEAD], waits)
        if turn < count:
            read_resting(cursor, &takers[turn % AHEAD], &shown[turn % AHEAD], &queue)
            here = takers[turn % AHEAD].price
            if not waits and (here < worst if sells else here > worst):
                not_plain()
            worst = here
            prefetch_head(core, takers[turn % AHEAD].order_id)
        if HALFWAY <= turn < count + HALFWAY:
            prefetch_node(core, takers[(turn - HALFWAY) % AHEAD].order_id)
    return 0


cdef FastBook read_book(Cursor *cursor, limits, int64_t last_ts_ns):
    cdef const uint8_t *begin
    cdef View before
    cdef FastBook book
    open_record(cursor, BOOK_FIELDS)
    begin = cursor.at
    skip(cursor, FEW_BEFORE)
    before.data, before.size = begin, <size_t>(cursor.at - begin)
    saved = decode_before(bytes([FIX_ARRAY | FEW_BEFORE]) + bytes_of(&before))
    if saved.limits != limits or saved.last_ts_ns > last_ts_ns:
        not_plain()
    book = FastBook(saved.limits)
    restore_bare(&book.core, saved)
    read_queue(cursor, book, False, False)
    read_queue(cursor, book, True, False)
    read_queue(cursor, book, False, True)
    return book


cdef int read_books(Cursor *cursor, Core state, list instruments) except -1:
    cdef FastBook book
    limits = state.limits.of_book()
    open_record(cursor, <uint32_t>len(instruments))
    for instrument in instruments:
        book = read_book(cursor, limits, state.last_ts_ns)
        state.books.put(instrument.instrument, book)
        (<Listed>state.listed.find(instrument.instrument)).book = book
    return 0
