"""Bytes of records: a growing sink and msgpack's forms, each the shortest, as the law's encoder writes them.

Writers take the place of the next byte and give the one behind; room for the longest form is reserved before,
so that none of them looks whether there is any. `engine.codec` is the law; tests hold every form against it.
It knows no event and no command.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport (
    INT32_MIN, UINT32_MAX, int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t,
)
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

cdef extern from *:
    """
    #if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    #error "numbers are turned round on their way to the wire: the machine must be little-endian"
    #endif
    """
    bint likely(bint condition) noexcept nogil
    bint unlikely(bint condition) noexcept nogil
    uint16_t swapped_16 "__builtin_bswap16"(uint16_t number) noexcept nogil
    uint32_t swapped_32 "__builtin_bswap32"(uint32_t number) noexcept nogil
    uint64_t swapped_64 "__builtin_bswap64"(uint64_t number) noexcept nogil

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL

cdef enum:
    # The first byte of a record (`engine.codec.FORMAT`).
    RECORD_FORMAT = 1
    # Bytes that a number takes at most.
    NUMBER_BYTES = 9
    # Bytes before a text's or a blob's own at most.
    LENGTH_BYTES = 5
    SINK_BYTES = 4096
    # What stands before the events of a record takes at most.
    HEAD_BYTES = 16
    # Behind a record's format, [ts_ns, events] begins.
    PAIR = 0x92
    FEW_MAX = 15

    FIX_MAP = 0x80
    FIX_ARRAY = 0x90
    FIX_TEXT = 0xA0
    NIL = 0xC0
    FALSE = 0xC2
    TRUE = 0xC3
    BLOB_8 = 0xC4
    BLOB_16 = 0xC5
    BLOB_32 = 0xC6
    UINT_8 = 0xCC
    UINT_16 = 0xCD
    UINT_32 = 0xCE
    UINT_64 = 0xCF
    INT_8 = 0xD0
    INT_16 = 0xD1
    INT_32 = 0xD2
    INT_64 = 0xD3
    TEXT_8 = 0xD9
    TEXT_16 = 0xDA
    TEXT_32 = 0xDB
    ARRAY_16 = 0xDC
    ARRAY_32 = 0xDD
    MAP_16 = 0xDE
    MAP_32 = 0xDF
    FIX_NEGATIVE = 0xE0


cdef struct View:
    # Somebody else's bytes: of a record, or of a Python object that outlasts it.
    const uint8_t *data
    size_t size


cdef struct WireSink:
    # Events behind one another: `size` bytes that are so many events. Before them HEAD_BYTES are free.
    uint8_t *data
    size_t size
    size_t capacity
    uint32_t events


# ---------------------------------------------------------------- the sink


cdef inline void free_sink(WireSink *sink) noexcept nogil:
    """Give its memory back; all zero is an empty sink, and so is what is left."""
    if sink.data != NULL:
        free(sink.data - HEAD_BYTES)
    sink.data = NULL
    sink.capacity = 0
    clear_sink(sink)


cdef inline void clear_sink(WireSink *sink) noexcept nogil:
    """Forget what was written; its memory stays."""
    sink.size = 0
    sink.events = 0


cdef inline int _grow_sink(WireSink *sink, size_t size) except -1 nogil:
    cdef size_t capacity = sink.capacity * 2 if sink.capacity else SINK_BYTES
    cdef uint8_t *grown
    if capacity < sink.size + size:
        capacity = sink.size + size
    grown = <uint8_t *>realloc(sink.data - HEAD_BYTES if sink.data != NULL else NULL, HEAD_BYTES + capacity)
    if grown == NULL:
        with gil:
            raise MemoryError("no memory for events")
    sink.data = grown + HEAD_BYTES
    sink.capacity = capacity
    return 0


cdef inline uint8_t *room(WireSink *sink, size_t size) except NULL nogil:
    """Where the next byte goes, with room for so many; the place moves when the sink grows."""
    if unlikely(sink.capacity - sink.size < size):
        _grow_sink(sink, size)
    return sink.data + sink.size


cdef inline void written(WireSink *sink, uint8_t *at) noexcept nogil:
    """One event more ends here."""
    sink.size = <size_t>(at - sink.data)
    sink.events += 1


cdef inline bytes record_of(WireSink *sink, int64_t ts_ns):
    """The record of a command's events: how many they are stands before them, in the fewest bytes."""
    cdef uint8_t head[2 + NUMBER_BYTES + LENGTH_BYTES]
    cdef uint8_t *at = put_array(put_long(&head[2], ts_ns), sink.events)
    cdef size_t size = <size_t>(at - head)
    head[0] = RECORD_FORMAT
    head[1] = PAIR
    if sink.data == NULL:
        return PyBytes_FromStringAndSize(<const char *>head, <Py_ssize_t>size)
    at = sink.data - size
    memcpy(at, head, size)
    return PyBytes_FromStringAndSize(<const char *>at, <Py_ssize_t>(size + sink.size))


cdef inline int put_encoded(WireSink *sink, const uint8_t *data, size_t size) except -1 nogil:
    """An event that is encoded already."""
    cdef uint8_t *at = room(sink, size)
    memcpy(at, data, size)
    written(sink, at + size)
    return 0


# ---------------------------------------------------------------- views


cdef inline int view_text(View *view, str text) except -1:
    """A text's UTF-8, as long as the text is alive; UnicodeEncodeError for half a surrogate pair."""
    cdef Py_ssize_t size
    view.data = <const uint8_t *>PyUnicode_AsUTF8AndSize(text, &size)
    view.size = <size_t>size
    return 0


