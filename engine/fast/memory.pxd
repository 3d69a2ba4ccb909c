"""Memory of the rooms: grown in bounded steps; a failure leaves all as it was."""

from libc.stdint cimport uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memset


cdef enum:
    # So that growing a large pool is never one long pause.
    STEP_MAX = 65536


cdef inline int resize(void **items, uint64_t old, uint64_t new, size_t size, bint zero) noexcept nogil:
    """Room for `new` items of `size` bytes, the added ones cleared if `zero`; 0, or -1 when there is no
    memory.
    """
    cdef void *grown
    if new > (<size_t>-1 >> 1) // size:
        return -1
    grown = realloc(items[0], <size_t>new * size)
    if grown == NULL:
        return -1
    if zero:
        memset(<char *>grown + <size_t>old * size, 0, <size_t>(new - old) * size)
    items[0] = grown
    return 0


cdef inline uint64_t grown_by_quarter(uint64_t capacity, uint64_t least) noexcept nogil:
    """The next capacity of a pool of many small things."""
    cdef uint64_t step = capacity >> 2
    cdef uint64_t grown = capacity + (step if step < STEP_MAX else STEP_MAX) + 8
    return grown if grown > least else least


cdef inline uint64_t grown_by_eighth(uint64_t capacity, uint64_t least) noexcept nogil:
    """The next capacity of a pool of which many may stand beside each other, or whose slack is dear."""
    cdef uint64_t step = capacity >> 3
    cdef uint64_t grown = capacity + (step if step < STEP_MAX else STEP_MAX) + 1
    return grown if grown > least else least


cdef inline uint64_t grown_by_half(uint64_t capacity, uint64_t least) noexcept nogil:
    """The next capacity of a list that is filled and emptied."""
    cdef uint64_t grown = capacity + (capacity >> 1) + 4
    return grown if grown > least else least
