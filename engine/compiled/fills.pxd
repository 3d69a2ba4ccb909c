"""Fills in C: a trade of the book between plain orders, and the leases that come of a command's trades."""

from engine.compiled.state cimport Core, Listed
from engine.fast.records cimport EventRecord


# One TRADE of a spot or on-demand book.
cdef int trade(Core state, Listed listed, const EventRecord *event) except -1
# What was traded cuts what stands on the same GPUs.
cdef int capacity_follows(Core state) except -1
# When the command ends: the leases of all that it traded.
cdef int open_leases(Core state) except -1
