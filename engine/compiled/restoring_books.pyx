# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What a snapshot says of books, read in C into new ones (`engine.compiled.restoring`)."""

from libc.stdint cimport UINT8_MAX, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from engine.book_fast cimport FastBook
from engine.compiled.plain cimport (
    any_id, code, few, flag, number, open_record, open_table, price, skip, small,
)
from engine.compiled.reading cimport Cursor
from engine.compiled.state cimport Core, Listed
from engine.compiled.wire cimport FIX_ARRAY, View, bytes_of
from engine.fast.core cimport POSTED, BookCore, Taker
from engine.fast.ids cimport prefetch_head, prefetch_node
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

cdef uint32_t RESTING_FIELDS = len(RestingOrder.__struct_fields__)
cdef uint32_t BOOK_FIELDS = len(BookState.__struct_fields__)
cdef uint32_t FEW_BEFORE = len(snapshot.BOOK_BEFORE_ORDERS)
cdef uint8_t LAST_TYPE = max(OrderType)
cdef uint8_t LAST_TIME = max(TimeInForce)
cdef uint8_t LAST_SELF_TRADE = max(SelfTrade)
cdef object decode_before = msgspec.msgpack.Decoder(part(BookState, snapshot.BOOK_BEFORE_ORDERS)).decode


cdef int read_resting(Cursor *cursor, Taker *taker, uint32_t *shown) except -1:
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
    return 0


cdef int read_queue(Cursor *cursor, FastBook book, bint waits) except -1:
    """Orders of a book take their places in their turn, each read some turns before: where its id has its
    place in a large table, and who stands there already, is on the way meanwhile.
    """
    cdef BookCore *core = &book.core
    cdef Taker takers[16]
    cdef uint32_t shown[16]
    cdef uint64_t turn
    cdef uint64_t count = open_table(cursor, RESTING_FIELDS)
    if reserve_orders(core, count) < 0:
        raise MemoryError("no memory for the orders of a state")
    for turn in range(count + AHEAD):
        if turn >= AHEAD:
            restore_order(core, &takers[turn % AHEAD], shown[turn % AHEAD], waits)
        if turn < count:
            read_resting(cursor, &takers[turn % AHEAD], &shown[turn % AHEAD])
            prefetch_head(core, takers[turn % AHEAD].order_id)
        if HALFWAY <= turn < count + HALFWAY:
            prefetch_node(core, takers[(turn - HALFWAY) % AHEAD].order_id)
    return 0


cdef FastBook read_book(Cursor *cursor):
    cdef const uint8_t *begin
    cdef View before
    cdef FastBook book
    open_record(cursor, BOOK_FIELDS)
    begin = cursor.at
    skip(cursor, FEW_BEFORE)
    before.data, before.size = begin, <size_t>(cursor.at - begin)
    saved = decode_before(bytes([FIX_ARRAY | FEW_BEFORE]) + bytes_of(&before))
    book = FastBook(saved.limits)
    restore_bare(&book.core, saved)
    read_queue(cursor, book, False)
    read_queue(cursor, book, False)
    read_queue(cursor, book, True)
    return book


cdef int read_books(Cursor *cursor, Core state, list instruments) except -1:
    cdef FastBook book
    open_record(cursor, <uint32_t>len(instruments))
    for instrument in instruments:
        book = read_book(cursor)
        state.books.put(instrument.instrument, book)
        (<Listed>state.listed.find(instrument.instrument)).book = book
    return 0
