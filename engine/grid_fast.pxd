"""The hour grid for compiled callers: no call here needs a Python object."""

from libc.stdint cimport int32_t, int64_t, uint32_t

cdef enum:
    PAGE_HOURS = 744
    PAGES_MAX = 64
    COUNT_MAX = 268435456
    # Of one hour of its own.
    HOUR_BYTES = 12


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
    # What every hour of the page has of each, beside what it has by itself.
    int32_t free
    int32_t sold
    int32_t reserved
    # Of the hours' own part: the extremes of each count, and the least of bought - sold [- reserved]; true
    # while `known`.
    int32_t low[3]
    int32_t high[3]
    int32_t least[2]
    bint known
    # Whether hours have a part of their own, right behind this: two numbers an hour, what is free and what is
    # reserved, and behind all of these what is sold; else all are equal.
    bint cut


cdef inline int32_t *left_at(const Page *page, int64_t place) noexcept nogil:
    """An hour's own part of what is free and of what is reserved, where the page is cut."""
    return <int32_t *>(<char *>page + sizeof(Page)) + 2 * place


cdef inline int32_t *sold_at(const Page *page, int64_t place) noexcept nogil:
    """An hour's own part of what is sold, where the page is cut."""
    return <int32_t *>(<char *>page + sizeof(Page)) + 2 * PAGE_HOURS + place


cdef class FastGrid:
    cdef int64_t first_page
    cdef int64_t last_page
    # The answer that spot asked for last, as it does again and again: least of bought - sold in this span; no
    # answer while the end is 0.
    cdef uint32_t kept_start_h
    cdef uint32_t kept_end_h
    cdef int32_t kept_least
    # A ring: page p stands in slot p % PAGES_MAX; at most PAGES_MAX pages are spanned, so no two meet.
    cdef Page *slots[64]

    cdef int add(self, Count count, uint32_t start_h, uint32_t end_h, int32_t quantity) noexcept nogil
    cdef int add_at_length(
        self, Count count, uint32_t start_h, uint32_t end_h, int32_t quantity
    ) noexcept nogil
    cdef int32_t least(self, uint32_t start_h, uint32_t end_h, bint without_reserved) noexcept nogil
    cdef int32_t count_least(self, uint32_t start_h, uint32_t end_h, bint without_reserved) noexcept nogil
    cdef int32_t least_at_length(
        self, uint32_t start_h, uint32_t end_h, bint without_reserved
    ) noexcept nogil
    cdef void let_go(self, uint32_t before_h) noexcept nogil
