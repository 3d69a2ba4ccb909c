"""Obligations of forwards, and what an account has bought hour by hour, in their public form."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise

from engine.ids import format_id
from engine.kinds import edge_name
from engine.units import NS_PER_HOUR, format_money, format_price
from exchange.gateway.views.text import View, format_time
from exchange.read.interface import BaronRow, InstrumentRow, ObligationRow


class Obligation(View, frozen=True):
    """A Baron owes its holder `gpus` GPUs in each hour from `start` to `end`; hours that were paid are no part of it.

    `price`: of the hours' first sale, which stands in `escrow` for each GPU-hour; `bond`: what the provider has in bond for
    them. `delivery`: its holder has said where to deliver. `live` is false for one that is over, and `change` says why:
    `sold`, `resold`, `joined`, `paid`, `leased`, `delivered`, `home` (its provider bought it back), `failed`, `addressed`.
    """

    id: str
    role: str
    instrument: str
    sku: str
    region: str
    baron: str
    simulated: bool
    gpus: int
    start: str
    end: str
    price: str
    escrow: str
    bond: str
    delivery: bool
    lease: str | None
    live: bool
    change: str
    seq: int


class Obligations(View, frozen=True):
    seq: int
    obligations: list[Obligation]
    next_cursor: str | None


class Position(View, frozen=True):
    """From `start` to `end` the account is owed `gpus` GPUs of this Baron in each hour."""

    baron: str
    sku: str
    region: str
    start: str
    end: str
    gpus: int


class Positions(View, frozen=True):
    """What was bought forward and is still to come, by Baron and hour, whichever instruments it was bought in."""

    seq: int
    positions: list[Position]


def obligation(row: ObligationRow, instrument: InstrumentRow, account: int) -> Obligation:
    return Obligation(
        id=format_id("obl", row.obligation_id),
        role="holder" if row.holder == account else "provider",
        instrument=instrument.symbol,
        sku=instrument.sku,
        region=instrument.region,
        baron=format_id("brn", row.baron),
        simulated=row.simulated,
        gpus=row.quantity,
        start=format_time(row.start_h * NS_PER_HOUR),
        end=format_time(row.end_h * NS_PER_HOUR),
        price=format_price(row.price_ticks),
        escrow=format_money(row.escrow_micros),
        bond=format_money(row.bond_micros),
        delivery=row.addressed,
        lease=format_id("lse", row.lease_id) if row.lease_id else None,
        live=row.live,
        change=edge_name(row.change),
        seq=row.seq,
    )


def positions(seq: int, rows: Iterable[ObligationRow], barons: Mapping[int, BaronRow]) -> Positions:
    """The sum of live obligations in the longest runs of hours."""
    changes: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for row in rows:
        changes[row.baron][row.start_h] += row.quantity
        changes[row.baron][row.end_h] -= row.quantity
    found = [
        Position(
            baron=format_id("brn", number),
            sku=barons[number].sku,
            region=barons[number].region,
            start=format_time(start_h * NS_PER_HOUR),
            end=format_time(end_h * NS_PER_HOUR),
            gpus=gpus,
        )
        for number in sorted(changes)
        for start_h, end_h, gpus in _runs(changes[number])
    ]
    return Positions(seq=seq, positions=found)


def _runs(changes: Mapping[int, int]) -> Iterable[tuple[int, int, int]]:
    """(start, end, GPUs) where there are any, of what changes at which hours."""
    gpus = 0
    hours = sorted(hour for hour, change in changes.items() if change)
    for start_h, end_h in pairwise(hours):
        gpus += changes[start_h]
        if gpus:
            yield start_h, end_h, gpus
