"""The fast book's layout, for Cython that works beside it: nodes, levels and ladders,
linked by 32-bit indices."""

from libc.stdint cimport int32_t, int64_t


cdef struct Node:
    # One resting order; its price and side stand in its level. 48 bytes.
    int64_t order_id
    int64_t account
    int64_t window_end_ns
    int32_t leaves_quantity
    int32_t hours
    int32_t level
    int32_t ahead
    # The node that came after this one at its price; of a free node, the next free one.
    int32_t behind


cdef struct PriceLevel:
    # One price of one side: a queue of nodes, first come first.
    int64_t price_ticks
    int64_t unconditional_quantity
    int64_t conditional_quantity
    # The front of the queue; of a free level, the next free one.
    int32_t first
    int32_t last
    int32_t orders
    bint sell


cdef struct Ladder:
    # The levels of one side, the worst price first: what happens most, happens at the end.
    int32_t *levels
    int32_t count
    int32_t capacity


cdef class FastBook:
    cdef Node *_nodes
    cdef int32_t _node_capacity
    cdef int32_t _free_node
    cdef PriceLevel *_levels
    cdef int32_t _level_capacity
    cdef int32_t _free_level
    cdef Ladder _ladders[2]
    cdef int32_t *_table
    cdef int _table_bits
    cdef int32_t _count

    cdef int32_t _slot(self, int64_t order_id) noexcept nogil
    cdef int32_t _find(self, object order_id) except -2
    cdef int32_t _rested(self, object order_id) except -2
    cdef void _enter(self, int32_t index) noexcept nogil
    cdef void _leave(self, int32_t slot) noexcept nogil
    cdef int _grow_nodes(self) except -1
    cdef int _grow_levels(self) except -1
    cdef int _grow_ladder(self, Ladder *ladder) except -1
    cdef int32_t _position(self, Ladder *ladder, bint sell, int64_t price_ticks) noexcept nogil
    cdef int32_t _open_level(
        self, Ladder *ladder, int32_t position, bint sell, int64_t price_ticks
    ) noexcept nogil
    cdef void _close_level(self, int32_t index) noexcept nogil
    cdef void _shrink(self, int32_t index, int32_t quantity) noexcept nogil
    cdef void _take_out(self, int32_t index) noexcept nogil
    cdef object _resting(self, int32_t index)
