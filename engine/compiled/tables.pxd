"""Tables by id for compiled callers: what stands in for dicts whose keys are numbers below 2^64 - 1.

They keep the order of entry, as dicts do. A reference that `find` or `walk` gives is borrowed.
"""

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from engine.compiled.rings cimport NO_SLOT, Ring, ring_find


cdef class ById:
    # Goes up whenever a key comes or goes.
    cdef uint64_t changes
    # Changes only through the methods below; `ring_find` may read an IdTable's.
    cdef Ring ring

    cdef object value_at(self, uint64_t slot)
    # A new one, or another in an old one's place.
    cdef int put(self, uint64_t key, object value) except -1
    cdef int drop_slot(self, uint64_t slot) except -1
    cdef uint64_t length(self) noexcept
    cdef bint has(self, uint64_t key) noexcept
    # Whether it was there.
    cdef bint drop(self, uint64_t key) except -1
    # Bytes of all that it has allocated, without the objects in it.
    cdef uint64_t size_bytes(self) noexcept


cdef class IdTable(ById):
    """Objects by id."""

    # NULL when there is none.
    cdef PyObject *find(self, uint64_t key) noexcept
    # One of which it is known that its key isn't in yet, and below 2^64 - 1.
    cdef int put_new(self, uint64_t key, object value) except -1
    # The next in order of entry, from turn 0 on; NULL at the end. Not while the table changes.
    cdef PyObject *walk(self, uint64_t *turn) noexcept


cdef inline PyObject *find_in(const Ring *ring, uint64_t key) noexcept nogil:
    """What `find` gives, by the table's ring: where every nanosecond counts."""
    cdef int64_t slot
    if key < ring.near_size:
        return <PyObject *>ring.near[key]
    slot = ring_find(ring, key)
    return NULL if slot == NO_SLOT else (<PyObject **>ring.values)[slot]


cdef class IdMemory(ById):
    """A small number by id; Python sees each as the object that stands at its place in `members`."""

    cdef readonly tuple members

    # The number of an id; -1 when it isn't here.
    cdef int find(self, uint64_t key) noexcept
    # Take one in, or its number; beyond `most` ids the oldest is forgotten.
    cdef int remember(self, uint64_t key, uint8_t number, uint64_t most) except -1
    # The same where it is known that the key isn't in yet, and below 2^64 - 1.
    cdef int remember_new(self, uint64_t key, uint8_t number, uint64_t most) except -1
    # The same of so many, one after the other; False: there is no memory, and none is in.
    cdef bint remember_many(
        self, const uint64_t *keys, const uint8_t *numbers, uint32_t count, uint64_t most
    ) noexcept
    cdef void forget_beyond(self, uint64_t most) noexcept
    # The next in order of entry, from turn 0 on; False at the end. Not while the memory changes.
    cdef bint walk(self, uint64_t *turn, uint64_t *key, uint8_t *number) noexcept
