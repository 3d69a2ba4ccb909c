# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""How a book looks from Python: its orders as structs, its depth, and all of its state, out and in again.

Values are as the book keeps them, normalized at entry. Nothing here matches, and nothing here is in a hurry.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset

from engine.fast.apply cimport TOLD
from engine.fast.band cimport auction_counts, begin_minute, reserve_hour
from engine.fast.core cimport (
    ARMED, BLOCK, CONDITIONAL, MINUTES, MODE_SHIFT, NO_KEY, POSTED, RARE, SELLS, Block, Branch, Hour, Ladder,
    Level, Node, Pair, Taker, Terms,
)
from engine.fast.eligibility cimport RATING_SHIFT, is_conditional, is_rare
from engine.fast.ids cimport find_order, is_live, reserve_ids
from engine.fast.levels cimport clear_ladder, key_behind, level_at, price_end
from engine.fast.lives cimport price_of, reserve_rest, rest, wait
from engine.fast.maps cimport reserve_pair, set_value
from engine.fast.owners cimport drop_owners, owner_bytes
from engine.fast.pool cimport reserve_nodes, shown_of, terms_of
from engine.fast.records cimport BUY, SELL, TIME_GTC, TYPE_LIMIT, EventRecord

from engine.book import BookState, RestingOrder
from engine.book import Level as DepthLevel
from engine.book_state import check, check_bare
from engine.kinds import OrderType, Side, TimeInForce
from engine.records import SelfTrade, Session

cdef tuple SIDES = (None, *Side)
cdef tuple TYPES = (None, *OrderType)
cdef tuple TIMES = (None, *TimeInForce)
cdef tuple MODES = tuple(SelfTrade)
cdef tuple SESSIONS = (None, *Session)


cdef object wide(uint128_t value):
    """A Python int of 128 bits."""
    cdef uint64_t high = <uint64_t>(value >> 64)
    cdef uint64_t low = <uint64_t>value
    return (<object>high << 64) | low


cdef void look_at(BookCore *core, uint32_t index, Shown *shown) noexcept nogil:
    """A live order as the protocol shows it, while nothing changes."""
    cdef Node *node = &core.nodes[index]
    if node.place & RARE:
        shown.terms = terms_of(core, index)
    else:
        memset(&shown.plain, 0, sizeof(Terms))
        shown.plain.order_type = TYPE_LIMIT
        shown.plain.time_in_force = TIME_GTC
        shown.terms = &shown.plain
    shown.order_id = node.order_id
    shown.account = node.account
    shown.side = SELL if node.place & SELLS else BUY
    shown.mode = (node.place >> MODE_SHIFT) & 3
    shown.post_only = node.place & POSTED != 0
    shown.price = price_of(core, index)
    shown.quantity = node.quantity
    shown.leaves = node.leaves
    shown.shown = node.leaves if node.place & ARMED else shown_of(core, index)


cdef object order_at(BookCore *core, uint32_t index):
    """The same as a struct."""
    cdef Shown order
    cdef const Terms *terms
    look_at(core, index, &order)
    terms = order.terms
    return RestingOrder(
        order_id=order.order_id,
        account=order.account,
        side=SIDES[order.side],
        order_type=TYPES[terms.order_type],
        time_in_force=TIMES[terms.time_in_force],
        self_trade=MODES[order.mode],
        post_only=order.post_only,
        same_baron=terms.same_baron != 0,
        price=order.price,
        quantity=order.quantity,
        leaves=order.leaves,
        shown=order.shown,
        display_quantity=terms.display,
        min_quantity=terms.min_quantity,
        stop_price=terms.stop_price,
        window_end_h=terms.window_end_h,
        baron=terms.baron,
        tag=terms.tag,
        features=terms.features,
        hours=terms.hours,
        lot=terms.lot,
        min_rating=terms.min_rating,
        triggered=terms.triggered != 0,
    )

