"""The nodes of a sorted set: leaves of keys and branches of nodes, and how one is searched.

What a key means is its owner's; how nodes are put together is `trees`.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memmove

from engine.fast.core cimport prefetch

cdef enum:
    LEAF = 64
    FAN = 64
    FIRST_LEAF = 4
    # Fewer make a node look at its neighbour; so many, together, make the two one.
    FEW = 21
    MERGED = 48
    # Of a node, where its keys are.
    LINES = 17
    LINE_BYTES = 64
    # More than keys that fit any memory need.
    HEIGHT_MAX = 12


cdef packed struct Key:
    # In this order; 17 bytes, because there may be a million of them.
    int64_t first
    uint8_t kind
    uint64_t last


cdef struct Leaf:
    Leaf *before
    Leaf *behind
    uint16_t count
    uint16_t capacity
    # As many as `capacity` says: less than LEAF only while the leaf is the whole tree.
    Key keys[64]


cdef struct Branch:
    uint16_t count
    # What stands under children[i] is from keys[i] on, and below keys[i + 1]; the first key is never asked.
    Key keys[64]
    void *children[64]


cdef struct Path:
    # The branches from the root down to a leaf, and which child was taken of each.
    Branch *branches[12]
    uint16_t places[12]
    # Whether the leaf is the tree's first, and whether it is its last.
    bint at_first
    bint at_last


cdef inline void approach(const void *node) noexcept nogil:
    """Its keys come nearer, all at once: a search would wait for one after the other."""
    cdef int line
    for line in range(LINES):
        prefetch(<const char *>node + line * LINE_BYTES)


cdef inline bint is_less(const Key *one, const Key *other) noexcept nogil:
    """Without a branch: which way it goes is chance."""
    return (one.first < other.first) | (
        (one.first == other.first)
        & ((one.kind < other.kind) | ((one.kind == other.kind) & (one.last < other.last)))
    )


cdef inline bint is_equal(const Key *one, const Key *other) noexcept nogil:
    return one.first == other.first and one.kind == other.kind and one.last == other.last


cdef inline uint32_t less_than(const Key *keys, uint32_t count, const Key *key) noexcept nogil:
    """How many of these keys, in order, are less than this one."""
    cdef uint32_t begin = 0
    cdef uint32_t half
    while count:
        half = (count + 1) >> 1
        begin += half if is_less(&keys[begin + half - 1], key) else 0
        count -= half
    return begin


cdef inline uint32_t child_of(const Branch *branch, const Key *key) noexcept nogil:
    """The child under which a key stands or would."""
    cdef uint32_t place = less_than(&branch.keys[1], branch.count - 1, key)
    if place + 1 < branch.count and is_equal(&branch.keys[place + 1], key):
        place += 1
    return place


cdef inline size_t leaf_bytes(uint32_t capacity) noexcept nogil:
    return sizeof(Leaf) - (LEAF - capacity) * sizeof(Key)


cdef inline void add_key(Leaf *leaf, uint32_t place, const Key *key) noexcept nogil:
    memmove(&leaf.keys[place + 1], &leaf.keys[place], (leaf.count - place) * sizeof(Key))
    leaf.keys[place] = key[0]
    leaf.count += 1


cdef inline void add_child(Branch *branch, uint32_t place, const Key *begin, void *child) noexcept nogil:
    """A child from `begin` on, in front of the one that stood at this place."""
    cdef uint32_t moved = branch.count - place
    memmove(&branch.keys[place + 1], &branch.keys[place], moved * sizeof(Key))
    memmove(&branch.children[place + 1], &branch.children[place], moved * sizeof(void *))
    branch.keys[place] = begin[0]
    branch.children[place] = child
    branch.count += 1


cdef inline void drop_child(Branch *branch, uint32_t place) noexcept nogil:
    cdef uint32_t moved = branch.count - place - 1
    memmove(&branch.keys[place], &branch.keys[place + 1], moved * sizeof(Key))
    memmove(&branch.children[place], &branch.children[place + 1], moved * sizeof(void *))
    branch.count -= 1
