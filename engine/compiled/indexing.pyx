# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What follows of leases and bills and isn't in a snapshot: where they count, and their timers.

As `engine.snapshot.index_lease`, `engine.spot_leases.rearm` and `engine.timers.rearm` have it; leases of
forwards count by the law's own rooms.
"""

from libc.stdint cimport UINT64_MAX, uint8_t

from engine.compiled.codes cimport (
    KIND_FORWARD, KIND_ONDEMAND, KIND_SPOT, LEASE_ACTIVE, LEASE_PROVISIONING, TIMER_AUTO_EXTEND,
    TIMER_DELIVERY_END, TIMER_LEASE_HOUR, TIMER_MONTH_CLOSE, TIMER_NOTICE_END, TIMER_TERM_END,
    TIMER_WIPE_OVERDUE,
)
from engine.compiled.dues cimport Bill
from engine.compiled.lookups cimport displaceable, row_of, yields
from engine.compiled.records cimport Baron, Lease, Row
from engine.compiled.standing cimport baron_of
from engine.compiled.state cimport Core

from engine import snapshot, spot_leases


cdef int count(Core state, Lease lease) except -1:
    """In the row that sold it, and among those that a bid may displace."""
    cdef Baron baron = baron_of(state, lease.baron)
    cdef Row row = row_of(state, baron, lease.provider)
    if row is None:
        raise LookupError(f"lease {lease.lease_id} is of no row")
    if lease.kind_code == KIND_ONDEMAND:
        row.firm_leases.remember(lease.lease_id, 0, UINT64_MAX)
        if lease.is_live():
            row.firm_gpus += lease.quantity
        return 0
    if lease.state_code != LEASE_PROVISIONING and lease.state_code != LEASE_ACTIVE:
        return 0
    yields(row.spot_leases, lease)
    if lease.state_code == LEASE_ACTIVE:
        index = displaceable(state, baron.spot_instrument)
        if index is None:
            # The first of its instrument.
            spot_leases.active(state, lease)
        else:
            yields(index, lease)
    return 0


cdef uint8_t timer_kind(Lease lease) noexcept:
    """What its one timer is for."""
    if lease.due_ns == lease.ends_ns:
        return TIMER_NOTICE_END
    if lease.due_ns == lease.term_end_ns:
        return TIMER_DELIVERY_END if lease.kind_code == KIND_FORWARD else TIMER_TERM_END
    return TIMER_LEASE_HOUR


cdef int index_lease(Core state, Lease lease) except -1:
    if lease.kind_code == KIND_SPOT or lease.kind_code == KIND_ONDEMAND:
        count(state, lease)
    else:
        snapshot.index_lease(state, lease)
    if lease.due_ns:
        state.timers.insert(lease.due_ns, timer_kind(lease), lease.lease_id)
    if lease.auto_due_ns:
        state.timers.insert(lease.auto_due_ns, TIMER_AUTO_EXTEND, lease.lease_id)
    if lease.wipe_due_ns:
        state.timers.insert(lease.wipe_due_ns, TIMER_WIPE_OVERDUE, lease.lease_id)
    return 0


cdef int index_bill(Core state, Bill bill) except -1:
    state.timers.insert(bill.due_ns, TIMER_MONTH_CLOSE, bill.bill_id)
    return 0
