# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The hour grid, compiled: pages of 31 days, each with a row of hours a count (rulebook §4).

Same answers as `engine.grid_plain` for every sequence of calls. The loops over hours stand apart and have no
branch, so that the compiler makes them go several hours at a time.
"""

from libc.stdint cimport int32_t, int64_t, uint32_t
from libc.stdlib cimport calloc, free

from engine.grid import HOUR_MAX, Hour, Run


cdef extern from *:
    """
    /* Where the processor goes eight hours at a time, so do these; which it is shows as the module loads.
       The sanitizers aren't ready by then. */
    #if defined(__x86_64__) && defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
    #define HOURBOOK_WIDE __attribute__((target_clones("avx2", "default")))
    #else
    #define HOURBOOK_WIDE
    #endif

    HOURBOOK_WIDE static void hourbook_range(
        const int32_t *hours, int64_t length, int32_t *least, int32_t *most)
    {
        int32_t low = *least, high = *most;
        for (int64_t place = 0; place < length; place++) {
            low = hours[place] < low ? hours[place] : low;
            high = hours[place] > high ? hours[place] : high;
        }
        *least = low;
        *most = high;
    }

    HOURBOOK_WIDE static void hourbook_raise(int32_t *hours, int64_t length, int32_t quantity)
    {
        for (int64_t place = 0; place < length; place++)
            hours[place] += quantity;
    }
    """
    void range_of "hourbook_range"(
        const int32_t *hours, int64_t length, int32_t *least, int32_t *most
    ) noexcept nogil
    void raise_all "hourbook_raise"(int32_t *hours, int64_t length, int32_t quantity) noexcept nogil


cdef bint fits(const int32_t *hours, int64_t length, int32_t quantity) noexcept nogil:
    """Whether each hour stays within 0..COUNT_MAX with so many more."""
    cdef int32_t least = COUNT_MAX
    cdef int32_t most = 0
    range_of(hours, length, &least, &most)
    return <int64_t>least + quantity >= 0 and <int64_t>most + quantity <= COUNT_MAX


cdef int32_t least_of(const Page *page, int64_t start, int64_t end, bint without_reserved) noexcept nogil:
    cdef const int32_t *bought = page.hours[<int>BOUGHT]
    cdef const int32_t *sold = page.hours[<int>SOLD]
    cdef const int32_t *reserved = page.hours[<int>RESERVED]
    cdef int32_t least = COUNT_MAX
    cdef int32_t left
    cdef int64_t place
    if without_reserved:
        for place in range(start, end):
            left = bought[place] - sold[place]
            least = left if left < least else least
    else:
        for place in range(start, end):
            left = bought[place] - sold[place] - reserved[place]
            least = left if left < least else least
    return least


cdef class FastGrid:
    """One row's hours, as `engine.grid.HourGrid` says."""

    def __cinit__(self):
        self.first_page = -1
        self.last_page = -1

    def __dealloc__(self):
        cdef int slot
        for slot in range(PAGES_MAX):
            free(self.slots[slot])

    cdef int add(self, Count count, uint32_t start_h, uint32_t end_h, int32_t quantity) noexcept nogil:
        """Take `quantity` on to each hour of a span (not empty); an Outcome: unless DONE nothing changed."""
        cdef int64_t first = start_h // PAGE_HOURS
        cdef int64_t last = (end_h - 1) // PAGE_HOURS
        cdef int64_t low = first if self.first_page < 0 or first < self.first_page else self.first_page
        cdef int64_t high = last if last > self.last_page else self.last_page
        cdef int64_t page, start, end
        if high - low >= PAGES_MAX:
            return TOO_WIDE
        for page in range(first, last + 1):
            start = start_h - page * PAGE_HOURS if page == first else 0
            end = end_h - page * PAGE_HOURS if page == last else PAGE_HOURS
            if self.slots[page % PAGES_MAX] == NULL:
                if quantity < 0 or quantity > COUNT_MAX:
                    return OUT_OF_RANGE
            elif not fits(&self.slots[page % PAGES_MAX].hours[<int>count][start], end - start, quantity):
                return OUT_OF_RANGE
        for page in range(first, last + 1):
            if self.slots[page % PAGES_MAX] == NULL:
                self.slots[page % PAGES_MAX] = <Page *>calloc(1, sizeof(Page))
                if self.slots[page % PAGES_MAX] == NULL:
                    # The pages made so far stand empty: nobody can tell.
                    return NO_MEMORY
        self.first_page, self.last_page = low, high
        for page in range(first, last + 1):
            start = start_h - page * PAGE_HOURS if page == first else 0
            end = end_h - page * PAGE_HOURS if page == last else PAGE_HOURS
            raise_all(&self.slots[page % PAGES_MAX].hours[<int>count][start], end - start, quantity)
        return DONE

    cdef int32_t least(self, uint32_t start_h, uint32_t end_h, bint without_reserved) noexcept nogil:
        """Least of what is left in the span, which isn't empty."""
        cdef int64_t first = start_h // PAGE_HOURS
        cdef int64_t last = (end_h - 1) // PAGE_HOURS
        cdef int32_t least = COUNT_MAX
        cdef int32_t here
        cdef int64_t page, start, end
        for page in range(first, last + 1):
            here = 0
            if self.first_page <= page <= self.last_page and self.slots[page % PAGES_MAX] != NULL:
                start = start_h - page * PAGE_HOURS if page == first else 0
                end = end_h - page * PAGE_HOURS if page == last else PAGE_HOURS
                here = least_of(self.slots[page % PAGES_MAX], start, end, without_reserved)
            least = here if here < least else least
        return least

    cdef void let_go(self, uint32_t before_h) noexcept nogil:
        """Free the pages that end at or before an hour."""
        while 0 <= self.first_page <= self.last_page and (self.first_page + 1) * PAGE_HOURS <= before_h:
            free(self.slots[self.first_page % PAGES_MAX])
            self.slots[self.first_page % PAGES_MAX] = NULL
            self.first_page += 1
        while 0 <= self.first_page <= self.last_page and self.slots[self.first_page % PAGES_MAX] == NULL:
            if self.first_page == self.last_page:
                self.first_page = self.last_page = -1
                break
            self.first_page += 1
        if self.first_page > self.last_page:
            self.first_page = self.last_page = -1

    def add_bought(self, start_h, end_h, quantity):
        change(self, BOUGHT, start_h, end_h, quantity)

    def add_sold(self, start_h, end_h, quantity):
        change(self, SOLD, start_h, end_h, quantity)

    def add_reserved(self, start_h, end_h, quantity):
        change(self, RESERVED, start_h, end_h, quantity)

    def least_free(self, start_h, end_h):
        check_span(start_h, end_h)
        return self.least(start_h, end_h, False)

    def least_deliverable(self, start_h, end_h):
        check_span(start_h, end_h)
        return self.least(start_h, end_h, True)

    def at(self, hour):
        cdef int64_t page
        cdef Page *counts
        if not 0 <= hour <= HOUR_MAX:
            return Hour(0, 0, 0)
        page = hour // PAGE_HOURS
        counts = self.slots[page % PAGES_MAX] if self.first_page <= page <= self.last_page else NULL
        if counts == NULL:
            return Hour(0, 0, 0)
        return hour_of(counts, hour - page * PAGE_HOURS)

    def runs(self, from_h):
        cdef int64_t page, place
        cdef Page *counts
        cdef list runs = []
        cdef int32_t bought = 0, sold = 0, reserved = 0
        cdef int64_t start = -1, hour
        if self.first_page < 0:
            return runs
        for page in range(self.first_page, self.last_page + 1):
            counts = self.slots[page % PAGES_MAX]
            for place in range(PAGE_HOURS):
                hour = page * PAGE_HOURS + place
                if hour < from_h:
                    continue
                if counts == NULL:
                    if start >= 0:
                        runs.append(Run(start, hour, bought, sold, reserved))
                        start = -1
                    break
                if start >= 0 and not same(counts, place, bought, sold, reserved):
                    runs.append(Run(start, hour, bought, sold, reserved))
                    start = -1
                if start < 0 and not same(counts, place, 0, 0, 0):
                    start = hour
                    bought = counts.hours[<int>BOUGHT][place]
                    sold = counts.hours[<int>SOLD][place]
                    reserved = counts.hours[<int>RESERVED][place]
        if start >= 0:
            runs.append(Run(start, (self.last_page + 1) * PAGE_HOURS, bought, sold, reserved))
        return runs

    def forget(self, before_h):
        if not 0 <= before_h <= HOUR_MAX:
            raise ValueError(f"{before_h} is no hour")
        self.let_go(before_h)


