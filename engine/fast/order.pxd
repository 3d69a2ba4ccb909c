"""`Order`, the command that `submit` takes without another look."""

cimport cython

from engine.fast.records cimport CommandRecord


@cython.final
cdef class Order:
    cdef CommandRecord record
