"""What a snapshot says of books, for compiled callers; and how the law's encoder writes into the same
memory.
"""

from libc.stdint cimport uint64_t

from engine.compiled.tables cimport IdTable
from engine.compiled.wire cimport WireSink

# An array of so many records begins.
cdef int open_table(WireSink *sink, uint64_t count) except -1
# What the law's encoder makes of it.
cdef int put_object(WireSink *sink, object value) except -1
# All books, by instrument.
cdef int put_books(WireSink *sink, IdTable books) except -1
