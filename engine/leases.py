"""Leases: from the trade that opens one to the wipe that frees its GPUs, with its charge (rulebook §8, §9).

The term runs from the fill, the charge (`engine.charging`) from active to ended. What is charged is posted at each full
hour of use and at the end; who can't pay for what comes has notice. It knows no order books.
"""

from __future__ import annotations

from engine import (
    bills,
    charging,
    cover,
    cuts,
    money,
    obligation_hours,
    obligations,
    rows,
    spot_leases,
    subleases,
    timers,
)
from engine.kinds import EndReason, Fault, Kind, LeaseState, ObligationChange, Pot, TransferCode
from engine.messages import EndLease, LeaseActive, LeaseChanged, LeaseFailed, LeaseWiped
from engine.obligation import Obligation
from engine.reasons import Reason
from engine.row import Row
from engine.state import Lease, Refused, State
from engine.units import NS_PER_HOUR, NS_PER_S

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
    if lease.kind is not Kind.FORWARD:
        bills.of(state, lease.lease_id, lease.renter, lease.provider, now_ns).run_from_ns = now_ns
    spot_leases.active(state, lease)
    timers.arm_lease(state, lease, next_due_ns(lease, now_ns))
    changed(state, lease)


def quit_lease(state: State, command: EndLease) -> None:
    """The renter ends it now, and pays its kind's minimum at least."""
    lease = rented(state, command.account, command.lease_id)
    ended_ns = _not_after_due(state, lease, state.last_ts_ns)
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
    ended_ns = _not_after_due(state, lease, max(command.as_of_ns, lease.active_ns))
    # A report is for people to read; refusing a long one would leave the lease running.
    lease.detail = command.detail[: state.limits.max_detail_chars]
    reason = EndReason.PROVIDER_FAILED if command.fault is Fault.PROVIDER else EndReason.RENTER_FAILED
    _finish(state, lease, ended_ns, LeaseState.FAILED, reason)


def fail(state: State, lease: Lease, as_of_ns: int, *, follows: bool = False) -> None:
    """The provider fails a live lease, charged to `as_of_ns`, when its Baron was heard of last or its GPUs went.

    follows: what it stands on fails as a whole, or has failed.
    """
    ended_ns = _not_after_due(state, lease, max(as_of_ns, lease.start_ns, lease.active_ns))
    _finish(state, lease, ended_ns, LeaseState.FAILED, EndReason.PROVIDER_FAILED, follows=follows)


def wiped(state: State, command: LeaseWiped) -> None:
    """The GPUs of an ended lease are free again; the lease is forgotten but for its id."""
    lease = _lease(state, command.lease_id)
    if lease.live:
        raise Refused(Reason.LEASE_NOT_ENDED, "lease_id")
    baron, row = state.barons[lease.baron], rows.row_of_lease(state, lease)
    _forget(state, lease)
    baron.leased_gpus -= lease.quantity
    if lease.offer_quantity:
        row.listings[_instrument(state, lease)].offer_leased_gpus -= lease.offer_quantity
    timers.arm_wipe(state, lease, 0)
    if lease.overdue:
        baron.unwiped_gpus -= lease.quantity
    elif not lease.returned:
        _give_back(state, lease, row)
    row.firm_leases.pop(lease.lease_id, None)
    changed(state, lease, wiped=True)
    if (obligation := state.obligations.get(lease.obligation_id)) is not None:
        obligation.lease_id = 0
        obligations.say(state, obligation, ObligationChange.LEASED)
    if lease.promised_to:
        newcomer = state.leases[lease.promised_to]
        spot_leases.served(state, lease, newcomer)
        changed(state, newcomer)
    cuts.changed(state, baron, row)


