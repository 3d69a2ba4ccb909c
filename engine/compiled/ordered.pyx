# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Sorted sets: the timers of a shard, and spot leases in the order in which they yield.

To Python rooms they look like the sorted lists that the plain machine has, as far as those rooms use them; to
Cython rooms they are a few calls without an object. An item is in a set once: whoever adds it twice has lost
count of it, and is told.
"""

from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint32_t, uint64_t

from engine.compiled.agenda cimport (
    agenda_begin, agenda_bytes, agenda_clear, agenda_drop, agenda_has, agenda_insert, drop_in_crowd,
    insert_in_crowd, settle_all, settle_first,
)
from engine.compiled.crowds cimport window_of
from engine.compiled.nodes cimport Key, Leaf, is_less, key_of, kind_of, last_of
from engine.compiled.trees cimport Tree, first_leaf, tree_clear, tree_drop, tree_has, tree_insert, tree_seek

cdef enum:
    SIGN_SHIFT = 63


cdef inline int had_memory(int done) except -1:
    """What was done; MemoryError where it wasn't."""
    if done < 0:
        raise MemoryError("no memory for a sorted set")
    return done


cdef class OrderedSet:
    """What both sets are; they say how an item is a key."""

    cdef int to_key(self, object item, Key *key) except -1:
        raise TypeError("take a TimerSet or a PairSet")

    cdef tuple to_item(self, const Key *key):
        raise TypeError("take a TimerSet or a PairSet")

    cdef Tree *sorted(self) except NULL:
        raise TypeError("take a TimerSet or a PairSet")

    cdef bint put(self, const Key *key) except -1:
        raise TypeError("take a TimerSet or a PairSet")

    cdef bint take(self, const Key *key) noexcept:
        return False

    cdef bint holds(self, const Key *key) noexcept:
        return False

    cdef bint least(self, Key *key) except -1:
        return False

    cdef uint64_t length(self) noexcept:
        return 0

    cdef uint64_t size_bytes(self) noexcept:
        return 0

    def __len__(self):
        return self.length()

    def __sizeof__(self):
        return object.__sizeof__(self) + self.size_bytes()

    def __contains__(self, item):
        cdef Key key
        self.to_key(item, &key)
        return self.holds(&key)

    def __iter__(self):
        return _Walk(self)

    def irange(self, *, maximum=None):
        """Its items in order, up to this one; what is changed meanwhile is seen from there on."""
        return _Walk(self, maximum)

    def __getitem__(self, Py_ssize_t place):
        """The item at a place, counted from the least; IndexError behind the end. The first costs nothing."""
        cdef Leaf *leaf
        cdef Key key
        if not 0 <= place < <Py_ssize_t>self.length():
            raise IndexError("no item stands there")
        if place == 0:
            self.least(&key)
            return self.to_item(&key)
        leaf = first_leaf(self.sorted())
        while place >= leaf.count:
            place -= leaf.count
            leaf = leaf.behind
        return self.to_item(&leaf.keys[place])

    def add(self, item):
        """Take one in; ValueError when it is in already."""
        cdef Key key
        self.to_key(item, &key)
        if not self.put(&key):
            raise ValueError(f"{item} is in already")

    def update(self, items):
        """Take each in."""
        for item in items:
            self.add(item)

    def discard(self, item):
        """Take one out, if it is in."""
        cdef Key key
        self.to_key(item, &key)
        self.take(&key)

    def remove(self, item):
        """Take one out; ValueError when it isn't in."""
        cdef Key key
        self.to_key(item, &key)
        if not self.take(&key):
            raise ValueError(f"{item} isn't in")

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
        cdef Tree *tree
        cdef Key *key
        if self.ended:
            raise StopIteration
        tree = self.items.sorted()
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


cdef inline Key pair_key(int64_t first, int64_t second) noexcept:
    """With its sign turned, a signed number sorts as an unsigned one does."""
    return key_of(first, 0, <uint64_t>second ^ (<uint64_t>1 << SIGN_SHIFT))


cdef inline int64_t second_of(const Key *key) noexcept:
    return <int64_t>(last_of(key) ^ (<uint64_t>1 << SIGN_SHIFT))


