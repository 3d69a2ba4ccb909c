"""Money in C: a pot changes here, by a Transfer, as in `engine.money`."""

from libc.stdint cimport int64_t, uint8_t, uint64_t

from engine.compiled.records cimport Account
from engine.compiled.slots cimport OrderSlot
from engine.compiled.state cimport Core


# Hold more of an account's available money, with a code, or release (a negative delta).
cdef int change_hold(
    Core state, Account account, int64_t delta_micros, uint64_t ref, uint8_t code
) except -1
cdef int64_t higher_fee_ppm(Account account) noexcept
# The hold of a bid that leaves so much, or of an ask of its Baron's own provider.
cdef int64_t order_hold(Core state, Account account, const OrderSlot *order, int64_t leaves) noexcept
