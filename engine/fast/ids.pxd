"""Where an order is, by its id: open addressing in slots of 8 bytes, deletion without tombstones.

A slot's fingerprint gives its home, so that growing never looks at a node. A large table grows by moving a
few slots with each insertion: no single command pays for all.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from engine.fast.core cimport BookCore, Slots, Table, likely, prefetch, unlikely

cdef enum:
    FIRST_BITS = 4
    # Slots that are looked at with each insertion while a table moves.
    MOVED_AT_ONCE = 16
    # Up to so many bits a table moves in one go.
    WHOLE_BITS = 12
    LAST_BITS = 32
    ROOMY_BITS = 14


cdef inline uint32_t fingerprint_of(uint64_t order_id) noexcept nogil:
    """32 bits of an id, well mixed: the golden ratio's multiple spreads ids that differ in a few bits."""
    return <uint32_t>(((order_id ^ (order_id >> 32)) * <uint64_t>0x9E3779B97F4A7C15) >> 32)


cdef inline uint32_t _found_in(
    BookCore *core, Slots *table, uint64_t order_id, uint32_t fingerprint
) noexcept nogil:
    cdef uint64_t position = fingerprint >> table.shift
    cdef uint64_t slot = table.slots[position]
    while slot:
        if likely(<uint32_t>(slot >> 32) == fingerprint) and core.nodes[<uint32_t>slot].order_id == order_id:
            return <uint32_t>slot
        position = (position + 1) & table.mask
        slot = table.slots[position]
    return 0


cdef inline uint32_t find_order(BookCore *core, uint64_t order_id) noexcept nogil:
    """The node of a live order, or 0."""
    cdef uint32_t fingerprint, node
    if unlikely(core.ids.count == 0):
        return 0
    fingerprint = fingerprint_of(order_id)
    node = _found_in(core, &core.ids.now, order_id, fingerprint)
    if unlikely(core.ids.old.slots != NULL) and node == 0:
        node = _found_in(core, &core.ids.old, order_id, fingerprint)
    return node


cdef inline void _put_slot(Slots *table, uint64_t slot) noexcept nogil:
    cdef uint64_t position = (slot >> 32) >> table.shift
    while table.slots[position]:
        position = (position + 1) & table.mask
    table.slots[position] = slot


cdef inline bint _take_slot(Slots *table, uint64_t slot) noexcept nogil:
    """Empty the slot and move those behind it nearer to their homes; whether it was there."""
    cdef uint64_t mask = table.mask
    cdef uint64_t hole = (slot >> 32) >> table.shift
    cdef uint64_t position, other
    while table.slots[hole] != slot:
        if table.slots[hole] == 0:
            return False
        hole = (hole + 1) & mask
    position = hole
    while True:
        position = (position + 1) & mask
        other = table.slots[position]
        if other == 0:
            break
        if ((position - ((other >> 32) >> table.shift)) & mask) >= ((position - hole) & mask):
            table.slots[hole] = other
            hole = position
    table.slots[hole] = 0
    return True


cdef inline void _move_slots(Table *ids, uint64_t some) noexcept nogil:
    """Move slots of the old table into the new one, whole runs at a time: a run that was cut couldn't be
    searched.
    """
    cdef Slots *old = &ids.old
    cdef uint64_t position, slot
    cdef uint64_t size = old.mask + 1
    cdef uint64_t seen = 0
    while ids.left:
        position = ids.moved
        slot = old.slots[position]
        if slot == 0 and seen >= some:
            return
        if slot:
            _put_slot(&ids.now, slot)
            old.slots[position] = 0
        seen += 1
        ids.moved = (position + 1) & (size - 1)
        ids.left -= 1
    free(old.slots)
    old.slots = NULL


cdef inline int grow_ids(Table *ids) noexcept nogil:
    """A table of twice the size; 0, or -1 when there is no memory."""
    cdef uint32_t bits = FIRST_BITS if ids.now.slots == NULL else 33 - ids.now.shift
    cdef uint64_t size = <uint64_t>1 << bits
    cdef uint64_t *slots
    if bits >= LAST_BITS:
        return -1
    if ids.old.slots != NULL:
        _move_slots(ids, <uint64_t>-1)
    slots = <uint64_t *>calloc(<size_t>size, sizeof(uint64_t))
    if slots == NULL:
        return -1
    ids.old = ids.now
    ids.now.slots = slots
    ids.now.mask = size - 1
    ids.now.shift = 32 - bits
    # A search in a table that is half empty seldom looks twice; a large one is kept fuller, for its memory.
    ids.grow_at = <uint32_t>(size >> 1 if bits <= ROOMY_BITS else size * 45 >> 6)
    if ids.old.slots != NULL:
        # From behind an empty slot, so that no run begins before the first position.
        ids.moved = 0
        while ids.old.slots[ids.moved]:
            ids.moved += 1
        ids.left = ids.old.mask + 1
        if bits <= WHOLE_BITS:
            _move_slots(ids, <uint64_t>-1)
    return 0


cdef inline int reserve_id(BookCore *core) noexcept nogil:
    """Room for one more id; 0, or -1 when there is no memory."""
    if core.ids.count >= core.ids.grow_at:
        return grow_ids(&core.ids)
    return 0


cdef inline void insert_order(BookCore *core, uint64_t order_id, uint32_t node) noexcept nogil:
    """Note where an order is that wasn't live; room was reserved."""
    if unlikely(core.ids.old.slots != NULL):
        _move_slots(&core.ids, MOVED_AT_ONCE)
    _put_slot(&core.ids.now, <uint64_t>fingerprint_of(order_id) << 32 | node)
    core.ids.count += 1


cdef inline void remove_order(BookCore *core, uint64_t order_id, uint32_t node) noexcept nogil:
    """Forget a live order."""
    cdef uint64_t slot = <uint64_t>fingerprint_of(order_id) << 32 | node
    if unlikely(not _take_slot(&core.ids.now, slot)):
        _take_slot(&core.ids.old, slot)
    core.ids.count -= 1


cdef inline void prefetch_slot(BookCore *core, uint64_t order_id) noexcept nogil:
    prefetch(&core.ids.now.slots[fingerprint_of(order_id) >> core.ids.now.shift])


cdef inline void prefetch_node(BookCore *core, uint64_t order_id) noexcept nogil:
    """Once its slot is near: the node that the slot most likely means."""
    cdef uint64_t slot = core.ids.now.slots[fingerprint_of(order_id) >> core.ids.now.shift]
    prefetch(&core.nodes[<uint32_t>slot])
