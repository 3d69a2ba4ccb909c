# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What a snapshot says of books, written in C (`engine.compiled.saving`); and how the law's encoder writes
into the same memory.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from engine.book_fast cimport FastBook
from engine.compiled.sheets cimport space
from engine.compiled.tables cimport IdTable
from engine.compiled.wire cimport (
    LENGTH_BYTES, NUMBER_BYTES, View, WireSink, put_array, put_code, put_encoded, put_flag, put_number,
    view_bytes, written,
)
from engine.fast.core cimport NO_KEY, BookCore, Ladder
from engine.fast.levels cimport key_behind, level_at
from engine.fast.views cimport Shown, look_at, state_with

import msgspec

from engine import snapshot
from engine.book import BookState, RestingOrder

cdef uint32_t RESTING_FIELDS = len(RestingOrder.__struct_fields__)
cdef uint32_t BOOK_FIELDS = len(BookState.__struct_fields__)
# What an order takes at most.
cdef size_t RESTING_BYTES = LENGTH_BYTES + NUMBER_BYTES * RESTING_FIELDS
# What stands before its orders in a book's state.
cdef tuple BEFORE = snapshot.BOOK_BEFORE_ORDERS
cdef object encode = msgspec.msgpack.Encoder().encode


cdef int open_table(WireSink *sink, uint64_t count) except -1:
    """An array of so many records begins."""
    written(sink, put_array(space(sink, LENGTH_BYTES), <uint32_t>count))
    return 0


cdef int put_object(WireSink *sink, object value) except -1:
    """What the law's encoder makes of it."""
    cdef View encoded
    cdef bytes made = encode(value)
    view_bytes(&encoded, made)
    space(sink, encoded.size)
    return put_encoded(sink, encoded.data, encoded.size)


cdef int put_resting(WireSink *sink, BookCore *core, uint32_t index) except -1:
    """As `engine.book.RestingOrder`."""
    cdef uint8_t *at = space(sink, RESTING_BYTES)
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


cdef int put_side(WireSink *sink, BookCore *core, bint sells) except -1:
    """All orders at rest of a side, in priority order."""
    cdef Ladder *ladder = &core.sides[1 if sells else 0]
    cdef int64_t key = ladder.best_key
    cdef uint32_t index
    open_table(sink, ladder.orders)
    while key != NO_KEY:
        index = ladder.levels[level_at(core, ladder, key)].first
        while index:
            put_resting(sink, core, index)
            index = core.nodes[index].next
        key = key_behind(core, ladder, key)
    return 0


cdef int put_stops(WireSink *sink, BookCore *core) except -1:
    """All stops that wait, in order of entry."""
    cdef uint32_t index = core.stop_first
    open_table(sink, core.stops)
    while index:
        put_resting(sink, core, index)
        index = core.nodes[index].next
    return 0


cdef int put_book(WireSink *sink, FastBook book) except -1:
    """As `engine.book.BookState`."""
    cdef BookCore *core = &book.core
    book.enter()
    try:
        few = state_with(core, book.limits, (), (), ())
        open_table(sink, BOOK_FIELDS)
        for name in BEFORE:
            put_object(sink, getattr(few, name))
        put_side(sink, core, False)
        put_side(sink, core, True)
        return put_stops(sink, core)
    finally:
        book.leave()


cdef int put_books(WireSink *sink, IdTable books) except -1:
    """All of them, by instrument."""
    open_table(sink, books.length())
    for _, book in sorted(books.items()):
        put_book(sink, <FastBook?>book)
    return 0
