"""When calendar months end, reckoned in C as `engine.periods` does: whole days since the epoch, UTC."""

from libc.stdint cimport int64_t, uint64_t

cdef enum:
    # Years are counted from a March on, so that a leap day is a year's last; 400 of them are a cycle.
    DAYS_TO_EPOCH = 719468
    DAYS_A_CYCLE = 146097
    DAYS_A_CENTURY = 36524
    DAYS_FOUR_YEARS = 1460
    DAYS_A_YEAR = 365
    # From March on months are 31 and 30 days by turns, but for a pause in August: 153 days for each five.
    DAYS_FIVE_MONTHS = 153
    FEBRUARY = 11

cdef extern from *:
    """
    #define HOURBOOK_NS_PER_DAY 86400000000000ULL
    """
    const uint64_t NS_PER_DAY "HOURBOOK_NS_PER_DAY"


cdef inline int64_t month_end_ns(int64_t ts_ns) noexcept nogil:
    """The end of the month that holds a time after the epoch (`engine.periods.month_end_ns`)."""
    cdef uint64_t day = <uint64_t>ts_ns // NS_PER_DAY
    cdef uint64_t of_cycle = (day + DAYS_TO_EPOCH) % <uint64_t>DAYS_A_CYCLE
    cdef uint64_t year = (
        of_cycle - of_cycle // <uint64_t>DAYS_FOUR_YEARS + of_cycle // <uint64_t>DAYS_A_CENTURY
        - of_cycle // <uint64_t>(DAYS_A_CYCLE - 1)
    ) // <uint64_t>DAYS_A_YEAR
    cdef uint64_t of_year = of_cycle - (DAYS_A_YEAR * year + year // 4 - year // 100)
    cdef uint64_t month = (5 * of_year + 2) // <uint64_t>DAYS_FIVE_MONTHS
    cdef uint64_t end = (DAYS_FIVE_MONTHS * (month + 1) + 2) // 5
    if month == FEBRUARY:
        # The calendar's year begins in it, two months before ours does.
        year += 1
        end = DAYS_A_YEAR + (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0))
    return <int64_t>((day - of_year + end) * NS_PER_DAY)
