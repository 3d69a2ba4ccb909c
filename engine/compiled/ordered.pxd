"""Sorted sets for compiled callers: what stands in for SortedLists of timers, and of spot leases."""

from libc.stdint cimport int64_t, uint8_t, uint64_t

from engine.compiled.agenda cimport Agenda
from engine.compiled.nodes cimport Key
from engine.compiled.trees cimport Tree

cdef struct Timer:
    int64_t due_ns
    uint64_t id
    uint8_t kind


cdef struct Pair:
    int64_t first
    int64_t second


cdef class OrderedSet:
    cdef int to_key(self, object item, Key *key) except -1
    cdef tuple to_item(self, const Key *key)
    # A tree in which all items stand, until the next change.
    cdef Tree *sorted(self) except NULL
    cdef bint put(self, const Key *key) except -1
    cdef bint take(self, const Key *key) noexcept
    cdef bint holds(self, const Key *key) noexcept
    cdef bint least(self, Key *key) except -1
    cdef uint64_t length(self) noexcept
    # Bytes of all that it has allocated.
    cdef uint64_t size_bytes(self) noexcept


cdef class TimerSet(OrderedSet):
    """(due_ns, kind, id), each once, in this order."""

    # Changes only through the methods.
    cdef Agenda agenda

    # True: it is new. False: it was there already, and nothing changed.
    cdef bint insert(self, int64_t due_ns, uint8_t kind, uint64_t id) except -1
    # Whether it was there.
    cdef bint drop(self, int64_t due_ns, uint8_t kind, uint64_t id) noexcept
    cdef bint has(self, int64_t due_ns, uint8_t kind, uint64_t id) noexcept
    # The least one, left where it is; False when none is due by then.
    cdef bint due(self, int64_t now_ns, Timer *timer) except -1
    # What `insert` and `drop` leave over, out of their way.
    cdef bint insert_at_length(self, int64_t due_ns, uint8_t kind, uint64_t id) except -1
    cdef bint drop_at_length(self, int64_t due_ns, uint8_t kind, uint64_t id) noexcept


cdef class PairSet(OrderedSet):
    """(first, second), each once, in this order."""

    # Changes only through the methods.
    cdef Tree tree

    cdef bint insert(self, int64_t first, int64_t second) except -1
    cdef bint drop(self, int64_t first, int64_t second) noexcept
    cdef bint has(self, int64_t first, int64_t second) noexcept
    cdef bint first(self, Pair *pair) noexcept
    # The least one that is greater than this; False when there is none. Whatever changed since, it holds.
    cdef bint following(self, const Pair *pair, Pair *found) noexcept
