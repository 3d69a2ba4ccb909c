"""Levels that changed since they were last told, each once, in the order of its first change.

A level that emptied stays in its place until it was told; without a reader nothing is noted.
"""

from libc.stdint cimport uint32_t

from engine.fast.core cimport BookCore, Change, Ladder, unlikely
from engine.fast.memory cimport grown_by_half, resize


cdef inline int reserve_changes(BookCore *core) noexcept nogil:
    """Room for every level that one command may change; 0, or -1 when there is no memory."""
    cdef uint32_t capacity
    # A change is a level that exists; an amend or a stop opens one more.
    if core.change_capacity >= core.level_count + 4:
        return 0
    capacity = <uint32_t>grown_by_half(core.change_capacity, core.level_count + 4)
    if resize(<void **>&core.changes, core.change_capacity, capacity, sizeof(Change), False) < 0:
        return -1
    core.change_capacity = capacity
    return 0


cdef inline void _note(BookCore *core, Ladder *ladder, uint32_t level) noexcept nogil:
    cdef Change *change
    if ladder.marks[level]:
        core.changes[ladder.marks[level] - 1].command = core.command
        return
    change = &core.changes[core.change_count]
    core.change_count += 1
    ladder.marks[level] = core.change_count
    change.level = level
    change.command = core.command
    change.sells = ladder.sells


cdef inline void touch(BookCore *core, Ladder *ladder, uint32_t level) noexcept nogil:
    """Note that a level changed."""
    if unlikely(core.tracking):
        _note(core, ladder, level)
