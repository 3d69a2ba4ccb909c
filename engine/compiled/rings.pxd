"""A hash of ids that keeps their order of entry, in C: what a dict is for numbers, at about thirty bytes each.

Keys and values stand in a ring, oldest first; an open-addressed index says in which slot of it a key is. The oldest
leaves without a trace, so that a bounded memory never pauses; one from the middle leaves a gap, and gaps are closed when
the ring is full. What a value is, its owner knows; nothing here knows Python.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

cdef enum:
    FIRST_SLOTS = 8


cdef struct Ring:
    uint64_t *keys
    char *values
    # Slot + 1 of the key that is at home here or was moved on; 0: none.
    uint32_t *places
    # The oldest's place and the place behind the newest: they only go up, and modulo the size they are slots.
    uint64_t head
    uint64_t tail
    uint64_t count
    uint64_t slots
    uint32_t value_size
    # Shifts a key's hash to as many bits as the index has.
    uint32_t shift


cdef enum:
    NO_SLOT = -1
