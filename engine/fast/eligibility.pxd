"""Who may trade with whom, and how much (rulebook section 5): all that is rare about a pair of orders."""

from libc.stdint cimport int64_t, uint16_t, uint32_t

from engine.fast.band cimport HOUR_NS
from engine.fast.core cimport CONDITIONAL, RARE, BookCore, Taker, Terms, uint128_t
from engine.fast.maps cimport value_of
from engine.fast.pool cimport terms_of

cdef enum:
    RATING_SHIFT = 16


cdef inline uint32_t more(uint32_t value) noexcept nogil:
    """A term of no hours is one of one hour."""
    return value if value else 1


cdef inline bint is_conditional(Terms *terms) noexcept nogil:
    """Whether an order is choosy about its counterpart; its values are normalized."""
    return (
        terms.min_quantity != 0 or terms.hours != 0 or terms.lot != 0 or terms.min_rating != 0
        or terms.features != 0 or terms.same_baron
    )


cdef inline bint is_rare(Terms *terms) noexcept nogil:
    """Whether anything about a limit order is rare."""
    return (
        is_conditional(terms) or terms.display != 0 or terms.window_end_h != 0 or terms.baron != 0
        or terms.tag != 0
    )


cdef inline bint window_holds(BookCore *core, Terms *ask, uint32_t hours) noexcept nogil:
    """Whether so many hours from now end inside the ask's window, if it has one (rulebook section 4)."""
    return ask.window_end_h == 0 or (
        <uint128_t>core.now_ns + <uint128_t>hours * HOUR_NS <= <uint128_t>ask.window_end_h * HOUR_NS
    )


cdef inline bint joins_auction(BookCore *core, uint32_t node) noexcept nogil:
    """Whether an order at rest takes part in a clearing: unconditional, and an hour left of its window."""
    cdef uint32_t place = core.nodes[node].place
    if not place & RARE:
        return True
    # A bid has no window.
    return not place & CONDITIONAL and window_holds(core, terms_of(core, node), 1)


cdef inline bint _eligible(BookCore *core, Terms *bid, Terms *ask) noexcept nogil:
    cdef uint32_t hours = more(bid.hours)
    cdef uint32_t offered
    if not window_holds(core, ask, hours):
        return False
    if hours < more(ask.hours):
        return False
    if bid.min_rating or bid.features:
        offered = value_of(&core.barons, ask.baron)
        if ((offered >> RATING_SHIFT) & 0xFF) < bid.min_rating or bid.features & ~<uint16_t>offered:
            return False
    return True


cdef inline bint shows_too_little(Terms *maker, uint32_t shown, uint32_t leaves) noexcept nogil:
    """Whether what a filled order still shows is less than its smallest fill, so nobody could take it."""
    return shown < leaves and shown < more(maker.min_quantity)


cdef inline Terms *maker_terms(BookCore *core, uint32_t node) noexcept nogil:
    return terms_of(core, node) if core.nodes[node].place & RARE else &core.plain


cdef inline uint32_t tradable(
    BookCore *core, Taker *taker, Terms *maker, uint32_t leaves, uint32_t maker_leaves, uint32_t shown
) noexcept nogil:
    """What the taker, with so much left, takes from a resting order that leaves and shows so much; 0: passed
    over.
    """
    cdef Terms *own = &taker.terms if taker.flags & RARE else &core.plain
    cdef Terms *bid = maker if taker.sells else own
    cdef Terms *ask = own if taker.sells else maker
    cdef uint32_t quantity = leaves if leaves < shown else shown
    if not _eligible(core, bid, ask):
        return 0
    if ask.lot:
        quantity -= quantity % ask.lot
    if quantity < own.min_quantity and quantity < leaves:
        return 0
    if quantity < maker.min_quantity and quantity < maker_leaves:
        return 0
    if bid.same_baron and quantity < (maker_leaves if taker.sells else leaves):
        return 0
    return quantity
