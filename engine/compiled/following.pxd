"""What a command sets off, in C, when its own room is done."""

from engine.compiled.state cimport Core


# Stops, offers and spent quotes, and at last the leases of what was traded.
cdef int follow(Core state) except -1
