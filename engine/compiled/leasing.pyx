# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Leases from active to wiped, compiled: what `engine.leases` does with those of every day, step by step.

What is rare is told apart before anything changes, and left to the law's room. It knows no order books.
"""

from cpython.object cimport PyObject
from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint32_t, uint64_t

from engine.compiled.arithmetic cimport NS_PER_HOUR
from engine.compiled.charging cimport bill_ended, ended_usage, fill_up, open_bill, post, usage
from engine.compiled.codes cimport (
    CODE_RELEASE, END_EXPIRED, END_PROVIDER_FAILED, END_QUIT, KIND_FORWARD, KIND_ONDEMAND, KIND_SPOT,
    LEASE_ACTIVE, LEASE_ENDED, LEASE_ENDING, LEASE_PROVISIONING, POT_AVAILABLE, POT_BOND,
    TIMER_AUTO_EXTEND, TIMER_LEASE_HOUR, TIMER_NOTICE_END, TIMER_TERM_END,
    TIMER_WIPE_OVERDUE,
)
from engine.compiled.lease_events cimport LeaseChangedEvent, write_lease_changed
from engine.compiled.lookups cimport (
    displaceable, forget_lease, lease_of, rearm, row_of_lease_at, yields, yields_no_more,
)
from engine.compiled.records cimport Account, Baron, Lease, Row
from engine.compiled.standing cimport (
    account_at, account_of, add_to_grid, baron_at, capacity_changed, hour_after, hour_of,
)
from engine.compiled.state cimport Core
from engine.compiled.tables cimport find_in
from engine.compiled.transfers cimport release, transfer
from engine.compiled.wire cimport View, bytes_of, view_bytes, view_text
from engine.grid_fast cimport SOLD

from engine import leases, spot_leases
from engine.kinds import EndReason
from engine.messages import EndLease, LeaseActive, LeaseWiped


cdef inline bint _plain(Lease lease) noexcept:
    """Whether it is of every day: of spot or on-demand, at one price, with no newcomer in it."""
    return (
        lease is not None
        and lease.kind_code != KIND_FORWARD
        and lease.obligation_id == 0
        and lease.waits_for == 0
        and lease.promised_to == 0
        and not lease.returned
        and (lease.priced is None or not lease.priced)
    )


# ---------------------------------------------------------------- commands


cdef bint lease_active(Core core, uint64_t lease_id, const View *access) except -1:
    """The sandbox takes SSH: the charge begins now."""
    cdef PyObject *found = find_in(&core.leases.ring, lease_id)
    return found != NULL and _active(core, <Lease>found, access)


cdef bint _active(Core core, Lease lease, const View *access) except -1:
    cdef int64_t now_ns = core.last_ts_ns
    if not _plain(lease) or lease.state_code != LEASE_PROVISIONING:
        return False
    if access.size > <size_t>core.max_delivery_bytes:
        return False
    if 0 < lease.term_end_ns <= now_ns:
        return False
    lease.state_code = LEASE_ACTIVE
    lease.active_ns = now_ns
    lease.access = bytes_of(access)
    open_bill(core, lease, now_ns).run_from_ns = now_ns
    if lease.kind_code == KIND_SPOT:
        _displaceable(core, lease)
    _arm(core, lease, _next_due_ns(lease, now_ns))
    _changed(core, lease, False)
    return True


cdef bint end_lease(Core core, int64_t account, uint64_t lease_id) except -1:
    """The renter ends it now, and pays its kind's minimum at least."""
    cdef PyObject *found = find_in(&core.leases.ring, lease_id)
    cdef PyObject *baron
    if found == NULL or not _plain(<Lease>found) or (<Lease>found).renter != account:
        return False
    if not (<Lease>found).is_live():
        return False
    baron = baron_at(core, (<Lease>found).baron)
    return _quit(
        core, <Lease>found, <Baron>baron, <Row>row_of_lease_at(core, <Baron>baron, <Lease>found)
    )


cdef bint _quit(Core core, Lease lease, Baron baron, Row row) except -1:
    cdef int64_t ended_ns = core.last_ts_ns
    cdef uint8_t reason = END_QUIT
    if lease.kind_code == KIND_SPOT and 0 < row.look_ahead_ns < ended_ns:
        # Its row is still to be looked at.
        return False
    if lease.state_code == LEASE_ENDING:
        # Who goes while notice runs was sent away: no minimum.
        reason = lease.reason_code
        if reason == END_PROVIDER_FAILED:
            return False
    if lease.due_ns and lease.due_ns < ended_ns:
        # What wasn't topped up yet can't be charged.
        ended_ns = lease.due_ns
    return _finish(
        core, lease, baron, row, <Account>account_at(core, lease.renter), ended_ns, reason
    )


