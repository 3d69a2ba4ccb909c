"""The hour grid for compiled callers: no call here needs a Python object."""

from libc.stdint cimport int32_t, int64_t, uint32_t

cdef enum:
    PAGE_HOURS = 744
    PAGES_MAX = 64
    COUNT_MAX = 268435456


cdef enum Count:
    BOUGHT
    SOLD
    RESERVED
    COUNTS


cdef enum Outcome:
    DONE = 0
    NO_MEMORY = -1
    TOO_WIDE = -2
    OUT_OF_RANGE = -3


ctypedef struct Page:
    # What every hour of the page has of each count, beside what it has by itself.
    int32_t base[3]
    # Of the hours' own part: the extremes of each count, and the least of bought - sold [- reserved]; true
    # while `known`.
    int32_t low[3]
    int32_t high[3]
    int32_t least[2]
    bint known
    # Whether hours have a part of their own: a row of PAGE_HOURS a count, right behind this; else all are
    # equal.
    bint cut


cdef inline int32_t *row_of(const Page *page, int count) noexcept nogil:
    """The hours' own part of a count, where the page is cut."""
    return <int32_t *>(<char *>page + sizeof(Page)) + count * PAGE_HOURS


cdef class FastGrid:
    # A ring: page p stands in slot p % PAGES_MAX; at most PAGES_MAX pages are spanned, so no two meet.
    cdef Page *slots[64]
    cdef int64_t first_page
    cdef int64_t last_page

    cdef int add(self, Count count, uint32_t start_h, uint32_t end_h, int32_t quantity) noexcept nogil
    cdef int32_t least(self, uint32_t start_h, uint32_t end_h, bint without_reserved) noexcept nogil
    cdef void let_go(self, uint32_t before_h) noexcept nogil
