"""Where records are, put in order of their ids: a snapshot names each table's by id.

A million of them are sorted byte by byte, which takes no comparison that could be guessed wrong. It knows no
record.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

cdef enum:
    DIGIT_BITS = 8
    DIGITS = 256


cdef struct Place:
    uint64_t id
    # An index, or the address of a record.
    uint64_t record


cdef inline Place *new_places(uint64_t count) except NULL:
    """Room for so many, to be freed by the caller."""
    cdef Place *places = <Place *>malloc((count + 1) * sizeof(Place))
    if places == NULL:
        raise MemoryError("no memory for a snapshot")
    return places


cdef inline uint64_t _differing(const Place *places, uint64_t count) noexcept nogil:
    """The bits in which ids differ."""
    cdef uint64_t differing = 0
    cdef uint64_t place
    for place in range(count):
        differing |= places[place].id ^ places[0].id
    return differing


cdef inline void _spread(const Place *places, Place *by_digit, uint64_t count, int shift) noexcept nogil:
    """In order of one digit, and in their old order among equals."""
    cdef uint64_t begins[257]
    cdef uint64_t place, digit
    memset(begins, 0, sizeof(begins))
    for place in range(count):
        begins[(places[place].id >> shift & (DIGITS - 1)) + 1] += 1
    for digit in range(<uint64_t>DIGITS):
        begins[digit + 1] += begins[digit]
    for place in range(count):
        digit = places[place].id >> shift & (DIGITS - 1)
        by_digit[begins[digit]] = places[place]
        begins[digit] += 1


cdef inline int sort_places(Place *places, uint64_t count) except -1:
    """Put them in order of their ids."""
    cdef Place *spare = new_places(count)
    cdef Place *begin = places
    cdef Place *other = spare
    cdef uint64_t differing = _differing(places, count)
    cdef int shift = 0
    while shift < 64:
        if differing >> shift & (DIGITS - 1):
            _spread(begin, other, count, shift)
            begin, other = other, begin
        shift += DIGIT_BITS
    if begin != places:
        memcpy(places, begin, count * sizeof(Place))
    free(spare)
    return 0