cdef bint lease_wiped(Core core, uint64_t lease_id) except -1:
    """The GPUs of an ended lease are free again; the lease is forgotten but for its id."""
    # Counted, for it leaves the tables.
    cdef Lease lease = lease_of(core, lease_id)
    cdef PyObject *baron
    if not _plain(lease) or lease.is_live():
        return False
    baron = baron_at(core, lease.baron)
    return _wiped(core, lease, <Baron>baron, <Row>row_of_lease_at(core, <Baron>baron, lease))


cdef bint _wiped(Core core, Lease lease, Baron baron, Row row) except -1:
    forget_lease(core, lease)
    baron.leased_gpus -= lease.quantity
    if lease.offer_quantity:
        listing = row.listings[
            baron.spot_instrument if lease.kind_code == KIND_SPOT else baron.ondemand_instrument
        ]
        listing.offer_leased_gpus -= lease.offer_quantity
    _arm_wipe(core, lease, 0)
    if lease.overdue:
        baron.unwiped_gpus -= lease.quantity
    else:
        _give_back(core, lease, row)
    if lease.kind_code == KIND_ONDEMAND:
        row.firm_leases.drop(lease.lease_id)
    _changed(core, lease, True)
    capacity_changed(core, baron, row)
    return True


# ---------------------------------------------------------------- timers


cdef bint full_hour(Core core, Lease lease) except -1:
    """A full hour of use is over: post it, and fill the prefund up; what can't be topped up gets notice."""
    cdef int64_t due_ns = lease.due_ns
    cdef Account renter
    if not _plain(lease) or lease.state_code != LEASE_ACTIVE:
        return False
    renter = account_of(core, lease.renter)
    post(core, lease, renter, usage(lease, lease.active_ns, due_ns))
    if not fill_up(core, lease, renter, due_ns):
        leases.give_notice(core, lease, due_ns, EndReason.UNPAID)
        return True
    _arm(core, lease, _next_due_ns(lease, due_ns))
    _changed(core, lease, False)
    return True


cdef bint term_end(Core core, Lease lease) except -1:
    """The term is over."""
    return _plain(lease) and _ends(core, lease, END_EXPIRED)


cdef bint notice_end(Core core, Lease lease) except -1:
    """The notice is over, and the lease with it."""
    if not _plain(lease) or lease.reason_code == END_PROVIDER_FAILED:
        return False
    return _ends(core, lease, lease.reason_code)


# ---------------------------------------------------------------- the end


cdef inline bint _ends(Core core, Lease lease, uint8_t reason) except -1:
    """Its timer ends it."""
    cdef PyObject *baron = baron_at(core, lease.baron)
    return _finish(
        core, lease, <Baron>baron, <Row>row_of_lease_at(core, <Baron>baron, lease),
        <Account>account_at(core, lease.renter), lease.due_ns, reason,
    )


cdef bint _finish(
    Core core, Lease lease, Baron baron, Row row, Account renter, int64_t ended_ns, uint8_t reason
) except -1:
    """End a live lease that its provider did not fail: post what is due, give back what is left held."""
    cdef int64_t micros
    if lease.kind_code == KIND_ONDEMAND:
        row.firm_gpus -= lease.quantity
    _leaves(core, lease, baron, row)
    lease.reason_code = reason
    bill_ended(core, lease, post(core, lease, renter, ended_usage(lease, ended_ns)), ended_ns)
    micros = lease.prefund_micros
    lease.prefund_micros = 0
    release(core, renter, micros, lease.lease_id)
    micros = lease.bond_micros
    if micros:
        lease.bond_micros = 0
        _release_bond(core, lease, micros)
    lease.state_code = LEASE_ENDED
    lease.ended_ns = ended_ns
    _arm(core, lease, 0)
    if lease.auto_due_ns:
        rearm(core, TIMER_AUTO_EXTEND, lease.lease_id, lease.auto_due_ns, 0)
        lease.auto_due_ns = 0
    _arm_wipe(core, lease, ended_ns + core.wipe_ns)
    _changed(core, lease, False)
    return True


cdef int _release_bond(Core core, Lease lease, int64_t micros) except -1:
    """The bond of a lease that wasn't failed is its seller's again."""
    cdef PyObject *provider = account_at(core, lease.provider)
    return transfer(
        core, <Account>provider, POT_BOND, <Account>provider, POT_AVAILABLE, micros, CODE_RELEASE,
        lease.lease_id,
    )


