"""The auditor's own records of an order and of a lease."""

from __future__ import annotations

import dataclasses

from engine.messages import Accepted, LeaseChanged, LeaseScheduled


@dataclasses.dataclass
class SeenOrder:
    accepted: Accepted
    price_ticks: int
    quantity: int
    leaves: int
    window_end_ns: int
    expire_ns: int
    armed: bool
    filled: int = 0
    displaced: int = 0
    """Of these, what it found by displacement, which its book doesn't know of."""


@dataclasses.dataclass
class SeenLease:
    scheduled: LeaseScheduled
    last: LeaseChanged | None = None
    usage: int = 0
    renter_fee: int = 0
    provider_fee: int = 0
    prices: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    """(from_ns, price_ticks), the first as it was let."""
    term_end_ns: int = 0
