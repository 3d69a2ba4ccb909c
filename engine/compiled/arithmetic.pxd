"""The market's arithmetic in C: what `engine.units` and `engine.money` say (§2, §9).

Equal to the Python for every value in bounds: prices to 10^7 ticks, quantities to 10^5 (a sum of prices times
GPUs to 10^12), times to 2^63 ns and prices summed over them, fees to 10^6 ppm, amounts to 2^63 micro-dollars.
"""

from libc.stdint cimport INT64_MAX, int64_t, uint64_t

cdef extern from *:
    """
    typedef __int128 hourbook_int128;

    /* amount / unit, rounded down whatever its sign; the unit is positive. */
    static inline int64_t hourbook_floor(__int128 amount, int64_t unit)
    {
        __int128 whole;
        if (amount >= 0 && amount <= INT64_MAX)
            return (int64_t)((uint64_t)amount / (uint64_t)unit);
        whole = amount / unit;
        return (int64_t)(whole - (amount < 0 && whole * unit != amount));
    }

    /* amount / unit, rounded up. */
    static inline int64_t hourbook_ceiling(__int128 amount, int64_t unit)
    {
        if (amount >= 0 && amount <= INT64_MAX)
            return (int64_t)(((uint64_t)amount + (uint64_t)unit - 1) / (uint64_t)unit);
        return -hourbook_floor(-amount, unit);
    }
    """
    ctypedef long long int128_t "hourbook_int128"
    int64_t floor_of "hourbook_floor"(int128_t amount, int64_t unit) noexcept nogil
    int64_t ceiling_of "hourbook_ceiling"(int128_t amount, int64_t unit) noexcept nogil

cdef enum:
    MICROS_PER_TICK = 100
    PPM = 1000000
    NS_PER_S = 1000000000
    NS_PER_HOUR = 3600000000000
    # At a tick an hour, a GPU's use is a micro-dollar each so many ns: what is divided by it stays short.
    NS_PER_MICRO = 36000000000


cdef struct PriceStep:
    # From when on a lease pays so much.
    int64_t from_ns
    int64_t price_ticks


cdef inline int64_t usage_micros(int64_t price_ticks, int64_t quantity, int128_t duration_ns) noexcept nogil:
    """Charge for so many GPUs at a price over a time, rounded down."""
    return floor_of(<int128_t>price_ticks * quantity * duration_ns, NS_PER_MICRO)


cdef inline int64_t usage_micros_up(
    int64_t price_ticks, int64_t quantity, int128_t duration_ns
) noexcept nogil:
    """The same, rounded up: what a hold or a prefund needs."""
    cdef uint64_t hours
    if 0 <= duration_ns <= INT64_MAX and <uint64_t>duration_ns % <uint64_t>NS_PER_HOUR == 0:
        # Whole hours need no division of 128 bits.
        hours = <uint64_t>duration_ns // <uint64_t>NS_PER_HOUR
        return price_ticks * MICROS_PER_TICK * quantity * <int64_t>hours
    return ceiling_of(<int128_t>price_ticks * quantity * duration_ns, NS_PER_MICRO)


cdef inline int64_t fee_micros(int64_t usage, int64_t fee_ppm) noexcept nogil:
    """Fee on an amount, rounded down."""
    return floor_of(<int128_t>usage * fee_ppm, PPM)


cdef inline int64_t fee_micros_up(int64_t usage, int64_t fee_ppm) noexcept nogil:
    """The same, rounded up."""
    return ceiling_of(<int128_t>usage * fee_ppm, PPM)


cdef inline int64_t needed_micros(
    int64_t price_ticks, int64_t quantity, int128_t duration_ns, int64_t fee_ppm
) noexcept nogil:
    """What must be held for a time: usage rounded up, and the fee on that rounded up."""
    cdef int64_t usage = usage_micros_up(price_ticks, quantity, duration_ns)
    return usage + fee_micros_up(usage, fee_ppm)


cdef inline int64_t ondemand_bond_micros(int64_t ticks, int64_t bond_ns) noexcept nogil:
    """The bond of on-demand GPUs whose prices sum up to so much."""
    return usage_micros_up(1, ticks, bond_ns)


cdef inline int64_t forward_bond_micros(int64_t notional_micros, int64_t bond_ppm) noexcept nogil:
    return fee_micros_up(notional_micros, bond_ppm)


cdef inline int64_t forward_ask_hold_micros(
    int64_t ticks, int64_t hours, int64_t bond_ppm, int64_t fee_ppm
) noexcept nogil:
    """What a provider's forward ask holds: its bond and its fee on what its GPUs' prices sum up to."""
    cdef int64_t notional = usage_micros(1, ticks, <int128_t>hours * NS_PER_HOUR)
    return forward_bond_micros(notional, bond_ppm) + fee_micros_up(notional, fee_ppm)


cdef inline int128_t tick_ns(
    int64_t price_ticks, const PriceStep *prices, uint64_t count, int64_t from_ns, int64_t until_ns
) noexcept nogil:
    """Ticks times nanoseconds of a time in which the price changes; no prices: this price throughout."""
    cdef int128_t total = 0
    cdef int64_t begins_ns = from_ns
    cdef int64_t ends_ns
    cdef uint64_t place
    if count == 0:
        return <int128_t>price_ticks * (<int128_t>until_ns - from_ns)
    for place in range(count):
        ends_ns = until_ns
        if place + 1 < count and prices[place + 1].from_ns < until_ns:
            ends_ns = prices[place + 1].from_ns
        if ends_ns > begins_ns:
            total += <int128_t>prices[place].price_ticks * (<int128_t>ends_ns - begins_ns)
            begins_ns = ends_ns
    return total