cdef class TimerSet(OrderedSet):
    """(due_ns, kind, id), each once, in this order: what is due at one instant goes by its kind."""

    def __cinit__(self):
        agenda_begin(&self.agenda)

    def __dealloc__(self):
        agenda_clear(&self.agenda)

    cdef int to_key(self, object item, Key *key) except -1:
        due_ns, kind, number = item
        key[0] = key_of(due_ns, kind, number)
        return 0

    cdef tuple to_item(self, const Key *key):
        return key.first, kind_of(key), last_of(key)

    cdef Tree *sorted(self) except NULL:
        had_memory(settle_all(&self.agenda))
        return &self.agenda.tree

    cdef bint put(self, const Key *key) except -1:
        return self.insert(key.first, kind_of(key), last_of(key))

    cdef bint take(self, const Key *key) noexcept:
        return self.drop(key.first, kind_of(key), last_of(key))

    cdef bint holds(self, const Key *key) noexcept:
        return self.has(key.first, kind_of(key), last_of(key))

    cdef bint least(self, Key *key) except -1:
        had_memory(settle_first(&self.agenda, INT64_MAX))
        key[0] = self.agenda.tree.least
        return self.agenda.tree.count > 0

    cdef uint64_t length(self) noexcept:
        return self.agenda.tree.count + self.agenda.crowded

    cdef uint64_t size_bytes(self) noexcept:
        return agenda_bytes(&self.agenda)

    def clear(self):
        """Take all out."""
        agenda_clear(&self.agenda)

    cdef bint insert(self, int64_t due_ns, uint8_t kind, uint64_t id) except -1:
        cdef int added = insert_in_crowd(&self.agenda, due_ns, kind, id)
        return added if added >= 0 else self.insert_at_length(due_ns, kind, id)

    cdef bint insert_at_length(self, int64_t due_ns, uint8_t kind, uint64_t id) except -1:
        return had_memory(agenda_insert(&self.agenda, due_ns, kind, id))

    cdef bint drop(self, int64_t due_ns, uint8_t kind, uint64_t id) noexcept:
        return drop_in_crowd(&self.agenda, due_ns, kind, id) or self.drop_at_length(due_ns, kind, id)

    cdef bint drop_at_length(self, int64_t due_ns, uint8_t kind, uint64_t id) noexcept:
        return agenda_drop(&self.agenda, due_ns, kind, id)

    cdef bint has(self, int64_t due_ns, uint8_t kind, uint64_t id) noexcept:
        return agenda_has(&self.agenda, due_ns, kind, id)

    cdef bint due(self, int64_t now_ns, Timer *timer) except -1:
        cdef const Key *least = &self.agenda.tree.least
        had_memory(settle_first(&self.agenda, window_of(now_ns)))
        if self.agenda.tree.count == 0 or least.first > now_ns:
            return False
        timer.due_ns, timer.kind, timer.id = least.first, kind_of(least), last_of(least)
        return True


cdef class PairSet(OrderedSet):
    """(first, second), each once, in this order: a price, and what goes first among equals."""

    def __dealloc__(self):
        tree_clear(&self.tree)

    cdef int to_key(self, object item, Key *key) except -1:
        first, second = item
        key[0] = pair_key(first, second)
        return 0

    cdef tuple to_item(self, const Key *key):
        return key.first, second_of(key)

    cdef Tree *sorted(self) except NULL:
        return &self.tree

    cdef bint put(self, const Key *key) except -1:
        return had_memory(tree_insert(&self.tree, key))

    cdef bint take(self, const Key *key) noexcept:
        return tree_drop(&self.tree, key)

    cdef bint holds(self, const Key *key) noexcept:
        return tree_has(&self.tree, key)

    cdef bint least(self, Key *key) except -1:
        key[0] = self.tree.least
        return self.tree.count > 0

    cdef uint64_t length(self) noexcept:
        return self.tree.count

    cdef uint64_t size_bytes(self) noexcept:
        return self.tree.bytes

    def clear(self):
        """Take all out."""
        tree_clear(&self.tree)

    cdef bint insert(self, int64_t first, int64_t second) except -1:
        cdef Key key = pair_key(first, second)
        return self.put(&key)

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
