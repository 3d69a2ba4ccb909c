"""A hash of ids that keeps their order of entry, in C: what a dict is for numbers, at a third of its bytes.

Keys and values stand in a ring, oldest first. A few are looked through; of more, an open-addressed index
says in which slot a key is. Of a ring that is asked of nearly always, it is entered there at once; else when
it is first searched, and till then an entry costs its key and value alone. The oldest leaves without a trace;
one from the middle leaves a gap, and gaps are closed when the ring is full. What a value is, its owner knows.
The memory is of Python's pools, whose small pieces come and go quickly; no more of Python is known here.
"""

from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

cdef enum:
    FIRST_SLOTS = 8
    # So many are looked through in the time in which an index's line comes from memory.
    LOOKED_THROUGH = 32
    NO_SLOT = -1
    # The index has twice as many places as there are slots.
    INDEX_BITS = 1


cdef struct Ring:
    # What an entry touches comes first, so that it may lie in one line.
    # One piece of memory: the keys, behind them the places, behind those the values.
    uint64_t *keys
    char *values
    # The oldest's turn and the turn behind the newest's: they only go up, and modulo the size they are slots.
    uint64_t head
    uint64_t tail
    uint32_t count
    # How many slots there are, a power of two; 0 before the first key.
    uint32_t slots
    # Keys whose turns come before are in the index; AT_ONCE: all are. 0: none, and it has no zeros yet.
    uint64_t indexed
    # Slot + 1 of the key that is at home here or was moved on; 0: none. NULL while there are few slots: then
    # every slot without a key says so.
    uint32_t *places
    uint32_t value_size
    # By how much a key's hash is shifted to be a place.
    uint32_t shift
    # Small numbers that stand close together are found without a search: what their owner (`tables`) has by
    # each, or NULL.
    void **near
    uint64_t near_size


cdef extern from *:
    """
    /* No id; the key of a slot that has none, or whose own is gone. */
    #define HOURBOOK_GONE 0xFFFFFFFFFFFFFFFFULL
    """
    const uint64_t GONE "HOURBOOK_GONE"
    # A ring that enters each key in its index as it comes.
    const uint64_t AT_ONCE "HOURBOOK_GONE"


cdef inline uint64_t home_of(const Ring *ring, uint64_t key) noexcept nogil:
    """Ids mostly follow each other in their middle bits: the golden ratio's multiple spreads them."""
    return ((key ^ (key >> 32)) * <uint64_t>0x9E3779B97F4A7C15) >> ring.shift


cdef inline uint64_t index_mask(const Ring *ring) noexcept nogil:
    return (<uint64_t>ring.slots << INDEX_BITS) - 1


cdef inline int64_t ring_find(const Ring *ring, uint64_t key) noexcept nogil:
    """The slot of a key, or NO_SLOT; of a ring whose index has them all."""
    cdef uint64_t place, slot
    if ring.places == NULL:
        return look_through(ring, key)
    place = home_of(ring, key)
    while ring.places[place]:
        slot = ring.places[place] - 1
        if ring.keys[slot] == key:
            return <int64_t>slot
        place = (place + 1) & index_mask(ring)
    return NO_SLOT


cdef inline int64_t look_through(const Ring *ring, uint64_t key) noexcept nogil:
    """As `ring_find`, without an index."""
    cdef uint64_t first = 0
    cdef int nth
    if key == GONE:
        return NO_SLOT
    while first < ring.slots:
        # As many as there always are: the compiler makes eight comparisons of it.
        for nth in range(FIRST_SLOTS):
            if ring.keys[first + nth] == key:
                return <int64_t>(first + nth)
        first += FIRST_SLOTS
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


cdef inline int64_t ring_search(Ring *ring, uint64_t key) noexcept nogil:
    """The slot of a key, or NO_SLOT; what isn't in the index yet is entered first."""
    if ring.indexed < ring.tail and ring.places != NULL:
        index_late(ring)
    return ring_find(ring, key)


cdef inline void index_late(Ring *ring) noexcept nogil:
    """Enter in the index what came since it was last whole."""
    cdef uint64_t turn = ring.indexed if ring.indexed > ring.head else ring.head
    cdef uint64_t slot
    if ring.indexed == 0:
        memset(ring.places, 0, index_bytes(ring))
    while turn < ring.tail:
        slot = turn & (ring.slots - 1)
        if ring.keys[slot] != GONE:
            enter_slot(ring, ring.keys[slot], slot)
        turn += 1
    ring.indexed = ring.tail


