"""Where the running command's events go, from rooms of both kinds."""

from engine.compiled.wire cimport WireSink


cdef class EventTape:
    # Compiled rooms write here; Python rooms append.
    cdef WireSink sink

    cdef void clear(self) noexcept
