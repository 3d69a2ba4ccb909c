"""Barons: what their leases come to, and what the books know of them (rulebook §4)."""

from __future__ import annotations

from collections import Counter

from engine.book import BookState
from engine.kinds import COVERS, Kind, LeaseState, ObligationChange
from engine.messages import Command, Event, LeaseChanged, ObligationChanged, SetCapacity
from tests.engine.auditing.hours import Hours
from tests.engine.auditing.seen import Seen


def check_barons(seen: Seen, hours: Hours, books: dict[int, BookState]) -> None:
    """GPUs are under a lease from the fill to the wipe, a newcomer's from the wipe of the lease that it displaced."""
    state = seen.machine.state
    leased = Counter[int]()
    for let in hours.lets.values():
        leased[let.row[1]] += 0 if let.displaces else let.quantity
    for baron in state.barons.values():
        last = seen.capacity.get(baron.baron)
        assert (baron.verified_gpus, baron.leased_gpus) == ((last.verified_gpus, last.leased_gpus) if last else (0, 0))
        assert baron.leased_gpus == leased[baron.baron]
        for instrument in state.instruments_of[baron.sku, baron.region].keys() & books.keys():
            told = books[instrument].barons
            expected = (baron.baron, seen.ratings[baron.baron], seen.features.get(baron.baron, 0) | COVERS)
            assert expected in told, "a book knows what its asks' Barons offer"


def check_shortage(seen: Seen, hours: Hours, command: Command, events: list[Event]) -> None:
    """Every firm lease that runs has its GPUs; where they were too few, the oldest were served, whole (§4)."""
    for baron, provider in hours.providers.items():
        key = (provider, baron)
        running = {let.lease_id: let.quantity for let in hours.lets.values() if _firm(hours, let.lease_id, key)}
        running |= {
            owed.obligation_id: owed.quantity
            for owed in seen.obligations.values()
            if owed.baron == baron and owed.start_h <= hours.hour < owed.end_h
        }
        assert sum(running.values()) <= hours.verified(key), f"firm leases and obligations on {baron} lack GPUs"
        if not isinstance(command, SetCapacity) or command.baron != baron:
            continue
        failed = {
            event.lease_id: hours.lets[event.lease_id].quantity
            for event in events
            if isinstance(event, LeaseChanged) and event.state is LeaseState.FAILED and not event.wiped
            if hours.lets[event.lease_id].kind is Kind.ONDEMAND and hours.lets[event.lease_id].row == key
        }
        failed |= {
            event.obligation_id: event.quantity
            for event in events
            if isinstance(event, ObligationChanged) and event.change is ObligationChange.FAILED
        }
        left = hours.verified(key)
        for number, quantity in sorted((failed | running).items()) if failed else ():
            assert (number in running) == (quantity <= left), "the oldest is served first, whole"
            left -= running.get(number, 0)


def check_waits(hours: Hours) -> None:
    """Nobody counts on GPUs that should have been wiped ten minutes ago (§4)."""
    for let in hours.lets.values():
        # A forward's GPUs stay with its obligation, which may go on without a lease.
        waits = let.kind is not Kind.FORWARD
        assert not waits or let.live or not let.held or let.ended_ns + hours.wipe_ns > hours.now_ns, (
            "a wipe is waited for too long"
        )


def _firm(hours: Hours, lease_id: int, key: tuple[int, int]) -> bool:
    let = hours.lets[lease_id]
    return let.row == key and let.kind is Kind.ONDEMAND and let.live
