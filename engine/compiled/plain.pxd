"""What is plain in a snapshot, read in C: ValueError for all else, which the law's decoder looks at.

What isn't plain: a number that its field can't hold, a form that the law's encoder doesn't write, bytes that
end too soon. It knows no record.
"""

from libc.stdint cimport (
    INT32_MAX, INT64_MAX, INT64_MIN, UINT16_MAX, UINT32_MAX, int32_t, int64_t, uint8_t, uint16_t, uint32_t,
    uint64_t,
)

from engine.compiled.reading cimport (
    Cursor, read_any_text, read_blob, read_code, read_count, read_flag, read_number, read_text,
)
from engine.compiled.wire cimport (
    ARRAY_16, ARRAY_32, BLOB_8, BLOB_16, BLOB_32, FIX_ARRAY, FIX_NEGATIVE, FIX_TEXT, INT_8, INT_16, INT_32,
    INT_64, MAP_16, MAP_32, NIL, TEXT_8, TEXT_16, TEXT_32, TRUE, FALSE, UINT_8, UINT_16, UINT_32, UINT_64,
    View, likely, text_of, unlikely,
)


cdef inline int not_plain() except -1:
    raise ValueError("the law's decoder has to look at it")


cdef inline int64_t number(Cursor *cursor, int64_t least, int64_t most) except? -1:
    cdef int64_t found = 0
    if unlikely(not read_number(cursor, &found) or found < least or found > most):
        not_plain()
    return found


cdef inline int64_t any_number(Cursor *cursor) except? -1:
    return number(cursor, INT64_MIN, INT64_MAX)


cdef inline uint64_t any_id(Cursor *cursor) except? 18446744073709551615:
    return <uint64_t>number(cursor, 0, INT64_MAX)


cdef inline uint32_t small(Cursor *cursor) except? 4294967295:
    return <uint32_t>number(cursor, 0, UINT32_MAX)


cdef inline uint16_t few(Cursor *cursor) except? 65535:
    return <uint16_t>number(cursor, 0, UINT16_MAX)


cdef inline int32_t price(Cursor *cursor) except? -1:
    return <int32_t>number(cursor, 0, INT32_MAX)


cdef inline uint8_t code(Cursor *cursor, uint8_t first, uint8_t last) except? 255:
    cdef uint8_t found = 0
    if unlikely(not read_code(cursor, first, last, &found)):
        not_plain()
    return found


cdef inline bint flag(Cursor *cursor) except? True:
    cdef bint found = False
    if unlikely(not read_flag(cursor, &found)):
        not_plain()
    return found


cdef inline str text(Cursor *cursor):
    """A text of ASCII; an empty one is no new object."""
    cdef View found
    found.data, found.size = NULL, 0
    if unlikely(not read_text(cursor, &found)):
        not_plain()
    return text_of(&found) if found.size else ""


cdef inline int view_any_text(Cursor *cursor, View *found) except -1:
    """A text whose form is still to be checked."""
    return 0 if likely(read_any_text(cursor, found)) else not_plain()


cdef inline int view_blob(Cursor *cursor, View *found) except -1:
    return 0 if likely(read_blob(cursor, found)) else not_plain()


cdef inline int open_record(Cursor *cursor, uint32_t fields) except -1:
    cdef uint32_t count = 0
    return 0 if likely(read_count(cursor, &count) and count == fields) else not_plain()


cdef inline uint32_t open_table(Cursor *cursor, uint32_t fields) except? 4294967295:
    """How many records of so many fields follow, of a byte each at least."""
    cdef uint32_t count = 0
    if not read_count(cursor, &count) or count > <uint64_t>(cursor.end - cursor.at) // fields:
        not_plain()
    return count


# ---------------------------------------------------------------- what others read


cdef inline uint64_t _length(const Cursor *cursor, int bytes_of_it) except? 18446744073709551615:
    """What so many bytes behind a form say, from the highest on."""
    cdef uint64_t length = 0
    cdef int place
    if cursor.end - cursor.at <= bytes_of_it:
        not_plain()
    for place in range(1, bytes_of_it + 1):
        length = length << 8 | cursor.at[place]
    return length


cdef inline int skip(Cursor *cursor, uint64_t items) except -1:
    """Step over so many items with all that is in them."""
    cdef uint64_t size, within
    cdef uint8_t form
    while items:
        if cursor.at == cursor.end:
            not_plain()
        form, size, within = cursor.at[0], 1, 0
        if form < FIX_ARRAY and form >= 0x80:
            within = 2 * (form & 0x0F)
        elif form < FIX_TEXT and form >= 0x80:
            within = form & 0x0F
        elif form < NIL and form >= 0x80:
            size += form & 0x1F
        elif form == BLOB_8 or form == TEXT_8:
            size += 1 + _length(cursor, 1)
        elif form == BLOB_16 or form == TEXT_16:
            size += 2 + _length(cursor, 2)
        elif form == BLOB_32 or form == TEXT_32:
            size += 4 + _length(cursor, 4)
        elif form == ARRAY_16 or form == MAP_16:
            size, within = 3, _length(cursor, 2) << (form == MAP_16)
        elif form == ARRAY_32 or form == MAP_32:
            size, within = 5, _length(cursor, 4) << (form == MAP_32)
        elif form == UINT_8 or form == INT_8:
            size = 2
        elif form == UINT_16 or form == INT_16:
            size = 3
        elif form == UINT_32 or form == INT_32:
            size = 5
        elif form == UINT_64 or form == INT_64:
            size = 9
        elif form >= 0x80 and form < FIX_NEGATIVE and form != NIL and form != FALSE and form != TRUE:
            not_plain()
        if <uint64_t>(cursor.end - cursor.at) < size:
            not_plain()
        cursor.at += size
        items += within - 1
    return 0
