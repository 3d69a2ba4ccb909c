"""A row: what one account has of one Baron, as the shard keeps it (rulebook §4).

Its hours, its asks, its spot leases, and the offers of a provider. `engine.rows` knows its arithmetic; it knows nothing.
"""

from __future__ import annotations

import msgspec
from sortedcontainers import SortedList

from engine.grid import HourGrid
from engine.messages import Offer


class Listing(msgspec.Struct, array_like=True, forbid_unknown_fields=True, kw_only=True):
    """A provider's offer in one instrument on one Baron, and the ask that stands for it (§4)."""

    instrument: int
    offer: Offer | None = None
    offer_order_id: int = 0
    offer_leased_gpus: int = 0
    """GPUs of leases, not wiped yet, that came of the offer's asks."""
    offer_refused: bool = False
    """Its last ask was refused: it is tried again at the next full hour."""


class Row:
    """What one account has of one Baron: its hours, its asks, its spot leases (§4). `engine.rows` knows its arithmetic.

    Orders and leases stand here by their ids, the newest last. Not a record: a snapshot carries its grid as runs.
    """

    __slots__ = (
        "account",
        "baron",
        "claims",
        "firm_asks",
        "firm_gpus",
        "firm_leases",
        "grid",
        "leaving_gpus",
        "listings",
        "look_ahead_ns",
        "own_gpus",
        "spot_asked_gpus",
        "spot_asks",
        "spot_gpus",
        "spot_leases",
    )

    def __init__(self, account: int, baron: int, grid: HourGrid) -> None:
        self.account = account
        self.baron = baron
        self.grid = grid
        self.spot_asks: dict[int, None] = {}
        self.spot_asked_gpus = 0
        """Sum of the leaves of `spot_asks`."""
        self.firm_asks: dict[int, None] = {}
        self.firm_leases: dict[int, None] = {}
        """Its on-demand leases, from fill to wipe."""
        self.firm_gpus = 0
        """GPUs of those of them that live."""
        self.own_gpus = 0
        """GPUs of its account's own leases on hours that it bought: those that an obligation stands behind, and that live."""
        self.listings: dict[int, Listing] = {}
        """By instrument: the provider's offers. A new one comes in a new dict: a row without any need keep none."""
        self.spot_gpus = 0
        """GPUs of its spot leases from fill to wipe; a newcomer's from the wipe of the lease that it displaced."""
        self.leaving_gpus = 0
        """Of these, GPUs of leases that have notice or are over and are promised to nobody."""
        self.spot_leases: SortedList[tuple[int, int]] = SortedList()
        """(price_ticks, -lease_id) of its spot leases that may get notice: who yields first stands first (§7)."""
        self.claims: dict[int, None] = {}
        """Newcomers' leases that wait for a displaced one's wipe."""
        self.look_ahead_ns = 0
        """When it is looked at next, two minutes before a full hour; 0: nothing of it is spot."""