cdef list best_levels(BookCore *core, bint sells, Py_ssize_t max_levels):
    """The best levels of a side, best first."""
    cdef Ladder *ladder = &core.sides[1 if sells else 0]
    cdef int64_t key = ladder.best_key
    cdef Level *level
    cdef list levels = []
    while key != NO_KEY and len(levels) < max_levels:
        level = &ladder.levels[level_at(core, ladder, key)]
        levels.append(DepthLevel(level.price, level.unconditional, level.conditional, level.orders))
        key = key_behind(core, ladder, key)
    return levels


cdef list orders_at_rest(BookCore *core, bint sells, Py_ssize_t max_orders):
    """The first so many orders at rest of a side, in priority order."""
    cdef Ladder *ladder = &core.sides[1 if sells else 0]
    cdef int64_t key = ladder.best_key
    cdef uint32_t index
    cdef list orders = []
    while key != NO_KEY and len(orders) < max_orders:
        index = ladder.levels[level_at(core, ladder, key)].first
        while index and len(orders) < max_orders:
            orders.append(order_at(core, index))
            index = core.nodes[index].next
        key = key_behind(core, ladder, key)
    return orders


cdef object state_of(BookCore *core, object limits):
    """All of it, for snapshots and hashes."""
    cdef uint32_t index = core.stop_first
    stops = []
    while index:
        stops.append(order_at(core, index))
        index = core.nodes[index].next
    return state_with(
        core,
        limits,
        tuple(orders_at_rest(core, False, core.ids.count)),
        tuple(orders_at_rest(core, True, core.ids.count)),
        tuple(stops),
    )


cdef object state_with(BookCore *core, object limits, object bids, object asks, object stops):
    """All of it but its orders, which are these."""
    cdef uint64_t minute, high
    cdef Pair *pair
    minutes = []
    if core.hour != NULL:
        minute = core.hour.minute - (MINUTES - 1) if core.hour.minute >= MINUTES else 0
        while minute <= core.hour.minute:
            entry = &core.hour.minutes[minute % MINUTES]
            if entry.quantity:
                high = <uint64_t>(entry.notional >> 64)
                minutes.append((minute, high, <uint64_t>entry.notional, entry.quantity))
            minute += 1
    barons = []
    if core.barons.pairs != NULL:
        for place in range(core.barons.mask + 1):
            pair = &core.barons.pairs[place]
            if pair.key:
                barons.append((pair.key, (pair.value >> RATING_SHIFT) & 0xFF, pair.value & 0xFFFF))
    return BookState(
        limits=limits,
        session=SESSIONS[core.session],
        last_ts_ns=core.now_ns,
        last_price=core.last_price,
        auction_price=core.auction_price if auction_counts(core) else 0,
        auction_end_ns=core.auction_end_ns,
        clearing_price=core.clearing_price,
        minutes=tuple(minutes),
        barons=tuple(sorted(barons)),
        bids=bids,
        asks=asks,
        stops=stops,
    )


cdef int _restore_struct(BookCore *core, object order, bint waits) except -1:
    """One order of a state takes its place."""
    cdef Taker taker
    cdef Terms *terms = &taker.terms
    memset(&taker, 0, sizeof(Taker))
    taker.order_id = order.order_id
    taker.account = order.account
    taker.quantity = order.quantity
    taker.leaves = order.leaves
    taker.price = order.price
    taker.mode = order.self_trade
    taker.sells = order.side == SELL
    taker.order_type = order.order_type
    taker.time_in_force = order.time_in_force
    taker.flags = POSTED if order.post_only else 0
    terms.display = order.display_quantity
    terms.min_quantity = order.min_quantity
    terms.stop_price = order.stop_price
    terms.window_end_h = order.window_end_h
    terms.baron = order.baron
    terms.tag = order.tag
    terms.features = order.features
    terms.hours = order.hours
    terms.lot = order.lot
    terms.min_rating = order.min_rating
    terms.same_baron = order.same_baron
    terms.triggered = order.triggered
    return restore_order(core, &taker, order.shown, waits)


