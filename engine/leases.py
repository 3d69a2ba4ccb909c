"""Leases: from the trade that opens one to the wipe that frees its GPUs, with its charge (rulebook §8, §9).

The term runs from the fill, the charge from active to ended. Usage and fees are cumulative (due so far less posted so
far) and posted at each full hour of use and at the end, out of a prefund that each full hour fills up again; so a charge
can never exceed what is held for it. It knows no order books.
"""

from __future__ import annotations

from engine import capacity, money, timers
from engine.kinds import EndReason, Fault, LeaseState, Pot, TransferCode
from engine.messages import EndLease, LeaseActive, LeaseChanged, LeaseFailed, LeaseWiped
from engine.reasons import Reason
from engine.state import Broken, Lease, Refused, State
from engine.units import NS_PER_HOUR, NS_PER_S, fee_micros, usage_micros

# ---------------------------------------------------------------- commands


def active(state: State, command: LeaseActive) -> None:
    """The sandbox takes SSH: the charge begins now."""
    lease = _lease(state, command.lease_id)
    now_ns = state.last_ts_ns
    # A lease past its term may wait for its timer still: it can't begin to be charged any more.
    if lease.state is not LeaseState.PROVISIONING or 0 < lease.term_end_ns <= now_ns:
        raise Refused(Reason.LEASE_NOT_PROVISIONING, "lease_id")
    if len(command.access) > state.limits.max_delivery_bytes:
        raise Refused(Reason.INVALID_LEASE_REPORT, "access")
    lease.state = LeaseState.ACTIVE
    lease.active_ns = now_ns
    lease.access = command.access
    timers.arm_lease(state, lease, _next_due_ns(lease, now_ns))
    _emit_changed(state, lease, wiped=False)


def quit_lease(state: State, command: EndLease) -> None:
    """The renter ends it now, and pays its kind's minimum at least."""
    account = state.open_account(command.account)
    if command.lease_id in account.wiped_leases:
        raise Refused(Reason.LEASE_ENDED, "lease_id")
    lease = _lease(state, command.lease_id)
    if lease.renter != command.account:
        raise Refused(Reason.UNKNOWN_LEASE, "lease_id")
    if not lease.live:
        raise Refused(Reason.LEASE_ENDED, "lease_id")
    ended_ns = _not_after_due(lease, state.last_ts_ns)
    # Who goes while notice runs was sent away: no minimum.
    reason = lease.reason if lease.state is LeaseState.ENDING else EndReason.QUIT
    _finish(state, lease, ended_ns, LeaseState.ENDED, reason)


def failed(state: State, command: LeaseFailed) -> None:
    """It can't go on: charged to `as_of_ns`; the provider's fault inside the first hour is free, the renter's pays the minimum."""
    lease = _lease(state, command.lease_id)
    if not lease.live:
        raise Refused(Reason.LEASE_ENDED, "lease_id")
    if not lease.start_ns <= command.as_of_ns <= state.last_ts_ns:
        raise Refused(Reason.INVALID_LEASE_REPORT, "as_of_ns")
    ended_ns = _not_after_due(lease, max(command.as_of_ns, lease.active_ns))
    # A report is for people to read; refusing a long one would leave the lease running.
    lease.detail = command.detail[: state.limits.max_detail_chars]
    reason = EndReason.PROVIDER_FAILED if command.fault is Fault.PROVIDER else EndReason.RENTER_FAILED
    _finish(state, lease, ended_ns, LeaseState.FAILED, reason)


def wiped(state: State, command: LeaseWiped) -> None:
    """The GPUs of an ended lease are free again; the lease is forgotten but for its id."""
    lease = _lease(state, command.lease_id)
    if lease.live:
        raise Refused(Reason.LEASE_NOT_ENDED, "lease_id")
    del state.leases[lease.lease_id]
    renter = state.accounts[lease.renter]
    renter.leases -= 1
    renter.gpus -= lease.quantity
    renter.wiped_leases[lease.lease_id] = None
    if len(renter.wiped_leases) > state.limits.max_client_ids:
        del renter.wiped_leases[next(iter(renter.wiped_leases))]
    baron = state.barons[lease.baron]
    baron.leased_gpus -= lease.quantity
    baron.listing(lease.kind).offer_leased_gpus -= lease.offer_quantity
    _emit_changed(state, lease, wiped=True)
    capacity.changed(state, baron)


# ---------------------------------------------------------------- timers


def term_end(state: State, lease: Lease) -> None:
    """The term is over."""
    _finish(state, lease, lease.due_ns, LeaseState.ENDED, EndReason.EXPIRED)


def notice_end(state: State, lease: Lease) -> None:
    """The notice is over, and the lease with it."""
    _finish(state, lease, lease.due_ns, LeaseState.ENDED, lease.reason)


def full_hour(state: State, lease: Lease) -> None:
    """A full hour of use is over: post it, and fill the prefund up for what comes; what can't be topped up gets notice.

    The time of the notice is in what it has paid already (§9).
    """
    due_ns = lease.due_ns
    _post(state, lease, _usage(lease, due_ns - lease.active_ns))
    missing = _prefund_needed(state, lease, due_ns) - lease.prefund_micros
    available = state.accounts[lease.renter].pots[Pot.AVAILABLE]
    if missing > available:
        give_notice(state, lease, due_ns, EndReason.UNPAID)
        return
    if missing > 0:
        renter = lease.renter
        money.transfer(state, (renter, Pot.AVAILABLE), (renter, Pot.HELD), missing, TransferCode.PREPAY, lease.lease_id)
        lease.prefund_micros += missing
    timers.arm_lease(state, lease, _next_due_ns(lease, due_ns))
    _emit_changed(state, lease, wiped=False)


# ---------------------------------------------------------------- opening, charging, ending


