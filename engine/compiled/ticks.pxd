"""Time for compiled callers: what is due is fired, as `engine.machine.tick` does."""

from engine.compiled.state cimport Core

cdef int tick(Core core) except -1
