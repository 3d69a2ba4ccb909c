"""The walk: what an order that enters takes from the other side, in earnest and dry (rulebook section 6).

A pair without anything rare about it takes the short way; all else stands behind one test of two flag words.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from engine.fast.band cimport SECOND_NS, note_trades, outside_band
from engine.fast.core cimport (
    BARE, CONDITIONAL, PLACE_SHIFT, RARE, BookCore, Fills, Ladder, Node, Taker, Terms, likely, uint128_t,
    unlikely,
)
from engine.fast.eligibility cimport maker_terms, shows_too_little, tradable
from engine.fast.levels cimport key_behind, key_of, leave_level, level_at, requeue, shrink_level
from engine.fast.lives cimport bury, displayed
from engine.fast.memory cimport grown_by_half, resize
from engine.fast.owners cimport has_none
from engine.fast.pool cimport shown_of
from engine.fast.records cimport (
    KIND_REFILLED, KIND_TRADE, REASON_OUTSIDE_BAND, REASON_SELF_TRADE, REASON_WALK_LIMIT,
    SELF_TRADE_CANCEL_BOTH, SELF_TRADE_CANCEL_NEWEST, SELF_TRADE_DECREMENT, STOP_DONE, STOP_OUTSIDE_BAND,
    STOP_SELF_TRADE, STOP_WALK_LIMIT, TIME_FOK, Sink,
)
from engine.fast.sink cimport emit, emit_amended, emit_canceled
from engine.fast.stops cimport trigger_stops

cdef enum:
    # Beside the reasons: the breach of the band opens an auction.
    OPENS_AUCTION = 255
    # What a search for the first counterpart found, beside a node's index.
    NOBODY = 0
    LOOKED_ENOUGH = 0xFFFFFFFF


cdef inline int64_t reach_of(Ladder *ladder, Taker *taker) noexcept nogil:
    """The last key that the taker's limit reaches; the end of a ladder is beyond every limit."""
    return key_of(ladder, taker.price)


cdef inline uint64_t _looks(BookCore *core) noexcept nogil:
    return core.limits.max_looked if core.limits.max_looked else <uint64_t>-1


cdef inline bint same_account(BookCore *core, Taker *taker, uint32_t index) noexcept nogil:
    return core.nodes[index].account == taker.account and taker.account != 0


cdef inline uint8_t own_refusal(BookCore *core, Taker *taker, uint32_t gone) noexcept nogil:
    """Why an order mustn't join an auction: it crosses an unconditional one of its own account, or too many
    to look at. Gone: makers that its own walk took away, and so has looked at already.
    """
    cdef Ladder *ladder = &core.sides[not taker.sells]
    cdef int64_t key = ladder.best_key
    cdef int64_t reach = reach_of(ladder, taker)
    cdef uint64_t looks = _looks(core) - gone
    cdef uint32_t index
    if taker.account == 0 or has_none(core, ladder.sells, taker.account):
        return 0
    while key <= reach:
        index = ladder.levels[level_at(core, ladder, key)].first
        while index:
            if looks == 0:
                return REASON_WALK_LIMIT
            looks -= 1
            if core.nodes[index].account == taker.account and not core.nodes[index].place & CONDITIONAL:
                return REASON_SELF_TRADE
            index = core.nodes[index].next
        key = key_behind(core, ladder, key)
    return 0


cdef inline uint32_t first_counterpart(BookCore *core, Taker *taker, bint others_only) noexcept nogil:
    """The first order that the taker could trade with, or NOBODY, or LOOKED_ENOUGH."""
    cdef Ladder *ladder = &core.sides[not taker.sells]
    cdef int64_t key = ladder.best_key
    cdef int64_t reach = reach_of(ladder, taker)
    cdef uint64_t looks = _looks(core)
    cdef uint32_t index
    while key <= reach:
        index = ladder.levels[level_at(core, ladder, key)].first
        while index:
            if looks == 0:
                return LOOKED_ENOUGH
            looks -= 1
            if not (others_only and same_account(core, taker, index)):
                if BARE or not ((core.nodes[index].place | taker.flags) & RARE):
                    return index
                if tradable(
                    core, taker, maker_terms(core, index), taker.leaves, core.nodes[index].leaves,
                    shown_of(core, index),
                ):
                    return index
            index = core.nodes[index].next
        key = key_behind(core, ladder, key)
    return NOBODY