cdef int _leaves(Core core, Lease lease, Baron baron, Row row) except -1:
    """A spot lease ends without notice: nobody displaces it any more, and its GPUs leave."""
    if lease.kind_code != KIND_SPOT:
        return 0
    if lease.state_code != LEASE_PROVISIONING and lease.state_code != LEASE_ACTIVE:
        return 0
    yields_no_more(row.spot_leases, lease)
    if lease.state_code == LEASE_ACTIVE:
        yields_no_more(displaceable(core, baron.spot_instrument), lease)
    row.leaving_gpus += lease.quantity
    return 0


cdef int _give_back(Core core, Lease lease, Row row) except -1:
    """What it held is its row's again: its part of spot, or its hours from the running one on."""
    cdef uint32_t start_h = hour_of(lease.start_ns)
    cdef uint32_t now_h = hour_of(core.last_ts_ns)
    cdef uint32_t end_h = hour_after(lease.term_end_ns)
    if lease.kind_code == KIND_SPOT:
        row.spot_gpus -= lease.quantity
        row.leaving_gpus -= lease.quantity
        return 0
    if start_h < now_h:
        start_h = now_h
    if start_h < end_h:
        add_to_grid(core, row, SOLD, start_h, end_h, -lease.quantity)
    return 0


# ---------------------------------------------------------------- what changes with it


cdef int _displaceable(Core core, Lease lease) except -1:
    """It runs: from now on it can be displaced."""
    index = displaceable(core, (<Baron>baron_at(core, lease.baron)).spot_instrument)
    if index is None:
        # The first of its instrument.
        spot_leases.active(core, lease)
        return 0
    return yields(index, lease)


cdef inline int64_t _next_due_ns(Lease lease, int64_t ts_ns) noexcept:
    """The next full hour of use, or the end of the term if that is sooner."""
    cdef int64_t hour_ns = ts_ns + NS_PER_HOUR
    return lease.term_end_ns if lease.term_end_ns and lease.term_end_ns < hour_ns else hour_ns


cdef inline uint8_t _timer_kind(Lease lease) noexcept:
    if lease.due_ns == lease.ends_ns:
        return TIMER_NOTICE_END
    return TIMER_TERM_END if lease.due_ns == lease.term_end_ns else TIMER_LEASE_HOUR


cdef int _arm(Core core, Lease lease, int64_t due_ns) except -1:
    """Set the lease's one timer; 0 for none."""
    if lease.due_ns:
        rearm(core, _timer_kind(lease), lease.lease_id, lease.due_ns, 0)
    lease.due_ns = due_ns
    if due_ns:
        rearm(core, _timer_kind(lease), lease.lease_id, 0, due_ns)
    return 0


cdef inline int _arm_wipe(Core core, Lease lease, int64_t due_ns) except -1:
    """Set when a lease that is over has waited too long for its wipe; 0 for none."""
    rearm(core, TIMER_WIPE_OVERDUE, lease.lease_id, lease.wipe_due_ns, due_ns)
    lease.wipe_due_ns = due_ns
    return 0


cdef int _changed(Core core, Lease lease, bint wiped) except -1:
    """Say a lease's state, whole."""
    cdef LeaseChangedEvent event
    event.lease_id, event.renter, event.provider = <int64_t>lease.lease_id, lease.renter, lease.provider
    event.baron, event.state, event.reason = lease.baron, lease.state_code, lease.reason_code
    event.active_ns, event.ended_ns = lease.active_ns, lease.ended_ns
    event.charged_micros, event.ends_ns = lease.usage_micros, lease.ends_ns
    event.wiped, event.auto_extend, event.overdue = wiped, lease.auto_extend, lease.overdue
    event.quantity = lease.quantity
    view_bytes(&event.access, lease.access)
    event.detail.data, event.detail.size = NULL, 0
    if lease.detail:
        view_text(&event.detail, lease.detail)
    event.delivery.data, event.delivery.size = NULL, 0
    return write_lease_changed(&core.events.sink, &event)


# ---------------------------------------------------------------- for Python


cdef inline bint _numbered(command) except -1:
    """Whether the lease's number fits; no other is anybody's."""
    return 0 <= command.lease_id <= INT64_MAX


def _play_active(Core core not None, command):
    cdef View access
    view_bytes(&access, command.access)
    return _numbered(command) and lease_active(core, command.lease_id, &access)


def _play_end(Core core not None, command):
    return _numbered(command) and 0 <= command.account <= INT64_MAX and end_lease(
        core, command.account, command.lease_id
    )


def _play_wiped(Core core not None, command):
    return _numbered(command) and lease_wiped(core, command.lease_id)


ROOMS = {LeaseActive: _play_active, EndLease: _play_end, LeaseWiped: _play_wiped}
"""By command, for a machine that has it as a message: whether it was played, or is the law's to play."""
