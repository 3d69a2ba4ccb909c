"""BLAKE2b without a key, of 16 bytes, as RFC 7693 has it: what `hashlib.blake2b(data, digest_size=16)` says,
without an object of Python's. It knows nothing of what it digests.
"""

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy, memset

cdef extern from *:
    """
    #if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    #error "BLAKE2b reads its words as they stand: the machine must be little-endian"
    #endif
    static const uint64_t HOURBOOK_BLAKE_FIRST[8] = {
        0x6A09E667F3BCC908ULL, 0xBB67AE8584CAA73BULL, 0x3C6EF372FE94F82BULL, 0xA54FF53A5F1D36F1ULL,
        0x510E527FADE682D1ULL, 0x9B05688C2B3E6C1FULL, 0x1F83D9ABFB41BD6BULL, 0x5BE0CD19137E2179ULL,
    };
    static const uint8_t HOURBOOK_BLAKE_ORDER[12][16] = {
        {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
        {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
        {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
        {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
        {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
        {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
        {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
        {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
        {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
        {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
        {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
        {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    };
    """
    # The first words of the state, and which word of a block each step of a round mixes in.
    const uint64_t *FIRST "HOURBOOK_BLAKE_FIRST"
    const uint8_t[16] *ORDER "HOURBOOK_BLAKE_ORDER"

cdef enum:
    DIGEST_BYTES = 16
    BLOCK_BYTES = 128
    ROUNDS = 12
    # Of a digest of 16 bytes without a key, in one piece: what is mixed into the first word.
    PARAMETERS = 0x01010010


cdef inline uint64_t _turned(uint64_t word, int by) noexcept nogil:
    return word >> by | word << (64 - by)


cdef inline void _mix(
    uint64_t *a, uint64_t *b, uint64_t *c, uint64_t *d, uint64_t one, uint64_t other
) noexcept nogil:
    a[0] += b[0] + one
    d[0] = _turned(d[0] ^ a[0], 32)
    c[0] += d[0]
    b[0] = _turned(b[0] ^ c[0], 24)
    a[0] += b[0] + other
    d[0] = _turned(d[0] ^ a[0], 16)
    c[0] += d[0]
    b[0] = _turned(b[0] ^ c[0], 63)


cdef inline void _compress(uint64_t *state, const uint8_t *block, uint64_t so_far, bint last) noexcept nogil:
    """Take in one block; so_far: bytes of the data up to its end."""
    cdef uint64_t words[16]
    cdef uint64_t v[16]
    cdef const uint8_t *order
    cdef int turn
    memcpy(words, block, BLOCK_BYTES)
    memcpy(v, state, 64)
    memcpy(&v[8], FIRST, 64)
    v[12] ^= so_far
    if last:
        v[14] = ~v[14]
    for turn in range(ROUNDS):
        order = ORDER[turn]
        _mix(&v[0], &v[4], &v[8], &v[12], words[order[0]], words[order[1]])
        _mix(&v[1], &v[5], &v[9], &v[13], words[order[2]], words[order[3]])
        _mix(&v[2], &v[6], &v[10], &v[14], words[order[4]], words[order[5]])
        _mix(&v[3], &v[7], &v[11], &v[15], words[order[6]], words[order[7]])
        _mix(&v[0], &v[5], &v[10], &v[15], words[order[8]], words[order[9]])
        _mix(&v[1], &v[6], &v[11], &v[12], words[order[10]], words[order[11]])
        _mix(&v[2], &v[7], &v[8], &v[13], words[order[12]], words[order[13]])
        _mix(&v[3], &v[4], &v[9], &v[14], words[order[14]], words[order[15]])
    for turn in range(8):
        state[turn] ^= v[turn] ^ v[turn + 8]


cdef inline void digest_16(const uint8_t *data, size_t size, uint8_t *digest) noexcept nogil:
    """The digest of so many bytes, in DIGEST_BYTES at `digest`."""
    cdef uint64_t state[8]
    cdef uint8_t rest[BLOCK_BYTES]
    cdef size_t at = 0
    memcpy(state, FIRST, 64)
    state[0] ^= <uint64_t>PARAMETERS
    while size - at > <size_t>BLOCK_BYTES:
        _compress(state, data + at, at + <size_t>BLOCK_BYTES, False)
        at += <size_t>BLOCK_BYTES
    memset(rest, 0, BLOCK_BYTES)
    if size - at:
        memcpy(rest, data + at, size - at)
    _compress(state, rest, size, True)
    memcpy(digest, state, DIGEST_BYTES)
