"""What the API answers of forwards: obligations, and positions by hour. Types as in `hourbook.models`."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from hourbook.models import Model


class Obligation(Model, frozen=True):
    """A Baron owes its holder `gpus` GPUs in each hour from `start` to `end` that isn't paid; `price`: in escrow for each.

    `role`: yours, holder or provider. `delivery`: its holder has said where to deliver. `change`: why it is as it is, or over.
    """

    id: str
    role: str
    instrument: str
    sku: str
    region: str
    baron: str
    simulated: bool
    gpus: int
    start: datetime
    end: datetime
    price: Decimal
    escrow: Decimal
    bond: Decimal
    delivery: bool
    lease: str | None
    live: bool
    change: str
    seq: int


class Position(Model, frozen=True):
    """From `start` to `end` you are owed `gpus` GPUs of this Baron in each hour."""

    baron: str
    sku: str
    region: str
    start: datetime
    end: datetime
    gpus: int


class Positions(Model, frozen=True):
    """What you have bought forward and is still to come."""

    seq: int
    positions: list[Position]
