"""Rows of the shard's tables for compiled rooms: each table is asked and changed in this one place.

A row that isn't there is None. It knows no rule of the market.
"""

from cpython.dict cimport PyDict_GetItem
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from engine.compiled.dues cimport Bill
from engine.compiled.ordered cimport PairSet
from engine.compiled.records cimport Account, Baron, Lease, Row
from engine.compiled.rings cimport Ring
from engine.compiled.state cimport Core
from engine.compiled.tables cimport IdTable, find_in

cdef enum:
    ROW_BITS = 32


cdef inline object _given(PyObject *found):
    return <object>found if found != NULL else None


cdef inline PyObject *at(const Ring *ring, uint64_t number) except NULL:
    """What must be in a table, borrowed: to be handed on as an argument."""
    cdef PyObject *found = find_in(ring, number)
    if found == NULL:
        raise KeyError(number)
    return found


cdef inline Account account_of(Core core, uint64_t number):
    return <Account>_given(find_in(&core.accounts.ring, number))


cdef inline Baron baron_of(Core core, uint64_t number):
    return <Baron>_given(find_in(&core.barons.ring, number))


cdef inline Lease lease_of(Core core, uint64_t lease_id):
    return <Lease>_given(find_in(&core.leases.ring, lease_id))


cdef inline Bill bill_of(Core core, uint64_t bill_id):
    return <Bill>_given(find_in(&core.bills.ring, bill_id))


cdef inline Row row_of(Core core, Baron baron, uint32_t account):
    """What an account has of a Baron, which `engine.compiled.standing` gave."""
    if account == baron.provider:
        return baron.own_row
    return <Row>_given(PyDict_GetItem(core.rows, (account, baron.baron)))


cdef inline PyObject *row_of_lease_at(Core core, Baron baron, Lease lease) except NULL:
    """The row of who provides a lease, borrowed."""
    if lease.provider == baron.provider:
        return <PyObject *>baron.own_row
    row = core.rows[lease.provider, lease.baron]
    return <PyObject *>row


cdef inline int rearm(Core core, uint8_t kind, uint64_t number, int64_t before_ns, int64_t due_ns) except -1:
    """Move a timer; 0 is none, before or after."""
    if before_ns and not core.timers.drop(before_ns, kind, number):
        raise ValueError(f"there is no timer {(before_ns, kind, number)}")
    if due_ns:
        core.timers.insert(due_ns, kind, number)
    return 0


# ---------------------------------------------------------------- leases


cdef inline PairSet displaceable(Core core, uint32_t instrument):
    """The leases of a spot instrument that a bid may displace; None: there never was one."""
    return <PairSet>_given(find_in(&core.spot_index.ring, instrument))


cdef inline int yields(PairSet index, Lease lease) except -1:
    """A lease stands among those that yield, the cheapest and newest first."""
    index.insert(lease.price_ticks, -<int64_t>lease.lease_id)
    return 0


cdef inline int yields_no_more(PairSet index, Lease lease) except -1:
    if not index.drop(lease.price_ticks, -<int64_t>lease.lease_id):
        raise ValueError(f"lease {lease.lease_id} isn't among those that yield")
    return 0


cdef inline int add_lease(Core core, Lease lease) except -1:
    """A new lease is known by its id and by its Baron (`Core.add_lease`)."""
    core.leases.put_new(lease.lease_id, lease)
    return add_to_baron(<Baron>at(&core.barons.ring, lease.baron), lease)


cdef inline int add_to_baron(Baron baron, Lease lease) except -1:
    if baron.leases is None:
        baron.leases = IdTable.__new__(IdTable)
    return baron.leases.put_new(lease.lease_id, lease)


cdef inline int forget_lease(Core core, Lease lease) except -1:
    """Drop a lease of spot or on-demand; its renter's account knows its id for a while."""
    core.leases.drop(lease.lease_id)
    (<Baron>at(&core.barons.ring, lease.baron)).leases.drop(lease.lease_id)
    return forget_of_renter(core, <Account>at(&core.accounts.ring, lease.renter), lease)


cdef inline int forget_of_renter(Core core, Account renter, Lease lease) except -1:
    renter.leases -= 1
    renter.gpus -= lease.quantity
    renter.wiped_leases.remember_new(lease.lease_id, 0, <uint64_t>core.max_client_ids)
    return 0