cdef inline void view_bytes(View *view, bytes blob) noexcept:
    """Its bytes, as long as the object is alive."""
    view.data = <const uint8_t *>PyBytes_AS_STRING(blob)
    view.size = <size_t>PyBytes_GET_SIZE(blob)


cdef inline bytes bytes_of(const View *view):
    return PyBytes_FromStringAndSize(<const char *>view.data, <Py_ssize_t>view.size)


cdef inline str text_of(const View *view):
    """The text of bytes that are ASCII, as a reader's are."""
    return view.data[:view.size].decode("ascii")


# ---------------------------------------------------------------- writers


cdef inline uint8_t *put_number(uint8_t *at, int64_t number) noexcept nogil:
    """A number in the fewest bytes, at most NUMBER_BYTES."""
    # A negative one is among the greatest: it is told apart from those alone.
    cdef uint64_t whole = <uint64_t>number
    cdef uint16_t two
    cdef uint32_t four
    if whole <= 0x7F:
        at[0] = <uint8_t>whole
        return at + 1
    if whole <= 0xFF:
        at[0] = UINT_8
        at[1] = <uint8_t>whole
        return at + 2
    if whole <= 0xFFFF:
        at[0] = UINT_16
        two = swapped_16(<uint16_t>whole)
        memcpy(at + 1, &two, 2)
        return at + 3
    if whole <= UINT32_MAX:
        at[0] = UINT_32
        four = swapped_32(<uint32_t>whole)
        memcpy(at + 1, &four, 4)
        return at + 5
    return put_long(at, number) if likely(number > 0) else _put_negative(at, number)


cdef inline uint8_t *put_long(uint8_t *at, int64_t number) noexcept nogil:
    """As `put_number`, and at once what takes all bytes, as most ids and times do."""
    cdef uint64_t eight
    if unlikely(number <= UINT32_MAX):
        return put_number(at, number)
    at[0] = UINT_64
    eight = swapped_64(<uint64_t>number)
    memcpy(at + 1, &eight, 8)
    return at + 9


cdef inline uint8_t *_put_negative(uint8_t *at, int64_t number) noexcept nogil:
    cdef uint16_t two
    cdef uint32_t four
    cdef uint64_t eight
    if number >= -32:
        at[0] = <uint8_t><int8_t>number
        return at + 1
    if number >= -0x80:
        at[0] = INT_8
        at[1] = <uint8_t><int8_t>number
        return at + 2
    if number >= -0x8000:
        at[0] = INT_16
        two = swapped_16(<uint16_t><int16_t>number)
        memcpy(at + 1, &two, 2)
        return at + 3
    if number >= INT32_MIN:
        at[0] = INT_32
        four = swapped_32(<uint32_t><int32_t>number)
        memcpy(at + 1, &four, 4)
        return at + 5
    at[0] = INT_64
    eight = swapped_64(<uint64_t>number)
    memcpy(at + 1, &eight, 8)
    return at + 9


cdef inline uint8_t *put_code(uint8_t *at, uint8_t code) noexcept nogil:
    """A member of a closed vocabulary: they are all below 128, and one byte."""
    at[0] = code
    return at + 1


cdef inline uint8_t *put_flag(uint8_t *at, bint flag) noexcept nogil:
    at[0] = TRUE if flag else FALSE
    return at + 1


cdef inline uint8_t *put_text(uint8_t *at, const View *text) noexcept nogil:
    """UTF-8, at most LENGTH_BYTES more than its own."""
    if text.size < 32:
        at[0] = <uint8_t>(FIX_TEXT | text.size)
        at += 1
    elif text.size <= 0xFF:
        at[0] = TEXT_8
        at[1] = <uint8_t>text.size
        at += 2
    else:
        at = _put_length(at, TEXT_16, text.size)
    return _put_bytes(at, text)


cdef inline uint8_t *put_blob(uint8_t *at, const View *blob) noexcept nogil:
    """Bytes, at most LENGTH_BYTES more than their own."""
    if blob.size <= 0xFF:
        at[0] = BLOB_8
        at[1] = <uint8_t>blob.size
        at += 2
    else:
        at = _put_length(at, BLOB_16, blob.size)
    return _put_bytes(at, blob)


cdef inline uint8_t *put_array(uint8_t *at, uint32_t count) noexcept nogil:
    """The beginning of an array of so many."""
    if count <= FEW_MAX:
        at[0] = <uint8_t>(FIX_ARRAY | count)
        return at + 1
    return _put_length(at, ARRAY_16, count)


cdef inline uint8_t *put_map(uint8_t *at, uint32_t count) noexcept nogil:
    """The beginning of a map of so many keys."""
    if count <= FEW_MAX:
        at[0] = <uint8_t>(FIX_MAP | count)
        return at + 1
    return _put_length(at, MAP_16, count)


cdef inline uint8_t *_put_length(uint8_t *at, uint8_t form_16, size_t size) noexcept nogil:
    """A length of two bytes, or of four in the next form."""
    cdef uint16_t two
    cdef uint32_t four
    if size <= 0xFFFF:
        at[0] = form_16
        two = swapped_16(<uint16_t>size)
        memcpy(at + 1, &two, 2)
        return at + 3
    at[0] = form_16 + 1
    four = swapped_32(<uint32_t>size)
    memcpy(at + 1, &four, 4)
    return at + 5


cdef inline uint8_t *_put_bytes(uint8_t *at, const View *view) noexcept nogil:
    if view.size:
        memcpy(at, view.data, view.size)
    return at + view.size
