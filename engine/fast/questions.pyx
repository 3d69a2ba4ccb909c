# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What an order would take if it came now, and what protection it would get: walks that change nothing.

Whoever asks holds the book: for the time of the question its clock is the order's.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset

from engine.fast.checks cimport is_malformed, read_order
from engine.fast.core cimport Fills, Taker
from engine.fast.entry cimport protection_price
from engine.fast.matching cimport match_dry, reserve_refills
from engine.fast.records cimport OP_NEW, TYPE_LIMIT, TYPE_MARKET, TYPE_STOP

from engine.book import Fill, Stop, Walk

cdef tuple STOPS = tuple(Stop)


cdef int walk_dry(
    BookCore *core, const CommandRecord *record, Fills *fills, uint32_t *leaves
) noexcept nogil:
    cdef Taker taker
    cdef int64_t before_ns = core.now_ns
    cdef uint64_t[2] found
    cdef uint8_t stop
    read_order(record, &taker)
    if reserve_refills(core) < 0:
        return -1
    core.referenced = False
    if record.ts_ns > before_ns:
        core.now_ns = record.ts_ns
    stop = match_dry(core, &taker, fills, &found[0], False)
    core.now_ns = before_ns
    core.referenced = False
    leaves[0] = taker.leaves
    return -1 if fills.failed else stop


cdef object asked_of(BookCore *core, const CommandRecord *record, bint walks):
    """The Walk, or the protection price, of an order at its own time, if that is later than the book's; a
    stop as if it fired. ValueError for what is no NEW, MemoryError with nothing changed.
    """
    cdef Taker taker
    cdef Fills fills
    cdef int64_t before_ns = core.now_ns
    cdef uint64_t[2] found
    cdef uint8_t stop
    if record.op != OP_NEW or is_malformed(core, record):
        raise ValueError("ask about a NEW record whose every bit means something")
    read_order(record, &taker)
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