def wipe_overdue(state: State, lease: Lease) -> None:
    """Its GPUs are still not wiped: its hours are free again, and those GPUs count as verified no more until they are.

    Who waits for them waits no longer: the provider fails it.
    """
    due_ns = lease.wipe_due_ns
    if lease.promised_to:
        fail(state, state.leases[lease.promised_to], due_ns)
    timers.arm_wipe(state, lease, 0)
    lease.overdue = True
    if not lease.returned:
        _give_back(state, lease, rows.row_of_lease(state, lease), since_h=rows.hour_of(due_ns))
    state.barons[lease.baron].unwiped_gpus += lease.quantity
    changed(state, lease)


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
    charging.post(state, lease, charging.usage(lease, lease.active_ns, due_ns))
    if not charging.filled_up(state, lease, due_ns):
        give_notice(state, lease, due_ns, EndReason.UNPAID)
        return
    timers.arm_lease(state, lease, next_due_ns(lease, due_ns))
    changed(state, lease)


# ---------------------------------------------------------------- opening, notice, ending


def give_notice(state: State, lease: Lease, now_ns: int, reason: EndReason) -> None:
    """A lease has notice from now on, and runs on until it is over, at most to its term's end (§7).

    Holds and shares of them are rounded, so a prefund may lack some micro-dollars of its last 120 s: then the lease ends
    when what was paid is used up, a moment sooner. A second notice doesn't move the first. A newcomer that waits has
    nothing to run on with, and ends at once, charged nothing.
    """
    if lease.state is LeaseState.ENDING:
        return
    if lease.waits_for:
        _finish(state, lease, max(now_ns, lease.start_ns), LeaseState.ENDED, reason)
        return
    now_ns = _not_after_due(state, lease, now_ns, notice_s=0)
    timers.arm_lease(state, lease, 0)
    spot_leases.leaves(state, lease)
    lease.state, lease.reason = LeaseState.ENDING, reason
    ends_ns = now_ns + charging.affordable_ns(lease, now_ns, state.limits.notice_s * NS_PER_S)
    # A command that came before a late Tick may have made it active when its notice was over.
    lease.ends_ns = max(ends_ns, lease.active_ns)
    timers.arm_lease(state, lease, min(lease.ends_ns, lease.term_end_ns or lease.ends_ns))
    timers.arm_auto_extend(state, lease)
    changed(state, lease)


def rented(state: State, renter: int, lease_id: int) -> Lease:
    """A live lease of this renter; Refused otherwise."""
    account = state.open_account(renter)
    if lease_id in account.wiped_leases:
        raise Refused(Reason.LEASE_ENDED, "lease_id")
    lease = _lease(state, lease_id)
    if lease.renter != renter:
        raise Refused(Reason.UNKNOWN_LEASE, "lease_id")
    if not lease.live:
        raise Refused(Reason.LEASE_ENDED, "lease_id")
    return lease


def begin(state: State, lease: Lease) -> None:
    """Take in a lease that a trade has just opened; its GPUs and its renter's count are the trade's to take."""
    state.add_lease(lease)
    count(state, lease)
    spot_leases.began(state, lease)
    timers.arm_lease(state, lease, lease.term_end_ns)
    timers.arm_auto_extend(state, lease)


def _lease(state: State, lease_id: int) -> Lease:
    lease = state.leases.get(lease_id)
    if lease is None:
        raise Refused(Reason.UNKNOWN_LEASE, "lease_id")
    return lease


def _not_after_due(state: State, lease: Lease, ts_ns: int, notice_s: int | None = None) -> int:
    """What wasn't topped up yet can't be charged: a command that comes before an overdue Tick counts as of the timer.

    Nor what an overdue look ahead will find that its row lacked by then, once a notice of so long is over (§7).
    """
    if lease.due_ns:
        ts_ns = min(ts_ns, lease.due_ns)
    if spot_leases.yields(lease) and (short_ns := rows.short_from_ns(state, rows.row_of_lease(state, lease))):
        gone_ns = short_ns + (state.limits.notice_s if notice_s is None else notice_s) * NS_PER_S
        ts_ns = min(ts_ns, max(gone_ns, lease.start_ns, lease.active_ns))
    return ts_ns


def next_due_ns(lease: Lease, ts_ns: int) -> int:
    """The next full hour of use after ts_ns (active, or a full hour of use), or the end of the term if that is sooner."""
    if lease.kind is Kind.FORWARD:
        return lease.term_end_ns
    hour_ns = ts_ns + NS_PER_HOUR
    return min(hour_ns, lease.term_end_ns) if lease.term_end_ns else hour_ns


