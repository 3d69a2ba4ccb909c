"""The numbers that each field of a snapshot may have (`engine.snapshot`): a digest without a key says nothing of who wrote it.

A state has no number beyond these by any sequence of commands, and with numbers within them no machine's arithmetic leaves
its 64 bits, so that the compiled machine, which holds them in C, and the law, which could hold any, refuse the same. It knows
fields one by one; whether rows agree with each other is `engine.snapshot_checks`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from engine.book import LIMIT_MAX
from engine.dues import Bill, Cover, PaidHours
from engine.grid import PAGE_HOURS, PAGES_MAX
from engine.ids import SHARD_MAX
from engine.kinds import Side
from engine.limits import Limits
from engine.messages import Offer
from engine.obligation import Conditions, Obligation
from engine.row import Listing
from engine.state import POTS, Account, Baron, Calendar, ClosingTrades, Instrument, Lease, Order, QuoteSet, Remembered
from engine.units import (
    INT64_MAX,
    NS_PER_HOUR,
    NUMBER_MAX,
    PPM,
    PRICE_MAX_TICKS,
    QUANTITY_MAX,
    RATING_MAX,
    TIME_MAX_NS,
)

AHEAD_MAX_NS: Final = TIME_MAX_NS + 2**61
"""No time that is kept is later, but for an order's expiry, which is never reckoned with: 73 years are left to do so."""
DIGEST_BYTES: Final = 16
"""Of what a client id stood for."""
FORWARD_HOURS_MAX: Final = 366 * 24
OBLIGATION_HOURS_MAX: Final = PAGES_MAX * PAGE_HOURS

Range = tuple[int, int]

