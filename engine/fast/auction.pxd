"""The auction: at which price it clears, its trades, and how continuous trading begins (rulebook section 6).
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from engine.fast.band cimport reference_price, take_reference
from engine.fast.core cimport NO_ASK, NO_BID, NO_KEY, RARE, BookCore, Hour, Ladder, Node, Terms
from engine.fast.deltas cimport touch
from engine.fast.eligibility cimport joins_auction
from engine.fast.entry cimport NO_MEMORY, say_session
from engine.fast.levels cimport key_before, key_behind, key_of, leave_level, level_at, price_of_key
from engine.fast.lives cimport bury, displayed
from engine.fast.owners cimport drop_owners
from engine.fast.pool cimport shown_of, terms_of
from engine.fast.records cimport (
    BUY, EVENT_AUCTION, KIND_CLEARED, KIND_TRADE, SELL, SESSION_AUCTION, SESSION_CONTINUOUS, SESSION_PRE_OPEN,
    Sink,
)
from engine.fast.sink cimport emit, reserve_events
from engine.fast.stops cimport trigger_stops

cdef enum:
    QUANTITY_SAID_MAX = 0xFFFFFFFF
    EVENTS_BESIDE_TRADES = 4


cdef struct Clearing:
    uint64_t volume
    uint64_t surplus
    int32_t price
    uint8_t side


cdef struct Cursor:
    # Where an auction is in a side's queues; index 0: at its end.
    int64_t key
    uint32_t index


cdef inline uint64_t _offered(BookCore *core, Ladder *ladder, int64_t price) noexcept nogil:
    """All that those of a level who take part leave, hidden quantity too."""
    cdef uint32_t level_index = level_at(core, ladder, key_of(ladder, price))
    cdef uint32_t index
    cdef uint64_t total = 0
    # Where no order was ever rare, or none hides anything and no bid has a window, the level's sum says it.
    if core.term_of == NULL or (core.icebergs == 0 and not ladder.sells):
        return ladder.levels[level_index].unconditional
    index = ladder.levels[level_index].first
    while index:
        if joins_auction(core, index):
            total += core.nodes[index].leaves
        index = core.nodes[index].next
    return total


cdef inline int64_t _price_at(Ladder *ladder, int64_t key, int64_t otherwise) noexcept nogil:
    return otherwise if key == NO_KEY else price_of_key(ladder, key)


cdef inline bint find_clearing(BookCore *core, int32_t reference, Clearing *best) noexcept nogil:
    """The price with the most volume, the least surplus, nearest to the reference (0: the middle); whether
    any clears.
    """
    cdef Ladder *bids = &core.sides[0]
    cdef Ladder *asks = &core.sides[1]
    cdef int64_t start = _price_at(asks, asks.best_key, NO_ASK)
    cdef int64_t next_ask = start
    cdef int64_t next_bid = 0
    cdef int64_t highest = _price_at(bids, bids.best_key, NO_BID)
    cdef int64_t price = highest
    cdef int64_t first = 0
    cdef int64_t last = 0
    # From here on the surplus is an ask's.
    cdef int64_t turned = NO_ASK
    cdef int64_t end
    cdef uint64_t demand = 0
    cdef uint64_t supply = 0
    cdef uint64_t volume, surplus
    best.volume = 0
    while price >= start:
        demand += _offered(core, bids, price)
        next_bid = price
        price = _price_at(bids, key_behind(core, bids, key_of(bids, price)), NO_BID)
    # Supply rises at an ask and demand falls above a bid: between two such ticks nothing differs.
    while start <= highest:
        if start == next_ask:
            supply += _offered(core, asks, start)
            next_ask = _price_at(asks, key_behind(core, asks, key_of(asks, start)), NO_ASK)
        end = next_ask - 1 if next_ask - 1 < next_bid else next_bid
        volume = demand if demand < supply else supply
        surplus = demand - supply if demand > supply else supply - demand
        if volume and (
            volume > best.volume or (volume == best.volume and surplus < best.surplus)
        ):
            best.volume = volume
            best.surplus = surplus
            first = start
            last = end
            turned = start if supply > demand else NO_ASK
        elif volume and volume == best.volume and surplus == best.surplus:
            last = end
            if supply > demand and turned == NO_ASK:
                turned = start
        if end == next_bid:
            demand -= _offered(core, bids, next_bid)
            next_bid = _price_at(bids, key_before(core, bids, key_of(bids, next_bid)), NO_ASK)
        start = end + 1
    if best.volume == 0:
        return False
    if reference == 0:
        best.price = <int32_t>((first + last) // 2)
    else:
        best.price = <int32_t>(first if reference < first else last if reference > last else reference)
    best.side = 0 if best.surplus == 0 else SELL if best.price >= turned else BUY
    return True


cdef inline void _seek(BookCore *core, Ladder *ladder, Cursor *cursor, int32_t limit) noexcept nogil:
    """From the cursor on, the first order at the limit or better that takes part."""
    while True:
        while cursor.index:
            if joins_auction(core, cursor.index):
                return
            cursor.index = core.nodes[cursor.index].next
        cursor.key = key_behind(core, ladder, cursor.key)
        if cursor.key > key_of(ladder, limit):
            return
        cursor.index = ladder.levels[level_at(core, ladder, cursor.key)].first


cdef inline void _begin(BookCore *core, Ladder *ladder, Cursor *cursor, int32_t limit) noexcept nogil:
    cursor.key = ladder.best_key
    cursor.index = 0
    if cursor.key > key_of(ladder, limit):
        return
    cursor.index = ladder.levels[level_at(core, ladder, cursor.key)].first
    _seek(core, ladder, cursor, limit)


cdef inline void _fill(
    BookCore *core, Ladder *ladder, Cursor *cursor, uint32_t quantity, int32_t limit
) noexcept nogil:
    """An order was filled: it goes, or shows anew at its place."""
    cdef uint32_t index = cursor.index
    cdef uint32_t shown = shown_of(core, index)
    cdef Node *node = &core.nodes[index]
    cdef uint32_t level = node.place >> 8
    cdef uint32_t shows_now
    cdef Terms *terms
    node.leaves -= quantity
    if node.leaves == 0:
        cursor.index = node.next
        leave_level(core, ladder, index, shown)
        bury(core, index)
        _seek(core, ladder, cursor, limit)
        return
    shows_now = node.leaves
    if node.place & RARE:
        terms = terms_of(core, index)
        shows_now = displayed(terms, node.leaves)
        terms.shown = shows_now
    if shows_now != shown:
        ladder.levels[level].unconditional += <uint64_t>shows_now - shown
        touch(core, ladder, level)


cdef inline void _open(BookCore *core, Sink *sink, int32_t cleared_price, uint8_t reason) noexcept nogil:
    """Trading goes on continuously; an auction that cleared is the reference from now on."""
    if core.session == SESSION_PRE_OPEN or core.session == SESSION_AUCTION:
        core.auction_price = 0
        core.auction_end_ns = core.now_ns
    if cleared_price:
        # One that began in a halt is an auction like any other.
        core.auction_price = cleared_price
        core.auction_end_ns = core.now_ns
        if core.hour != NULL:
            memset(core.hour, 0, sizeof(Hour))
    core.referenced = False
    core.session = SESSION_CONTINUOUS
    say_session(core, sink, reason, 0)


cdef inline bint _begin_clearing(BookCore *core, Sink *sink) noexcept nogil:
    """Find the price of an auction and say it; False when nothing crosses."""
    cdef Clearing clearing
    if not find_clearing(core, reference_price(core), &clearing):
        return False
    core.clearing_price = clearing.price
    emit(
        core, sink, KIND_CLEARED, 0, 0, clearing.price,
        <uint32_t>(clearing.volume if clearing.volume < QUANTITY_SAID_MAX else QUANTITY_SAID_MAX),
        <uint32_t>(clearing.surplus if clearing.surplus < QUANTITY_SAID_MAX else QUANTITY_SAID_MAX),
        0, clearing.side, 0, 0,
    )
    return True


cdef inline bint _trade_at_auction(BookCore *core, Sink *sink, uint64_t *left) noexcept nogil:
    """Trade until one side has none left at the price, or the bound on trades is met; whether it came to the
    end.
    """
    cdef Ladder *bids = &core.sides[0]
    cdef Ladder *asks = &core.sides[1]
    cdef int32_t price = core.clearing_price
    cdef uint32_t quantity
    cdef Cursor bid, ask
    cdef Node *buyer
    cdef Node *seller
    _begin(core, bids, &bid, price)
    _begin(core, asks, &ask, price)
    while bid.index and ask.index and left[0]:
        left[0] -= 1
        buyer = &core.nodes[bid.index]
        seller = &core.nodes[ask.index]
        quantity = buyer.leaves if buyer.leaves < seller.leaves else seller.leaves
        emit(
            core, sink, KIND_TRADE, seller.order_id, buyer.order_id, price, quantity,
            seller.leaves - quantity,
            buyer.leaves - quantity, 0, 0, EVENT_AUCTION,
        )
        _fill(core, asks, &ask, quantity, price)
        _fill(core, bids, &bid, quantity, price)
        core.last_price = price
        trigger_stops(core, price)
    return bid.index == 0 or ask.index == 0


cdef inline int clear(BookCore *core, Sink *sink, uint8_t reason) noexcept nogil:
    """Trade at auction prices until nothing crosses, or the command made as many trades as one may; 0, or
    NO_MEMORY.
    """
    cdef uint64_t left = core.ids.count
    cdef int32_t cleared_price = 0
    # Each trade ends one order at least, and each price but the last has one.
    if reserve_events(core, sink, 2 * left + EVENTS_BESIDE_TRADES) < 0:
        return NO_MEMORY
    if core.limits.max_looked != 0 and core.limits.max_looked < left:
        left = core.limits.max_looked
    # Nobody enters any more before trading is continuous.
    drop_owners(core)
    take_reference(core)
    while core.clearing_price != 0 or _begin_clearing(core, sink):
        cleared_price = core.clearing_price
        if not _trade_at_auction(core, sink, &left):
            return 0
        # Where orders left in the midst of it, what stayed may still cross, at another price.
        core.clearing_price = 0
    _open(core, sink, cleared_price, reason)
    return 0
