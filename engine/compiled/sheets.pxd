"""A sink whose memory is a Python object's from the beginning: a large snapshot is written once, not copied
at its end.

Whoever writes to such a sink takes room by `space`, never by `room`, which would move memory that isn't its
own.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, _PyBytes_Resize
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.stdint cimport uint8_t

from engine.compiled.wire cimport SINK_BYTES, WireSink, unlikely


cdef struct Sheet:
    # First, so that a writer's sink is its sheet.
    WireSink sink
    # The bytes that the sink writes to; all zero is an empty sheet.
    PyObject *held


cdef inline int _grow(Sheet *sheet, size_t size) except -1:
    cdef WireSink *sink = &sheet.sink
    cdef size_t capacity = 2 * sink.capacity + SINK_BYTES + size
    if sheet.held == NULL:
        made = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>capacity)
        Py_INCREF(made)
        sheet.held = <PyObject *>made
    else:
        # Without memory it lets the object go, and says so there.
        _PyBytes_Resize(&sheet.held, <Py_ssize_t>capacity)
    sink.data = <uint8_t *>PyBytes_AS_STRING(<object>sheet.held)
    sink.capacity = capacity
    return 0


cdef inline uint8_t *space(WireSink *sink, size_t size) except NULL:
    """Where the next byte goes, with room for so many; the place moves when the sheet grows."""
    if unlikely(sink.capacity - sink.size < size):
        _grow(<Sheet *>sink, size)
    return sink.data + sink.size


cdef inline bytes torn_off(Sheet *sheet):
    """What was written; the sheet is empty again."""
    _PyBytes_Resize(&sheet.held, <Py_ssize_t>sheet.sink.size)
    whole = <bytes>sheet.held
    throw_away(sheet)
    return whole


cdef inline void throw_away(Sheet *sheet) noexcept:
    Py_XDECREF(sheet.held)
    sheet.held = NULL
    sheet.sink.data = NULL
    sheet.sink.size = sheet.sink.capacity = 0
