"""Unconditional orders at rest by account, of each side, before trading (docs/book.md, check 14).

It is counted at the first search for one's own that ends at its limit, kept right from then on, and dropped
when trading begins: where no auction is that crowded, and in continuous trading, nothing is kept.
"""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from engine.fast.core cimport CONDITIONAL, NO_KEY, BookCore, Ladder, Map, Node, Pair, unlikely
from engine.fast.levels cimport key_behind, level_at
from engine.fast.maps cimport add_to, reserve_pair, value_of


cdef inline bint _counts(Node *node) noexcept nogil:
    """Whether an order at rest is one that its account may not cross."""
    return node.account != 0 and not node.place & CONDITIONAL


cdef inline void drop_owners(BookCore *core) noexcept nogil:
    """Trading is continuous, or over."""
    if core.owners == NULL:
        return
    free(core.owners[0].pairs)
    free(core.owners[1].pairs)
    free(core.owners)
    core.owners = NULL


cdef inline int reserve_owner(BookCore *core, bint sells) noexcept nogil:
    """Room for one more account; 0, or -1 when there is no memory."""
    if unlikely(core.owners != NULL):
        return reserve_pair(&core.owners[1 if sells else 0])
    return 0


cdef inline int count_owners(BookCore *core) noexcept nogil:
    """Count all that rests, to be kept right from now on; 0, or -1 without memory, with nothing changed."""
    cdef Ladder *ladder
    cdef uint32_t index
    cdef int64_t key
    cdef int side
    core.owners = <Map *>calloc(2, sizeof(Map))
    if core.owners == NULL:
        return -1
    for side in range(2):
        ladder = &core.sides[side]
        key = ladder.best_key
        while key != NO_KEY:
            index = ladder.levels[level_at(core, ladder, key)].first
            while index:
                if _counts(&core.nodes[index]):
                    if reserve_pair(&core.owners[side]) < 0:
                        drop_owners(core)
                        return -1
                    add_to(&core.owners[side], core.nodes[index].account, 1)
                index = core.nodes[index].next
            key = key_behind(core, ladder, key)
    return 0


cdef inline void count_owner(BookCore *core, uint32_t index, bint sells, int32_t more) noexcept nogil:
    """An order comes to rest, or leaves; room was reserved."""
    if unlikely(core.owners != NULL) and _counts(&core.nodes[index]):
        add_to(&core.owners[1 if sells else 0], core.nodes[index].account, more)


cdef inline bint has_none(BookCore *core, bint sells, uint32_t account) noexcept nogil:
    """Whether it is known that an account has none at rest on a side."""
    return core.owners != NULL and value_of(&core.owners[1 if sells else 0], account) == 0


cdef inline bint seeks_in_vain(BookCore *core, bint sells, uint32_t account) noexcept nogil:
    """Whether an account has none at rest on a side, by a look at all of it.

    For a breach alone: in the midst of its walk memory can't be asked for, and there is one to an auction.
    """
    cdef Ladder *ladder = &core.sides[1 if sells else 0]
    cdef int64_t key = ladder.best_key
    cdef uint32_t index
    while key != NO_KEY:
        index = ladder.levels[level_at(core, ladder, key)].first
        while index:
            if core.nodes[index].account == account and _counts(&core.nodes[index]):
                return False
            index = core.nodes[index].next
        key = key_behind(core, ladder, key)
    return True


cdef inline uint64_t owner_bytes(BookCore *core) noexcept nogil:
    """Bytes of what is kept here."""
    cdef uint64_t size = 0
    cdef int side
    if core.owners == NULL:
        return 0
    for side in range(2):
        size += (core.owners[side].mask + 1) * sizeof(Pair) if core.owners[side].pairs != NULL else 0
    return size + 2 * sizeof(Map)