cdef inline uint8_t _breach(
    BookCore *core, Taker *taker, uint32_t index, int32_t price, int32_t passed
) noexcept nogil:
    """A trade would print outside the band: whether an auction opens, or the remainder just goes."""
    if (core.nodes[index].place | taker.flags) & CONDITIONAL or taker.time_in_force == TIME_FOK:
        return REASON_OUTSIDE_BAND
    if passed != 0 and passed != price:
        return REASON_OUTSIDE_BAND
    if core.auction_end_ns != 0 and (
        core.now_ns - core.auction_end_ns < <int64_t>core.limits.cooldown_s * SECOND_NS
    ):
        return REASON_OUTSIDE_BAND
    return OPENS_AUCTION


cdef inline void _cancel_own(
    BookCore *core, Sink *sink, Ladder *ladder, uint32_t index, int32_t price
) noexcept nogil:
    cdef Node *node = &core.nodes[index]
    emit_canceled(core, sink, node.order_id, ladder.sells, price, node.leaves, REASON_SELF_TRADE)
    leave_level(core, ladder, index, shown_of(core, index))
    bury(core, index)


cdef inline void _decrement(
    BookCore *core, Sink *sink, Taker *taker, Ladder *ladder, uint32_t index, int32_t price
) noexcept nogil:
    """Both shrink by the same quantity, totals too; nothing is traded."""
    cdef Node *node = &core.nodes[index]
    cdef uint32_t level = node.place >> PLACE_SHIFT
    cdef uint32_t flags = node.place
    cdef uint32_t quantity = node.leaves if node.leaves < taker.leaves else taker.leaves
    cdef uint32_t shown = shown_of(core, index)
    cdef Terms *terms
    taker.quantity -= quantity
    taker.leaves -= quantity
    if quantity == node.leaves:
        emit_canceled(core, sink, node.order_id, ladder.sells, price, quantity, REASON_SELF_TRADE)
        leave_level(core, ladder, index, shown)
        bury(core, index)
    else:
        node.quantity -= quantity
        node.leaves -= quantity
        if shown > node.leaves:
            shrink_level(core, ladder, level, flags, shown - node.leaves)
            terms = maker_terms(core, index)
            if flags & RARE:
                terms.shown = node.leaves
        emit_amended(
            core, sink, node.order_id, ladder.sells, price, node.quantity, node.leaves, REASON_SELF_TRADE,
            True
        )
    if taker.leaves == 0:
        emit_canceled(core, sink, taker.order_id, taker.sells, taker.price, quantity, REASON_SELF_TRADE)
    else:
        emit_amended(
            core, sink, taker.order_id, taker.sells, taker.price, taker.quantity, taker.leaves,
            REASON_SELF_TRADE, True
        )


cdef inline bint _is_divisible(Terms *terms) noexcept nogil:
    """Whether decrement may take any number off an order."""
    return terms.lot == 0 and terms.min_quantity == 0 and not terms.same_baron


cdef inline uint8_t _meet_own(
    BookCore *core, Sink *sink, Taker *taker, Ladder *ladder, uint32_t index, int32_t price
) noexcept nogil:
    """The taker meets its own account's order: its mode rules (section 5). SELF_TRADE when the walk ends."""
    if taker.mode == SELF_TRADE_CANCEL_NEWEST:
        return REASON_SELF_TRADE
    if taker.mode == SELF_TRADE_DECREMENT:
        if _is_divisible(maker_terms(core, index)):
            _decrement(core, sink, taker, ladder, index, price)
            return 0
    _cancel_own(core, sink, ladder, index, price)
    return REASON_SELF_TRADE if taker.mode == SELF_TRADE_CANCEL_BOTH else 0


