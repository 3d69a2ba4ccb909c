"""The pools of orders and of terms: slots with a chain of the free ones, so that what left is used again."""

from libc.stdint cimport uint32_t, uint64_t

from engine.fast.core cimport RARE, BookCore, Node, Terms
from engine.fast.memory cimport grown_by_quarter, resize

cdef enum:
    # Indices have 32 bits.
    NODES_MAX = 0xFFFF0000


cdef inline int reserve_node(BookCore *core) noexcept nogil:
    """Room for one more order; 0, or -1 when there is no memory."""
    if core.node_spare:
        return 0
    return _widen_nodes(core, grown_by_quarter(core.node_capacity, 16))


cdef inline int reserve_nodes(BookCore *core, uint64_t count) noexcept nogil:
    """The same for so many more."""
    if core.node_spare >= count:
        return 0
    return _widen_nodes(core, core.node_capacity + (count - core.node_spare) + 1)


cdef inline int _widen_nodes(BookCore *core, uint64_t wanted) noexcept nogil:
    cdef uint32_t capacity = <uint32_t>wanted
    if wanted >= NODES_MAX:
        return -1
    if core.term_of != NULL and resize(
        <void **>&core.term_of, core.node_capacity, capacity, sizeof(uint32_t), True
    ) < 0:
        return -1
    if resize(<void **>&core.ids.behind, core.node_capacity, capacity, sizeof(uint32_t), False) < 0:
        return -1
    if resize(<void **>&core.nodes, core.node_capacity, capacity, sizeof(Node), False) < 0:
        return -1
    # Slot 0 is nobody's.
    if core.node_used == 0:
        core.node_used = 1
    core.node_capacity = capacity
    core.node_spare = capacity - core.node_used
    return 0


cdef inline uint32_t take_node(BookCore *core) noexcept nogil:
    """A free slot; room was reserved."""
    cdef uint32_t index = core.node_free
    core.node_spare -= 1
    if index:
        core.node_free = core.nodes[index].next
        return index
    index = core.node_used
    core.node_used = index + 1
    return index


cdef inline void give_node(BookCore *core, uint32_t index) noexcept nogil:
    core.nodes[index].next = core.node_free
    core.node_free = index
    core.node_spare += 1


cdef inline int reserve_terms(BookCore *core) noexcept nogil:
    """Room for one more order's terms; 0, or -1 when there is no memory. Nodes were reserved before."""
    cdef uint32_t capacity
    if core.term_of == NULL and resize(
        <void **>&core.term_of, 0, core.node_capacity, sizeof(uint32_t), True
    ) < 0:
        return -1
    if core.term_spare:
        return 0
    if core.term_capacity >= <uint32_t>-65536:
        return -1
    capacity = <uint32_t>grown_by_quarter(core.term_capacity, 16)
    if resize(<void **>&core.terms, core.term_capacity, capacity, sizeof(Terms), False) < 0:
        return -1
    if core.term_used == 0:
        core.term_used = 1
    core.term_capacity = capacity
    core.term_spare = capacity - core.term_used
    return 0


cdef inline Terms *terms_of(BookCore *core, uint32_t node) noexcept nogil:
    """The terms of an order that has RARE."""
    return &core.terms[core.term_of[node]]


cdef inline Terms *take_terms(BookCore *core, uint32_t node) noexcept nogil:
    """Terms for an order that has none, to be written by the caller; room was reserved."""
    cdef uint32_t index = core.term_free
    core.term_spare -= 1
    if index:
        core.term_free = core.terms[index].position
    else:
        index = core.term_used
        core.term_used = index + 1
    core.term_of[node] = index
    core.nodes[node].place |= RARE
    return &core.terms[index]


cdef inline void give_terms(BookCore *core, uint32_t node) noexcept nogil:
    cdef uint32_t index = core.term_of[node]
    core.terms[index].position = core.term_free
    core.term_free = index
    core.term_spare += 1
    core.term_of[node] = 0


cdef inline uint32_t shown_of(BookCore *core, uint32_t node) noexcept nogil:
    """What the depth counts of an order."""
    cdef Terms *terms
    if core.nodes[node].place & RARE:
        terms = terms_of(core, node)
        if terms.display:
            return terms.shown
    return core.nodes[node].leaves