cdef int reserve_orders(BookCore *core, uint64_t count) noexcept nogil:
    """Room for so many more orders, got at once; 0, or -1 when there is no memory."""
    if reserve_nodes(core, count) < 0 or reserve_ids(core, core.ids.count + count) < 0:
        return -1
    return 0


cdef int restore_order(BookCore *core, Taker *taker, uint32_t shown, bint waits) except -1:
    """The same of an order whose values are all in `taker`, POSTED in its flags, and what it showed."""
    cdef Terms *terms = &taker.terms
    cdef Level *level
    cdef uint32_t index
    taker.flags |= (SELLS if taker.sells else 0) | <uint32_t>taker.mode << MODE_SHIFT
    terms.price = taker.price
    terms.order_type = taker.order_type
    terms.time_in_force = taker.time_in_force
    if is_rare(terms) or waits:
        taker.flags |= RARE
    if is_conditional(terms):
        taker.flags |= CONDITIONAL
    if is_live(core, taker.order_id):
        raise ValueError("the state holds an order twice")
    if not waits and not 1 <= taker.price < price_end(core.height):
        raise ValueError("the state holds an order at no price")
    if reserve_rest(core, taker) < 0:
        raise MemoryError("no memory for the orders of a state")
    if waits:
        wait(core, taker)
        return 0
    rest(core, taker)
    if terms.display and terms.shown != shown:
        index = find_order(core, taker.order_id)
        level = &core.sides[taker.sells].levels[core.nodes[index].place >> 8]
        if taker.flags & CONDITIONAL:
            level.conditional += <uint64_t>shown - terms.shown
        else:
            level.unconditional += <uint64_t>shown - terms.shown
        terms_of(core, index).shown = shown
    return 0


cdef int restore_state(BookCore *core, object state) except -1:
    """A core that has just been made becomes what `state` says; ValueError for what no book is."""
    check(state)
    restore_bare(core, state)
    for order in (*state.bids, *state.asks):
        _restore_struct(core, order, False)
    for order in state.stops:
        _restore_struct(core, order, True)
    return 0


cdef int restore_bare(BookCore *core, object state) except -1:
    """The same, but for the orders."""
    check_bare(state)
    core.session = state.session
    core.now_ns = state.last_ts_ns
    core.last_price = state.last_price
    core.auction_price = state.auction_price
    core.auction_end_ns = state.auction_end_ns
    core.clearing_price = state.clearing_price
    if state.minutes and reserve_hour(core) < 0:
        raise MemoryError("no memory for the trades of a state")
    for minute, high, low, quantity in state.minutes:
        begin_minute(core.hour, minute)
        entry = &core.hour.minutes[<uint64_t>minute % MINUTES]
        entry.notional = <uint128_t><uint64_t>high << 64 | <uint64_t>low
        entry.quantity = quantity
        core.hour.notional += entry.notional
        core.hour.quantity += entry.quantity
    for baron, rating, features in state.barons:
        if reserve_pair(&core.barons) < 0:
            raise MemoryError("no memory for the Barons of a state")
        set_value(
            &core.barons, baron,
            TOLD | <uint32_t><uint8_t>rating << RATING_SHIFT | <uint32_t><uint16_t>features
        )
    return 0