cdef inline bint _fill_rare(
    BookCore *core, Sink *sink, Ladder *ladder, uint32_t index, uint32_t quantity, int32_t price
) noexcept nogil:
    """Something is left of a maker that was filled and has terms; whether it went to the back of its level.
    """
    cdef Node *node = &core.nodes[index]
    cdef Terms *terms = maker_terms(core, index)
    cdef uint32_t level = node.place >> PLACE_SHIFT
    cdef uint32_t shown = terms.shown
    if terms.display == 0:
        terms.shown = node.leaves
    elif not shows_too_little(terms, shown - quantity, node.leaves):
        terms.shown = shown - quantity
    else:
        terms.shown = displayed(terms, node.leaves)
        requeue(core, ladder, index, shown, terms.shown)
        emit(
            core, sink, KIND_REFILLED, node.order_id, 0, price, terms.shown, node.leaves, 0,
            ladder.sells + 1, 0, 0
        )
        return True
    shrink_level(core, ladder, level, node.place, quantity)
    return False


cdef inline uint8_t match_taker(BookCore *core, Sink *sink, Taker *taker) noexcept nogil:
    """Walk in earnest: 0, or why the remainder can't go on. Room for events was reserved, and for an hour's
    trades.
    """
    cdef Ladder *ladder = &core.sides[not taker.sells]
    cdef int64_t key = ladder.best_key
    cdef int64_t reach = reach_of(ladder, taker)
    cdef int32_t price
    cdef int32_t passed = 0
    cdef int32_t traded = 0
    cdef uint64_t looks = _looks(core)
    cdef uint64_t volume = 0
    cdef uint128_t notional = 0
    cdef bint left_behind = False
    cdef uint8_t outcome = 0
    cdef uint32_t level, index, following, quantity
    cdef Node *node
    while key <= reach:
        level = ladder.best_level if likely(key == ladder.best_key) else level_at(core, ladder, key)
        index = ladder.levels[level].first
        price = <int32_t>ladder.levels[level].price
        while index and outcome == 0 and taker.leaves:
            if unlikely(looks == 0):
                outcome = REASON_WALK_LIMIT
                break
            looks -= 1
            node = &core.nodes[index]
            following = node.next
            quantity = node.leaves if node.leaves < taker.leaves else taker.leaves
            if not BARE and unlikely((node.place | taker.flags) & RARE):
                quantity = tradable(
                    core, taker, maker_terms(core, index), taker.leaves, node.leaves, shown_of(core, index)
                )
                if quantity == 0:
                    if passed == 0:
                        passed = price
                    left_behind = True
                    index = following
                    continue
            if not BARE and unlikely(node.account == taker.account) and taker.account != 0:
                outcome = _meet_own(core, sink, taker, ladder, index, price)
                index = following
                continue
            if not BARE and traded != price:
                if unlikely(outside_band(core, price)):
                    outcome = _breach(core, taker, index, price, passed)
                    break
                if unlikely(price >= core.buy_trigger or price <= core.sell_trigger):
                    trigger_stops(core, price)
            traded = price
            taker.leaves -= quantity
            node.leaves -= quantity
            volume += quantity
            notional += <uint64_t>price * quantity
            emit(
                core, sink, KIND_TRADE, node.order_id, taker.order_id, price, quantity, node.leaves,
                taker.leaves,
                taker.sells + 1, 0, 0,
            )
            if node.leaves == 0:
                # It showed what it had left.
                leave_level(core, ladder, index, quantity)
                bury(core, index)
            elif not BARE and unlikely(node.place & RARE):
                if _fill_rare(core, sink, ladder, index, quantity, price):
                    # Alone in its level, it is its own follower.
                    if following == 0:
                        following = index
                else:
                    left_behind = True
            else:
                shrink_level(core, ladder, level, node.place, quantity)
                left_behind = True
            index = following
        if outcome or taker.leaves == 0:
            break
        key = key_behind(core, ladder, key) if unlikely(left_behind) else ladder.best_key
    if volume and not BARE:
        note_trades(core, notional, volume, traded)
    return outcome


