"""Capacity: what Barons' leases and asks come to (rulebook §4)."""

from __future__ import annotations

from collections import Counter

from engine.kinds import Kind, Side
from tests.engine.auditing.seen import Seen


def check_capacity(seen: Seen) -> None:
    state = seen.machine.state
    leased: Counter[int] = Counter()
    for lease in seen.leases.values():
        if lease.last is None or not lease.last.wiped:
            leased[lease.scheduled.baron] += lease.scheduled.quantity
    asked: Counter[tuple[int, Kind]] = Counter()
    for order_id, order in seen.orders.items():
        if order.accepted.side is Side.SELL:
            asked[order.accepted.baron, state.orders[order_id].kind] += order.leaves
    for baron in state.barons.values():
        last = seen.capacity.get(baron.baron)
        assert (baron.verified_gpus, baron.leased_gpus) == ((last.verified_gpus, last.leased_gpus) if last else (0, 0))
        assert baron.leased_gpus == leased[baron.baron]
        for listing in baron.listings():
            told = state.books[listing.instrument].state().barons
            expected = (baron.baron, seen.ratings[baron.baron], seen.features.get(baron.baron, 0))
            assert expected in told, "a book knows what its asks' Barons offer"
            assert listing.asked_gpus == asked[baron.baron, listing.kind]
            assert listing.asked_gpus <= max(0, baron.verified_gpus - baron.leased_gpus)
