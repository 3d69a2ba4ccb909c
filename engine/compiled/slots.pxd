"""Slots of orders: a pool whose slots never move, and a hash of their ids. Indices stand for slots; 0 is
nobody.

A slot is taken when an order is made, admitted when it is live, and dropped when it goes; it stays readable
until `sweep` (`engine.compiled.orders`) makes it free, before the next command. What the fields mean is the
law's to say.
"""

from cpython.object cimport PyObject
from libc.stdint cimport int32_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memset

from engine.fast.ids cimport chain_of

cdef extern from *:
    """
    typedef struct {
        uint64_t order_id;
        union {
            PyObject *delivery;
            struct { uint32_t row_prev, row_next; };
        };
        uint32_t account, instrument;
        int32_t price_ticks, hold_ticks;
        uint32_t quantity, leaves_quantity;
        uint32_t baron, window_end_h;
        uint32_t account_prev, account_next;
        uint32_t rare, behind;
        uint16_t hours, lot;
        uint32_t side : 2, kind : 2, order_type : 3, time_in_force : 3, origin : 3, self_trade : 2;
        uint32_t features : 4, min_rating : 7, post_only : 1, armed : 1, same_baron : 1;
        uint32_t admitted : 1, gone : 1;
    } hourbook_order;
    """
    ctypedef struct OrderSlot "hourbook_order":
        uint64_t order_id
        # A bid's, owned, NULL for none; an ask has its neighbours in its row's list there.
        PyObject *delivery
        uint32_t row_prev
        uint32_t row_next
        uint32_t account
        uint32_t instrument
        int32_t price_ticks
        int32_t hold_ticks
        uint32_t quantity
        uint32_t leaves_quantity
        uint32_t baron
        # A window ends with a full hour.
        uint32_t window_end_h
        # Its neighbours among its account's live orders, in order of entry.
        uint32_t account_prev
        uint32_t account_next
        # Its place among the rare terms, 0 for none; the next slot of its chain, or of the free ones.
        uint32_t rare
        uint32_t behind
        # A bid's term, or the shortest that an ask sells (`min_hours`).
        uint16_t hours
        uint16_t lot
        # Numbers of `engine.kinds`, in a few bits each.
        uint32_t side
        uint32_t kind
        uint32_t order_type
        uint32_t time_in_force
        uint32_t origin
        uint32_t self_trade
        uint32_t features
        uint32_t min_rating
        uint32_t post_only
        uint32_t armed
        uint32_t same_baron
        # In the table of live orders; was in it until this command.
        uint32_t admitted
        uint32_t gone


cdef enum:
    # Slots of a chunk of the pool.
    CHUNK_BITS = 12
    CHUNK = 4096
    FIRST_BITS = 10


cdef struct Slots:
    OrderSlot **chunks
    # The first of each chain of ids, linked by `behind`.
    uint32_t *heads
    uint32_t shift
    uint32_t chunk_count
    # Slots that were ever used, and the first free one, linked by `behind`.
    uint32_t used
    uint32_t free_slot
    # Live orders, and those with what went in this command.
    uint32_t live
    uint32_t hashed
    # The first of what went, linked by `account_next`.
    uint32_t first_gone


cdef inline int open_slots(Slots *slots) except -1:
    """Slots that are all zero become an empty table."""
    slots.used = 1
    slots.shift = 32 - FIRST_BITS
    slots.heads = <uint32_t *>calloc(<size_t>1 << FIRST_BITS, sizeof(uint32_t))
    if slots.heads == NULL:
        raise MemoryError
    return 0


cdef inline OrderSlot *slot_at(const Slots *slots, uint32_t index) noexcept nogil:
    return &slots.chunks[index >> CHUNK_BITS][index & (CHUNK - 1)]


cdef inline uint32_t index_of(const Slots *slots, uint64_t order_id) noexcept nogil:
    """The index of an order that is live, or was until this command; 0: there is none."""
    cdef uint32_t index = slots.heads[chain_of(order_id, slots.shift)]
    while index and slot_at(slots, index).order_id != order_id:
        index = slot_at(slots, index).behind
    return index


cdef inline OrderSlot *find_slot(const Slots *slots, uint64_t order_id) noexcept nogil:
    """The slot of a live order, or NULL."""
    cdef uint32_t index = index_of(slots, order_id)
    if index == 0 or not slot_at(slots, index).admitted:
        return NULL
    return slot_at(slots, index)


