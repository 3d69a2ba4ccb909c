"""What follows of leases and bills after a restore, for compiled callers."""

from engine.compiled.dues cimport Bill
from engine.compiled.records cimport Lease
from engine.compiled.state cimport Core

# Where a lease of the table counts, and its timers.
cdef int index_lease(Core state, Lease lease) except -1
# The timer of a bill.
cdef int index_bill(Core state, Bill bill) except -1
