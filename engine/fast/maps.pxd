"""Small maps of numbers: orders by account, and what each Baron offers. Key 0 is nobody."""

from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from engine.fast.core cimport Map, Pair


cdef inline uint32_t _home(Map *pairs, uint32_t key) noexcept nogil:
    return <uint32_t>((key * <uint64_t>0x9E3779B97F4A7C15) >> 32) & pairs.mask


cdef inline Pair *_place(Map *pairs, uint32_t key) noexcept nogil:
    """The pair of a key, or the empty place for it."""
    cdef uint32_t position = _home(pairs, key)
    while pairs.pairs[position].key != 0 and pairs.pairs[position].key != key:
        position = (position + 1) & pairs.mask
    return &pairs.pairs[position]


cdef inline int reserve_pair(Map *pairs) noexcept nogil:
    """Room for one more key; 0, or -1 when there is no memory."""
    cdef Map grown
    cdef uint32_t position
    if pairs.pairs != NULL and pairs.count < (pairs.mask >> 1):
        return 0
    grown.mask = pairs.mask * 2 + 1 if pairs.pairs != NULL else 7
    grown.count = pairs.count
    grown.pairs = <Pair *>calloc(<size_t>grown.mask + 1, sizeof(Pair))
    if grown.pairs == NULL:
        return -1
    if pairs.pairs != NULL:
        for position in range(pairs.mask + 1):
            if pairs.pairs[position].key:
                _place(&grown, pairs.pairs[position].key)[0] = pairs.pairs[position]
        free(pairs.pairs)
    pairs[0] = grown
    return 0


cdef inline uint32_t value_of(Map *pairs, uint32_t key) noexcept nogil:
    """The value of a key; 0 when it has none."""
    if key == 0 or pairs.pairs == NULL:
        return 0
    return _place(pairs, key).value


cdef inline void set_value(Map *pairs, uint32_t key, uint32_t value) noexcept nogil:
    """Room was reserved."""
    cdef Pair *pair = _place(pairs, key)
    if pair.key == 0:
        pair.key = key
        pairs.count += 1
    pair.value = value


cdef inline void forget(Map *pairs, uint32_t key) noexcept nogil:
    """Take a key out and move those behind it nearer to their homes."""
    cdef uint32_t hole = <uint32_t>(_place(pairs, key) - pairs.pairs)
    cdef uint32_t position = hole
    cdef uint32_t home
    if pairs.pairs[hole].key == 0:
        return
    while True:
        position = (position + 1) & pairs.mask
        if pairs.pairs[position].key == 0:
            break
        home = _home(pairs, pairs.pairs[position].key)
        if ((position - home) & pairs.mask) >= ((position - hole) & pairs.mask):
            pairs.pairs[hole] = pairs.pairs[position]
            hole = position
    pairs.pairs[hole].key = 0
    pairs.pairs[hole].value = 0
    pairs.count -= 1


cdef inline void add_to(Map *pairs, uint32_t key, int32_t more) noexcept nogil:
    """A count goes up or down, and is gone at 0; room was reserved."""
    cdef uint32_t count
    if key == 0:
        return
    count = value_of(pairs, key) + <uint32_t>more
    if count:
        set_value(pairs, key, count)
    else:
        forget(pairs, key)
