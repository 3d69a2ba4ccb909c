"""What the ledger keeps of a lease: the terms and the dates that its charge can be reckoned from again (rulebook §8).

Pure functions of events. This room knows no money: postings say what was paid, and the proof compares the two.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from engine.kinds import EndReason, LeaseState
from engine.messages import (
    BillClosed,
    LeaseChanged,
    LeasePriced,
    LeaseScheduled,
    ObligationChanged,
    OutageNoted,
    Reply,
)
from settlement.tables import BILLS


class Price(NamedTuple):
    """From a time on a lease pays so much."""

    from_ns: int
    price_ticks: int


class LeaseTerms(msgspec.Struct, frozen=True, kw_only=True):
    """A lease as the ledger knows it; field names are the table's columns. 0: no end, not yet active, not yet ended.

    price_ticks: as it was let; changes of it stand apart. ends_ns: when its notice is over; 0: it had none.
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

    @property
    def is_forward(self) -> bool:
        """It delivers obligations, whose hours are paid out of escrow; nothing else is let at no price (§2, §8)."""
        return self.price_ticks == 0

    @property
    def runs_from_ns(self) -> int:
        """Since when it runs for its bill: a forward's from its start, for its hours are paid whether it is active or not (§9)."""
        return self.start_ns if self.is_forward else self.active_ns


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
_BILL = tuple(column.name for column in BILLS.columns)
_OWED = (
    "obligation_id",
    "provider",
    "holder",
    "quantity",
    "start_h",
    "end_h",
    "price_ticks",
    "escrow_micros",
    "bond_micros",
    "live",
)
_UNTOUCHED = {
    "reason": EndReason.NONE,
    "active_ns": 0,
    "ended_ns": 0,
    "charged_micros": 0,
    "wiped": False,
    "ends_ns": 0,
}


class LeaseRows:
    """Rows that a batch of commands adds and changes: each lease at most once in either, each lease's price of a time once.

    Of an obligation its last word, which is whole.
    """

    def __init__(self) -> None:
        self.added: dict[int, dict[str, Any]] = {}
        self.changed: dict[int, dict[str, Any]] = {}
        self.prices: dict[tuple[int, int], dict[str, int]] = {}
        self.bills: list[dict[str, Any]] = []
        self.outages: list[dict[str, int]] = []
        self.obligations: dict[int, dict[str, Any]] = {}

    obligation_columns = _OWED[1:]
    """What is said of an obligation, but its id."""

    def take(self, reply: Reply) -> None:
        """Take in the lease events of the next command."""
        for event in reply.events:
            if isinstance(event, LeaseScheduled):
                self.added[event.lease_id] = {name: getattr(event, name) for name in _TERMS} | _UNTOUCHED
            elif isinstance(event, LeaseChanged):
                row = self._row(event.lease_id)
                row.update((name, getattr(event, name)) for name in _CHANGES)
            elif isinstance(event, LeasePriced):
                self._row(event.lease_id)["term_end_ns"] = event.term_end_ns
                price = {"lease_id": event.lease_id, "from_ns": event.from_ns, "price_ticks": event.price_ticks}
                self.prices[event.lease_id, event.from_ns] = price
            elif isinstance(event, BillClosed):
                self.bills.append({name: getattr(event, name) for name in _BILL})
            elif isinstance(event, OutageNoted):
                self.outages.append({"lease_id": event.lease_id, "from_ns": event.from_ns, "to_ns": event.to_ns})
            elif isinstance(event, ObligationChanged):
                self.obligations[event.obligation_id] = {name: getattr(event, name) for name in _OWED}

    def _row(self, lease_id: int) -> dict[str, Any]:
        """The row that a lease's change goes into."""
        row = self.added.get(lease_id)
        return self.changed.setdefault(lease_id, {"lease_id": lease_id}) if row is None else row
