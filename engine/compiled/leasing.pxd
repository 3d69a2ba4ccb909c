"""Leases of every day for compiled callers; `engine.leases` is the law.

Each says whether it played its command or timer. If not, nothing has changed, and the law's own room plays
it: refusals, forwards, newcomers that wait or are waited for, leases whose price changed, and what a provider
fails.
"""

from libc.stdint cimport int64_t, uint64_t

from engine.compiled.records cimport Lease
from engine.compiled.state cimport Core
from engine.compiled.wire cimport View

cdef bint lease_active(Core core, uint64_t lease_id, const View *access) except -1
cdef bint end_lease(Core core, int64_t account, uint64_t lease_id) except -1
cdef bint lease_wiped(Core core, uint64_t lease_id) except -1
# Timers of a lease; the first at which its use is posted, the others at which it ends.
cdef bint full_hour(Core core, Lease lease) except -1
cdef bint term_end(Core core, Lease lease) except -1
cdef bint notice_end(Core core, Lease lease) except -1
