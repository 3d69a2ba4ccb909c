"""Whether an order is plain and may enter; a No means that the law's rooms must look."""

from libc.stdint cimport int64_t, uint8_t

from engine.book_fast cimport FastBook
from engine.compiled.commands cimport PlainCommand
from engine.compiled.records cimport Account, Baron
from engine.compiled.slots cimport OrderSlot
from engine.compiled.state cimport Core, Listed
from engine.fast.records cimport CommandRecord

# Nothing rare, and all that is known of its fields makes sense; the same of what its side has.
cdef bint is_plain(Core state, const PlainCommand *command) noexcept nogil
cdef bint is_bid(Core state, const PlainCommand *command, uint8_t kind) noexcept nogil
cdef bint is_ask(Core state, const PlainCommand *command, Listed listed, Baron baron) noexcept
# GPUs for an ask on its account's own Baron: as the law says it, so that a No is a refusal.
cdef bint has_room(Core state, Baron baron, const OrderSlot *ask) noexcept
# No bound on leases or fills in an order's way.
cdef bint way_is_clear(
    Core state, Account account, FastBook book, const OrderSlot *order, const CommandRecord *command
) except -1
# The best price on the bids' side; 0: there is none.
cdef int64_t best_bid(FastBook book) noexcept nogil
