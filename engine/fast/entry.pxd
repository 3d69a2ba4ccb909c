"""How an order enters: last refusals, the walk, and what becomes of what is left (docs/book.md, check 16 and
"The walk").

Memory is reserved before anything changes: a command is applied whole, or refused for want of memory with
nothing done.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from engine.fast.band cimport PPM, SECOND_NS, reference_price, reserve_hour
from engine.fast.checks cimport new_refusal, read_order
from engine.fast.core cimport (
    BARE, CONDITIONAL, POSTED, RARE, BookCore, Ladder, Taker, likely, unlikely,
)
from engine.fast.deltas cimport reserve_changes
from engine.fast.eligibility cimport is_rare
from engine.fast.ids cimport is_live
from engine.fast.lives cimport bury, reserve_rest, rest, taker_of, wait
from engine.fast.maps cimport value_of
from engine.fast.matching cimport (
    LOOKED_ENOUGH, NOBODY, OPENS_AUCTION, first_counterpart, own_refusal, match_dry, match_taker, reach_of,
    reserve_refills, same_account,
)
from engine.fast.owners cimport count_owners, seeks_in_vain
from engine.fast.pool cimport give_terms
from engine.fast.records cimport (
    EVENT_ARMED, KIND_ACCEPTED, KIND_SESSION, KIND_TRIGGERED, REASON_CONDITIONAL_LIMIT,
    REASON_DUPLICATE_ORDER_ID, REASON_FOK_KILLED, REASON_IOC_REMAINDER, REASON_MARKET_REMAINDER,
    REASON_NO_LIQUIDITY, REASON_OUTSIDE_BAND, REASON_POST_ONLY_WOULD_TRADE, REASON_SELF_TRADE,
    REASON_SESSION_CLOSED, REASON_TOO_MANY_CONDITIONAL, REASON_WALK_LIMIT, SELF_TRADE_CANCEL_OLDEST,
    SELF_TRADE_DECREMENT, SESSION_AUCTION, SESSION_CONTINUOUS, SESSION_HALTED, STOP_OUTSIDE_BAND,
    STOP_SELF_TRADE, STOP_WALK_LIMIT, TIME_FOK, TIME_GTC, TIME_IOC, TYPE_LIMIT, TYPE_MARKET, TYPE_STOP,
    TYPE_STOP_LIMIT, CommandRecord, Sink,
)
from engine.fast.sink cimport emit, emit_canceled, reserve_events
from engine.fast.stops cimport disarm, reaches

cdef enum:
    # Events of an entering order beside those of its fills.
    EVENTS_BESIDE = 8
    NO_MEMORY = -1


cdef inline bint may_rest(Taker *taker) noexcept nogil:
    return taker.order_type == TYPE_LIMIT and taker.time_in_force == TIME_GTC


cdef inline bint _crosses(BookCore *core, Taker *taker) noexcept nogil:
    """Whether the taker's limit reaches the other side at all."""
    cdef Ladder *ladder = &core.sides[not taker.sells]
    return ladder.best_key <= reach_of(ladder, taker)


cdef inline int _reserve_walk(BookCore *core, Sink *sink, Taker *taker) noexcept nogil:
    """Room for the events of a walk: reckoned cheaply, and where that is much, by walking dry."""
    # A fill takes one at least, and says a trade and perhaps a refill.
    cdef uint64_t events = 2 * <uint64_t>taker.leaves + EVENTS_BESIDE
    cdef uint64_t found[2]
    cdef Taker dry
    if not BARE:
        if reserve_hour(core) < 0:
            return NO_MEMORY
        if taker.account != 0 and (
            taker.mode == SELF_TRADE_CANCEL_OLDEST or taker.mode == SELF_TRADE_DECREMENT
        ):
            events += 2 * <uint64_t>core.sides[not taker.sells].orders
    if core.limits.max_looked and events > 2 * <uint64_t>core.limits.max_looked + EVENTS_BESIDE:
        events = 2 * <uint64_t>core.limits.max_looked + EVENTS_BESIDE
    if likely(events <= <uint64_t>(sink.end - sink.next)):
        return 0
    if reserve_refills(core) < 0:
        return NO_MEMORY
    dry = taker[0]
    match_dry(core, &dry, NULL, found, False)
    return reserve_events(core, sink, 2 * found[0] + EVENTS_BESIDE)


cdef inline int reserve_entry(BookCore *core, Sink *sink, Taker *taker) noexcept nogil:
    """Room for all that entering may need; 0, or NO_MEMORY with nothing changed."""
    if may_rest(taker) and reserve_rest(core, taker) < 0:
        return NO_MEMORY
    if unlikely(core.tracking) and reserve_changes(core) < 0:
        return NO_MEMORY
    if core.session == SESSION_CONTINUOUS and _crosses(core, taker):
        return _reserve_walk(core, sink, taker)
    return 0


