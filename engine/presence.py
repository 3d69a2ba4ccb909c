"""Presence and drain: a Baron that isn't heard of, or that its provider takes out, sells nothing more (rulebook §4).

Quiet: its asks go, whoever sells. Lost: its leases fail too, charged to when it was heard of last. Drained: its asks go,
its spot leases have notice, firm ones run out. Offers stay as they are said, and enter anew when it may sell again. What
is verified stays verified: silence says nothing about GPUs. What a command can't finish, a Tick goes on with.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Final

from engine import bills, failures, in_book, leases, open_orders, rows
from engine.kinds import EndReason, Kind, LeaseState, Presence
from engine.messages import BaronPresence, SetDrain, SetPresence
from engine.reasons import Reason
from engine.state import Baron, Lease, Order, Refused, State

LOST_DETAIL: Final = "nothing was heard of the Baron for too long"
_UNDER_WAY: Final = (LeaseState.SCHEDULED, LeaseState.PROVISIONING, LeaseState.ACTIVE, LeaseState.ENDING)
_UNTOLD: Final = (LeaseState.SCHEDULED, LeaseState.PROVISIONING, LeaseState.ACTIVE)


def set_presence(state: State, command: SetPresence) -> None:
    """Whether a Baron is heard of; a repeat gives the same event again."""
    baron = _known(state, command.baron)
    latest_ns = state.last_ts_ns if command.presence is Presence.LOST else 0
    if not 0 <= command.as_of_ns <= latest_ns:
        raise Refused(Reason.INVALID_PRESENCE, "as_of_ns")
    was_shut = baron.shut
    baron.presence = command.presence
    baron.heard_ns = command.as_of_ns
    _said(state, baron, was_shut)


def set_drain(state: State, command: SetDrain) -> None:
    """Its provider takes a Baron out of the market, or lets it back in; a repeat gives the same event again."""
    state.open_account(command.account)
    baron = _known(state, command.baron)
    if baron.provider != command.account:
        raise Refused(Reason.NOT_YOUR_BARON, "baron")
    was_shut = baron.shut
    baron.draining = command.draining
    _said(state, baron, was_shut)


def go_on(state: State, number: int) -> None:
    """End what a Baron that is shut, or short, has open still, at most as much as one command may; then a Tick goes on."""
    baron = state.barons[number]
    state.shutting.discard(number)
    for ask in _asks(state, baron) if baron.shut else ():
        if _is_enough(state, baron):
            return
        in_book.cancel(state, ask, baron.shut)
    for bill in bills.undelivered(state, number, baron.heard_ns) if baron.presence is Presence.LOST else ():
        if _is_enough(state, baron):
            return
        bills.undo(state, bill, baron.heard_ns)
    for lease in sorted(_doomed(state, baron), key=lambda lease: lease.lease_id):
        if _is_enough(state, baron):
            return
        if not lease.live:
            # Another took it with it.
            continue
        if baron.presence is Presence.LOST:
            lease.detail = LOST_DETAIL
            leases.fail(state, lease, baron.heard_ns)
        else:
            leases.give_notice(state, lease, state.last_ts_ns, EndReason.PREEMPTED)
    if baron.presence is Presence.LOST:
        # Those that no lease delivered: the others failed with it.
        for obligation in failures.running(state, baron.baron):
            if _is_enough(state, baron):
                return
            failures.fail(state, obligation, baron.heard_ns)
    failures.fail_short(state, rows.own_row(state, baron), state.last_ts_ns, rows.hour_of(state.last_ts_ns))


def _known(state: State, number: int) -> Baron:
    baron = state.barons.get(number)
    if baron is None:
        raise Refused(Reason.UNKNOWN_BARON, "baron")
    return baron


def _said(state: State, baron: Baron, was_shut: Reason) -> None:
    state.emit(BaronPresence(baron=baron.baron, presence=baron.presence, draining=baron.draining))
    if baron.shut:
        go_on(state, baron.baron)
    elif was_shut:
        _let_offers_in(state, baron)


def _is_enough(state: State, baron: Baron) -> bool:
    if len(state.events) < failures.EVENTS_ENOUGH:
        return False
    state.shutting.add(baron.baron)
    return True


def _asks(state: State, baron: Baron) -> list[Order]:
    """All asks on it, whoever sells, armed stops too, in order of entry."""
    rows_of = state.rows_of.get(baron.baron, {}).values()
    ids = sorted(chain.from_iterable(chain(row.spot_asks, row.firm_asks) for row in rows_of))
    return [state.orders[order_id] for order_id in ids]


def _doomed(state: State, baron: Baron) -> Iterator[Lease]:
    """Leases on it that can't go on: of a lost Baron all, of a drained one the spot leases that have no notice yet.

    A newcomer that waits for a wipe is one of either: it ends at once.
    """
    here = state.leases_of.get(baron.baron, {}).values()
    if baron.presence is Presence.LOST:
        return (lease for lease in here if lease.state in _UNDER_WAY)
    if baron.draining:
        return (lease for lease in here if lease.kind is Kind.SPOT and lease.state in _UNTOLD)
    return iter(())


def _let_offers_in(state: State, baron: Baron) -> None:
    """Offers that were kept out enter anew when the command ends."""
    for listing in rows.own_row(state, baron).listings.values():
        listing.offer_refused = False
    open_orders.touch(state, baron.baron)
