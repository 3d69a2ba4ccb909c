"""What changes an order that is live: cancel, reduce, a new window, amend, mass cancel (docs/book.md,
"Checks").

Each gives 0, the reason of its refusal, or NO_MEMORY with nothing changed.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from engine.fast.checks cimport shows_enough
from engine.fast.core cimport (
    ARMED, BARE, NO_KEY, PLACE_SHIFT, RARE, SELLS, BookCore, Ladder, Node, Taker, Terms, likely, unlikely,
)
from engine.fast.entry cimport NO_MEMORY, enter, prepare, reserve_entry, session_refusal
from engine.fast.ids cimport find_order
from engine.fast.levels cimport key_behind, leave_level, level_at, shrink_level
from engine.fast.lives cimport bury, price_of, rest, step_out, taker_of
from engine.fast.owners cimport count_owner
from engine.fast.pool cimport reserve_terms, shown_of, take_terms, terms_of
from engine.fast.records cimport (
    GIVEN_ANEW, GIVEN_PRICE, GIVEN_QUANTITY, REASON_INVALID_ORDER, REASON_INVALID_PRICE,
    REASON_INVALID_QUANTITY,
    REASON_MASS_CANCELED, REASON_NONE, REASON_NOTHING_TO_AMEND, REASON_REQUESTED, REASON_SESSION_CLOSED,
    REASON_UNKNOWN_ORDER, REASON_WINDOW_MOVED, SESSION_CONTINUOUS, SESSION_HALTED, TIME_GTC, TYPE_LIMIT,
    CommandRecord, Sink,
)
from engine.fast.sink cimport emit_amended, emit_canceled, reserve_events
from engine.fast.stops cimport arm, disarm


cdef inline uint32_t owned(BookCore *core, const CommandRecord *command) noexcept nogil:
    """The live order that a command names, if its account may; or 0."""
    cdef uint32_t index = find_order(core, command.order_id)
    if index and command.account != 0 and command.account != core.nodes[index].account:
        return 0
    return index


cdef inline void cancel_order(BookCore *core, Sink *sink, uint32_t index, uint8_t reason) noexcept nogil:
    """A live order is cancelled."""
    cdef Node *node = &core.nodes[index]
    emit_canceled(
        core, sink, node.order_id, (node.place & SELLS) != 0, price_of(core, index), node.leaves, reason
    )
    step_out(core, index)
    bury(core, index)


cdef inline int cancel(BookCore *core, Sink *sink, const CommandRecord *command) noexcept nogil:
    cdef uint32_t index = owned(core, command)
    if unlikely(index == 0):
        return REASON_UNKNOWN_ORDER
    cancel_order(core, sink, index, command.reason if command.reason else REASON_REQUESTED)
    return 0


cdef inline void _shrink(
    BookCore *core, Sink *sink, uint32_t index, uint32_t quantity, uint8_t reason
) noexcept nogil:
    """A smaller total, in place: the order keeps its priority."""
    cdef Node *node = &core.nodes[index]
    cdef Ladder *ladder = &core.sides[1 if node.place & SELLS else 0]
    cdef uint32_t shown = shown_of(core, index)
    node.leaves -= node.quantity - quantity
    node.quantity = quantity
    if not node.place & ARMED and shown > node.leaves:
        if node.place & RARE:
            terms_of(core, index).shown = node.leaves
        shrink_level(core, ladder, node.place >> PLACE_SHIFT, node.place, shown - node.leaves)
    emit_amended(
        core, sink, node.order_id, ladder.sells, price_of(core, index), node.quantity, node.leaves, reason,
        True
    )


cdef inline int reduce(BookCore *core, Sink *sink, const CommandRecord *command) noexcept nogil:
    cdef uint32_t index = owned(core, command)
    cdef uint8_t reason = command.reason if command.reason else REASON_REQUESTED
    if index == 0:
        return REASON_UNKNOWN_ORDER
    if command.quantity == 0:
        return REASON_INVALID_QUANTITY
    if command.quantity >= core.nodes[index].leaves:
        cancel_order(core, sink, index, reason)
    else:
        _shrink(core, sink, index, core.nodes[index].quantity - command.quantity, reason)
    return 0


cdef inline int move_window(BookCore *core, Sink *sink, const CommandRecord *command) noexcept nogil:
    cdef uint32_t index = owned(core, command)
    cdef Node *node
    cdef Terms *terms
    if index == 0:
        return REASON_UNKNOWN_ORDER
    node = &core.nodes[index]
    if not node.place & SELLS:
        return REASON_INVALID_ORDER
    if not node.place & RARE:
        if command.window_end_h and reserve_terms(core) < 0:
            return NO_MEMORY
        if command.window_end_h:
            terms = take_terms(core, index)
            memset(terms, 0, sizeof(Terms))
            terms.order_type = TYPE_LIMIT
            terms.time_in_force = TIME_GTC
            terms.window_end_h = command.window_end_h
    else:
        terms_of(core, index).window_end_h = command.window_end_h
    emit_amended(
        core, sink, node.order_id, True, price_of(core, index), node.quantity, node.leaves,
        REASON_WINDOW_MOVED, True
    )
    return 0


cdef inline int _amend_stop(BookCore *core, Sink *sink, uint32_t index, Taker *taker) noexcept nogil:
    """A stop that waits goes to the end of the stops, and stays triggered if it was."""
    cdef Node *node = &core.nodes[index]
    disarm(core, index)
    node.quantity = taker.quantity
    node.leaves = taker.leaves
    terms_of(core, index).price = taker.price
    arm(core, index)
    emit_amended(
        core, sink, node.order_id, taker.sells, taker.price, taker.quantity, taker.leaves, REASON_NONE, False
    )
    return 0


cdef inline int _enter_anew(BookCore *core, Sink *sink, uint32_t index, Taker *taker) noexcept nogil:
    """An order at rest leaves its level and enters like a new one; refused, it stands unchanged."""
    cdef int reason
    if likely(core.session == SESSION_CONTINUOUS):
        reason = prepare(core, taker)
    else:
        reason = session_refusal(core, taker)
    if unlikely(reason != 0):
        return reason
    if unlikely(reserve_entry(core, sink, taker) < 0):
        return NO_MEMORY
    count_owner(core, index, taker.sells, -1)
    leave_level(core, &core.sides[taker.sells], index, shown_of(core, index))
    emit_amended(
        core, sink, taker.order_id, taker.sells, taker.price, taker.quantity, taker.leaves, REASON_NONE, False
    )
    if likely(core.session == SESSION_CONTINUOUS):
        enter(core, sink, taker)
    else:
        rest(core, taker)
    return 0


cdef inline int amend(BookCore *core, Sink *sink, const CommandRecord *command) noexcept nogil:
    cdef Taker taker
    cdef uint32_t index
    cdef int64_t leaves
    cdef int32_t price
    if unlikely(core.session == SESSION_HALTED):
        return REASON_SESSION_CLOSED
    index = owned(core, command)
    if unlikely(index == 0):
        return REASON_UNKNOWN_ORDER
    if unlikely(command.flags == 0):
        return REASON_NOTHING_TO_AMEND
    taker_of(core, index, &taker)
    price = taker.price
    if command.flags & GIVEN_PRICE:
        if unlikely(command.price < 1 or command.price > core.limits.price_max):
            return REASON_INVALID_PRICE
        taker.price = command.price
    if command.flags & GIVEN_QUANTITY:
        if unlikely(command.quantity > core.limits.quantity_max):
            return REASON_INVALID_QUANTITY
        leaves = <int64_t>command.quantity - (taker.quantity - taker.leaves)
        if leaves <= 0:
            cancel_order(core, sink, index, REASON_REQUESTED)
            return 0
        taker.leaves = <uint32_t>leaves
        taker.quantity = command.quantity
    if not BARE and unlikely(taker.flags & RARE):
        if taker.terms.lot and taker.leaves % taker.terms.lot:
            return REASON_INVALID_QUANTITY
        if not shows_enough(core, taker.terms.display, taker.quantity):
            return REASON_INVALID_QUANTITY
    if taker.price == price and taker.quantity < core.nodes[index].quantity and (
        command.flags & GIVEN_ANEW == 0
    ):
        _shrink(core, sink, index, taker.quantity, REASON_NONE)
        return 0
    if not BARE and unlikely(core.nodes[index].place & ARMED):
        return _amend_stop(core, sink, index, &taker)
    return _enter_anew(core, sink, index, &taker)


cdef inline bint _meant(BookCore *core, uint32_t index, uint32_t account, uint32_t tag) noexcept nogil:
    """Whether a mass cancel of an account (0: all) and a tag (0: any) means an order."""
    if account != 0 and core.nodes[index].account != account:
        return False
    if tag == 0:
        return True
    return core.nodes[index].place & RARE != 0 and terms_of(core, index).tag == tag


cdef inline int cancel_all(
    BookCore *core, Sink *sink, uint32_t sides, uint32_t account, uint32_t tag, uint8_t reason
) noexcept nogil:
    """Bids, asks in priority order, stops in order of entry; `sides` as in Sides."""
    cdef Ladder *ladder
    cdef uint32_t index, following
    cdef int64_t key
    cdef int side
    if reserve_events(core, sink, <uint64_t>core.ids.count + 4) < 0:
        return NO_MEMORY
    for side in range(2):
        if not sides & (1 << side):
            continue
        ladder = &core.sides[side]
        key = ladder.best_key
        while key != NO_KEY:
            index = ladder.levels[level_at(core, ladder, key)].first
            while index:
                following = core.nodes[index].next
                if _meant(core, index, account, tag):
                    cancel_order(core, sink, index, reason)
                index = following
            key = key_behind(core, ladder, key)
    index = core.stop_first
    while index:
        following = core.nodes[index].next
        side = 1 if core.nodes[index].place & SELLS else 0
        if sides & (1 << side) and _meant(core, index, account, tag):
            cancel_order(core, sink, index, reason)
        index = following
    return 0


cdef inline int mass_cancel(BookCore *core, Sink *sink, const CommandRecord *command) noexcept nogil:
    return cancel_all(
        core, sink, command.flags, command.account, command.tag,
        command.reason if command.reason else REASON_MASS_CANCELED,
    )
