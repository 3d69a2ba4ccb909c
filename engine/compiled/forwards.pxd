"""Forwards in C: what a provider's sale of its own hours moves in rows, obligations and money."""

from libc.stdint cimport int64_t

from engine.compiled.records cimport Account, Draft
from engine.compiled.slots cimport OrderSlot
from engine.compiled.state cimport Core, Listed


# Whether a fill is of its provider's own hours, to another: all else is the law's rooms' to take in.
cdef bint is_own_sale(Core state, const OrderSlot *bid, const OrderSlot *ask) except -1
# A fill's hours, out of the ask's row and into the buyer's, and what counts for the day's settlement price.
cdef int take_hours(
    Core state, Listed listed, Account buyer, const OrderSlot *bid, OrderSlot *ask, int64_t quantity,
    int64_t price_ticks
) except -1
# When the command ends: the money of a draft's fills, and its obligation.
cdef int settle(Core state, Draft draft) except -1
