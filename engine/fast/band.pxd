"""The last hour's trades by minute, the reference that they give, and the band around it (rulebook section
6).
"""

from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport calloc
from libc.string cimport memset

from engine.fast.core cimport BARE, MINUTES, BookCore, Hour, Minute, uint128_t

cdef enum:
    PPM = 1000000

cdef extern from *:
    """
    #define HOURBOOK_MINUTE_NS 60000000000ULL
    #define HOURBOOK_HOUR_NS 3600000000000LL
    #define HOURBOOK_SECOND_NS 1000000000LL
    """
    const uint64_t MINUTE_NS "HOURBOOK_MINUTE_NS"
    const int64_t HOUR_NS "HOURBOOK_HOUR_NS"
    const int64_t SECOND_NS "HOURBOOK_SECOND_NS"


cdef inline int reserve_hour(BookCore *core) noexcept nogil:
    """Room for trades; 0, or -1 when there is no memory."""
    if core.hour == NULL:
        core.hour = <Hour *>calloc(1, sizeof(Hour))
    return 0 if core.hour != NULL else -1


cdef inline void begin_minute(Hour *hour, uint64_t minute) noexcept nogil:
    """Make a minute the newest; those that are an hour older go."""
    cdef Minute *gone
    cdef uint64_t other
    if minute - hour.minute >= MINUTES:
        memset(hour, 0, sizeof(Hour))
    else:
        other = hour.minute
        while other != minute:
            other += 1
            gone = &hour.minutes[other % MINUTES]
            hour.notional -= gone.notional
            hour.quantity -= gone.quantity
            gone.notional = 0
            gone.quantity = 0
    hour.minute = minute
    hour.minute_begin_ns = minute * MINUTE_NS
    hour.minute_end_ns = hour.minute_begin_ns + MINUTE_NS


cdef inline void note_trades(
    BookCore *core, uint128_t notional, uint64_t quantity, int32_t price
) noexcept nogil:
    """Trades of one walk, the last of them at `price`; room was reserved."""
    cdef Hour *hour = core.hour
    cdef uint64_t now_ns = <uint64_t>core.now_ns
    cdef Minute *minute
    core.last_price = price
    if not (hour.minute_begin_ns <= now_ns < hour.minute_end_ns):
        begin_minute(hour, now_ns // MINUTE_NS)
    minute = &hour.minutes[hour.minute % MINUTES]
    minute.notional += notional
    minute.quantity += quantity
    hour.notional += notional
    hour.quantity += quantity


cdef inline bint auction_counts(BookCore *core) noexcept nogil:
    """Whether the last auction's price is the reference."""
    return core.auction_price != 0 and core.now_ns - core.auction_end_ns < HOUR_NS


cdef inline void take_reference(BookCore *core) noexcept nogil:
    """Reckon the reference as of now, once a command: (sum of price x quantity, quantity), 0 for none."""
    cdef Hour *hour = core.hour
    cdef uint64_t minute, other
    if core.referenced:
        return
    core.referenced = True
    if auction_counts(core):
        core.reference_notional = <uint128_t>core.auction_price
        core.reference_quantity = 1
        return
    if hour != NULL and hour.quantity:
        core.reference_notional = hour.notional
        core.reference_quantity = hour.quantity
        if not (hour.minute_begin_ns <= <uint64_t>core.now_ns < hour.minute_end_ns):
            minute = <uint64_t>core.now_ns // MINUTE_NS
            # The slots that the minutes since the last trade will take hold what is an hour old by then.
            other = hour.minute + 1
            while other <= minute and other <= hour.minute + MINUTES:
                core.reference_notional -= hour.minutes[other % MINUTES].notional
                core.reference_quantity -= hour.minutes[other % MINUTES].quantity
                other += 1
        if core.reference_quantity:
            return
    core.reference_notional = <uint128_t>core.last_price
    core.reference_quantity = 1 if core.last_price else 0


cdef inline int32_t reference_price(BookCore *core) noexcept nogil:
    """The reference in ticks, rounded down; 0 for none."""
    take_reference(core)
    return <int32_t>(core.reference_notional // core.reference_quantity) if core.reference_quantity else 0


cdef inline bint outside_band(BookCore *core, int32_t price) noexcept nogil:
    """Whether a trade at this price is further from the reference than the band lets it be."""
    cdef uint128_t value
    if BARE or core.limits.band_ppm == 0:
        return False
    take_reference(core)
    if core.reference_quantity == 0:
        return False
    value = <uint128_t>price * core.reference_quantity
    if value > core.reference_notional:
        value = value - core.reference_notional
    else:
        value = core.reference_notional - value
    return value * PPM > <uint128_t>core.limits.band_ppm * core.reference_notional
