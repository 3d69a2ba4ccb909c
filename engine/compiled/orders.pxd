"""Live orders for compiled callers: the table of them, and the face that Python rooms see of one.

A million orders rest, so one is no object but a slot (`engine.compiled.slots`): the class `Order` is what
Python rooms hold of it while they look at it. What few orders have stands in `Rare`.
"""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from engine.compiled.slots cimport OrderSlot, Slots


cdef class Rare:
    """What few orders have."""
    cdef object client_order_id
    cdef object tag
    cdef object quote_set
    cdef int64_t expire_ns
    cdef int64_t connection
    cdef int32_t stop_price_ticks
    cdef uint32_t display_quantity
    cdef uint32_t min_quantity

    cdef Rare copy(self)


cdef class Orders:
    """All live orders by id, and what their slots own."""
    cdef Slots slots
    cdef list rares
    cdef list free_rares

    # Free what went in the last command.
    cdef void sweep(self) noexcept
    # A slot that is in no table is free again, and what it owns goes.
    cdef void give(self, uint32_t index) noexcept
    # Its rare terms, or None; the same, made if there are none.
    cdef Rare rare_of(self, OrderSlot *slot)
    cdef Rare make_rare(self, OrderSlot *slot)
    cdef int put_rare(self, OrderSlot *slot, Rare rare) except -1
    cdef Order handle(self, uint32_t index)


cdef class Order:
    """What Python rooms hold of an order: its table and slot. Two of one slot are equal, not one object."""
    cdef Orders table
    cdef OrderSlot *slot
    cdef uint64_t number
    cdef uint32_t index

    cdef OrderSlot *here(self) except NULL
