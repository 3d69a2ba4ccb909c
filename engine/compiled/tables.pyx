# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Tables by id: accounts, leases and what is remembered of what is gone, where the plain machine has dicts.

To Python rooms they are mappings that keep the order of entry, and that mustn't change while they are walked,
as dicts; to Cython rooms a lookup is a few nanoseconds and makes no object. Keys are numbers from 0 to
2^64 - 2: any other is simply not there, and can't be put in.
"""

from cpython.long cimport PyLong_AsUnsignedLongLong, PyLong_Check
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.stdint cimport UINT64_MAX, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memset

cimport cython

from collections.abc import ItemsView, KeysView, MutableMapping, ValuesView

from engine.compiled.rings cimport (
    AT_ONCE, GONE, NO_SLOT, Ring, ring_add, ring_bytes, ring_drop, ring_find, ring_free, ring_is_full,
    ring_next, ring_search, ring_widen,
)

cdef object NOTHING = object()

cdef enum:
    # Keys are small up to so many, and to a few times as many as there are.
    NEAR_FIRST = 256
    NEAR_TIMES = 4

cdef enum Shown:
    KEYS
    VALUES
    ITEMS


cdef inline uint64_t id_of(object key) except? 18446744073709551615:
    """The number that a key is; GONE for one that no table holds."""
    if not PyLong_Check(key):
        return GONE
    try:
        return PyLong_AsUnsignedLongLong(key)
    except OverflowError:
        return GONE


cdef int no_memory() except -1:
    raise MemoryError("no memory for a table by id")


cdef int not_an_id() except -1:
    raise OverflowError("an id is from 0 to 2^64 - 2")


cdef class ById:
    """What both tables are: a dict of numbers. They say what a value is."""

    cdef object value_at(self, uint64_t slot):
        raise TypeError("take an IdTable or an IdMemory")

    cdef int put(self, uint64_t key, object value) except -1:
        raise TypeError("take an IdTable or an IdMemory")

    cdef int drop_slot(self, uint64_t slot) except -1:
        ring_drop(&self.ring, slot)
        self.changes += 1
        return 0

    cdef uint64_t length(self) noexcept:
        return self.ring.count

    cdef bint has(self, uint64_t key) noexcept:
        return ring_search(&self.ring, key) != NO_SLOT

    cdef bint drop(self, uint64_t key) except -1:
        cdef int64_t slot = ring_search(&self.ring, key)
        if slot == NO_SLOT:
            return False
        self.drop_slot(slot)
        return True

    cdef uint64_t size_bytes(self) noexcept:
        return ring_bytes(&self.ring)

    def __len__(self):
        return self.ring.count

    def __sizeof__(self):
        return object.__sizeof__(self) + self.size_bytes()

    def __contains__(self, key):
        return self.has(id_of(key))

    def __getitem__(self, key):
        cdef int64_t slot = ring_search(&self.ring, id_of(key))
        if slot == NO_SLOT:
            raise KeyError(key)
        return self.value_at(slot)

    def __setitem__(self, key, value):
        self.put(id_of(key), value)

    def __delitem__(self, key):
        if not self.drop(id_of(key)):
            raise KeyError(key)

    def get(self, key, default=None):
        cdef int64_t slot = ring_search(&self.ring, id_of(key))
        return default if slot == NO_SLOT else self.value_at(slot)

    def pop(self, key, default=NOTHING):
        cdef int64_t slot = ring_search(&self.ring, id_of(key))
        if slot == NO_SLOT:
            if default is NOTHING:
                raise KeyError(key)
            return default
        value = self.value_at(slot)
        self.drop_slot(slot)
        return value

    def setdefault(self, key, default=None):
        cdef int64_t slot = ring_search(&self.ring, id_of(key))
        if slot != NO_SLOT:
            return self.value_at(slot)
        self.put(id_of(key), default)
        return default

    def update(self, given):
        """Take in a mapping, or (key, value) after (key, value)."""
        for key, value in given.items() if hasattr(given, "items") else given:
            self.put(id_of(key), value)

    def clear(self):
        cdef uint64_t turn = 0
        cdef int64_t slot = ring_next(&self.ring, &turn)
        while slot != NO_SLOT:
            # Letting an object go runs what it likes; so each leaves a whole table behind.
            self.drop_slot(slot)
            turn = 0
            slot = ring_next(&self.ring, &turn)
        ring_free(&self.ring)
        self.changes += 1

    def __iter__(self):
        return _Walk(self, KEYS)

    def keys(self):
        return KeysView(self)

    def values(self):
        return _Values(self)

    def items(self):
        return _Items(self)

    def __eq__(self, other):
        return dict(self.items()) == (dict(other.items()) if isinstance(other, ById) else other)

    def __repr__(self):
        return repr(dict(self.items()))


cdef class _Walk:
    """Goes through a table in order of entry."""

    cdef ById table
    cdef Shown shown
    cdef uint64_t turn
    cdef uint64_t changes

    def __cinit__(self, ById table, Shown shown):
        self.table = table
        self.shown = shown
        self.changes = table.changes

    def __iter__(self):
        return self

    def __next__(self):
        cdef int64_t slot
        if self.changes != self.table.changes:
            raise RuntimeError("the table changed while it was walked")
        slot = ring_next(&self.table.ring, &self.turn)
        if slot == NO_SLOT:
            raise StopIteration
        if self.shown == KEYS:
            return self.table.ring.keys[slot]
        if self.shown == VALUES:
            return self.table.value_at(slot)
        return self.table.ring.keys[slot], self.table.value_at(slot)


cdef class _Back:
    """Goes through what is in a table, the newest first."""

    cdef ById table
    cdef uint64_t turn
    cdef uint64_t changes

    def __cinit__(self, ById table):
        self.table = table
        self.turn = table.ring.tail
        self.changes = table.changes

    def __iter__(self):
        return self

    def __next__(self):
        cdef Ring *ring = &self.table.ring
        cdef uint64_t slot
        if self.changes != self.table.changes:
            raise RuntimeError("the table changed while it was walked")
        while self.turn != ring.head:
            self.turn -= 1
            slot = self.turn & (<uint64_t>ring.slots - 1)
            if ring.keys[slot] != GONE:
                return self.table.value_at(slot)
        raise StopIteration


class _Values(ValuesView):
    """What is in a table, in order of entry."""

    def __iter__(self):
        return _Walk(self._mapping, VALUES)

    def __reversed__(self):
        return _Back(self._mapping)


class _Items(ItemsView):
    """Keys with their values, in order of entry."""

    def __iter__(self):
        return _Walk(self._mapping, ITEMS)


MutableMapping.register(ById)


cdef int widen(Ring *ring, uint64_t key) except -1:
    """Room for a small key among those that are found without a search."""
    cdef uint64_t size = ring.near_size if ring.near_size else NEAR_FIRST
    cdef uint64_t turn = 0
    cdef void **near
    cdef int64_t slot
    while size <= key:
        size *= 2
    near = <void **>realloc(ring.near, size * sizeof(void *))
    if near == NULL:
        raise MemoryError("no memory for a table")
    memset(&near[ring.near_size], 0, (size - ring.near_size) * sizeof(void *))
    ring.near, ring.near_size = near, size
    # What was entered before is known there too.
    slot = ring_next(ring, &turn)
    while slot != NO_SLOT:
        if ring.keys[slot] < size:
            near[ring.keys[slot]] = (<void **>ring.values)[slot]
        slot = ring_next(ring, &turn)
    return 0


@cython.final
cdef class IdTable(ById):
    """Objects by id: each is held by the table."""

    def __cinit__(self):
        self.ring.value_size = sizeof(PyObject *)
        self.ring.indexed = AT_ONCE

    def __init__(self, given=()):
        self.update(given)

    def __dealloc__(self):
        cdef uint64_t turn = 0
        cdef int64_t slot = ring_next(&self.ring, &turn)
        while slot != NO_SLOT:
            Py_XDECREF((<PyObject **>self.ring.values)[slot])
            slot = ring_next(&self.ring, &turn)
        ring_free(&self.ring)
        free(self.ring.near)

    cdef uint64_t size_bytes(self) noexcept:
        return ring_bytes(&self.ring) + self.ring.near_size * sizeof(PyObject *)

    cdef object value_at(self, uint64_t slot):
        return <object>(<PyObject **>self.ring.values)[slot]

    cdef int put(self, uint64_t key, object value) except -1:
        cdef int64_t slot = ring_find(&self.ring, key)
        cdef PyObject **held
        cdef PyObject *before
        if slot == NO_SLOT:
            return self.put_new(key, value) if key != GONE else not_an_id()
        held = &(<PyObject **>self.ring.values)[slot]
        before = held[0]
        Py_INCREF(value)
        held[0] = <PyObject *>value
        if key < self.ring.near_size:
            self.ring.near[key] = <void *>held[0]
        # Last: letting an object go runs what it likes.
        Py_XDECREF(before)
        return 0

    cdef int put_new(self, uint64_t key, object value) except -1:
        cdef uint64_t slot
        if self.ring.near_size <= key < NEAR_FIRST + NEAR_TIMES * (<uint64_t>self.ring.count + 1):
            widen(&self.ring, key)
        if ring_is_full(&self.ring) and ring_widen(&self.ring, 0) < 0:
            no_memory()
        slot = ring_add(&self.ring, key)
        self.changes += 1
        Py_INCREF(value)
        (<PyObject **>self.ring.values)[slot] = <PyObject *>value
        if key < self.ring.near_size:
            self.ring.near[key] = <void *><PyObject *>value
        return 0

    cdef int drop_slot(self, uint64_t slot) except -1:
        cdef PyObject *held = (<PyObject **>self.ring.values)[slot]
        if self.ring.keys[slot] < self.ring.near_size:
            self.ring.near[self.ring.keys[slot]] = NULL
        ring_drop(&self.ring, slot)
        self.changes += 1
        Py_XDECREF(held)
        return 0

    cdef PyObject *find(self, uint64_t key) noexcept:
        return find_in(&self.ring, key)

    cdef PyObject *walk(self, uint64_t *turn) noexcept:
        cdef int64_t slot = ring_next(&self.ring, turn)
        return NULL if slot == NO_SLOT else (<PyObject **>self.ring.values)[slot]


@cython.final
@cython.no_gc
cdef class IdMemory(ById):
    """A small number by id, at nine to twenty bytes each: what is kept for as many ids as the caller says.

    Far more is remembered than ever asked for: its index is made when it is searched.
    """

    def __cinit__(self, members, given=()):
        self.ring.value_size = sizeof(uint8_t)

    def __init__(self, members, given=()):
        """members: what each number stands for, at most 256; given: what is in it from the beginning."""
        self.members = tuple(members)
        if len(self.members) > 256:
            raise ValueError("a memory tells at most 256 things apart")
        self.update(given)

    def __dealloc__(self):
        ring_free(&self.ring)

    cdef object value_at(self, uint64_t slot):
        return self.members[<uint8_t>self.ring.values[slot]]

    cdef int put(self, uint64_t key, object value) except -1:
        return self.remember(key, <uint8_t>self.members.index(value), UINT64_MAX)

    cdef int find(self, uint64_t key) noexcept:
        cdef int64_t slot = ring_search(&self.ring, key)
        return -1 if slot == NO_SLOT else <uint8_t>self.ring.values[slot]

    cdef int remember(self, uint64_t key, uint8_t number, uint64_t most) except -1:
        cdef int64_t slot = ring_search(&self.ring, key)
        if slot == NO_SLOT:
            return self.remember_new(key, number, most) if key != GONE else not_an_id()
        self.ring.values[slot] = <char>number
        self.forget_beyond(most)
        return 0

    cdef int remember_new(self, uint64_t key, uint8_t number, uint64_t most) except -1:
        return 0 if self.remember_many(&key, &number, 1, most) else no_memory()

    cdef bint remember_many(
        self, const uint64_t *keys, const uint8_t *numbers, uint32_t count, uint64_t most
    ) noexcept:
        cdef uint64_t slots = self.ring.tail - self.ring.head + count
        cdef uint32_t nth
        if slots > self.ring.slots and ring_widen(&self.ring, count - 1) < 0:
            return False
        for nth in range(count):
            self.ring.values[ring_add(&self.ring, keys[nth])] = <char>numbers[nth]
            self.forget_beyond(most)
        self.changes += 1
        return True

    cdef inline void forget_beyond(self, uint64_t most) noexcept:
        """The oldest goes when there is one too many."""
        if self.ring.count > most:
            ring_drop(&self.ring, self.ring.head & (self.ring.slots - 1))
            self.changes += 1

    cdef bint walk(self, uint64_t *turn, uint64_t *key, uint8_t *number) noexcept:
        cdef int64_t slot = ring_next(&self.ring, turn)
        if slot == NO_SLOT:
            return False
        key[0] = self.ring.keys[slot]
        number[0] = <uint8_t>self.ring.values[slot]
        return True