cdef inline uint64_t index_bytes(const Ring *ring) noexcept nogil:
    return 0 if ring.slots <= LOOKED_THROUGH else (<uint64_t>ring.slots << INDEX_BITS) * sizeof(uint32_t)


cdef inline uint64_t ring_bytes(const Ring *ring) noexcept nogil:
    return ring.slots * (sizeof(uint64_t) + ring.value_size) + index_bytes(ring)


cdef inline void ring_free(Ring *ring) noexcept:
    """Give all back; what the values are was let go by their owner."""
    PyMem_Free(ring.keys)
    ring.keys = NULL
    ring.values = NULL
    ring.places = NULL
    ring.head = ring.tail = ring.count = ring.slots = 0
    if ring.indexed != AT_ONCE:
        ring.indexed = 0


cdef inline bint ring_is_full(const Ring *ring) noexcept nogil:
    """Whether there is no room for one more before `ring_widen`."""
    return ring.tail - ring.head >= ring.slots


cdef inline int ring_widen(Ring *ring, uint32_t more) noexcept:
    """Into another piece of memory without the gaps, with room for so many more beside the next: of twice the
    size where gaps are less than a quarter.

    0, or -1: there is no memory, and nothing changed.
    """
    cdef Ring wider = ring[0]
    cdef uint64_t count = <uint64_t>ring.count + more
    cdef uint64_t slot
    wider.slots = FIRST_SLOTS
    wider.shift = 64 - INDEX_BITS - 3
    while wider.slots <= count + count // 3:
        if wider.slots >> 31:
            return -1
        wider.slots <<= 1
        wider.shift -= 1
    wider.keys = <uint64_t *>PyMem_Malloc(ring_bytes(&wider))
    if wider.keys == NULL:
        return -1
    wider.values = <char *>(wider.keys + wider.slots) + index_bytes(&wider)
    wider.places = NULL
    if index_bytes(&wider):
        wider.places = <uint32_t *>(wider.keys + wider.slots)
    else:
        memset(wider.keys, 0xFF, wider.slots * sizeof(uint64_t))
    move_all(ring, &wider)
    if wider.indexed != AT_ONCE:
        # Whoever searches it next enters them.
        wider.indexed = 0
    elif wider.places != NULL:
        memset(wider.places, 0, index_bytes(&wider))
        for slot in range(wider.tail):
            enter_slot(&wider, wider.keys[slot], slot)
    ring_free(ring)
    ring[0] = wider
    return 0


cdef inline void move_all(const Ring *ring, Ring *wider) noexcept nogil:
    """Keys and values in their order to the beginning of another ring, run by run between the gaps."""
    cdef uint64_t turn = ring.head
    cdef uint64_t slot, run
    wider.head = wider.tail = 0
    while turn < ring.tail:
        slot = turn & (ring.slots - 1)
        run = 0
        while turn + run < ring.tail and slot + run < ring.slots and ring.keys[slot + run] != GONE:
            run += 1
        if run == 0:
            turn += 1
            continue
        memcpy(&wider.keys[wider.tail], &ring.keys[slot], run * sizeof(uint64_t))
        memcpy(
            &wider.values[wider.tail * wider.value_size], &ring.values[slot * ring.value_size],
            run * ring.value_size,
        )
        wider.tail += run
        turn += run


cdef inline uint64_t ring_add(Ring *ring, uint64_t key) noexcept nogil:
    """The slot of a key that isn't in yet, for its value; the ring isn't full."""
    cdef uint64_t slot = ring.tail & (ring.slots - 1)
    ring.keys[slot] = key
    if ring.indexed == AT_ONCE and ring.places != NULL:
        enter_slot(ring, key, slot)
    ring.tail += 1
    ring.count += 1
    return slot


cdef inline uint64_t turn_of(const Ring *ring, uint64_t slot) noexcept nogil:
    """When the key came that is in this slot."""
    return ring.head + ((slot - ring.head) & (<uint64_t>ring.slots - 1))


cdef inline void ring_drop(Ring *ring, uint64_t slot) noexcept nogil:
    """Take out the key that is in this slot."""
    if turn_of(ring, slot) < ring.indexed and ring.places != NULL:
        leave_slot(ring, ring.keys[slot], slot)
    ring.keys[slot] = GONE
    ring.count -= 1
    while ring.head < ring.tail and ring.keys[ring.head & (ring.slots - 1)] == GONE:
        ring.head += 1
    while ring.head < ring.tail and ring.keys[(ring.tail - 1) & (ring.slots - 1)] == GONE:
        ring.tail -= 1
    if ring.indexed > ring.tail and ring.indexed != AT_ONCE:
        ring.indexed = ring.tail


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