def give_notice(state: State, lease: Lease, now_ns: int, reason: EndReason) -> None:
    """An active lease has notice from now on, and runs on until it is over, at most to its term's end (§7)."""
    timers.arm_lease(state, lease, 0)
    lease.state, lease.reason = LeaseState.ENDING, reason
    lease.ends_ns = now_ns + state.limits.notice_s * NS_PER_S
    timers.arm_lease(state, lease, min(lease.ends_ns, lease.term_end_ns or lease.ends_ns))
    _emit_changed(state, lease, wiped=False)


def begin(state: State, lease: Lease) -> None:
    """Take in a lease that a trade has just opened; its GPUs and its renter's count are the trade's to take."""
    state.leases[lease.lease_id] = lease
    timers.arm_lease(state, lease, lease.term_end_ns)


def _lease(state: State, lease_id: int) -> Lease:
    lease = state.leases.get(lease_id)
    if lease is None:
        raise Refused(Reason.UNKNOWN_LEASE, "lease_id")
    return lease


def _not_after_due(lease: Lease, ts_ns: int) -> int:
    """What wasn't topped up yet can't be charged: a command that comes before an overdue Tick counts as of the timer."""
    return min(ts_ns, lease.due_ns) if lease.due_ns else ts_ns


def _next_due_ns(lease: Lease, ts_ns: int) -> int:
    """The next full hour of use after ts_ns (active, or a full hour of use), or the end of the term if that is sooner."""
    hour_ns = ts_ns + NS_PER_HOUR
    return min(hour_ns, lease.term_end_ns) if lease.term_end_ns else hour_ns


def _usage(lease: Lease, duration_ns: int) -> int:
    return usage_micros(lease.price_ticks, lease.quantity, duration_ns)


def _prefund_needed(state: State, lease: Lease, at_ns: int) -> int:
    """What the time that a prefund covers will cost, at most to the end of the term."""
    duration_ns = state.limits.prefund_s * NS_PER_S
    if lease.term_end_ns:
        duration_ns = min(duration_ns, lease.term_end_ns - at_ns)
    return money.needed_micros(lease.price_ticks, lease.quantity, duration_ns, lease.renter_fee_ppm)


def _charged_ns(lease: Lease, ended_ns: int) -> int:
    """How much time a lease that ends now is charged for (§7, §8)."""
    was_active = lease.used
    elapsed_ns = ended_ns - lease.active_ns if was_active else 0
    if lease.reason is EndReason.PROVIDER_FAILED:
        return elapsed_ns if elapsed_ns >= NS_PER_HOUR else 0
    if lease.reason in (EndReason.QUIT, EndReason.RENTER_FAILED):
        minimum_ns = lease.minimum_s * NS_PER_S
        if lease.term_end_ns:
            minimum_ns = min(minimum_ns, lease.term_end_ns - (lease.active_ns if was_active else ended_ns))
        return max(elapsed_ns, minimum_ns)
    return elapsed_ns


def _finish(state: State, lease: Lease, ended_ns: int, lease_state: LeaseState, reason: EndReason) -> None:
    """End a live lease: post what is due in all, give back what is left of the prefund. Its GPUs wait for the wipe."""
    lease.reason = reason
    _post(state, lease, _usage(lease, _charged_ns(lease, ended_ns)))
    money.change_hold(state, lease.renter, -lease.prefund_micros, lease.lease_id)
    lease.prefund_micros = 0
    lease.state = lease_state
    lease.ended_ns = ended_ns
    timers.arm_lease(state, lease, 0)
    _emit_changed(state, lease, wiped=False)


def _post(state: State, lease: Lease, usage_due_micros: int) -> None:
    """Bring what is posted to what is due in all: usage to the provider, each side's fee to the exchange; or refund."""
    usage = usage_due_micros - lease.usage_micros
    renter_fee = fee_micros(usage_due_micros, lease.renter_fee_ppm) - lease.renter_fee_micros
    provider_fee = fee_micros(usage_due_micros, lease.provider_fee_ppm) - lease.provider_fee_micros
    ref = lease.lease_id
    held, receivable = (lease.renter, Pot.HELD), (lease.provider, Pot.RECEIVABLE)
    if usage >= 0:
        money.transfer(state, held, receivable, usage, TransferCode.USAGE, ref)
        money.transfer(state, held, money.FEES, renter_fee, TransferCode.FEE, ref)
        money.transfer(state, receivable, money.FEES, provider_fee, TransferCode.FEE, ref)
        lease.prefund_micros -= usage + renter_fee
    else:
        available = (lease.renter, Pot.AVAILABLE)
        # Fees first: the provider gets its own back before it gives back what they were taken from.
        money.transfer(state, money.FEES, receivable, -provider_fee, TransferCode.REFUND, ref)
        money.transfer(state, money.FEES, available, -renter_fee, TransferCode.REFUND, ref)
        money.transfer(state, receivable, available, -usage, TransferCode.REFUND, ref)
    if lease.prefund_micros < 0:
        raise Broken(f"lease {ref} was charged {-lease.prefund_micros} more than is held for it")
    lease.usage_micros = usage_due_micros
    lease.renter_fee_micros += renter_fee
    lease.provider_fee_micros += provider_fee


def _emit_changed(state: State, lease: Lease, wiped: bool) -> None:
    state.emit(
        LeaseChanged(
            lease_id=lease.lease_id,
            renter=lease.renter,
            provider=lease.provider,
            baron=lease.baron,
            state=lease.state,
            reason=lease.reason,
            active_ns=lease.active_ns,
            ended_ns=lease.ended_ns,
            charged_micros=lease.usage_micros,
            wiped=wiped,
            access=lease.access,
            detail=lease.detail,
            ends_ns=lease.ends_ns,
        )
    )
