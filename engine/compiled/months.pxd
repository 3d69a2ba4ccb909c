"""When calendar months end, reckoned in C as `engine.periods` does: whole days since the epoch, UTC."""

from libc.stdint cimport int64_t

cdef enum:
    EPOCH_YEAR = 1970
    DAYS_A_YEAR = 365
    # The longest: a year number reckoned by it is never too late.
    DAYS_A_LEAP_YEAR = 366
    FEBRUARY = 1

cdef extern from *:
    """
    #define HOURBOOK_NS_PER_DAY 86400000000000LL
    static const unsigned char hourbook_month_days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    """
    const int64_t NS_PER_DAY "HOURBOOK_NS_PER_DAY"
    const unsigned char *MONTH_DAYS "hourbook_month_days"


cdef inline int64_t _leap_days(int64_t year) noexcept nogil:
    """Leap days of all years before this one."""
    return (year - 1) // 4 - (year - 1) // 100 + (year - 1) // 400


cdef inline int64_t _first_day(int64_t year) noexcept nogil:
    """Days from the epoch to a year's first."""
    return (year - EPOCH_YEAR) * DAYS_A_YEAR + _leap_days(year) - _leap_days(EPOCH_YEAR)


cdef inline int64_t month_end_ns(int64_t ts_ns) noexcept nogil:
    """The end of the month that holds a time after the epoch (`engine.periods.month_end_ns`)."""
    cdef int64_t day = ts_ns // NS_PER_DAY
    cdef int64_t year = EPOCH_YEAR + day // DAYS_A_LEAP_YEAR
    cdef int64_t end
    cdef int month = 0
    while _first_day(year + 1) <= day:
        year += 1
    end = _first_day(year) + MONTH_DAYS[0]
    while end <= day:
        month += 1
        end += MONTH_DAYS[month]
        if month == FEBRUARY and _first_day(year + 1) - _first_day(year) == DAYS_A_LEAP_YEAR:
            end += 1
    return end * NS_PER_DAY
