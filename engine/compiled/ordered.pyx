# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Sorted sets: the timers of a shard, and spot leases in the order in which they yield.

To Python rooms they look like the sorted lists that the plain machine has, as far as those rooms use them; to
Cython rooms they are a few calls without an object. An item is in a set once: whoever adds it twice has lost
count of it, and is told.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from engine.compiled.nodes cimport Key, Leaf, is_less
from engine.compiled.trees cimport Tree, first_leaf, tree_clear, tree_drop, tree_has, tree_insert, tree_seek

cdef enum:
    SIGN_SHIFT = 63


cdef class OrderedSet:
    """What both sets are; they say how an item is a key."""

    def __dealloc__(self):
        tree_clear(&self.tree)

    cdef int to_key(self, object item, Key *key) except -1:
        raise TypeError("take a TimerSet or a PairSet")

    cdef tuple to_item(self, const Key *key):
        raise TypeError("take a TimerSet or a PairSet")

    cdef uint64_t length(self) noexcept:
        return self.tree.count

    cdef uint64_t size_bytes(self) noexcept:
        return self.tree.bytes

    def __len__(self):
        return self.tree.count

    def __sizeof__(self):
        return object.__sizeof__(self) + self.tree.bytes

    def __contains__(self, item):
        cdef Key key
        self.to_key(item, &key)
        return tree_has(&self.tree, &key)

    def __iter__(self):
        return _Walk(self)

    def irange(self, *, maximum=None):
        """Its items in order, up to this one; what is changed meanwhile is seen from there on."""
        return _Walk(self, maximum)

    def __getitem__(self, Py_ssize_t place):
        """The item at a place, counted from the least; IndexError behind the end. The first costs nothing."""
        cdef Leaf *leaf
        if not 0 <= place < <Py_ssize_t>self.tree.count:
            raise IndexError("no item stands there")
        if place == 0:
            return self.to_item(&self.tree.least)
        leaf = first_leaf(&self.tree)
        while place >= leaf.count:
            place -= leaf.count
            leaf = leaf.behind
        return self.to_item(&leaf.keys[place])

    def add(self, item):
        """Take one in; ValueError when it is in already."""
        cdef Key key
        cdef int added
        self.to_key(item, &key)
        added = tree_insert(&self.tree, &key)
        if added < 0:
            raise MemoryError("no memory for a sorted set")
        if not added:
            raise ValueError(f"{item} is in already")

    def update(self, items):
        """Take each in."""
        for item in items:
            self.add(item)

    def discard(self, item):
        """Take one out, if it is in."""
        cdef Key key
        self.to_key(item, &key)
        tree_drop(&self.tree, &key)

    def remove(self, item):
        """Take one out; ValueError when it isn't in."""
        cdef Key key
        self.to_key(item, &key)
        if not tree_drop(&self.tree, &key):
            raise ValueError(f"{item} isn't in")

    def clear(self):
        """Take all out."""
        tree_clear(&self.tree)

    def __repr__(self):
        return f"{type(self).__name__}({list(self)})"


cdef class _Walk:
    """Goes through a set; after a change it finds its place anew, behind the item that it gave last."""

    cdef OrderedSet items
    cdef Leaf *leaf
    cdef uint32_t place
    cdef uint64_t changes
    cdef Key last
    cdef Key maximum
    cdef bint began
    cdef bint ended
    cdef bint bounded

    def __cinit__(self, OrderedSet items, maximum=None):
        self.items = items
        self.bounded = maximum is not None
        if self.bounded:
            items.to_key(maximum, &self.maximum)

    def __iter__(self):
        return self

    def __next__(self):
        cdef Tree *tree = &self.items.tree
        cdef Key *key
        if self.ended:
            raise StopIteration
        if not self.began:
            self.leaf = first_leaf(tree) if tree.count else NULL
        elif self.changes != tree.changes:
            self.leaf = tree_seek(tree, &self.last, True, &self.place)
        elif self.leaf != NULL:
            self.place += 1
            if self.place == self.leaf.count:
                self.leaf = self.leaf.behind
                self.place = 0
        self.began = True
        self.changes = tree.changes
        self.ended = self.leaf == NULL or (
            self.bounded and is_less(&self.maximum, &self.leaf.keys[self.place])
        )
        if self.ended:
            raise StopIteration
        key = &self.leaf.keys[self.place]
        self.last = key[0]
        return self.items.to_item(key)


