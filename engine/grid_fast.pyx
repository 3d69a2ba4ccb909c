# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The hour grid, compiled: pages of 31 days (rulebook §4).

An hour has what is free of it, bought - sold - reserved, in bought's stead: nearly every question is for
that, and what is reserved changes with it, so these two lie beside one another. Same answers as
`engine.grid_plain` for every sequence of calls. What a span adds to a whole page is noted once for all its
hours, so that a year costs a dozen notes; hours get numbers of their own when a span cuts their page. The
loops over hours stand apart and have no branch, so that the compiler makes them go several hours at a time.
"""

from libc.stdint cimport INT32_MAX, INT32_MIN, int32_t, int64_t, uint32_t
from libc.stdlib cimport calloc, free

from engine.grid import HOUR_MAX, Hour, Run


cdef extern from *:
    """
    /* Where the processor goes several hours at a time, so do these; which it is shows as the module loads.
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

    HOURBOOK_WIDE static void hourbook_range_reserved(
        const int32_t *left, int64_t length, int32_t *least, int32_t *most)
    {
        int32_t low = *least, high = *most;
        for (int64_t place = 0; place < length; place++) {
            int32_t here = left[2 * place + 1];
            low = here < low ? here : low;
            high = here > high ? here : high;
        }
        *least = low;
        *most = high;
    }

    HOURBOOK_WIDE static void hourbook_range_bought(
        const int32_t *left, const int32_t *sold, int64_t length, int32_t *least, int32_t *most)
    {
        int32_t low = *least, high = *most;
        for (int64_t place = 0; place < length; place++) {
            int32_t here = left[2 * place] + left[2 * place + 1] + sold[place];
            low = here < low ? here : low;
            high = here > high ? here : high;
        }
        *least = low;
        *most = high;
    }

    HOURBOOK_WIDE static int32_t hourbook_least_free(const int32_t *left, int64_t length)
    {
        int32_t least = INT32_MAX;
        for (int64_t place = 0; place < length; place++)
            least = left[2 * place] < least ? left[2 * place] : least;
        return least;
    }

    HOURBOOK_WIDE static int32_t hourbook_least_deliverable(const int32_t *left, int64_t length)
    {
        int32_t least = INT32_MAX;
        for (int64_t place = 0; place < length; place++) {
            int32_t here = left[2 * place] + left[2 * place + 1];
            least = here < least ? here : least;
        }
        return least;
    }

    HOURBOOK_WIDE static void hourbook_raise(int32_t *hours, int64_t length, int32_t quantity)
    {
        for (int64_t place = 0; place < length; place++)
            hours[place] += quantity;
    }

    HOURBOOK_WIDE static void hourbook_raise_left(
        int32_t *left, int64_t length, int32_t free, int32_t reserved)
    {
        for (int64_t place = 0; place < length; place++) {
            left[2 * place] += free;
            left[2 * place + 1] += reserved;
        }
    }
    """
    void range_of "hourbook_range"(
        const int32_t *hours, int64_t length, int32_t *least, int32_t *most
    ) noexcept nogil
    void range_of_reserved "hourbook_range_reserved"(
        const int32_t *left, int64_t length, int32_t *least, int32_t *most
    ) noexcept nogil
    void range_of_bought "hourbook_range_bought"(
        const int32_t *left, const int32_t *sold, int64_t length, int32_t *least, int32_t *most
    ) noexcept nogil
    int32_t least_free_of "hourbook_least_free"(const int32_t *left, int64_t length) noexcept nogil
    int32_t least_deliverable_of "hourbook_least_deliverable"(
        const int32_t *left, int64_t length
    ) noexcept nogil
    void raise_all "hourbook_raise"(int32_t *hours, int64_t length, int32_t quantity) noexcept nogil
    void raise_left "hourbook_raise_left"(
        int32_t *left, int64_t length, int32_t free, int32_t reserved
    ) noexcept nogil


cdef bint in_range(int64_t least, int64_t most, int32_t quantity) noexcept nogil:
    """Whether counts between these stay within 0..COUNT_MAX with so many more."""
    return least + quantity >= 0 and most + quantity <= COUNT_MAX


cdef int32_t least_own(const Page *page, int64_t start, int64_t end, bint without_reserved) noexcept nogil:
    """Least of what is left in a part of a page, of the hours' own part."""
    if without_reserved:
        return least_deliverable_of(left_at(page, start), end - start)
    return least_free_of(left_at(page, start), end - start)


cdef void range_own(
    const Page *page, Count count, int64_t start, int64_t end, int32_t *low, int32_t *high
) noexcept nogil:
    """Extremes of a count in a part of a page, of the hours' own part."""
    low[0], high[0] = INT32_MAX, INT32_MIN
    if count == SOLD:
        range_of(sold_at(page, start), end - start, low, high)
    elif count == RESERVED:
        range_of_reserved(left_at(page, start), end - start, low, high)
    else:
        range_of_bought(left_at(page, start), sold_at(page, start), end - start, low, high)


cdef void know(Page *page) noexcept nogil:
    """Find the extremes of a page with hours of its own anew."""
    cdef int count
    for count in range(<int>COUNTS):
        range_own(page, <Count>count, 0, PAGE_HOURS, &page.low[count], &page.high[count])
    page.least[0] = least_own(page, 0, PAGE_HOURS, False)
    page.least[1] = least_own(page, 0, PAGE_HOURS, True)
    page.known = True


cdef bint fits(Page *page, Count count, int64_t start, int64_t end, int32_t quantity) noexcept nogil:
    """Whether each hour of a part of a page stays within 0..COUNT_MAX with so many more."""
    cdef int64_t base = base_of(page, count)
    cdef int32_t low, high
    if not page.cut:
        return in_range(base, base, quantity)
    if start == 0 and end == PAGE_HOURS:
        if not page.known:
            know(page)
        return in_range(base + page.low[<int>count], base + page.high[<int>count], quantity)
    range_own(page, count, start, end, &low, &high)
    return in_range(base + low, base + high, quantity)


cdef Page *page_for(Page *page, bint whole) noexcept nogil:
    """The page, made if it isn't there, cut unless it is taken whole, and then perhaps elsewhere; NULL: no
    memory, and what stands is as it was.
    """
    cdef Page *made
    if page != NULL and (whole or page.cut):
        return page
    made = <Page *>calloc(1, sizeof(Page) + (0 if whole else HOUR_BYTES * PAGE_HOURS))
    if made == NULL:
        return NULL
    if page != NULL:
        made[0] = page[0]
        free(page)
    if not whole:
        made.cut, made.known = True, False
    return made


cdef void raise_part(Page *page, Count count, int64_t start, int64_t end, int32_t quantity) noexcept nogil:
    """Take on to a part of a page what fits."""
    if count == BOUGHT:
        raise_left(left_at(page, start), end - start, quantity, 0)
    elif count == RESERVED:
        raise_left(left_at(page, start), end - start, -quantity, quantity)
    else:
        raise_left(left_at(page, start), end - start, -quantity, 0)
        raise_all(sold_at(page, start), end - start, quantity)
    page.known = False


cdef void raise_page(Page *page, Count count, int32_t quantity) noexcept nogil:
    """Take on to all hours of a page what fits."""
    page.free += quantity if count == BOUGHT else -quantity
    page.sold += quantity if count == SOLD else 0
    page.reserved += quantity if count == RESERVED else 0
    if not page.cut or (is_near(page.free) and is_near(page.sold) and is_near(page.reserved)):
        return
    # Beyond, the hours' own part could leave its 32 bits: it takes up all, and what comes of it is in range.
    raise_left(left_at(page, 0), PAGE_HOURS, page.free, page.reserved)
    raise_all(sold_at(page, 0), PAGE_HOURS, page.sold)
    page.free = page.sold = page.reserved = 0
    page.known = False


cdef inline bint is_near(int32_t base) noexcept nogil:
    return -COUNT_MAX < base <= COUNT_MAX


cdef int32_t least_of(Page *page, int64_t start, int64_t end, bint without_reserved) noexcept nogil:
    cdef int32_t least = page.free + page.reserved if without_reserved else page.free
    if not page.cut:
        return least
    if start == 0 and end == PAGE_HOURS:
        if not page.known:
            know(page)
        return least + page.least[without_reserved]
    return least + least_own(page, start, end, without_reserved)


cdef inline int32_t base_of(const Page *page, Count count) noexcept nogil:
    """What every hour of a page has of a count, beside what it has by itself."""
    if count == BOUGHT:
        return page.free + page.sold + page.reserved
    return page.sold if count == SOLD else page.reserved


cdef inline int32_t count_of(const Page *page, Count count, int64_t place) noexcept nogil:
    """The count of one hour."""
    cdef int32_t here = base_of(page, count)
    if page.cut and count != RESERVED:
        here += sold_at(page, place)[0]
    if page.cut and count != SOLD:
        here += left_at(page, place)[1]
    if page.cut and count == BOUGHT:
        here += left_at(page, place)[0]
    return here


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
        cdef uint32_t page = start_h // PAGE_HOURS
        cdef uint32_t place = start_h - page * PAGE_HOURS
        cdef Page *here = self.slots[page % PAGES_MAX]
        if here == NULL or not here.cut or not self.first_page <= page <= self.last_page or (
            end_h - start_h >= PAGE_HOURS - place
        ):
            return self.add_at_length(count, start_h, end_h, quantity)
        # Some hours of a page that is cut already.
        if not fits(here, count, place, place + end_h - start_h, quantity):
            return OUT_OF_RANGE
        raise_part(here, count, place, place + end_h - start_h, quantity)
        if count != RESERVED and start_h < self.kept_end_h and end_h > self.kept_start_h:
            self.kept_end_h = 0
        return DONE

    cdef int add_at_length(
        self, Count count, uint32_t start_h, uint32_t end_h, int32_t quantity
    ) noexcept nogil:
        """The same of any span."""
        cdef int64_t first = start_h // PAGE_HOURS
        cdef int64_t last = (end_h - 1) // PAGE_HOURS
        cdef int64_t low = first if self.first_page < 0 or first < self.first_page else self.first_page
        cdef int64_t high = last if last > self.last_page else self.last_page
        cdef int64_t page, start, end
        cdef Page *made
        if high - low >= PAGES_MAX:
            return TOO_WIDE
        for page in range(first, last + 1):
            start = start_h - page * PAGE_HOURS if page == first else 0
            end = end_h - page * PAGE_HOURS if page == last else PAGE_HOURS
            if self.slots[page % PAGES_MAX] == NULL:
                if quantity < 0 or quantity > COUNT_MAX:
                    return OUT_OF_RANGE
            elif not fits(self.slots[page % PAGES_MAX], count, start, end, quantity):
                return OUT_OF_RANGE
        for page in range(first, last + 1):
            start = start_h - page * PAGE_HOURS if page == first else 0
            end = end_h - page * PAGE_HOURS if page == last else PAGE_HOURS
            made = page_for(self.slots[page % PAGES_MAX], end - start == PAGE_HOURS)
            if made == NULL:
                # The pages made so far stand empty: nobody can tell.
                return NO_MEMORY
            self.slots[page % PAGES_MAX] = made
        self.first_page, self.last_page = low, high
        for page in range(first, last + 1):
            start = start_h - page * PAGE_HOURS if page == first else 0
            end = end_h - page * PAGE_HOURS if page == last else PAGE_HOURS
            made = self.slots[page % PAGES_MAX]
            if end - start == PAGE_HOURS:
                raise_page(made, count, quantity)
            else:
                raise_part(made, count, start, end, quantity)
        if count != RESERVED and start_h < self.kept_end_h and end_h > self.kept_start_h:
            self.kept_end_h = 0
        return DONE

    cdef int32_t least(self, uint32_t start_h, uint32_t end_h, bint without_reserved) noexcept nogil:
        """Least of what is left in the span, which isn't empty."""
        if not without_reserved:
            return self.count_least(start_h, end_h, False)
        if start_h != self.kept_start_h or end_h != self.kept_end_h:
            self.kept_least = self.count_least(start_h, end_h, True)
            self.kept_start_h, self.kept_end_h = start_h, end_h
        return self.kept_least

    cdef int32_t count_least(self, uint32_t start_h, uint32_t end_h, bint without_reserved) noexcept nogil:
        """The same by the hours themselves."""
        cdef uint32_t page = start_h // PAGE_HOURS
        cdef uint32_t place = start_h - page * PAGE_HOURS
        cdef Page *here = self.slots[page % PAGES_MAX]
        if here == NULL or not self.first_page <= page <= self.last_page or (
            end_h - start_h >= PAGE_HOURS - place
        ):
            return self.least_at_length(start_h, end_h, without_reserved)
        return least_of(here, place, place + end_h - start_h, without_reserved)

    cdef int32_t least_at_length(
        self, uint32_t start_h, uint32_t end_h, bint without_reserved
    ) noexcept nogil:
        """The same of any span."""
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
        self.kept_end_h = 0
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
                    bought = count_of(counts, BOUGHT, place)
                    sold = count_of(counts, SOLD, place)
                    reserved = count_of(counts, RESERVED, place)
                if not counts.cut:
                    break
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
        count_of(page, BOUGHT, place) == bought
        and count_of(page, SOLD, place) == sold
        and count_of(page, RESERVED, place) == reserved
    )


cdef object hour_of(const Page *page, int64_t place):
    return Hour(
        count_of(page, BOUGHT, place),
        count_of(page, SOLD, place),
        count_of(page, RESERVED, place),
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
