"""GPU-hours that somebody was paid for, hour by hour: no Baron has more of them than GPUs, no reseller than it bought (§4).

A forward's hour is whole once it was paid; a lease's is what of it lies between its active and its end. It is told by events
alone, and knows nothing of due times: whoever was paid for what wasn't there is found, however it came about.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from engine.kinds import Kind, ObligationChange
from engine.messages import Event, ObligationChanged
from tests.engine.auditing.hours import Key
from tests.engine.shard import HOUR, Shard

_PAID: Final = (ObligationChange.PAID, ObligationChange.DELIVERED)


def check(shard: Shard, from_ns: int, events: Iterable[Event]) -> Counter[Key]:
    """All hours since a time, which no month's end and no loss has undone. What was paid for, in whole GPU-hours, by row."""
    providers = shard.auditor.hours.providers
    bought, sold, paid = Counter[tuple[Key, int]](), Counter[tuple[Key, int]](), Counter[Key]()
    for event in events:
        if isinstance(event, ObligationChanged) and event.change in _PAID:
            bought[(event.holder, event.baron), event.start_h - 1] += event.quantity * HOUR
            sold[(event.provider, event.baron), event.start_h - 1] += event.quantity * HOUR
            paid[event.provider, event.baron] += event.quantity
    for key, hour, gpu_ns in _used(shard, from_ns):
        sold[key, hour] += gpu_ns
    for (key, hour), gpu_ns in sold.items():
        account, baron = key
        own = providers[baron] == account
        had = shard.machine.state.barons[baron].verified_gpus * HOUR if own else bought[key, hour]
        assert gpu_ns <= had, f"{key} was paid for {gpu_ns / HOUR} GPU-hours in the hour {hour}, and had {had / HOUR}"
    return paid


def _used(shard: Shard, from_ns: int) -> Iterator[tuple[Key, int, int]]:
    """(row, hour, GPUs times nanoseconds) that spot and on-demand leases are charged for."""
    for seen in shard.auditor.leases.values():
        told, last = seen.scheduled, seen.last
        if told.kind is Kind.FORWARD or last is None or not last.active_ns:
            continue
        begins_ns, ends_ns = max(last.active_ns, from_ns), last.ended_ns or shard.now_ns
        for hour in range(begins_ns // HOUR, -(-ends_ns // HOUR)):
            inside_ns = min(ends_ns, (hour + 1) * HOUR) - max(begins_ns, hour * HOUR)
            yield (told.provider, told.baron), hour, inside_ns * told.quantity
