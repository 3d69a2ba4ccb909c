"""What callers may send: bodies and query parameters, as strict structs. The API document is made from these same structs.

A field that isn't here is refused as unknown. Units at the edge: prices and money are decimal strings, quantities are
GPUs, terms are hours.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from engine.ids import SEQ_MAX
from engine.kinds import Feature
from engine.limits import Limits
from engine.units import MONEY_PATTERN, NUMBER_MAX, PRICE_PATTERN, QUANTITY_MAX, RATING_MAX
from exchange.gateway.ssh_keys import MAX_LINE_CHARS
from exchange.gateway.wording import IS_TERM, SAID
from exchange.registry.rows import MAX_SSH_KEYS, Scope

_LIMITS: Final = Limits()
MAX_PAGE: Final = 200
DEFAULT_PAGE: Final = 50
MAX_LEVELS: Final = 1_000
DEFAULT_LEVELS: Final = 50
MAX_KEY_SCOPES: Final = len(Scope)
MAX_HOURS: Final = 87_600
"""Ten years: a bound on the form alone, since each exchange sets its own longest term."""
MAX_LOT: Final = 2**16 - 1

ID_SAID: Final = "an id: {}_ and 13 digits and capital letters"
PRICE_SAID: Final = 'dollars as text with at most four places, from "0.0001" to "1000.0000"'
MONEY_SAID: Final = 'dollars as text with at most six places, above zero and at most "100000000000"'

Price = Annotated[
    str,
    Meta(
        pattern=f"^{PRICE_PATTERN}$",
        description="Dollars per GPU-hour, 0.0001 to 1000.0000.",
        examples=["2.1050"],
        extra={SAID: PRICE_SAID},
    ),
]
Money = Annotated[
    str,
    Meta(
        pattern=f"^{MONEY_PATTERN}$",
        description="Dollars, up to six places.",
        examples=["1000.00"],
        extra={SAID: MONEY_SAID},
    ),
]
Gpus = Annotated[int, Meta(ge=1, le=QUANTITY_MAX, description="GPUs.")]
Hours = Annotated[
    int,
    Meta(
        ge=1,
        le=MAX_HOURS,
        description="Whole hours; the exchange's longest term is the limit.",
        extra={IS_TERM: True},
    ),
]
Name = Annotated[str, Meta(min_length=1, max_length=64)]
Symbol = Annotated[
    str,
    Meta(
        min_length=1, max_length=96, examples=["H100-SXM5-80GB.us-east.ondemand", "H100-SXM5-80GB.us-east.fwd-2027Q1"]
    ),
]
Sku = Annotated[str, Meta(min_length=1, max_length=64, examples=["H100-SXM5-80GB"])]
Region = Annotated[str, Meta(min_length=1, max_length=64, examples=["us-east"])]
ClientOrderId = Annotated[
    str,
    Meta(pattern="^[A-Za-z0-9_-]{1,36}$", extra={SAID: "1 to 36 letters, digits, hyphens and underscores"}),
]
Tag = Annotated[
    ClientOrderId,
    Meta(description="Your own mark on orders, by which they can be cancelled together."),
]
Time = Annotated[
    datetime,
    Meta(
        tz=True,
        examples=["2026-12-24T18:00:00Z"],
        extra={SAID: 'a time with its zone as RFC 3339 has it, such as "2026-12-24T18:00:00Z"'},
    ),
]
AccountId = Annotated[str, Meta(pattern="^acc_[0-9A-Z]{13}$", extra={SAID: ID_SAID.format("acc")})]
BaronId = Annotated[str, Meta(pattern="^brn_[0-9A-Z]{13}$", extra={SAID: ID_SAID.format("brn")})]
SshKeyLine = Annotated[str, Meta(min_length=1, max_length=MAX_LINE_CHARS, examples=["ssh-ed25519 AAAA... you@home"])]
KindName = Literal["spot", "ondemand"]
"""Those that can be rented."""
InstrumentKindName = Literal["spot", "ondemand", "forward"]
SideName = Literal["buy", "sell"]
OrderTypeName = Literal["limit", "market", "stop", "stop_limit"]
TimeInForceName = Literal["gtc", "gtd", "day", "ioc", "fok"]
SelfTradeName = Literal["cancel_newest", "cancel_oldest", "cancel_both", "decrement"]
SessionName = Literal["pre_open", "auction", "continuous", "halted"]
"""Those that an operator may set."""
FeatureName = Literal["infiniband", "nvlink", "certified", "secure"]
Features = Annotated[list[FeatureName], Meta(max_length=len(Feature))]
Lot = Annotated[int, Meta(ge=1, le=MAX_LOT, description="GPUs; a fill is a multiple of it (8: whole nodes).")]

Rating = Annotated[int, Meta(ge=0, le=RATING_MAX, description="Of a Baron, 0 to 100.")]


class _Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of everything that is sent."""


