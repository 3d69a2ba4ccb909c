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
    # Of a key.
    KIND_SHIFT = 56
    TAIL_BITS = 8
    WORD_BITS = 64


cdef packed struct Key:
    # In this order; 17 bytes, because there may be a million of them. A number, a kind and another: the kind
    # and all but the last byte of the other are in `rest`, so that most of a key is one of 128 bits.
    int64_t first
    uint64_t rest
    uint8_t tail


cdef extern from *:
    """
    typedef __int128 hourbook_int128;
    typedef unsigned __int128 hourbook_uint128;
    """
    ctypedef long long int128_t "hourbook_int128"
    ctypedef unsigned long long uint128_t "hourbook_uint128"


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


cdef inline int128_t whole(const Key *key) noexcept nogil:
    """A key but for its tail: two of them are compared in three instructions."""
    return <int128_t>(<uint128_t>key.first << WORD_BITS | key.rest)


cdef inline bint is_less(const Key *one, const Key *other) noexcept nogil:
    return whole(one) < whole(other) or (whole(one) == whole(other) and one.tail < other.tail)


cdef inline bint is_equal(const Key *one, const Key *other) noexcept nogil:
    return one.first == other.first and one.rest == other.rest and one.tail == other.tail


cdef inline Key key_of(int64_t first, uint8_t kind, uint64_t last) noexcept nogil:
    cdef Key key
    key.first = first
    key.rest = <uint64_t>kind << KIND_SHIFT | last >> TAIL_BITS
    key.tail = <uint8_t>last
    return key


cdef inline uint8_t kind_of(const Key *key) noexcept nogil:
    return <uint8_t>(key.rest >> KIND_SHIFT)


cdef inline uint64_t last_of(const Key *key) noexcept nogil:
    return key.rest << TAIL_BITS | key.tail


cdef inline uint32_t less_than(const Key *keys, uint32_t count, const Key *key) noexcept nogil:
    """How many of these keys, in order, are less than this one."""
    cdef const Key *at = keys
    cdef const Key *end = keys + count
    cdef int128_t wanted = whole(key)
    cdef uint32_t half
    while count:
        # Without a branch: which way it goes is chance.
        half = (count + 1) >> 1
        at += half if whole(&at[half - 1]) < wanted else 0
        count -= half
    while at < end and whole(at) == wanted and at.tail < key.tail:
        at += 1
    return <uint32_t>(at - keys)


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
