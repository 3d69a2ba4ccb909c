"""How an order comes to rest, leaves and is forgotten: pool, table, level, stops and counts in one step each.
"""

from libc.stdint cimport int32_t, uint32_t, uint64_t

from engine.fast.core cimport (
    ARMED, BARE, CONDITIONAL, PLACE_SHIFT, RARE, SELLS, BookCore, Ladder, Node, Taker, Terms, likely,
    prefetch, unlikely,
)
from engine.fast.ids cimport chain_of, insert_order, remove_order, reserve_id
from engine.fast.levels cimport join_level, leave_level, open_level, reserve_level
from engine.fast.maps cimport add_to, reserve_pair
from engine.fast.owners cimport count_owner, reserve_owner
from engine.fast.pool cimport (
    give_node, give_terms, reserve_node, reserve_terms, shown_of, take_node, take_terms, terms_of,
)
from engine.fast.stops cimport arm, disarm, reserve_stop


cdef inline int32_t price_of(BookCore *core, uint32_t index) noexcept nogil:
    """A live order's limit."""
    cdef uint32_t place = core.nodes[index].place
    if not BARE and unlikely(place & ARMED):
        return terms_of(core, index).price
    return <int32_t>core.sides[1 if place & SELLS else 0].levels[place >> PLACE_SHIFT].price


cdef inline uint32_t displayed(Terms *terms, uint32_t leaves) noexcept nogil:
    """What an order shows anew: all it leaves, or an iceberg's next slice."""
    return terms.display if terms.display and terms.display < leaves else leaves


cdef inline int reserve_rest(BookCore *core, Taker *taker) noexcept nogil:
    """Room for an order to rest or to wait; 0, or -1 when there is no memory. Nothing changes but capacities.
    """
    if reserve_level(core, &core.sides[taker.sells]) < 0 or reserve_owner(core, taker.sells) < 0:
        return -1
    if taker.node == 0 and (reserve_node(core) < 0 or reserve_id(core) < 0):
        return -1
    if not BARE and unlikely(taker.flags & RARE):
        if reserve_terms(core) < 0 or reserve_stop(core) < 0 or reserve_pair(&core.accounts) < 0:
            return -1
    return 0


cdef inline uint32_t keep(BookCore *core, Taker *taker) noexcept nogil:
    """The node of an order that stays live, in no queue yet; room was reserved."""
    cdef uint32_t index = taker.node
    cdef bint fresh = index == 0
    cdef Node *node
    cdef Terms *terms
    if fresh:
        index = take_node(core)
        insert_order(core, taker.order_id, index)
    node = &core.nodes[index]
    node.order_id = taker.order_id
    node.account = taker.account
    node.leaves = taker.leaves
    node.quantity = taker.quantity
    if likely(not (taker.flags & RARE)):
        node.place = taker.flags
        return index
    if fresh:
        node.place = taker.flags
        terms = take_terms(core, index)
        if taker.flags & CONDITIONAL:
            add_to(&core.accounts, taker.account, 1)
        if taker.terms.display:
            core.icebergs += 1
    else:
        node.place = taker.flags
        terms = terms_of(core, index)
        taker.terms.entry = terms.entry
        taker.terms.position = terms.position
    terms[0] = taker.terms
    return index


cdef inline void rest(BookCore *core, Taker *taker) noexcept nogil:
    """What an order leaves rests at the back of its level."""
    cdef Ladder *ladder = &core.sides[taker.sells]
    cdef uint32_t shown = taker.leaves
    cdef uint32_t index, level
    if unlikely(taker.flags & RARE):
        shown = displayed(&taker.terms, taker.leaves)
        taker.terms.shown = shown
    index = keep(core, taker)
    level = open_level(core, ladder, taker.price)
    join_level(core, ladder, level, index, core.nodes[index].place, shown)
    count_owner(core, index, taker.sells, 1)


cdef inline void bury(BookCore *core, uint32_t index) noexcept nogil:
    """Forget an order that has left its queue."""
    cdef Node *node = &core.nodes[index]
    if not BARE and unlikely(node.place & RARE):
        if node.place & CONDITIONAL:
            add_to(&core.accounts, node.account, -1)
        if terms_of(core, index).display:
            core.icebergs -= 1
        give_terms(core, index)
    remove_order(core, node.order_id, index)
    give_node(core, index)


cdef inline void step_out(BookCore *core, uint32_t index) noexcept nogil:
    """A live order leaves its level, or the stops; it isn't forgotten."""
    cdef uint32_t place = core.nodes[index].place
    if not BARE and unlikely(place & ARMED):
        disarm(core, index)
    else:
        count_owner(core, index, place & SELLS != 0, -1)
        leave_level(core, &core.sides[1 if place & SELLS else 0], index, shown_of(core, index))


cdef inline void wait(BookCore *core, Taker *taker) noexcept nogil:
    """A stop waits for its trigger."""
    taker.terms.price = taker.price
    arm(core, keep(core, taker))


cdef inline void taker_of(BookCore *core, uint32_t index, Taker *taker) noexcept nogil:
    """A live order on its way in again."""
    cdef Node *node = &core.nodes[index]
    taker.order_id = node.order_id
    taker.account = node.account
    taker.quantity = node.quantity
    taker.leaves = node.leaves
    taker.node = index
    taker.price = price_of(core, index)
    taker.flags = node.place & (0xFF ^ ARMED)
    taker.mode = (node.place >> 3) & 3
    taker.sells = (node.place & SELLS) != 0
    taker.order_type = 1
    taker.time_in_force = 1
    if node.place & RARE:
        taker.terms = terms_of(core, index)[0]
        taker.order_type = taker.terms.order_type
        taker.time_in_force = taker.terms.time_in_force


cdef inline void prefetch_around(BookCore *core, uint64_t order_id) noexcept nogil:
    """Once its node is near: what a live order's leaving touches beside it."""
    cdef uint32_t index
    cdef Node *node
    if core.ids.count == 0:
        return
    index = core.ids.now.heads[chain_of(order_id, core.ids.now.shift)]
    if index == 0:
        return
    node = &core.nodes[index]
    if node.order_id != order_id:
        # Another of its chain: the next one is it, most likely.
        prefetch(&core.nodes[core.ids.behind[index]])
        return
    prefetch(&core.nodes[node.prev])
    prefetch(&core.nodes[node.next])
    prefetch(&core.sides[1 if node.place & SELLS else 0].levels[node.place >> PLACE_SHIFT])
    if not BARE and node.place & RARE:
        prefetch(terms_of(core, index))
