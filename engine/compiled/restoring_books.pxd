"""What a snapshot says of books, for compiled callers."""

from engine.compiled.reading cimport Cursor
from engine.compiled.state cimport Core

# Those of these instruments, in their order; ValueError for what the law's decoder has to look at.
cdef int read_books(Cursor *cursor, Core state, list instruments) except -1
