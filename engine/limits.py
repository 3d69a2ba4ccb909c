"""The engine's bounds (rulebook §2, "Bounds") in one frozen struct; part of the machine's state and of its hash."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Defaults are the rulebook's; benches and tests may raise or lower them."""

    max_looked: int = 1024
    """Resting orders that one command may look at; more than this many fills can't come of it."""
    max_timers: int = 1024
    """Timers that one Tick fires."""
    max_open_orders: int = 10_000
    """Open orders of an account."""
    max_leases: int = 4_096
    """Leases of an account, as renter, that aren't wiped yet."""
    max_client_ids: int = 10_000
    """Client ids that are remembered for an account beyond its live orders."""
    max_offers: int = 1024
    """Offers of an account."""
    max_term_hours: int = 744
    """Longest on-demand window and term; also the longest upper limit of a spot lease."""
    max_delivery_bytes: int = 8192
    max_detail_chars: int = 200
    max_client_id_chars: int = 36
    max_rent_instruments: int = 64
    market_protection_ppm: int = 50_000
    """How far through the best eligible price a market order may go when it names no protection (§5)."""
    prefund_s: int = 3_720
    """What a bid holds and a lease's prefund is filled up to: one hour and 120 s (§9)."""
    spot_minimum_s: int = 60
    ondemand_minimum_s: int = 3_600