cdef uint64_t pool_bytes(BookCore *core) noexcept:
    """Bytes of all that a book has allocated."""
    cdef uint64_t size = 0
    cdef int side
    for side in range(2):
        size += core.sides[side].block_capacity * (BLOCK * sizeof(Level) + sizeof(Block))
        if core.sides[side].marks != NULL:
            size += core.sides[side].block_capacity * BLOCK * sizeof(uint32_t)
    size += core.node_capacity * (sizeof(Node) + (sizeof(uint32_t) if core.term_of != NULL else 0))
    size += core.term_capacity * sizeof(Terms) + core.branch_capacity * sizeof(Branch)
    size += core.pending_capacity * sizeof(EventRecord) + core.refill_capacity * sizeof(core.refills[0])
    size += core.change_capacity * sizeof(core.changes[0]) + core.stop_capacity * 3 * sizeof(uint32_t)
    size += sizeof(Hour) if core.hour != NULL else 0
    size += core.node_capacity * sizeof(uint32_t)
    size += (<uint64_t>core.ids.now.last + 1) * sizeof(uint32_t) if core.ids.now.heads != NULL else 0
    size += (<uint64_t>core.ids.old.last + 1) * sizeof(uint32_t) if core.ids.old.heads != NULL else 0
    size += (core.accounts.mask + 1) * sizeof(Pair) if core.accounts.pairs != NULL else 0
    size += (core.barons.mask + 1) * sizeof(Pair) if core.barons.pairs != NULL else 0
    size += owner_bytes(core)
    return size


cdef int take_limits(BookCore *core, object limits) except -1:
    """The bounds that a book is held to; BookLimits has seen to it that each fits its field."""
    core.limits.max_looked = limits.max_looked
    core.limits.max_stops = limits.max_stops
    core.limits.max_conditional_account = limits.max_conditional_account
    core.limits.max_conditional_side = limits.max_conditional_side
    core.limits.display_ratio = limits.display_ratio
    core.limits.quantity_max = limits.quantity_max
    core.limits.price_max = limits.price_max
    core.limits.market_protection_ppm = limits.market_protection_ppm
    core.limits.band_ppm = limits.band_ppm
    core.limits.auction_s = limits.auction_s
    core.limits.cooldown_s = limits.cooldown_s
    core.limits.fires = limits.fires
    # As few branches as the prices need.
    core.height = 0
    while core.limits.price_max >= price_end(core.height):
        core.height += 1
    clear_ladder(&core.sides[0], False, core.height)
    clear_ladder(&core.sides[1], True, core.height)
    return 0


cdef void free_orders(BookCore *core) noexcept nogil:
    """Give back what a book without live orders, and with no change to tell, has for them; it begins again as
    a new one does.
    """
    cdef int side
    for side in range(2):
        free(core.sides[side].levels)
        free(core.sides[side].blocks)
        free(core.sides[side].marks)
        memset(&core.sides[side], 0, sizeof(Ladder))
        clear_ladder(&core.sides[side], side, core.height)
    free(core.nodes)
    free(core.term_of)
    free(core.terms)
    free(core.branches)
    free(core.ids.now.heads)
    free(core.ids.old.heads)
    free(core.ids.behind)
    memset(&core.ids, 0, sizeof(core.ids))
    core.nodes = NULL
    core.term_of = NULL
    core.terms = NULL
    core.branches = NULL
    core.node_capacity = core.node_used = core.node_free = core.node_spare = 0
    core.term_capacity = core.term_used = core.term_free = core.term_spare = 0
    core.branch_capacity = core.branch_used = core.branch_free = core.branch_spare = 0
    # Nobody waits, hides or is counted where no order is live.
    free(core.refills)
    free(core.accounts.pairs)
    free(core.buy_stops.nodes)
    free(core.sell_stops.nodes)
    free(core.due.nodes)
    free(core.changes)
    core.refills = NULL
    core.refill_capacity = 0
    core.changes = NULL
    core.change_capacity = 0
    memset(&core.accounts, 0, sizeof(core.accounts))
    core.buy_stops.nodes = core.sell_stops.nodes = core.due.nodes = NULL
    core.stop_capacity = 0


cdef void free_pools(BookCore *core) noexcept:
    """Give back all that a book has allocated."""
    free_orders(core)
    free(core.pending)
    free(core.hour)
    free(core.barons.pairs)
    drop_owners(core)
