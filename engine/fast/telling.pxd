"""Deltas out: the levels that changed, as records; and the forgetting of those that nobody wants told."""

from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.string cimport memmove, memset

from engine.fast.core cimport BLOCK, BookCore, Change, Ladder, Level
from engine.fast.levels cimport release_level
from engine.fast.memory cimport resize
from engine.fast.records cimport DeltaRecord


cdef inline void _told(BookCore *core, uint32_t place) noexcept nogil:
    """A change is done with; its level may go if it is empty."""
    cdef Change *change = &core.changes[place]
    cdef Ladder *ladder = &core.sides[1 if change.sells else 0]
    ladder.marks[change.level] = 0
    if ladder.levels[change.level].orders == 0:
        release_level(core, ladder, change.level)


cdef inline void forget_changes(BookCore *core) noexcept nogil:
    cdef uint32_t place
    for place in range(core.change_count):
        _told(core, place)
    core.change_count = 0


cdef inline int _reserve_marks(Ladder *ladder) noexcept nogil:
    if ladder.marks != NULL or ladder.block_capacity == 0:
        return 0
    return resize(<void **>&ladder.marks, 0, <uint64_t>ladder.block_capacity * BLOCK, sizeof(uint32_t), True)


cdef inline int keep_changes(BookCore *core, bint keep) noexcept nogil:
    """Begin a call: what an earlier one left untold counts as its first command's; or is forgotten. 0, or -1.
    """
    cdef uint32_t place
    core.tracking = False
    if not keep:
        if core.change_count:
            forget_changes(core)
        return 0
    if _reserve_marks(&core.sides[0]) < 0 or _reserve_marks(&core.sides[1]) < 0:
        return -1
    for place in range(core.change_count):
        core.changes[place].command = 0
    core.tracking = True
    return 0


cdef inline uint64_t tell_changes(BookCore *core, DeltaRecord *deltas, uint64_t room) noexcept nogil:
    """Write as many as there is room for, in the order of their first change; how many."""
    cdef uint32_t count = core.change_count if core.change_count < room else <uint32_t>room
    cdef uint32_t place
    cdef Change *change
    cdef Ladder *ladder
    cdef Level *level
    cdef DeltaRecord *delta
    for place in range(count):
        change = &core.changes[place]
        ladder = &core.sides[1 if change.sells else 0]
        level = &ladder.levels[change.level]
        delta = &deltas[place]
        memset(delta, 0, sizeof(DeltaRecord))
        delta.unconditional = level.unconditional
        delta.conditional = level.conditional
        delta.price = <int32_t>level.price
        delta.orders = level.orders
        delta.command = change.command
        delta.side = ladder.sells + 1
        _told(core, place)
    core.change_count -= count
    if core.change_count and count:
        memmove(&core.changes[0], &core.changes[count], core.change_count * sizeof(Change))
        for place in range(core.change_count):
            change = &core.changes[place]
            core.sides[1 if change.sells else 0].marks[change.level] = place + 1
    return count
