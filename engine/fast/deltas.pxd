"""Levels that changed since they were last told, each once, in the order of its first change.

A level that emptied stays in its place until it was told; without a reader nothing is noted.
"""

from libc.stdint cimport uint32_t, uint64_t

from engine.fast.core cimport BLOCK, BookCore, Change, Ladder, unlikely
from engine.fast.memory cimport grown_by_half, resize


cdef inline int reserve_changes(BookCore *core) noexcept nogil:
    """Room for every level that one command may change; 0, or -1 when there is no memory."""
    cdef uint32_t capacity
    # Those that wait to be told, and levels with orders; an amend or a stop opens one more. No more than
    # there are.
    cdef uint64_t most = <uint64_t>core.change_count + core.sides[0].orders + core.sides[1].orders + 4
    cdef uint64_t levels = (<uint64_t>core.sides[0].block_used + core.sides[1].block_used + 2) * BLOCK
    if levels < most:
        most = levels
    if core.change_capacity >= most:
        return 0
    capacity = <uint32_t>grown_by_half(core.change_capacity, most)
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