def _finish(
    state: State,
    lease: Lease,
    ended_ns: int,
    lease_state: LeaseState,
    reason: EndReason,
    *,
    follows: bool = False,
) -> None:
    """End a live lease: post what is due in all, give back what is left of the prefund. Its GPUs wait for the wipe.

    A newcomer that still waits has none, and is forgotten at once. follows: its obligation fails whatever it has of it.
    """
    _count(state, lease, -lease.quantity)
    spot_leases.leaves(state, lease)
    lease.reason = reason
    charging.post(state, lease, charging.ended_usage(lease, ended_ns))
    bills.ended(state, lease.lease_id, ended_ns)
    money.change_hold(state, lease.renter, -lease.prefund_micros, lease.lease_id)
    lease.prefund_micros = 0
    bond_micros = _settle_bond(state, lease)
    lease.state = lease_state
    lease.ended_ns = ended_ns
    timers.arm_lease(state, lease, 0)
    timers.arm_auto_extend(state, lease)
    if lease.waits_for:
        spot_leases.claim_ended(state, lease)
        changed(state, lease)
        _forget(state, lease)
        changed(state, lease, wiped=True)
        return
    timers.arm_wipe(state, lease, ended_ns + state.limits.wipe_s * NS_PER_S)
    changed(state, lease)
    if reason is EndReason.PROVIDER_FAILED:
        cover.of_lease(state, lease, bond_micros)
    if lease.kind is Kind.FORWARD:
        keep(state, lease)
        if reason is EndReason.PROVIDER_FAILED and (bill := state.bills.get(lease.lease_id)) is not None:
            bills.undo(state, bill, ended_ns, lease.quantity)
    if reason is EndReason.PROVIDER_FAILED:
        _stood_on(state, lease, ended_ns, follows=follows)


def _stood_on(state: State, lease: Lease, as_of_ns: int, *, follows: bool) -> None:
    """A Baron failed a lease: what of an obligation it delivered, or its seller had bought, fails with it, no more (§8)."""
    if lease.kind is Kind.FORWARD:
        obligation = state.obligations.get(lease.obligation_id)
        if obligation is not None and not follows:
            fail_obligation(state, obligations.cut_off(state, obligation, lease.quantity), as_of_ns)
        return
    if not subleases.is_sublease(state, lease):
        return
    if lease.promised_to:
        fail(state, state.leases[lease.promised_to], as_of_ns, follows=True)
    # Its hours aren't its seller's any more: nothing else of that row may lack them while these GPUs wait for their wipe.
    lease.returned = True
    _give_back(state, lease, rows.row_of_lease(state, lease), since_h=rows.hour_of(as_of_ns))
    for obligation, quantity in [] if follows else subleases.behind(state, lease, as_of_ns):
        for bill in bills.undelivered_of(state, obligation, as_of_ns):
            bills.undo(state, bill, as_of_ns, quantity)
        fail_obligation(state, obligations.cut_off(state, obligation, quantity), as_of_ns)


def fail_obligation(state: State, obligation: Obligation, as_of_ns: int) -> None:
    """What is left of an obligation is refunded, then covered; what its holder let or asked of those hours fails, or is cut."""
    cover.of_obligation(state, obligation, obligation_hours.fail(state, obligation))
    row = rows.row_of(state, obligation.holder, obligation.baron)
    while (sublease := subleases.first_to_fail(state, row, obligation.start_h)) is not None:
        fail(state, sublease, as_of_ns, follows=True)
    cuts.settle(state, row)
    cuts.cut_firm(state, row)


def shrink(state: State, lease: Lease, quantity: int, as_of_ns: int) -> None:
    """A forward's lease leaves so many GPUs to whom its holder sold them; with none left it ends (§8). It never grows again."""
    if quantity >= lease.quantity:
        _finish(state, lease, _not_after_due(state, lease, as_of_ns), LeaseState.ENDED, EndReason.RELEASED)
        return
    _count(state, lease, -quantity)
    lease.quantity -= quantity
    state.barons[lease.baron].leased_gpus -= quantity
    changed(state, lease)


