"""Records read in C: a cursor over somebody's bytes that never looks behind their end.

Each reader says whether it found what it was to read, in any form of msgpack's that holds it. What isn't
plain, the law's decoder looks at. It knows no command.
"""

from libc.stdint cimport INT64_MAX, int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from engine.compiled.wire cimport (
    ARRAY_16, ARRAY_32, BLOB_8, FALSE,
    FIX_ARRAY, FIX_MAP, FIX_NEGATIVE, FIX_TEXT, INT_8, INT_16, INT_32, INT_64, MAP_16, MAP_32, NIL, TEXT_8,
    TRUE, UINT_8, UINT_16, UINT_32, UINT_64, View, likely, unlikely, swapped_16, swapped_32, swapped_64,
)


cdef struct Cursor:
    const uint8_t *at
    const uint8_t *end


cdef inline bint _left(const Cursor *cursor, size_t size) noexcept nogil:
    return <size_t>(cursor.end - cursor.at) >= size


cdef inline uint16_t _two(const uint8_t *at) noexcept nogil:
    cdef uint16_t number
    memcpy(&number, at, 2)
    return swapped_16(number)


cdef inline uint32_t _four(const uint8_t *at) noexcept nogil:
    cdef uint32_t number
    memcpy(&number, at, 4)
    return swapped_32(number)


cdef inline uint64_t _eight(const uint8_t *at) noexcept nogil:
    cdef uint64_t number
    memcpy(&number, at, 8)
    return swapped_64(number)


cdef inline bint read_number(Cursor *cursor, int64_t *number) noexcept nogil:
    """A number of 64 bits with a sign; larger ones aren't plain."""
    cdef uint8_t form
    cdef uint32_t bits
    cdef uint64_t given
    if not _left(cursor, 1):
        return False
    form = cursor.at[0]
    if form < 0x80:
        number[0] = form
        cursor.at += 1
        return True
    if unlikely(form < UINT_8 or form > UINT_64 or not _left(cursor, 9)):
        return _read_rare(cursor, form, number)
    # One, two, four or eight bytes, whose forms follow each other; which is chance, so no branch asks.
    bits = 8 << (form - UINT_8)
    given = _eight(cursor.at + 1) >> (64 - bits)
    if unlikely(given > <uint64_t>INT64_MAX):
        return False
    number[0] = <int64_t>given
    cursor.at += 1 + (bits >> 3)
    return True


cdef inline bint _read_rare(Cursor *cursor, uint8_t form, int64_t *number) noexcept nogil:
    """Of numbers beyond one byte those below zero, and what ends with its record."""
    cdef size_t size
    if form >= FIX_NEGATIVE:
        number[0] = <int8_t>form
        cursor.at += 1
        return True
    if form < UINT_8 or form > INT_64:
        return False
    size = <size_t>1 << ((form - UINT_8) & 3)
    if not _left(cursor, 1 + size):
        return False
    if form == UINT_8:
        number[0] = cursor.at[1]
    elif form == INT_8:
        number[0] = <int8_t>cursor.at[1]
    elif form == UINT_16:
        number[0] = _two(cursor.at + 1)
    elif form == INT_16:
        number[0] = <int16_t>_two(cursor.at + 1)
    elif form == UINT_32:
        number[0] = _four(cursor.at + 1)
    elif form == INT_32:
        number[0] = <int32_t>_four(cursor.at + 1)
    elif form == UINT_64 and _eight(cursor.at + 1) > <uint64_t>INT64_MAX:
        return False
    else:
        number[0] = <int64_t>_eight(cursor.at + 1)
    cursor.at += 1 + size
    return True


cdef inline bint read_code(Cursor *cursor, uint8_t first, uint8_t last, uint8_t *code) noexcept nogil:
    """A member of a vocabulary whose numbers are all there, from first to last, in its one byte."""
    if not _left(cursor, 1) or cursor.at[0] < first or cursor.at[0] > last:
        return False
    code[0] = cursor.at[0]
    cursor.at += 1
    return True


cdef inline bint read_flag(Cursor *cursor, bint *flag) noexcept nogil:
    if not _left(cursor, 1) or (cursor.at[0] != TRUE and cursor.at[0] != FALSE):
        return False
    flag[0] = cursor.at[0] == TRUE
    cursor.at += 1
    return True