cdef inline bint _note_fill(Fills *fills, uint64_t order_id, int32_t price, uint32_t quantity) noexcept nogil:
    cdef uint64_t capacity
    if fills.count == fills.capacity:
        capacity = grown_by_half(fills.capacity, 16)
        if resize(<void **>&fills.order_ids, fills.capacity, capacity, sizeof(uint64_t), False) < 0:
            return False
        if resize(<void **>&fills.prices, fills.capacity, capacity, sizeof(int32_t), False) < 0:
            return False
        if resize(<void **>&fills.quantities, fills.capacity, capacity, sizeof(uint32_t), False) < 0:
            return False
        fills.capacity = capacity
    fills.order_ids[fills.count] = order_id
    fills.prices[fills.count] = price
    fills.quantities[fills.count] = quantity
    fills.count += 1
    return True


cdef inline int reserve_refills(BookCore *core) noexcept nogil:
    """Room for a dry walk to note each iceberg that shows a later slice; 0, or -1 when there is no memory."""
    cdef uint32_t capacity
    if core.refill_capacity >= core.icebergs:
        return 0
    capacity = <uint32_t>grown_by_half(core.refill_capacity, core.icebergs)
    if resize(<void **>&core.refills, core.refill_capacity, capacity, sizeof(core.refills[0]), False) < 0:
        return -1
    core.refill_capacity = capacity
    return 0


cdef inline uint8_t match_dry(
    BookCore *core, Taker *taker, Fills *fills, uint64_t *found, bint own_is_nought
) noexcept nogil:
    """Walk dry: why it ends (a STOP_); the taker's leaves shrink, nothing else changes.

    own_is_nought: whether own orders count as zero, as for a fok, even under decrement;
    found: how many looks and fills it took; fills: NULL, or where they are noted. Room for refills was
    reserved.
    """
    cdef Ladder *ladder = &core.sides[not taker.sells]
    cdef int64_t key = ladder.best_key
    cdef int64_t reach = reach_of(ladder, taker)
    cdef int32_t price
    cdef uint64_t looks = _looks(core)
    # Icebergs that show a later slice, as a ring: each is in it once, so it never overtakes itself.
    cdef uint32_t head, queued, place
    cdef uint32_t index, quantity, leaves, shown
    cdef bint again
    cdef Terms *terms
    found[0] = 0
    found[1] = 0
    while key <= reach:
        index = level_at(core, ladder, key)
        price = <int32_t>ladder.levels[index].price
        index = ladder.levels[index].first
        head = 0
        queued = 0
        while True:
            again = index == 0
            if again:
                if queued == 0:
                    break
                index = core.refills[head].node
                leaves = core.refills[head].leaves
                shown = displayed(maker_terms(core, index), leaves)
                head = head + 1 if head + 1 < core.refill_capacity else 0
                queued -= 1
            else:
                leaves = core.nodes[index].leaves
                shown = shown_of(core, index)
            if taker.leaves == 0:
                return STOP_DONE
            if looks == 0:
                return STOP_WALK_LIMIT
            looks -= 1
            found[0] += 1
            terms = maker_terms(core, index)
            quantity = tradable(core, taker, terms, taker.leaves, leaves, shown)
            if quantity and same_account(core, taker, index):
                if taker.mode == SELF_TRADE_CANCEL_NEWEST or taker.mode == SELF_TRADE_CANCEL_BOTH:
                    return STOP_SELF_TRADE
                if taker.mode == SELF_TRADE_DECREMENT and not own_is_nought and _is_divisible(terms):
                    taker.leaves -= leaves if leaves < taker.leaves else taker.leaves
                quantity = 0
            if quantity:
                if outside_band(core, price):
                    return STOP_OUTSIDE_BAND
                found[1] += 1
                taker.leaves -= quantity
                if fills != NULL and not _note_fill(fills, core.nodes[index].order_id, price, quantity):
                    fills.failed = True
                    return STOP_DONE
                if shows_too_little(terms, shown - quantity, leaves - quantity):
                    place = head + queued
                    if place >= core.refill_capacity:
                        place -= core.refill_capacity
                    core.refills[place].node = index
                    core.refills[place].leaves = leaves - quantity
                    queued += 1
            index = 0 if again else core.nodes[index].next
        key = key_behind(core, ladder, key)
    return STOP_DONE