class Nothing(_Body, frozen=True):
    """No body, or no parameters."""


# ---------------------------------------------------------------- query parameters


class Since(_Body, frozen=True):
    """min_seq: wait (5 s at most) until the answer has everything up to this sequence number."""

    min_seq: Annotated[int, Meta(ge=0, le=SEQ_MAX)] = 0


class Listed(Since, frozen=True):
    """Only what is listed of a SKU, in a region, of a kind; each may be left out."""

    sku: Sku | None = None
    region: Region | None = None
    kind: InstrumentKindName | None = None


class Page(_Body, frozen=True):
    """A page of a list, newest first; `cursor` is the `next_cursor` of the page before."""

    min_seq: Annotated[int, Meta(ge=0, le=SEQ_MAX)] = 0
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE
    cursor: Annotated[str, Meta(max_length=32)] = ""


class OpenPage(Page, frozen=True):
    """`open`: only what still lives."""

    open: bool = False


class LeasePage(OpenPage, frozen=True):
    """`role`: leases that the account rents, or those that it provides: on its Barons, or of hours that it bought and let (§8)."""

    role: Literal["renter", "provider"] = "renter"


class ObligationPage(OpenPage, frozen=True):
    """`role`: obligations that the account holds, or those that its Barons owe. `open`: only what isn't over."""

    role: Literal["holder", "provider"] = "holder"


class CancelFilter(_Body, frozen=True):
    """Which of your orders to cancel: those that fit all that is given; without any, all but those of offers."""

    instrument: Symbol | None = None
    side: SideName | None = None
    tag: Tag | None = None


class Depth(Since, frozen=True):
    levels: Annotated[int, Meta(ge=1, le=MAX_LEVELS)] = DEFAULT_LEVELS


# ---------------------------------------------------------------- bodies


class QuoteBody(_Body, frozen=True):
    """What a rental would cost now; `hours` is the guaranteed term of on-demand, an upper limit for spot.

    `features`: what each Baron must have; `min_rating`: how it must be rated; `same_baron`: all GPUs on one.
    """

    sku: Sku
    kind: KindName
    gpus: Gpus
    hours: Hours
    regions: Annotated[list[Region], Meta(min_length=1, max_length=_LIMITS.max_rent_instruments)] | None = None
    max_price: Price | None = None
    features: Features | None = None
    same_baron: bool = False
    min_rating: Rating | None = None


class RentalBody(QuoteBody, frozen=True):
    """Take the best price, all or nothing. Without `ssh_keys` the account's stored ones are used.

    `auto_extend`: the leases (on-demand) extend themselves by an hour at a time, at `max_price` at most (rulebook §8).
    """

    ssh_keys: Annotated[list[SshKeyLine], Meta(min_length=1, max_length=MAX_SSH_KEYS)] | None = None
    auto_extend: bool = False


class OrderTerms(_Body, frozen=True):
    """An order's terms (rulebook §5), whichever door it comes by.

    `price`: the limit; of a market order or a stop its protection, 5 % when it is left out, which a stop buy can't.
    `stop_price`: stops alone, which a trade at it or beyond triggers. `time_in_force`: gtc when it is left out, ioc for a
    market order. `display_quantity`: what an iceberg shows. `min_quantity`: of every fill. `stp`: what an order that meets
    one of your own does. A buy may give `hours` (on-demand: guaranteed term, 1 when left out; spot: upper limit),
    `features`, `min_rating` and `same_baron`; a sell gives `baron`, may give `lot`, and on an on-demand instrument gives
    `max_hours` and may give `min_hours`. A forward's period is its hours: neither side gives any. `reduce_only`: a sell of
    hours that were bought, never of your own Baron's.
    """

    instrument: Symbol
    side: SideName
    quantity: Gpus
    price: Price | None = None
    type: OrderTypeName = "limit"
    time_in_force: TimeInForceName | None = None
    stop_price: Price | None = None
    post_only: bool = False
    min_quantity: Gpus | None = None
    display_quantity: Gpus | None = None
    stp: SelfTradeName = "cancel_newest"
    client_order_id: ClientOrderId | None = None
    hours: Hours | None = None
    features: Features | None = None
    min_rating: Rating | None = None
    same_baron: bool = False
    baron: BaronId | None = None
    lot: Lot | None = None
    min_hours: Hours | None = None
    max_hours: Hours | None = None
    reduce_only: bool = False
    tag: Tag | None = None