cdef inline bint read_text(Cursor *cursor, View *text) noexcept nogil:
    """A text of ASCII; another has a form to be checked, and isn't plain."""
    cdef uint8_t form
    if not _left(cursor, 1):
        return False
    form = cursor.at[0]
    if likely((form & 0xE0) == FIX_TEXT):
        return _read_view(cursor, 1, form & 0x1F, text) and _ascii(text)
    return _read_long(cursor, TEXT_8, text) and _ascii(text)


cdef inline bint read_any_text(Cursor *cursor, View *text) noexcept nogil:
    """A text whose form is still to be checked."""
    if _left(cursor, 1) and (cursor.at[0] & 0xE0) == FIX_TEXT:
        return _read_view(cursor, 1, cursor.at[0] & 0x1F, text)
    return _read_long(cursor, TEXT_8, text)


cdef inline bint read_blob(Cursor *cursor, View *blob) noexcept nogil:
    return _read_long(cursor, BLOB_8, blob)


cdef inline bint read_array(Cursor *cursor, uint32_t *count) noexcept nogil:
    """The beginning of an array, of how many."""
    cdef uint8_t form
    if not _left(cursor, 1):
        return False
    form = cursor.at[0]
    if (form & 0xF0) == FIX_ARRAY:
        count[0] = form & 0x0F
        cursor.at += 1
        return True
    if form != ARRAY_16 or not _left(cursor, 3):
        return False
    count[0] = _two(cursor.at + 1)
    cursor.at += 3
    return True


cdef inline bint read_count(Cursor *cursor, uint32_t *count) noexcept nogil:
    """The same of an array that may be a whole table."""
    if not _left(cursor, 5) or cursor.at[0] != ARRAY_32:
        return read_array(cursor, count)
    count[0] = _four(cursor.at + 1)
    cursor.at += 5
    return True


cdef inline bint read_map(Cursor *cursor, uint32_t *count) noexcept nogil:
    """The beginning of a map, of how many keys."""
    if not _left(cursor, 1):
        return False
    if (cursor.at[0] & 0xF0) == FIX_MAP:
        count[0] = cursor.at[0] & 0x0F
        cursor.at += 1
        return True
    if cursor.at[0] == MAP_16 and _left(cursor, 3):
        count[0] = _two(cursor.at + 1)
        cursor.at += 3
        return True
    if cursor.at[0] != MAP_32 or not _left(cursor, 5):
        return False
    count[0] = _four(cursor.at + 1)
    cursor.at += 5
    return True


cdef inline bint read_nil(Cursor *cursor) noexcept nogil:
    if not _left(cursor, 1) or cursor.at[0] != NIL:
        return False
    cursor.at += 1
    return True


cdef inline bint _read_long(Cursor *cursor, uint8_t form_8, View *view) noexcept nogil:
    """A length of one, two or four bytes in forms that follow each other, and so many bytes."""
    cdef uint8_t form
    if not _left(cursor, 1):
        return False
    form = cursor.at[0]
    if form == form_8:
        return _left(cursor, 2) and _read_view(cursor, 2, cursor.at[1], view)
    if form == form_8 + 1:
        return _left(cursor, 3) and _read_view(cursor, 3, _two(cursor.at + 1), view)
    if form == form_8 + 2:
        return _left(cursor, 5) and _read_view(cursor, 5, _four(cursor.at + 1), view)
    return False


cdef inline bint _read_view(Cursor *cursor, size_t head, size_t size, View *view) noexcept nogil:
    if not _left(cursor, head + size):
        return False
    view.data = cursor.at + head
    view.size = size
    cursor.at += head + size
    return True


cdef inline bint _ascii(const View *text) noexcept nogil:
    cdef uint64_t eight = 0
    cdef uint8_t beyond = 0
    cdef size_t index = 0
    while index + 8 <= text.size:
        memcpy(&eight, text.data + index, 8)
        if eight & <uint64_t>0x8080808080808080:
            return False
        index += 8
    while index < text.size:
        beyond |= text.data[index]
        index += 1
    return beyond < 0x80