cdef bint same(
    const Page *page, int64_t place, int32_t bought, int32_t sold, int32_t reserved
) noexcept nogil:
    return (
        page.hours[<int>BOUGHT][place] == bought
        and page.hours[<int>SOLD][place] == sold
        and page.hours[<int>RESERVED][place] == reserved
    )


cdef object hour_of(const Page *page, int64_t place):
    return Hour(
        page.hours[<int>BOUGHT][place],
        page.hours[<int>SOLD][place],
        page.hours[<int>RESERVED][place],
    )


cdef object check_span(start_h, end_h):
    if not 0 <= start_h < end_h <= HOUR_MAX:
        raise ValueError(f"[{start_h}, {end_h}) is no span of hours")
    if end_h - start_h > PAGES_MAX * PAGE_HOURS:
        raise ValueError(f"a grid spans at most {PAGES_MAX} pages of {PAGE_HOURS} hours")


cdef object change(FastGrid grid, Count count, start_h, end_h, quantity):
    check_span(start_h, end_h)
    if not -COUNT_MAX <= quantity <= COUNT_MAX:
        raise ValueError("an hour would have less than nothing, or too much")
    cdef int outcome = grid.add(count, start_h, end_h, quantity)
    if outcome == TOO_WIDE:
        raise ValueError(f"a grid spans at most {PAGES_MAX} pages of {PAGE_HOURS} hours")
    if outcome == OUT_OF_RANGE:
        raise ValueError("an hour would have less than nothing, or too much")
    if outcome == NO_MEMORY:
        raise MemoryError
