"""What the ledger keeps of a lease: the terms and the dates that its charge can be reckoned from again (rulebook §8).

Pure functions of events. This room knows no money: postings say what was paid, and the proof compares the two.
"""

from __future__ import annotations

from typing import Any

import msgspec

from engine.kinds import EndReason, LeaseState
from engine.messages import LeaseChanged, LeaseScheduled, Reply


class LeaseTerms(msgspec.Struct, frozen=True, kw_only=True):
    """A lease as the ledger knows it; field names are the table's columns. 0: no end, not yet active, not yet ended.

    ends_ns: when its notice is over; 0: it had none.
    """

    lease_id: int
    renter: int
    provider: int
    quantity: int
    price_ticks: int
    start_ns: int
    term_end_ns: int
    minimum_s: int
    renter_fee_ppm: int
    provider_fee_ppm: int
    state: LeaseState
    reason: EndReason
    active_ns: int
    ended_ns: int
    charged_micros: int
    wiped: bool
    ends_ns: int


_TERMS = (
    "lease_id",
    "renter",
    "provider",
    "quantity",
    "price_ticks",
    "start_ns",
    "term_end_ns",
    "minimum_s",
    "renter_fee_ppm",
    "provider_fee_ppm",
    "state",
)
_CHANGES = ("state", "reason", "active_ns", "ended_ns", "charged_micros", "wiped", "ends_ns")
_UNTOUCHED = {
    "reason": EndReason.NONE,
    "active_ns": 0,
    "ended_ns": 0,
    "charged_micros": 0,
    "wiped": False,
    "ends_ns": 0,
}


class LeaseRows:
    """Rows that a batch of commands adds and changes: each lease at most once in either."""

    def __init__(self) -> None:
        self.added: dict[int, dict[str, Any]] = {}
        self.changed: dict[int, dict[str, Any]] = {}

    def take(self, reply: Reply) -> None:
        """Take in the lease events of the next command."""
        for event in reply.events:
            if isinstance(event, LeaseScheduled):
                self.added[event.lease_id] = {name: getattr(event, name) for name in _TERMS} | _UNTOUCHED
            elif isinstance(event, LeaseChanged):
                row = self.added.get(event.lease_id)
                if row is None:
                    row = self.changed.setdefault(event.lease_id, {"lease_id": event.lease_id})
                row.update((name, getattr(event, name)) for name in _CHANGES)
