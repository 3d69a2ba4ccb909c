# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The events of the running command, as bytes: written in C, or encoded where a Python room says one.

It stands where the law's state has a list, and Python rooms use it as one. What an event means it doesn't
know.
"""

from libc.stdint cimport int64_t
from libc.string cimport memset

from engine.compiled.wire cimport View, clear_sink, free_sink, put_encoded, record_of, view_bytes

import msgspec

from engine.codec import decode_events

_encode = msgspec.msgpack.Encoder().encode


cdef class EventTape:
    def __cinit__(self):
        memset(&self.sink, 0, sizeof(self.sink))

    def __dealloc__(self):
        free_sink(&self.sink)

    cdef void clear(self) noexcept:
        """Before a command, or when it is refused after all."""
        clear_sink(&self.sink)

    def append(self, event):
        """Take in an event of a Python room."""
        cdef View view
        cdef bytes encoded = _encode(event)
        view_bytes(&view, encoded)
        put_encoded(&self.sink, view.data, view.size)

    def __len__(self):
        return self.sink.events

    def __iter__(self):
        return iter(self.events())

    def events(self):
        """All of them as messages."""
        return list(decode_events(0, record_of(&self.sink, 0)).events)

    def record(self, int64_t ts_ns):
        """The record of the command, as `engine.codec.encode_events` makes it."""
        return record_of(&self.sink, ts_ns)

    def forget(self):
        """No events any more."""
        self.clear()
