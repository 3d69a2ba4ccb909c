"""A bill as C fields, under the law's names (`engine.dues`)."""

from libc.stdint cimport int64_t, uint32_t, uint64_t


cdef class Bill:
    cdef public uint64_t bill_id
    cdef public uint32_t renter
    cdef public uint32_t provider
    cdef public int64_t due_ns
    cdef public int64_t charge_micros
    cdef public int64_t receivable_micros
    cdef public int64_t run_from_ns
    cdef public int64_t over_ns
    cdef public int64_t out_ns
    cdef public int64_t out_until_ns
    # None before anybody asks.
    cdef list stopped
    cdef public object hours
