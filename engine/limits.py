"""The engine's bounds (rulebook §2, "Bounds") in one frozen struct; part of the machine's state and of its hash."""

from __future__ import annotations

import msgspec

from engine.book import BookLimits


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Defaults are the rulebook's; benches and tests may raise or lower them, to 1 at least where a bound says so."""

    max_looked: int = 1024
    """Resting orders that one order may look at, and fills that one command may make, the stops after it aside; from 1."""
    max_stops: int = 64
    """Stops that fire after one command; from 1."""
    max_conditional_account: int = 16
    """Live conditional orders of an account in an instrument."""
    max_conditional_side: int = 512
    """Conditional orders at rest on a side of an instrument."""
    display_ratio: int = 64
    """`display_quantity` is at least quantity / this."""
    band_ppm: int = 300_000
    """How far from its reference a price may print (§6); 0: anywhere."""
    auction_s: int = 120
    cooldown_s: int = 600
    """No auction by a breach of the band within this time of the end of the last."""
    max_timers: int = 1024
    """Timers that one Tick fires."""
    max_open_orders: int = 10_000
    """Open orders of an account."""
    max_leases: int = 4_096
    """Leases of an account, as renter, that aren't wiped yet; a forward's lease is one of its obligations', and bounded as such."""
    max_client_ids: int = 10_000
    """Client ids that are remembered for an account beyond its live orders."""
    max_offers: int = 1024
    """Offers of an account."""
    max_quotes: int = 256
    """Quotes of a set."""
    max_quote_sets: int = 64
    """Sets of quotes of an account."""
    max_dead_man_s: int = 86_400
    """How far ahead `CancelAllAfter` may be set."""
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
    notice_s: int = 120
    """How long a lease runs on after notice; what a prefund covers beyond its hour is no less (§7, §9)."""
    extend_s: int = 600
    """How long before the end of its term a lease can be extended (§8)."""
    wipe_s: int = 600
    """How long after its end a lease may wait for its wipe before its GPUs count as verified no more (§4)."""
    max_covers: int = 64
    """Covers that enter at the end of one command; from 1."""
    max_outages: int = 64
    """Outages of a lease in a month that are kept apart; of more the oldest are summed up, and no report counts there."""
    max_raises: int = 100
    """How often the price of one lease may be raised: a failure may be charged as of any time, so each price is kept."""
    max_obligations: int = 4_096
    """Obligations of forwards that an account holds."""
    ondemand_bond_s: int = 3_600
    """How much of its use an on-demand lease's seller has in bond (§9)."""
    forward_bond_ppm: int = 100_000
    """What part of a forward's notional its provider has in bond (§9)."""
    spot_minimum_s: int = 60
    ondemand_minimum_s: int = 3_600
    newcomer_minimum_s: int = 3_600
    """What a bid that displaced a lease pays at least, even if it quits before its start (§7)."""

    def of_book(self) -> BookLimits:
        """What of them a book holds to itself; its stops wait for the machine, which checks each before it fires."""
        return BookLimits(
            max_looked=self.max_looked,
            max_stops=self.max_stops,
            fires=False,
            max_conditional_account=self.max_conditional_account,
            max_conditional_side=self.max_conditional_side,
            display_ratio=self.display_ratio,
            market_protection_ppm=self.market_protection_ppm,
            band_ppm=self.band_ppm,
            auction_s=self.auction_s,
            cooldown_s=self.cooldown_s,
        )