cdef inline Key timer_key(int64_t due_ns, uint8_t kind, uint64_t id) noexcept:
    cdef Key key
    key.first = due_ns
    key.kind = kind
    key.last = id
    return key


cdef inline Key pair_key(int64_t first, int64_t second) noexcept:
    """With its sign turned, a signed number sorts as an unsigned one does."""
    cdef Key key
    key.first = first
    key.kind = 0
    key.last = <uint64_t>second ^ (<uint64_t>1 << SIGN_SHIFT)
    return key


cdef inline int64_t second_of(const Key *key) noexcept:
    return <int64_t>(key.last ^ (<uint64_t>1 << SIGN_SHIFT))


cdef class TimerSet(OrderedSet):
    """(due_ns, kind, id), each once, in this order: what is due at one instant goes by its kind."""

    cdef int to_key(self, object item, Key *key) except -1:
        due_ns, kind, number = item
        key[0] = timer_key(due_ns, kind, number)
        return 0

    cdef tuple to_item(self, const Key *key):
        return key.first, key.kind, key.last

    cdef bint insert(self, int64_t due_ns, uint8_t kind, uint64_t id) except -1:
        cdef Key key = timer_key(due_ns, kind, id)
        cdef int added = tree_insert(&self.tree, &key)
        if added < 0:
            raise MemoryError("no memory for a timer")
        return added

    cdef bint drop(self, int64_t due_ns, uint8_t kind, uint64_t id) noexcept:
        cdef Key key = timer_key(due_ns, kind, id)
        return tree_drop(&self.tree, &key)

    cdef bint has(self, int64_t due_ns, uint8_t kind, uint64_t id) noexcept:
        cdef Key key = timer_key(due_ns, kind, id)
        return tree_has(&self.tree, &key)

    cdef bint first(self, Timer *timer) noexcept:
        if self.tree.count == 0:
            return False
        timer.due_ns = self.tree.least.first
        timer.kind = self.tree.least.kind
        timer.id = self.tree.least.last
        return True


cdef class PairSet(OrderedSet):
    """(first, second), each once, in this order: a price, and what goes first among equals."""

    cdef int to_key(self, object item, Key *key) except -1:
        first, second = item
        key[0] = pair_key(first, second)
        return 0

    cdef tuple to_item(self, const Key *key):
        return key.first, second_of(key)

    cdef bint insert(self, int64_t first, int64_t second) except -1:
        cdef Key key = pair_key(first, second)
        cdef int added = tree_insert(&self.tree, &key)
        if added < 0:
            raise MemoryError("no memory for a sorted set")
        return added

    cdef bint drop(self, int64_t first, int64_t second) noexcept:
        cdef Key key = pair_key(first, second)
        return tree_drop(&self.tree, &key)

    cdef bint has(self, int64_t first, int64_t second) noexcept:
        cdef Key key = pair_key(first, second)
        return tree_has(&self.tree, &key)

    cdef bint first(self, Pair *pair) noexcept:
        if self.tree.count == 0:
            return False
        pair.first = self.tree.least.first
        pair.second = second_of(&self.tree.least)
        return True

    cdef bint following(self, const Pair *pair, Pair *found) noexcept:
        cdef Key key = pair_key(pair.first, pair.second)
        cdef uint32_t place = 0
        cdef Leaf *leaf = tree_seek(&self.tree, &key, True, &place)
        if leaf == NULL:
            return False
        found.first = leaf.keys[place].first
        found.second = second_of(&leaf.keys[place])
        return True
