"""How a book looks from Python: orders, depth, and all of its state; compiled apart, because nothing here is
in a hurry.
"""

from libc.stdint cimport uint32_t, uint64_t

from engine.fast.core cimport BookCore, uint128_t


cdef object wide(uint128_t value)
cdef object order_at(BookCore *core, uint32_t index)
cdef list best_levels(BookCore *core, bint sells, Py_ssize_t max_levels)
cdef list orders_at_rest(BookCore *core, bint sells, Py_ssize_t max_orders)
cdef object state_of(BookCore *core, object limits)
cdef int restore_state(BookCore *core, object state) except -1
cdef uint64_t pool_bytes(BookCore *core) noexcept
cdef int take_limits(BookCore *core, object limits) except -1
cdef void free_orders(BookCore *core) noexcept nogil
cdef void free_pools(BookCore *core) noexcept
