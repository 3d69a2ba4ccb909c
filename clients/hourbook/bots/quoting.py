"""What the market maker wants to stand in the market, reckoned from what it sees: pure, exact, no connection.

Asks start at the reference price and rise with the share of capacity that is leased. Bids stand a fixed part below the
reference, and so below every ask of the maker's own, whatever is leased.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

import msgspec

from hourbook.decimals import to_decimal
from hourbook.models import Baron, Offer

TICK: Final = Decimal("0.0001")
MAX_PRICE: Final = Decimal(1000)
MIN_DISCOUNT: Final = Decimal("0.05")
MAX_PRODUCTS: Final = 32
MIN_HOURS: Final = 2
"""Of an on-demand ask: the hour of entry counts, and part of it is past."""
ONDEMAND_PREMIUM: Final = Decimal("1.25")


class Product(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One SKU in one region and its reference prices, dollars per GPU-hour as text; on-demand 25 % above spot if not said.

    `max_hours`: the longest term guaranteed on on-demand.
    """

    sku: str
    region: str
    price: str
    ondemand_price: str | None = None
    max_hours: int = 24

    def __post_init__(self) -> None:
        if not TICK <= to_decimal(self.price) <= self.ondemand <= MAX_PRICE:
            raise ValueError(f"{self.sku}: prices go from {TICK} to {MAX_PRICE}, on-demand at least at spot's")
        if self.max_hours < MIN_HOURS:
            raise ValueError(f"{self.sku}: max_hours is {MIN_HOURS} or more")

    @property
    def spot(self) -> Decimal:
        """The reference price of spot, dollars per GPU-hour."""
        return to_decimal(self.price)

    @property
    def ondemand(self) -> Decimal:
        """The reference price of on-demand, dollars per GPU-hour."""
        return self.spot * ONDEMAND_PREMIUM if self.ondemand_price is None else to_decimal(self.ondemand_price)

    def symbol(self, kind: str) -> str:
        return f"{self.sku}.{self.region}.{kind}"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to quote. `drift`: the part by which asks rise until all is leased; `bid_discount`: the part below the reference.

    Bids stop while the account holds `max_bought_gpus` or more through leases that it rents; `bid_gpus` 0: no bids.
    """

    products: list[Product]
    drift: str = "0.20"
    bid_discount: str = "0.30"
    bid_gpus: int = 1
    max_bought_gpus: int = 2
    requote_s: float = 5.0

    def __post_init__(self) -> None:
        if not 1 <= len(self.products) <= MAX_PRODUCTS:
            raise ValueError(f"give 1 to {MAX_PRODUCTS} products")
        if len({(product.sku, product.region) for product in self.products}) != len(self.products):
            raise ValueError("give each SKU and region once")
        if not 0 <= to_decimal(self.drift) <= 10:
            raise ValueError("drift goes from 0 to 10")
        if not MIN_DISCOUNT <= to_decimal(self.bid_discount) < 1:
            raise ValueError(f"bid_discount goes from {MIN_DISCOUNT} to below 1: bids stand well below the asks")
        if self.bid_gpus < 0 or self.max_bought_gpus < 0 or not 0.1 <= self.requote_s <= 3600:
            raise ValueError("bid_gpus and max_bought_gpus are 0 or more, requote_s 0.1 to 3600")


def ask_price(reference: Decimal, drift: Decimal, leased_gpus: int, verified_gpus: int) -> Decimal:
    """The reference, raised by `drift` times the leased share, rounded up to the tick and kept inside the grid."""
    if not verified_gpus:
        return reference.quantize(TICK, ROUND_CEILING)
    # Divided last, so that nothing but the tick is ever rounded to.
    raised = reference * (verified_gpus + drift * min(leased_gpus, verified_gpus)) / verified_gpus
    return min(MAX_PRICE, raised.quantize(TICK, ROUND_CEILING))


def bid_price(product: Product, discount: Decimal) -> Decimal | None:
    """The discount below spot's reference, rounded down to the tick; None when that is below the grid."""
    price = (product.spot * (1 - discount)).quantize(TICK, ROUND_FLOOR)
    return price if price >= TICK else None


def wanted_offers(settings: Settings, barons: Sequence[Baron], standing: Iterable[Offer]) -> list[Offer]:
    """All offers that should stand: every verified GPU of each product, and those of others' making as they are."""
    drift = to_decimal(settings.drift)
    offers = []
    ours = set()
    for product in settings.products:
        here = [baron for baron in barons if (baron.sku, baron.region) == (product.sku, product.region)]
        leased, verified = (sum(baron.leased_gpus for baron in here), sum(baron.verified_gpus for baron in here))
        for kind, reference, max_hours in (
            ("spot", product.spot, None),
            ("ondemand", product.ondemand, product.max_hours),
        ):
            symbol = product.symbol(kind)
            ours.add(symbol)
            price = ask_price(reference, drift, leased, verified)
            offers += [
                Offer(baron=baron.id, instrument=symbol, price=price, gpus=baron.verified_gpus, max_hours=max_hours)
                for baron in here
                if baron.verified_gpus
            ]
    return sorted([*offers, *(offer for offer in standing if offer.instrument not in ours)], key=_place)


def same(one: Iterable[Offer], other: Iterable[Offer]) -> bool:
    """Whether two lists of offers say the same, in whatever order and whatever is listed of them."""
    return sorted(map(_terms, one)) == sorted(map(_terms, other))


def _terms(offer: Offer) -> tuple[str, str, Decimal, int, int]:
    return *_place(offer), offer.price, offer.gpus, offer.max_hours or 0


def _place(offer: Offer) -> tuple[str, str]:
    return offer.baron, offer.instrument
