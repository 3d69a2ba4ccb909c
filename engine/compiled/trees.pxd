"""A sorted set of small keys in C: a B+-tree whose nodes are about a kilobyte.

A key goes in or out by one search of each level and one move of some hundred bytes; the least key stands ready. A set of
a few keys is one small leaf. What a key means is its owner's; nothing here knows Python.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memmove

cdef enum:
    LEAF = 64
    FAN = 64
    FIRST_LEAF = 4
    # Fewer make a node look at its neighbour; so many, together, make the two one.
    FEW = 21
    MERGED = 48
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


cdef struct Tree:
    void *root
    # Levels of branches over the leaves.
    uint32_t height
    uint64_t count
    # Goes up with every change: who walks the leaves looks whether they still are what they were.
    uint64_t changes
    uint64_t bytes
    # The least key, while there is one.
    Key least
