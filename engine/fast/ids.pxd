"""Where an order is, by its id: chains of nodes by a hash of their ids, four bytes a head and four a link.

Chains need no run of full slots to be closed when an order leaves, so that what is asked most is decided by
branches that seldom surprise. A large table grows by moving a few chains with each insertion: no single
command pays for all.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from engine.fast.core cimport BARE, BookCore, Heads, Table, prefetch, unlikely

cdef enum:
    FIRST_BITS = 4
    # Chains that are moved with each insertion while a table grows: done long before it must grow again.
    MOVED_AT_ONCE = 4
    # Up to so many bits a table moves in one go.
    WHOLE_BITS = 12
    LAST_BITS = 32
    # An id's last bits are its number within its command; a run is of so many commands, in bits.
    WITHIN_BITS = 16
    WITHIN = 0xFFFF
    RUN_BITS = 9


cdef inline uint32_t chain_of(uint64_t order_id, uint32_t shift) noexcept nogil:
    """The chain of an id in a table of 32 - shift bits.

    Newcomers of a market follow each other by their command (`engine.ids`): their chains do too, so that they
    are near when the next one comes. Where one such run begins is spread, and so are ids within a command.
    """
    cdef uint64_t command = order_id >> WITHIN_BITS
    cdef uint32_t spread = <uint32_t>(order_id & WITHIN) * <uint32_t>0x9E3779B1
    spread += <uint32_t>(command >> RUN_BITS) * <uint32_t>0x85EBCA6B
    return (<uint32_t>command + spread) & (<uint32_t>0xFFFFFFFF >> shift)


cdef inline uint32_t _found_in(BookCore *core, Heads *table, uint64_t order_id) noexcept nogil:
    cdef uint32_t node = table.heads[chain_of(order_id, table.shift)]
    while node and core.nodes[node].order_id != order_id:
        node = core.ids.behind[node]
    return node


cdef inline uint32_t find_order(BookCore *core, uint64_t order_id) noexcept nogil:
    """The node of a live order, or 0."""
    cdef uint32_t node
    if unlikely(core.ids.count == 0):
        return 0
    node = _found_in(core, &core.ids.now, order_id)
    if unlikely(core.ids.old.heads != NULL) and node == 0:
        node = _found_in(core, &core.ids.old, order_id)
    return node


cdef inline bint is_live(BookCore *core, uint64_t order_id) noexcept nogil:
    """Whether a live order has this id."""
    return unlikely(order_id <= core.ids.newest) and find_order(core, order_id) != 0


cdef inline void _link(BookCore *core, uint64_t order_id, uint32_t node) noexcept nogil:
    """A node becomes the first of its chain."""
    cdef uint32_t *head = &core.ids.now.heads[chain_of(order_id, core.ids.now.shift)]
    core.ids.behind[node] = head[0]
    head[0] = node


cdef inline bint _unlink(BookCore *core, Heads *table, uint64_t order_id, uint32_t node) noexcept nogil:
    """A node leaves its chain; whether it was there."""
    cdef uint32_t *link = &table.heads[chain_of(order_id, table.shift)]
    while link[0] != node:
        if link[0] == 0:
            return False
        link = &core.ids.behind[link[0]]
    link[0] = core.ids.behind[node]
    return True


cdef inline void _move_chains(BookCore *core, uint32_t some) noexcept nogil:
    """Move so many chains of the old table into the new one."""
    cdef Table *ids = &core.ids
    cdef uint32_t node, following
    while some and ids.moved <= ids.old.last:
        node = ids.old.heads[ids.moved]
        ids.old.heads[ids.moved] = 0
        while node:
            following = ids.behind[node]
            _link(core, core.nodes[node].order_id, node)
            node = following
        ids.moved += 1
        some -= 1
    if ids.moved > ids.old.last:
        free(ids.old.heads)
        ids.old.heads = NULL


cdef inline int _grow(BookCore *core) noexcept nogil:
    """A table of twice the size; 0, or -1 when there is no memory."""
    return _widen(core, FIRST_BITS if core.ids.now.heads == NULL else 33 - core.ids.now.shift)


cdef inline int _widen(BookCore *core, uint32_t bits) noexcept nogil:
    """A larger table, of so many bits; 0, or -1 when there is no memory."""
    cdef Table *ids = &core.ids
    cdef uint64_t size = <uint64_t>1 << bits
    cdef uint32_t *heads
    if bits >= LAST_BITS:
        return -1
    if ids.old.heads != NULL:
        _move_chains(core, <uint32_t>-1)
    heads = <uint32_t *>calloc(<size_t>size, sizeof(uint32_t))
    if heads == NULL:
        return -1
    ids.old = ids.now
    ids.now.heads = heads
    ids.now.last = <uint32_t>(size - 1)
    ids.now.shift = 32 - bits
    # Half as many orders as chains: a search seldom looks twice.
    ids.grow_at = <uint32_t>(size >> 1)
    ids.moved = 0
    if ids.old.heads != NULL and bits <= WHOLE_BITS:
        _move_chains(core, <uint32_t>-1)
    return 0


cdef inline int reserve_id(BookCore *core) noexcept nogil:
    """Room for one more id; 0, or -1 when there is no memory."""
    if core.ids.count >= core.ids.grow_at:
        return _grow(core)
    return 0


cdef inline int reserve_ids(BookCore *core, uint64_t count) noexcept nogil:
    """Room for so many ids; 0, or -1 when there is no memory. Not while somebody waits for the book: chains
    that move are moved by the ids that come.
    """
    cdef uint32_t bits = FIRST_BITS
    while bits < LAST_BITS and <uint64_t>1 << (bits - 1) < count:
        bits += 1
    return _widen(core, bits) if core.ids.grow_at < count else 0


cdef inline void insert_order(BookCore *core, uint64_t order_id, uint32_t node) noexcept nogil:
    """Note where an order is that wasn't live; room was reserved."""
    if unlikely(core.ids.old.heads != NULL):
        _move_chains(core, MOVED_AT_ONCE)
    _link(core, order_id, node)
    if order_id > core.ids.newest:
        core.ids.newest = order_id
    core.ids.count += 1


cdef inline void remove_order(BookCore *core, uint64_t order_id, uint32_t node) noexcept nogil:
    """Forget a live order."""
    if unlikely(not _unlink(core, &core.ids.now, order_id, node)):
        _unlink(core, &core.ids.old, order_id, node)
    core.ids.count -= 1


cdef inline void prefetch_head(BookCore *core, uint64_t order_id) noexcept nogil:
    prefetch(&core.ids.now.heads[chain_of(order_id, core.ids.now.shift)])


cdef inline void prefetch_node(BookCore *core, uint64_t order_id) noexcept nogil:
    """Once its head is near: the first node of the chain, which most likely is the one."""
    cdef uint32_t node
    # A book that is empty may have given all its memory back.
    if core.ids.count == 0:
        return
    node = core.ids.now.heads[chain_of(order_id, core.ids.now.shift)]
    prefetch(&core.nodes[node])
    prefetch(&core.ids.behind[node])
    if not BARE and core.term_of != NULL:
        prefetch(&core.term_of[node])
