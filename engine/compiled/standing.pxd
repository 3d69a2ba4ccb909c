"""What stands in the rows and tables of a shard, in C: spot and on-demand orders with nothing rare."""

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from engine.compiled.arithmetic cimport NS_PER_HOUR
from engine.compiled.records cimport Account, Baron, Row
from engine.compiled.slots cimport OrderSlot
from engine.compiled.state cimport Core
from engine.compiled.tables cimport find_in
from engine.grid_fast cimport Count


# Fill in what a Baron is known by.
cdef int know(Core state, Baron baron) except -1
# The row of who bought an ask's hours, borrowed.
cdef PyObject *bought_row_at(Core state, const OrderSlot *ask) except NULL
# There is none of this number: KeyError.
cdef int nobody(uint32_t number) except -1


# `..._at` gives a borrowed reference, to be handed on as an argument: accounts, Barons and rows never leave
# their tables, and what isn't counted isn't written.


cdef inline PyObject *account_at(Core state, uint32_t number) except NULL:
    """One that there must be, or KeyError."""
    cdef PyObject *found = find_in(&state.accounts.ring, number)
    if found == NULL:
        nobody(number)
    return found


cdef inline PyObject *baron_at(Core state, uint32_t number) except NULL:
    """The same of a Baron, with what it is known by filled in."""
    cdef PyObject *found = find_in(&state.barons.ring, number)
    if found == NULL:
        nobody(number)
    if (<Baron>found).own_row is None:
        know(state, <Baron>found)
    return found


cdef inline PyObject *row_at(Core state, Baron baron, const OrderSlot *ask) except NULL:
    """The row that an ask stands in: its Baron's provider's, or that of who bought its hours."""
    return <PyObject *>baron.own_row if baron.provider == ask.account else bought_row_at(state, ask)


cdef inline Account find_account(Core state, int64_t number):
    """An account, or None."""
    cdef PyObject *found = find_in(&state.accounts.ring, <uint64_t>number)
    return <Account>found if found != NULL else None


cdef inline Account account_of(Core state, uint32_t number):
    """One that there must be, or KeyError."""
    cdef PyObject *found = find_in(&state.accounts.ring, number)
    if found == NULL:
        nobody(number)
    return <Account>found


cdef inline Baron find_baron(Core state, int64_t number):
    """A Baron with what it is known by filled in, or None."""
    cdef PyObject *found = find_in(&state.barons.ring, <uint64_t>number)
    if found == NULL:
        return None
    if (<Baron>found).own_row is None:
        know(state, <Baron>found)
    return <Baron>found


cdef inline Baron baron_of(Core state, uint32_t number):
    """One that there must be, or KeyError."""
    cdef PyObject *found = find_in(&state.barons.ring, number)
    if found == NULL:
        nobody(number)
    if (<Baron>found).own_row is None:
        know(state, <Baron>found)
    return <Baron>found


cdef inline Row row_of_ask(Core state, Baron baron, const OrderSlot *ask):
    """The row that an ask stands in: its Baron's provider's, or that of who bought its hours."""
    return baron.own_row if baron.provider == ask.account else <Row>state.rows[ask.account, ask.baron]


cdef inline uint32_t hour_of(int64_t ts_ns) noexcept nogil:
    return <uint32_t>(<uint64_t>ts_ns // <uint64_t>NS_PER_HOUR)


cdef inline uint32_t hour_after(int64_t ts_ns) noexcept nogil:
    return <uint32_t>((<uint64_t>ts_ns + NS_PER_HOUR - 1) // <uint64_t>NS_PER_HOUR)


# What firm sales leave to spot leases at a time.
cdef int64_t deliverable_to_spot(Core state, Baron baron, Row row, int64_t as_of_ns) noexcept
cdef int64_t spot_free(Core state, Baron baron, Row row) noexcept
# The least that is free for firm asks in a span that isn't empty.
cdef int64_t firm_free(Baron baron, Row row, uint32_t start_h, uint32_t end_h) noexcept
cdef int add_to_grid(
    Core state, Row row, Count count, uint32_t start_h, uint32_t end_h, int64_t quantity
) except -1
# An open ask stands on more GPUs of its row, or on fewer.
cdef int stand(Core state, Row row, const OrderSlot *ask, int64_t quantity) except -1

cdef int arm_look_ahead(Core state, Row row) except -1
# GPUs of a Baron were leased, or are free again: say so, and bring the row that it touched to order.
cdef int capacity_changed(Core state, Baron baron, Row row) except -1
# Bring a row's spot asks to what is free for them now and in two minutes.
cdef int settle(Core state, Baron baron, Row row) except -1

# A new order into the tables, with its hold; a live one out of them. An order that `has_more` rare terms than
# a client id, a tag, an expiry and a connection leaves by the law's rooms.
cdef bint has_more(Core state, OrderSlot *order) except -1
cdef int admit(Core state, Account account, OrderSlot *order, uint32_t index, int64_t hold) except -1
cdef int close(Core state, uint32_t index, uint8_t reason) except -1
cdef int forget(Core state, Account account, uint32_t index, uint8_t status) except -1