class OrderBody(OrderTerms, frozen=True):
    """An order; `expire`: when a gtd order does."""

    expire: Time | None = None


class AmendTerms(_Body, frozen=True):
    """A new price, a new total quantity (what is filled included), or both."""

    price: Price | None = None
    quantity: Gpus | None = None


class AmendBody(AmendTerms, frozen=True):
    """A new price, a new total quantity (what is filled included), a gtd order's new `expire`, or several of them."""

    expire: Time | None = None


class LeaseBody(_Body, frozen=True):
    """What changes of a running lease: one of the two.

    `price`: what a spot lease pays from now on, higher than before (rulebook §7). `auto_extend`: whether an on-demand lease
    extends itself (§8).
    """

    price: Price | None = None
    auto_extend: bool | None = None


class ExtensionBody(_Body, frozen=True):
    """Hours more of an on-demand lease, from ten minutes before its term's end (rulebook §8)."""

    hours: Hours


class ReleaseBody(_Body, frozen=True):
    """GPUs of a running reservation, back to the market at this price (rulebook §8).

    `as`: a spot ask; an on-demand ask to the end of its hours, 744 at most; or an ask in each listed forward that lies whole
    in them, the longest periods first.
    """

    as_: Literal["spot", "ondemand", "forwards"] = msgspec.field(name="as")
    quantity: Gpus
    price: Price


class DeliveryBody(_Body, frozen=True):
    """Where an obligation is delivered to; without `ssh_keys` the account's stored ones are used."""

    ssh_keys: Annotated[list[SshKeyLine], Meta(min_length=1, max_length=MAX_SSH_KEYS)] | None = None


class OutageBody(_Body, frozen=True):
    """A time in which a lease could not be used, up to now (rulebook §9)."""

    began: Time
    ended: Time


class OfferBody(_Body, frozen=True):
    """One standing offer (rulebook §4); `gpus` counts what is leased under it; `max_hours`, `min_hours` for on-demand only."""

    baron: BaronId
    instrument: Symbol
    price: Price
    gpus: Gpus
    max_hours: Hours | None = None
    min_hours: Hours | None = None
    lot: Lot | None = None


class AsksBody(_Body, frozen=True):
    """The whole list of offers that should stand; what isn't named is removed, and leases stay."""

    offers: Annotated[list[OfferBody], Meta(max_length=_LIMITS.max_offers)]


class SessionBody(_Body, frozen=True):
    """The session that an instrument shall be in; to `continuous` it goes by way of an auction's clearing (rulebook §6)."""

    session: SessionName


class FeaturesBody(_Body, frozen=True):
    """The features that a Baron has, whole (rulebook §5)."""

    features: Features


class RatingBody(_Body, frozen=True):
    """The rating that a Baron has from now on (rulebook §10)."""

    rating: Rating


class LimitsBody(_Body, frozen=True):
    """What an account may have open, whole (rulebook §2); null, or left out: only the exchange's own bound.

    `max_gpus`: of its bids and its leases together; `max_notional`: dollars that it may hold for them.
    """

    max_open_orders: Annotated[int, Meta(ge=1, le=_LIMITS.max_open_orders)] | None = None
    max_notional: Money | None = None
    max_gpus: Annotated[int, Meta(ge=1, le=NUMBER_MAX)] | None = None


class KillSwitchBody(_Body, frozen=True):
    """On (`killed`), all orders of the account are cancelled and new ones refused; off, its offers enter anew."""

    killed: bool


class DrainBody(_Body, frozen=True):
    """Into the drain: its asks are cancelled, spot leases have notice, on-demand ones run out. Out of it: offers enter anew."""

    draining: bool


class BaronBody(_Body, frozen=True):
    sku: Sku
    region: Region
    name: Name


class MoneyBody(_Body, frozen=True):
    """Money in or out of an account, entered by the exchange's administration."""

    account: AccountId
    amount: Money


class AccountBody(_Body, frozen=True):
    """A new account, and the scopes of its first key."""

    name: Name
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=MAX_KEY_SCOPES)]


class KeyBody(_Body, frozen=True):
    """A further key for your own account, with no scope and no expiry beyond those of the key that asks."""

    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=MAX_KEY_SCOPES)]
    label: Annotated[str, Meta(max_length=64)] = ""
    expires_in_s: Annotated[int, Meta(ge=60, le=10 * 366 * 86_400)] | None = None


class SshKeyBody(_Body, frozen=True):
    name: Name
    public_key: SshKeyLine
