"""A hash of ids that keeps their order of entry, in C: what a dict is for numbers, at a third of its bytes.

Keys and values stand in a ring, oldest first; an open-addressed index says in which slot of it a key is.
The oldest leaves without a trace, so that a bounded memory never pauses; one from the middle leaves a gap,
and gaps are closed when the ring is full. What a value is, its owner knows; nothing here knows Python.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

cdef enum:
    FIRST_SLOTS = 8
    NO_SLOT = -1
    # The index has twice as many places as there are slots.
    INDEX_BITS = 1


cdef struct Ring:
    # One piece of memory: the keys, behind them the places, behind those the values.
    uint64_t *keys
    char *values
    # Slot + 1 of the key that is at home here or was moved on; 0: none.
    uint32_t *places
    # The oldest's turn and the turn behind the newest's: they only go up, and modulo the size they are slots.
    uint64_t head
    uint64_t tail
    uint64_t count
    # How many slots there are, a power of two; 0 before the first key.
    uint64_t slots
    uint32_t value_size
    # By how much a key's hash is shifted to be a place.
    uint32_t shift
    # Small numbers that stand close together are found without a search: what their owner (`tables`) has by
    # each, or NULL.
    void **near
    uint64_t near_size


cdef extern from *:
    """
    /* No id; the key of a slot whose own is gone. */
    #define HOURBOOK_GONE 0xFFFFFFFFFFFFFFFFULL
    """
    const uint64_t GONE "HOURBOOK_GONE"


cdef inline uint64_t home_of(const Ring *ring, uint64_t key) noexcept nogil:
    """Ids mostly follow each other in their middle bits: the golden ratio's multiple spreads them."""
    return ((key ^ (key >> 32)) * <uint64_t>0x9E3779B97F4A7C15) >> ring.shift


cdef inline uint64_t index_mask(const Ring *ring) noexcept nogil:
    return (ring.slots << INDEX_BITS) - 1


cdef inline int64_t ring_find(const Ring *ring, uint64_t key) noexcept nogil:
    """The slot of a key, or NO_SLOT."""
    cdef uint64_t place, slot
    if ring.count == 0 or key == GONE:
        return NO_SLOT
    place = home_of(ring, key)
    while ring.places[place]:
        slot = ring.places[place] - 1
        if ring.keys[slot] == key:
            return <int64_t>slot
        place = (place + 1) & index_mask(ring)
    return NO_SLOT


cdef inline void enter_slot(Ring *ring, uint64_t key, uint64_t slot) noexcept nogil:
    """Note in the index where a key is that isn't there yet."""
    cdef uint64_t place = home_of(ring, key)
    while ring.places[place]:
        place = (place + 1) & index_mask(ring)
    ring.places[place] = <uint32_t>(slot + 1)


cdef inline void leave_slot(Ring *ring, uint64_t key, uint64_t slot) noexcept nogil:
    """Take a key out of the index, and move those behind it nearer to their homes."""
    cdef uint64_t mask = index_mask(ring)
    cdef uint64_t hole = home_of(ring, key)
    cdef uint64_t place, home
    while ring.places[hole] != slot + 1:
        hole = (hole + 1) & mask
    place = hole
    while True:
        place = (place + 1) & mask
        if ring.places[place] == 0:
            break
        home = home_of(ring, ring.keys[ring.places[place] - 1])
        if ((place - home) & mask) >= ((place - hole) & mask):
            ring.places[hole] = ring.places[place]
            hole = place
    ring.places[hole] = 0


cdef inline uint64_t ring_bytes(const Ring *ring) noexcept nogil:
    return ring.slots * (sizeof(uint64_t) + ring.value_size + (sizeof(uint32_t) << INDEX_BITS))


cdef inline void ring_free(Ring *ring) noexcept nogil:
    """Give all back; what the values are was let go by their owner."""
    free(ring.keys)
    ring.keys = NULL
    ring.values = NULL
    ring.places = NULL
    ring.head = ring.tail = ring.count = ring.slots = 0


cdef inline int ring_room(Ring *ring) noexcept nogil:
    """Room for one more, in twice the size where less than a quarter are gaps.

    0, or -1: there is no memory, and nothing changed.
    """
    cdef Ring wider = ring[0]
    cdef uint64_t turn, slot
    if ring.tail - ring.head < ring.slots:
        return 0
    wider.slots = FIRST_SLOTS
    wider.shift = 64 - INDEX_BITS - 3
    while wider.slots <= ring.count + ring.count // 3:
        wider.slots <<= 1
        wider.shift -= 1
    if wider.slots > <uint64_t>1 << 31:
        return -1
    wider.keys = <uint64_t *>malloc(ring_bytes(&wider))
    if wider.keys == NULL:
        return -1
    wider.places = <uint32_t *>(wider.keys + wider.slots)
    wider.values = <char *>(wider.places + (wider.slots << INDEX_BITS))
    memset(wider.places, 0, (wider.slots << INDEX_BITS) * sizeof(uint32_t))
    wider.head = wider.tail = 0
    for turn in range(ring.head, ring.tail):
        slot = turn & (ring.slots - 1)
        if ring.keys[slot] == GONE:
            continue
        wider.keys[wider.tail] = ring.keys[slot]
        memcpy(
            &wider.values[wider.tail * wider.value_size], &ring.values[slot * ring.value_size],
            ring.value_size,
        )
        enter_slot(&wider, ring.keys[slot], wider.tail)
        wider.tail += 1
    ring_free(ring)
    ring[0] = wider
    return 0


cdef inline int64_t ring_add(Ring *ring, uint64_t key) noexcept nogil:
    """The slot of a key that isn't in yet, for its value; NO_SLOT: no memory, and nothing changed."""
    cdef uint64_t slot
    if ring_room(ring) < 0:
        return NO_SLOT
    slot = ring.tail & (ring.slots - 1)
    ring.keys[slot] = key
    enter_slot(ring, key, slot)
    ring.tail += 1
    ring.count += 1
    return <int64_t>slot


cdef inline void ring_drop(Ring *ring, uint64_t slot) noexcept nogil:
    """Take out the key that is in this slot."""
    leave_slot(ring, ring.keys[slot], slot)
    ring.keys[slot] = GONE
    ring.count -= 1
    while ring.head < ring.tail and ring.keys[ring.head & (ring.slots - 1)] == GONE:
        ring.head += 1
    while ring.head < ring.tail and ring.keys[(ring.tail - 1) & (ring.slots - 1)] == GONE:
        ring.tail -= 1


cdef inline int64_t ring_next(const Ring *ring, uint64_t *turn) noexcept nogil:
    """The slot of the first key whose turn is this one or later, and the turn behind it; NO_SLOT: none."""
    cdef uint64_t slot
    if turn[0] < ring.head:
        turn[0] = ring.head
    while turn[0] < ring.tail:
        slot = turn[0] & (ring.slots - 1)
        turn[0] += 1
        if ring.keys[slot] != GONE:
            return <int64_t>slot
    return NO_SLOT
