"""The stops that wait: chained in order of entry, in a heap a side by stop price, and once triggered in one
by entry.
"""

from libc.stdint cimport int32_t, uint32_t, uint64_t

from engine.fast.core cimport ARMED, NO_ASK, NO_BID, SELLS, BookCore, Heap, Node, Terms
from engine.fast.memory cimport grown_by_half, resize
from engine.fast.pool cimport terms_of


cdef inline int reserve_stop(BookCore *core) noexcept nogil:
    """Room for one more stop; 0, or -1 when there is no memory."""
    cdef uint32_t old = core.stop_capacity
    cdef uint32_t capacity
    if core.stops < old:
        return 0
    capacity = <uint32_t>grown_by_half(old, 8)
    if resize(<void **>&core.buy_stops.nodes, old, capacity, sizeof(uint32_t), False) < 0:
        return -1
    if resize(<void **>&core.sell_stops.nodes, old, capacity, sizeof(uint32_t), False) < 0:
        return -1
    if resize(<void **>&core.due.nodes, old, capacity, sizeof(uint32_t), False) < 0:
        return -1
    core.stop_capacity = capacity
    return 0


cdef inline uint64_t _key(BookCore *core, Heap *heap, uint32_t node) noexcept nogil:
    """What comes first is small: the lowest buy stop, the highest sell stop, the earliest entry."""
    cdef Terms *terms = terms_of(core, node)
    if heap == &core.due:
        return terms.entry
    if heap == &core.buy_stops:
        return <uint64_t>terms.stop_price
    return <uint64_t>(NO_ASK - terms.stop_price)


cdef inline void _set(BookCore *core, Heap *heap, uint32_t position, uint32_t node) noexcept nogil:
    heap.nodes[position] = node
    terms_of(core, node).position = position


cdef inline void _rise(BookCore *core, Heap *heap, uint32_t position, uint32_t node) noexcept nogil:
    cdef uint64_t key = _key(core, heap, node)
    cdef uint32_t parent
    while position:
        parent = (position - 1) >> 1
        if _key(core, heap, heap.nodes[parent]) <= key:
            break
        _set(core, heap, position, heap.nodes[parent])
        position = parent
    _set(core, heap, position, node)


cdef inline void _sink(BookCore *core, Heap *heap, uint32_t position, uint32_t node) noexcept nogil:
    cdef uint64_t key = _key(core, heap, node)
    cdef uint32_t child
    while True:
        child = 2 * position + 1
        if child >= heap.count:
            break
        if child + 1 < heap.count and (
            _key(core, heap, heap.nodes[child + 1]) < _key(core, heap, heap.nodes[child])
        ):
            child += 1
        if _key(core, heap, heap.nodes[child]) >= key:
            break
        _set(core, heap, position, heap.nodes[child])
        position = child
    _set(core, heap, position, node)


cdef inline void _push(BookCore *core, Heap *heap, uint32_t node) noexcept nogil:
    heap.count += 1
    _rise(core, heap, heap.count - 1, node)


cdef inline void _remove(BookCore *core, Heap *heap, uint32_t node) noexcept nogil:
    cdef uint32_t position = terms_of(core, node).position
    cdef uint32_t last
    heap.count -= 1
    last = heap.nodes[heap.count]
    if last == node:
        return
    # The last one takes its place: it may belong higher or lower.
    if position and _key(core, heap, last) < _key(core, heap, heap.nodes[(position - 1) >> 1]):
        _rise(core, heap, position, last)
    else:
        _sink(core, heap, position, last)


cdef inline void _set_triggers(BookCore *core) noexcept nogil:
    core.buy_trigger = NO_ASK
    core.sell_trigger = NO_BID
    if core.buy_stops.count:
        core.buy_trigger = terms_of(core, core.buy_stops.nodes[0]).stop_price
    if core.sell_stops.count:
        core.sell_trigger = terms_of(core, core.sell_stops.nodes[0]).stop_price


cdef inline Heap *_heap_of(BookCore *core, uint32_t node) noexcept nogil:
    if terms_of(core, node).triggered:
        return &core.due
    return &core.sell_stops if core.nodes[node].place & SELLS else &core.buy_stops


cdef inline bint reaches(bint sells, int32_t stop_price, int32_t price) noexcept nogil:
    """Whether a trade at a price (0: none) triggers a stop."""
    return price != 0 and (price <= stop_price if sells else price >= stop_price)


cdef inline void arm(BookCore *core, uint32_t index) noexcept nogil:
    """A stop waits from now on, at the end of all; `triggered` says which way. Room was reserved."""
    cdef Node *node = &core.nodes[index]
    core.entries += 1
    terms_of(core, index).entry = core.entries
    node.place = (node.place & 0xFF) | ARMED
    node.next = 0
    node.prev = core.stop_last
    if core.stop_last:
        core.nodes[core.stop_last].next = index
    else:
        core.stop_first = index
    core.stop_last = index
    core.stops += 1
    _push(core, _heap_of(core, index), index)
    _set_triggers(core)


cdef inline void disarm(BookCore *core, uint32_t index) noexcept nogil:
    """A stop waits no more."""
    cdef Node *node = &core.nodes[index]
    if node.prev:
        core.nodes[node.prev].next = node.next
    else:
        core.stop_first = node.next
    if node.next:
        core.nodes[node.next].prev = node.prev
    else:
        core.stop_last = node.prev
    core.stops -= 1
    _remove(core, _heap_of(core, index), index)
    node.place &= ~<uint32_t>ARMED
    _set_triggers(core)


cdef inline void _trigger_first(BookCore *core, Heap *heap) noexcept nogil:
    cdef uint32_t index = heap.nodes[0]
    _remove(core, heap, index)
    terms_of(core, index).triggered = True
    _push(core, &core.due, index)


cdef inline void trigger_stops(BookCore *core, int32_t price) noexcept nogil:
    """A trade was made at this price."""
    while core.buy_stops.count and terms_of(core, core.buy_stops.nodes[0]).stop_price <= price:
        _trigger_first(core, &core.buy_stops)
    while core.sell_stops.count and terms_of(core, core.sell_stops.nodes[0]).stop_price >= price:
        _trigger_first(core, &core.sell_stops)
    _set_triggers(core)
