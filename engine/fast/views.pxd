"""How a book looks from Python: orders, depth, and all of its state; compiled apart, because nothing here is
in a hurry.
"""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from engine.fast.core cimport BookCore, Taker, Terms, uint128_t


cdef struct Shown:
    # A live order as the protocol shows it (`engine.book.RestingOrder`).
    uint64_t order_id
    uint32_t account
    uint32_t quantity
    uint32_t leaves
    uint32_t shown
    int32_t price
    uint8_t side
    uint8_t mode
    bint post_only
    const Terms *terms
    # What `terms` are of an order that has none of its own.
    Terms plain


cdef object wide(uint128_t value)
cdef void look_at(BookCore *core, uint32_t index, Shown *shown) noexcept nogil
cdef object order_at(BookCore *core, uint32_t index)
cdef list best_levels(BookCore *core, bint sells, Py_ssize_t max_levels)
cdef list orders_at_rest(BookCore *core, bint sells, Py_ssize_t max_orders)
cdef object state_of(BookCore *core, object limits)
# The same with these for its orders; and a state's restored but for its orders, then one order after another.
cdef object state_with(BookCore *core, object limits, object bids, object asks, object stops)
cdef int restore_state(BookCore *core, object state) except -1
cdef int restore_bare(BookCore *core, object state) except -1
cdef int reserve_orders(BookCore *core, uint64_t count) noexcept nogil
cdef int restore_order(BookCore *core, Taker *taker, uint32_t shown, bint waits) except -1
cdef uint64_t pool_bytes(BookCore *core) noexcept
cdef int take_limits(BookCore *core, object limits) except -1
cdef void free_orders(BookCore *core) noexcept nogil
cdef void free_pools(BookCore *core) noexcept