def count(state: State, lease: Lease) -> None:
    """A lease counts in its row: an on-demand lease in its seller's, a forward's in that of who bought its hours."""
    if lease.kind is Kind.ONDEMAND:
        rows.row_of_lease(state, lease).firm_leases[lease.lease_id] = None
    if lease.live:
        _count(state, lease, lease.quantity)


def _count(state: State, lease: Lease, quantity: int) -> None:
    if lease.kind is Kind.ONDEMAND:
        rows.row_of_lease(state, lease).firm_gpus += quantity
    elif lease.kind is Kind.FORWARD and lease.obligation_id:
        subleases.holders_row(state, lease).own_gpus += quantity


def left(state: State, lease: Lease) -> None:
    """Its obligation is over, and it will be too, unless another takes it over (§8)."""
    _count(state, lease, -lease.quantity)
    lease.obligation_id = 0
    hand_over(state, lease)


def taken_over(state: State, lease: Lease, obligation: Obligation) -> None:
    """Another obligation has it now."""
    keep(state, lease)
    lease.obligation_id = obligation.obligation_id
    _count(state, lease, lease.quantity)


def hand_over(state: State, lease: Lease) -> None:
    """Have a lease that no obligation stands behind found by one that begins as it ends."""
    state.handovers.setdefault(_handover(lease), {})[lease.lease_id] = None


def keep(state: State, lease: Lease) -> None:
    """It is nobody's to take over: another obligation has it, or it is over."""
    waiting = state.handovers.get(_handover(lease))
    if waiting is not None and waiting.pop(lease.lease_id, 0) is None and not waiting:
        del state.handovers[_handover(lease)]


def _handover(lease: Lease) -> tuple[int, int, int, int]:
    """What an obligation must have in common with a lease that it takes over; the term is its last one's, and stays."""
    return lease.renter, lease.baron, lease.quantity, lease.term_end_ns


def _settle_bond(state: State, lease: Lease) -> int:
    """A lease's bond is its renter's if its seller failed it, else the seller's again (§9); how much it was."""
    bond, micros = (lease.provider, Pot.BOND), lease.bond_micros
    lease.bond_micros = 0
    if lease.reason is EndReason.PROVIDER_FAILED:
        money.transfer(state, bond, (lease.renter, Pot.AVAILABLE), micros, TransferCode.PENALTY, lease.lease_id)
    else:
        money.transfer(state, bond, (lease.provider, Pot.AVAILABLE), micros, TransferCode.RELEASE, lease.lease_id)
    return micros


def _forget(state: State, lease: Lease) -> None:
    """Drop a lease that has no GPUs any more; its renter's account knows its id for a while."""
    state.drop_lease(lease)
    renter = state.accounts[lease.renter]
    if lease.kind is not Kind.FORWARD:
        # A forward's are its obligation's.
        renter.leases -= 1
        renter.gpus -= lease.quantity
    renter.wiped_leases[lease.lease_id] = None
    if len(renter.wiped_leases) > state.limits.max_client_ids:
        del renter.wiped_leases[next(iter(renter.wiped_leases))]


def _give_back(state: State, lease: Lease, row: Row, since_h: int | None = None) -> None:
    """What it held is its row's again: its hours from the running one on, as of then, or its part of spot."""
    if lease.kind is Kind.SPOT:
        spot_leases.gone(state, lease)
    elif lease.kind is Kind.ONDEMAND:
        rows.add_sold(state, row, *rows.sold_span(lease), -lease.quantity, since_h=since_h)


def _instrument(state: State, lease: Lease) -> int:
    """The instrument that it was traded in."""
    baron = state.barons[lease.baron]
    spot, ondemand = state.markets[baron.sku, baron.region]
    return spot if lease.kind is Kind.SPOT else ondemand


def changed(state: State, lease: Lease, *, wiped: bool = False, delivery: bytes = b"") -> None:
    """Say a lease's state, whole; and where to deliver to, where that was not known before."""
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
            auto_extend=lease.auto_extend,
            overdue=lease.overdue,
            delivery=delivery,
            quantity=lease.quantity,
        )
    )