cdef inline int _grow_pool(Slots *slots) except -1:
    """One more chunk; those there are stay where they are."""
    cdef OrderSlot **chunks
    cdef OrderSlot *chunk
    if slots.chunk_count >= (<uint32_t>1 << (32 - CHUNK_BITS)) - 1:
        raise MemoryError
    chunks = <OrderSlot **>realloc(slots.chunks, (slots.chunk_count + 1) * sizeof(OrderSlot *))
    if chunks == NULL:
        raise MemoryError
    slots.chunks = chunks
    chunk = <OrderSlot *>calloc(CHUNK, sizeof(OrderSlot))
    if chunk == NULL:
        raise MemoryError
    chunks[slots.chunk_count] = chunk
    slots.chunk_count += 1
    return 0


cdef inline OrderSlot *take_slot(Slots *slots, uint32_t *index) except NULL:
    """A slot of zeros, and its index."""
    cdef OrderSlot *slot
    if slots.free_slot:
        index[0] = slots.free_slot
        slot = slot_at(slots, index[0])
        slots.free_slot = slot.behind
    else:
        if slots.used >> CHUNK_BITS >= slots.chunk_count:
            _grow_pool(slots)
        index[0] = slots.used
        slot = slot_at(slots, index[0])
        slots.used += 1
    memset(slot, 0, sizeof(OrderSlot))
    return slot


cdef inline void free_slot(Slots *slots, uint32_t index) noexcept nogil:
    """A slot that is in no table, and owns nothing any more, is free again."""
    cdef OrderSlot *slot = slot_at(slots, index)
    memset(slot, 0, sizeof(OrderSlot))
    slot.behind = slots.free_slot
    slots.free_slot = index


cdef inline int _grow_table(Slots *slots) except -1:
    """A table of twice the size."""
    cdef uint32_t bits = 33 - slots.shift
    cdef uint32_t *heads = <uint32_t *>calloc(<size_t>1 << bits, sizeof(uint32_t))
    cdef uint32_t *old = slots.heads
    cdef uint32_t chain, index, following
    if heads == NULL:
        raise MemoryError
    for chain in range(<uint32_t>1 << (bits - 1)):
        index = old[chain]
        while index:
            following = slot_at(slots, index).behind
            _link(slots, &heads[chain_of(slot_at(slots, index).order_id, 32 - bits)], index)
            index = following
    slots.heads = heads
    slots.shift = 32 - bits
    free(old)
    return 0


cdef inline void _link(Slots *slots, uint32_t *head, uint32_t index) noexcept nogil:
    slot_at(slots, index).behind = head[0]
    head[0] = index


cdef inline int reserve_chains(Slots *slots, uint64_t orders) except -1:
    """So many may be admitted before the table grows."""
    while orders << 1 >> (32 - slots.shift) and slots.shift > 2:
        _grow_table(slots)
    return 0


cdef inline int admit_slot(Slots *slots, uint32_t index) except -1:
    """An order is live from now on."""
    # Twice as many chains as orders, so that most chains are of one.
    if <uint64_t>slots.hashed << 1 >> (32 - slots.shift) and slots.shift > 2:
        _grow_table(slots)
    _link(slots, &slots.heads[chain_of(slot_at(slots, index).order_id, slots.shift)], index)
    slot_at(slots, index).admitted = 1
    slots.hashed += 1
    slots.live += 1
    return 0


cdef inline void drop_slot(Slots *slots, uint32_t index) noexcept nogil:
    """It is live no more, and in no list; its slot stays as it is until it is swept."""
    cdef OrderSlot *slot = slot_at(slots, index)
    slot.admitted = 0
    slot.gone = 1
    slot.account_next = slots.first_gone
    slots.first_gone = index
    slots.live -= 1


cdef inline void unhash_slot(Slots *slots, uint32_t index) noexcept nogil:
    """It isn't known by its id any more."""
    cdef uint32_t *link = &slots.heads[chain_of(slot_at(slots, index).order_id, slots.shift)]
    while link[0] != index:
        link = &slot_at(slots, link[0]).behind
    link[0] = slot_at(slots, index).behind
    slots.hashed -= 1


cdef inline void close_slots(Slots *slots) noexcept nogil:
    """Give back all memory; what the slots own must have gone."""
    cdef uint32_t chunk
    for chunk in range(slots.chunk_count):
        free(slots.chunks[chunk])
    free(slots.chunks)
    free(slots.heads)