_NUMBER: Final = (0, NUMBER_MAX)
_ID: Final = (0, INT64_MAX)
_ANY: Final = (-INT64_MAX - 1, INT64_MAX)
_GPUS: Final = (0, QUANTITY_MAX)
_SUM_OF_GPUS: Final = (-(2**40), 2**40)
_TICKS: Final = (0, PRICE_MAX_TICKS)
_TIME: Final = (0, AHEAD_MAX_NS)
_HOUR: Final = (0, AHEAD_MAX_NS // NS_PER_HOUR)
_SECONDS: Final = (0, 2**31 - 1)
_MICROS: Final = (-(2**62), 2**62)
_PPM: Final = (0, PPM)
_FEATURES: Final = (0, 15)
_RATING: Final = (0, RATING_MAX)
_SHORT: Final = (0, 2**16 - 1)
_WISH: Final = {"features": _FEATURES, "min_rating": _RATING}

ORDER: Final[dict[str, Range]] = {
    "order_id": (1, INT64_MAX),
    **dict.fromkeys(("account", "instrument", "baron"), _NUMBER),
    **dict.fromkeys(("price_ticks", "stop_price_ticks", "hold_ticks"), _TICKS),
    **dict.fromkeys(("quantity", "leaves_quantity", "display_quantity", "min_quantity"), _GPUS),
    **dict.fromkeys(("hours", "lot", "min_hours"), _SHORT),
    "window_end_ns": _TIME,
    "expire_ns": _ID,
    "connection": _ANY,
    **_WISH,
}
LEASE: Final[dict[str, Range]] = {
    "lease_id": (1, INT64_MAX),
    **dict.fromkeys(("waits_for", "promised_to", "obligation_id"), _ID),
    **dict.fromkeys(("renter", "provider", "baron"), _NUMBER),
    **dict.fromkeys(("quantity", "offer_quantity"), _GPUS),
    **dict.fromkeys(("price_ticks", "limit_ticks"), _TICKS),
    **dict.fromkeys(("start_ns", "term_end_ns", "active_ns", "ended_ns", "due_ns", "ends_ns"), _TIME),
    **dict.fromkeys(("auto_due_ns", "wipe_due_ns"), _TIME),
    "minimum_s": _SECONDS,
    **dict.fromkeys(("renter_fee_ppm", "provider_fee_ppm"), _PPM),
    **dict.fromkeys(("prefund_micros", "usage_micros", "renter_fee_micros", "provider_fee_micros"), _MICROS),
    "bond_micros": _MICROS,
    **_WISH,
}
PRICE: Final = (_TIME, _TICKS)
"""From when on a lease has which price."""
BILL: Final[dict[str, Range]] = {
    "bill_id": (1, INT64_MAX),
    **dict.fromkeys(("renter", "provider"), _NUMBER),
    **dict.fromkeys(("due_ns", "run_from_ns", "over_ns", "out_ns", "out_until_ns"), _TIME),
    **dict.fromkeys(("charge_micros", "receivable_micros"), _MICROS),
}
OUTAGE: Final = (_TIME, _TIME)
_PAID: Final[dict[str, Range]] = {
    "baron": _NUMBER,
    "obligation_id": _ID,
    "quantity": (1, QUANTITY_MAX),
    "hour_micros": _MICROS,
    **dict.fromkeys(("from_h", "until_h"), _HOUR),
}
_ACCOUNT: Final[dict[str, Range]] = {
    **dict.fromkeys(("account", "open_orders", "leases", "obligations"), _NUMBER),
    **dict.fromkeys(("maker_fee_ppm", "taker_fee_ppm"), _PPM),
    **dict.fromkeys(("max_open_orders", "max_notional_micros", "max_gpus"), _ID),
    "gpus": _SUM_OF_GPUS,
    "dead_man_ns": _TIME,
}
_REMEMBERED: Final[dict[str, Range]] = {"seq": _ID, "order_id": _ID}
_QUOTE_SET: Final[dict[str, Range]] = {"max_fills": _ID, "fills": _ID, "orders": _NUMBER}
_OFFER: Final[dict[str, Range]] = {
    **dict.fromkeys(("baron", "instrument"), _NUMBER),
    "price_ticks": _TICKS,
    "gpus": _GPUS,
    **dict.fromkeys(("max_hours", "lot", "min_hours"), _SHORT),
}
_BARON: Final[dict[str, Range]] = {
    "baron": (1, NUMBER_MAX),
    "provider": _NUMBER,
    "verified_gpus": _GPUS,
    **dict.fromkeys(("leased_gpus", "unwiped_gpus"), _SUM_OF_GPUS),
    "features": _FEATURES,
    "rating": _RATING,
    **dict.fromkeys(("heard_ns", "offer_due_ns"), _TIME),
}
_INSTRUMENT: Final[dict[str, Range]] = {
    "instrument": (1, NUMBER_MAX - 1),
    **dict.fromkeys(("start_h", "end_h"), _HOUR),
    "hours": (0, FORWARD_HOURS_MAX),
}
_OBLIGATION: Final[dict[str, Range]] = {
    "obligation_id": (1, INT64_MAX),
    "lease_id": _ID,
    **dict.fromkeys(("provider", "holder", "baron", "instrument"), _NUMBER),
    "quantity": (1, QUANTITY_MAX),
    **dict.fromkeys(("start_h", "end_h"), _HOUR),
    "price_ticks": _TICKS,
    "bond_micros": _MICROS,
    "due_ns": _TIME,
}
_COVER: Final[dict[str, Range]] = {
    **dict.fromkeys(("account", "instrument"), _NUMBER),
    "quantity": _GPUS,
    "hours": _SHORT,
    **dict.fromkeys(("price_ticks", "limit_ticks"), _TICKS),
    **_WISH,
}
_ROW: Final[dict[str, Range]] = {
    **dict.fromkeys(("account", "baron"), _NUMBER),
    **dict.fromkeys(("spot_gpus", "leaving_gpus"), _SUM_OF_GPUS),
    "look_ahead_ns": _TIME,
}
_LISTING: Final[dict[str, Range]] = {
    "instrument": _NUMBER,
    "offer_order_id": _ID,
    "offer_leased_gpus": _SUM_OF_GPUS,
}
_CALENDAR: Final[dict[str, Range]] = {"market": _NUMBER, "due_ns": _TIME}
_CLOSING: Final[dict[str, Range]] = {
    "instrument": _NUMBER,
    "day_end_ns": _TIME,
    **dict.fromkeys(("value_high", "quantity"), _ID),
    "value_low": (0, 2**64 - 1),
}
_OF: Final[dict[type, dict[str, Range]]] = {
    Order: ORDER,
    Lease: LEASE,
    Bill: BILL,
    PaidHours: _PAID,
    Account: _ACCOUNT,
    Remembered: _REMEMBERED,
    QuoteSet: _QUOTE_SET,
    Offer: _OFFER,
    Baron: _BARON,
    Instrument: _INSTRUMENT,
    Obligation: _OBLIGATION,
    Conditions: _WISH,
    Cover: _COVER,
    Listing: _LISTING,
    Calendar: _CALENDAR,
    ClosingTrades: _CLOSING,
}


def check(record: Any, bounds: dict[str, Range] | None = None) -> None:
    """ValueError for a number beyond its field's."""
    for name, (least, most) in (bounds or _OF[type(record)]).items():
        if not least <= getattr(record, name) <= most:
            raise ValueError(f"{type(record).__name__}: {name} is {getattr(record, name)}, not {least} to {most}")


def ids(numbers: Iterable[int], what: str) -> None:
    """ValueError where one is no id."""
    if not all(0 < number <= INT64_MAX for number in numbers):
        raise ValueError(f"{what}: ids are numbers from 1 to {INT64_MAX}")


def shard(number: int, given: Limits) -> None:
    """A shard and its limits; a time in seconds is short enough to be reckoned in nanoseconds."""
    if not 0 <= number <= SHARD_MAX:
        raise ValueError(f"{number} is no shard")
    for name in given.__struct_fields__:
        most = _SECONDS[1] if name.endswith("_s") else LIMIT_MAX
        if not 0 <= getattr(given, name) <= most:
            raise ValueError(f"Limits: {name} is {getattr(given, name)}, not 0 to {most}")


def times(given: Iterable[int]) -> None:
    """ValueError where one is no time that something is due at."""
    if not all(0 < each <= AHEAD_MAX_NS for each in given):
        raise ValueError(f"times are from 1 to {AHEAD_MAX_NS} ns")


def order(given: Order) -> None:
    """An order's terms; what its side doesn't have is empty."""
    check(given)
    if given.window_end_ns % NS_PER_HOUR:
        raise ValueError(f"order {given.order_id}: a window ends with an hour")
    sides(given.side, given.hours, given.min_hours, given.delivery)


def sides(side: Side, hours: int, min_hours: int, delivery: bytes) -> None:
    """An ask has no term of its own and delivers nowhere; a bid has no shortest term."""
    if (hours or delivery) if side is Side.SELL else min_hours:
        raise ValueError("a bid sells no hours, and an ask delivers nowhere")


def lease(given: Lease) -> None:
    """Its numbers, and each of its prices."""
    check(given)
    _pairs(given.prices, PRICE)


def bill(given: Bill) -> None:
    """Its numbers, its outages, and the hours that may be undone."""
    check(given)
    _pairs(given.outages, OUTAGE)
    if given.hours is not None:
        paid_hours(given.hours)


def account(given: Account) -> None:
    """An account as it is held beside what it remembers (`memories`)."""
    check(given, _ACCOUNT)
    if len(given.pots) != POTS or not all(_ANY[0] <= micros <= _ANY[1] for micros in given.pots):
        raise ValueError(f"account {given.account}: {POTS} pots of 64 bits")
    for offer in given.offers:
        check(offer)
    for quotes in given.quote_sets.values():
        check(quotes)


def memories(given: Account) -> None:
    """What an account remembers of client ids, orders and leases that are gone."""
    for remembered in (*given.client_ids.values(), *given.older_live_ids.values()):
        check(remembered)
        if len(remembered.digest) != DIGEST_BYTES:
            raise ValueError(f"account {given.account}: a digest has {DIGEST_BYTES} bytes")
    if not all(0 <= number <= INT64_MAX for number in (*given.closed_orders, *given.wiped_leases)):
        raise ValueError(f"account {given.account}: ids are numbers of 63 bits")


def obligation(given: Obligation) -> None:
    """Its numbers; its hours are some, and no more than a grid spans."""
    check(given)
    check(given.conditions)
    if not 0 < given.end_h - given.start_h <= OBLIGATION_HOURS_MAX:
        raise ValueError(f"obligation {given.obligation_id}: [{given.start_h}, {given.end_h}) are no hours")


def row(given: Any) -> None:
    """A row's numbers and its listings; its hours are its grid's to check."""
    check(given, _ROW)
    ids((*given.claims, *given.spot_asks, *given.firm_asks), "a row")
    for listing in given.listings:
        check(listing)
        if listing.offer is not None:
            check(listing.offer)


def cover(given: Cover) -> None:
    check(given)
    if not all(0 <= number <= NUMBER_MAX for number in given.providers):
        raise ValueError("a cover's providers are accounts")


def of_fields(struct: type[msgspec.Struct], bounds: dict[str, Range]) -> list[Range]:
    """The bounds of a struct's fields, one by one; of what is no number, none are."""
    return [bounds.get(name, (0, 0)) for name in struct.__struct_fields__]


def _pairs(pairs: Iterable[tuple[int, int]], bounds: tuple[Range, Range]) -> None:
    for pair in pairs:
        if not all(least <= value <= most for value, (least, most) in zip(pair, bounds, strict=True)):
            raise ValueError(f"{pair}: a time and what goes with it are out of range")


def paid_hours(given: list[PaidHours]) -> None:
    """The hours of a bill that may be undone: None says that there are none."""
    if not given:
        raise ValueError("a bill has hours that may be undone, and names none")
    for paid in given:
        check(paid)