cdef inline int32_t protection_price(BookCore *core, Taker *taker) noexcept nogil:
    """So far through the first resting price that the taker is eligible for, rounded toward it; 0 without
    one.
    """
    cdef Taker any_price = taker[0]
    cdef int32_t price
    cdef int64_t wide
    cdef uint32_t index
    any_price.price = 1 if taker.sells else core.limits.price_max
    index = first_counterpart(core, &any_price, True)
    if index == NOBODY or index == LOOKED_ENOUGH:
        return 0
    price = <int32_t>core.sides[not taker.sells].levels[core.nodes[index].place >> 8].price
    if taker.sells:
        wide = <int64_t>price * (<int64_t>PPM - <int64_t>core.limits.market_protection_ppm)
        if wide <= 0:
            return 1
        return <int32_t>((wide + PPM - 1) // PPM)
    wide = <int64_t>price * (<int64_t>PPM + <int64_t>core.limits.market_protection_ppm) // PPM
    return <int32_t>wide if wide < core.limits.price_max else core.limits.price_max


cdef inline uint8_t _post_only_refusal(BookCore *core, Taker *taker) noexcept nogil:
    cdef uint32_t index
    if not _crosses(core, taker):
        return 0
    index = first_counterpart(core, taker, False)
    if index == NOBODY:
        return 0
    if index == LOOKED_ENOUGH:
        return REASON_WALK_LIMIT
    return REASON_SELF_TRADE if same_account(core, taker, index) else REASON_POST_ONLY_WOULD_TRADE


cdef inline int _fok_refusal(BookCore *core, Taker *taker) noexcept nogil:
    """Why a fok isn't whole; 0 when it is, or NO_MEMORY."""
    cdef uint64_t found[2]
    cdef Taker dry = taker[0]
    cdef uint64_t others
    cdef uint8_t stop
    if reserve_refills(core) < 0:
        return NO_MEMORY
    stop = match_dry(core, &dry, NULL, found, True)
    others = found[1]
    if dry.leaves == 0 and taker.mode == SELF_TRADE_DECREMENT and taker.account != 0:
        # What its own account's orders take off it may leave it too small for others.
        dry = taker[0]
        stop = match_dry(core, &dry, NULL, found, False)
    if dry.leaves == 0:
        return 0
    if stop == STOP_SELF_TRADE:
        return REASON_SELF_TRADE
    if stop == STOP_WALK_LIMIT:
        return REASON_WALK_LIMIT
    if stop == STOP_OUTSIDE_BAND:
        return REASON_OUTSIDE_BAND
    return REASON_FOK_KILLED if others else REASON_NO_LIQUIDITY


cdef inline int prepare(BookCore *core, Taker *taker) noexcept nogil:
    """Check 16: the market order gets its price; 0, the reason of a refusal, or NO_MEMORY."""
    if not BARE and taker.order_type == TYPE_MARKET and taker.price == 0:
        taker.price = protection_price(core, taker)
        if taker.price == 0:
            return REASON_NO_LIQUIDITY
    if unlikely(taker.flags & POSTED):
        return _post_only_refusal(core, taker)
    if unlikely(taker.time_in_force == TIME_FOK):
        return _fok_refusal(core, taker)
    return 0


cdef inline void say_session(BookCore *core, Sink *sink, uint8_t reason, uint64_t end_ns) noexcept nogil:
    emit(core, sink, KIND_SESSION, 0, end_ns, reference_price(core), 0, 0, 0, 0, reason, core.session)


cdef inline void _cancel_rest(BookCore *core, Sink *sink, Taker *taker, uint8_t reason) noexcept nogil:
    emit_canceled(core, sink, taker.order_id, taker.sells, taker.price, taker.leaves, reason)
    if taker.node:
        bury(core, taker.node)


cdef inline void settle(
    BookCore *core, Sink *sink, Taker *taker, uint8_t outcome, uint32_t gone
) noexcept nogil:
    """The walk is over: what is left rests, if it may. Gone: makers that the walk took away."""
    cdef uint8_t reason
    if taker.leaves == 0:
        if taker.node:
            bury(core, taker.node)
        return
    if unlikely(outcome != 0):
        if outcome != OPENS_AUCTION:
            _cancel_rest(core, sink, taker, outcome)
            return
        core.session = SESSION_AUCTION
        say_session(
            core, sink, REASON_OUTSIDE_BAND,
            <uint64_t>core.now_ns + <uint64_t>core.limits.auction_s * <uint64_t>SECOND_NS,
        )
        if not may_rest(taker):
            _cancel_rest(core, sink, taker, REASON_OUTSIDE_BAND)
            return
        reason = own_refusal(core, taker, gone)
        if reason == REASON_WALK_LIMIT and seeks_in_vain(core, not taker.sells, taker.account):
            reason = 0
        if reason:
            _cancel_rest(core, sink, taker, reason)
        else:
            rest(core, taker)
    elif taker.order_type == TYPE_MARKET:
        _cancel_rest(core, sink, taker, REASON_MARKET_REMAINDER)
    elif taker.time_in_force != TIME_GTC:
        _cancel_rest(core, sink, taker, REASON_IOC_REMAINDER)
    elif unlikely(taker.flags & CONDITIONAL) and core.limits.max_conditional_side != 0 and (
        core.sides[taker.sells].conditional >= core.limits.max_conditional_side
    ):
        _cancel_rest(core, sink, taker, REASON_CONDITIONAL_LIMIT)
    else:
        rest(core, taker)


cdef inline void enter(BookCore *core, Sink *sink, Taker *taker) noexcept nogil:
    """Walk in earnest, then rest or go; room was reserved."""
    cdef uint32_t before = core.ids.count
    cdef uint8_t outcome = match_taker(core, sink, taker) if _crosses(core, taker) else 0
    settle(core, sink, taker, outcome, before - core.ids.count)


cdef inline int session_refusal(BookCore *core, Taker *taker) noexcept nogil:
    """Check 14: what may enter before trading, and that nothing may in a halt; 0, a reason, or NO_MEMORY."""
    cdef uint8_t reason
    if core.session == SESSION_HALTED:
        return REASON_SESSION_CLOSED
    if taker.flags & CONDITIONAL or not may_rest(taker):
        return REASON_SESSION_CLOSED
    reason = own_refusal(core, taker, 0)
    if unlikely(reason == REASON_WALK_LIMIT) and core.owners == NULL:
        if count_owners(core) < 0:
            return NO_MEMORY
        return own_refusal(core, taker, 0)
    return reason


cdef inline void _accept(BookCore *core, Sink *sink, Taker *taker, uint8_t flags) noexcept nogil:
    emit(
        core, sink, KIND_ACCEPTED, taker.order_id, 0, taker.price, taker.quantity, taker.leaves,
        taker.terms.display if taker.flags & RARE else 0,
        taker.sells + 1, 0, flags,
    )


cdef inline int enter_new(BookCore *core, Sink *sink, const CommandRecord *command) noexcept nogil:
    """NEW: 0, the reason of its refusal, or NO_MEMORY."""
    cdef Taker taker
    cdef bint stops
    cdef int reason
    if unlikely(is_live(core, command.order_id)):
        return REASON_DUPLICATE_ORDER_ID
    reason = new_refusal(core, command)
    if unlikely(reason != 0):
        return reason
    read_order(command, &taker)
    stops = not BARE and (taker.order_type == TYPE_STOP or taker.order_type == TYPE_STOP_LIMIT)
    if unlikely(core.session != SESSION_CONTINUOUS):
        reason = session_refusal(core, &taker)
        if reason:
            return reason
    if unlikely(taker.flags & CONDITIONAL) and taker.account != 0 and (
        taker.time_in_force == TIME_GTC or stops
    ):
        if core.limits.max_conditional_account != 0 and (
            value_of(&core.accounts, taker.account) >= core.limits.max_conditional_account
        ):
            return REASON_TOO_MANY_CONDITIONAL
    if unlikely(stops):
        if reserve_rest(core, &taker) < 0:
            return NO_MEMORY
        taker.terms.triggered = reaches(taker.sells, taker.terms.stop_price, core.last_price)
        _accept(core, sink, &taker, EVENT_ARMED)
        wait(core, &taker)
        return 0
    if likely(core.session == SESSION_CONTINUOUS):
        reason = prepare(core, &taker)
        if unlikely(reason != 0):
            return reason
    if unlikely(reserve_entry(core, sink, &taker) < 0):
        return NO_MEMORY
    _accept(core, sink, &taker, 0)
    if likely(core.session == SESSION_CONTINUOUS):
        enter(core, sink, &taker)
    else:
        rest(core, &taker)
    return 0


cdef inline int fire_stop(BookCore *core, Sink *sink, uint32_t index) noexcept nogil:
    """A triggered stop enters as a market order or a limit, unless entry would refuse it; 0, or NO_MEMORY."""
    cdef Taker taker
    cdef int32_t given
    cdef int reason
    taker_of(core, index, &taker)
    given = taker.price
    if taker.order_type == TYPE_STOP:
        taker.order_type = TYPE_MARKET
        if taker.time_in_force == TIME_GTC:
            taker.time_in_force = TIME_IOC
    else:
        taker.order_type = TYPE_LIMIT
    taker.terms.order_type = taker.order_type
    taker.terms.time_in_force = taker.time_in_force
    taker.terms.stop_price = 0
    taker.terms.triggered = False
    if not is_rare(&taker.terms):
        taker.flags &= ~<uint32_t>RARE
    reason = prepare(core, &taker)
    if reason == NO_MEMORY or reserve_events(core, sink, EVENTS_BESIDE) < 0:
        return NO_MEMORY
    if reason == 0 and reserve_entry(core, sink, &taker) < 0:
        return NO_MEMORY
    disarm(core, index)
    if reason:
        emit_canceled(core, sink, taker.order_id, taker.sells, given, taker.leaves, <uint8_t>reason)
        bury(core, index)
        return 0
    if not taker.flags & RARE:
        give_terms(core, index)
        core.nodes[index].place &= ~<uint32_t>RARE
    emit(
        core, sink, KIND_TRIGGERED, taker.order_id, 0, taker.price, taker.quantity, taker.leaves, 0,
        taker.sells + 1,
        0, 0,
    )
    enter(core, sink, &taker)
    return 0
