"""The records of what is due for a lease or an obligation: its bill of the month, and a cover of what failed (rulebook §8, §9).

What is done with them is `engine.bills`, `engine.cover` and `engine.covering`; here is only what they are.
"""

from __future__ import annotations

import msgspec


class _Due(msgspec.Struct, array_like=True, forbid_unknown_fields=True, kw_only=True):
    """Base of both."""


class Cover(_Due):
    """What a provider failed to deliver, to be bought elsewhere at the end of the command that it failed in (§8)."""

    account: int
    instrument: int
    """On-demand, of the same market."""
    quantity: int
    hours: int
    price_ticks: int
    """The bid's limit."""
    providers: list[int]
    """On whose Barons it isn't bought."""
    delivery: bytes
    features: int
    min_rating: int
    same_baron: bool
    limit_ticks: int
    """The most at which its leases are extended; 0: the bid's limit."""
    auto_extend: bool


class PaidHours(_Due):
    """Hours of a forward's obligation, alike and in a row, that were paid in an open month; they may turn out undelivered (§9)."""

    baron: int
    obligation_id: int
    quantity: int
    hour_micros: int
    """The pay of each, for so many GPUs."""
    from_h: int
    until_h: int


class Bill(_Due):
    """What a lease earns its seller in the running month, and how it ran, until that month's close (§9).

    A forward's lease has one, whichever obligations it delivers; and an obligation, of its hours that no lease delivered:
    `bill_id` is the lease's id, or else the obligation's.
    """

    bill_id: int
    renter: int
    provider: int
    due_ns: int
    """Its month's end."""
    charge_micros: int = 0
    """Usage posted in this month, refunds taken off."""
    receivable_micros: int = 0
    """What of that its seller has in `receivable` still."""
    run_from_ns: int = 0
    """Since when it runs in this month; 0: it hasn't."""
    over_ns: int = 0
    """When it ended; 0: it goes on."""
    outages: list[tuple[int, int]] = []
    """[from, to) of this month's, apart and in order: the newest of them."""
    out_ns: int = 0
    """All of those that were before `outages`."""
    out_until_ns: int = 0
    """Up to when those were, and no report counts any more."""
    hours: list[PaidHours] | None = None
    """A forward's, since the last close, in their order; None: it has none that may be undone."""
