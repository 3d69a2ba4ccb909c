"""What the exchange answers, as frozen structs. Fields that a newer exchange adds are passed over.

Prices and money are Decimal dollars, times aware datetimes in UTC, quantities GPUs; `seq` is the engine's sequence number
that an answer is as of.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import msgspec


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all answers."""


class Auction(Model, frozen=True):
    """An auction that cleared; `surplus_side` is None where nothing was left over."""

    time: datetime
    price: Decimal
    quantity: int
    surplus_quantity: int
    surplus_side: str | None


class Instrument(Model, frozen=True):
    """`simulated`: a Baron without real GPUs was admitted to this market.

    `session`: pre_open, auction, continuous, halted or expired; `session_reason`, `session_until`: of an auction that a
    trade outside the band began. `auction`: the last that cleared.

    Of a forward alone: its `period`, its delivery from `delivery_start` to `delivery_end`, `trading_end` when its trading
    ends, and its last daily settlement price with its date.
    """

    symbol: str
    sku: str
    region: str
    kind: str
    simulated: bool
    session: str
    session_reason: str | None
    session_until: datetime | None
    reference_price: Decimal | None
    auction: Auction | None
    period: str | None
    delivery_start: datetime | None
    delivery_end: datetime | None
    trading_end: datetime | None
    settlement_price: Decimal | None
    settlement_date: date | None


class CurvePoint(Model, frozen=True):
    """A listed period: its best prices, the last at which it traded, and its last daily settlement price; None: none."""

    symbol: str
    period: str
    delivery_start: datetime
    delivery_end: datetime
    session: str
    best_bid: Decimal | None
    best_ask: Decimal | None
    last_price: Decimal | None
    settlement_price: Decimal | None
    settlement_date: date | None


class Curve(Model, frozen=True):
    """The forward curve of a market: its listed periods in order of delivery.

    `simulated`: Barons without real GPUs were admitted to this market.
    """

    sku: str
    region: str
    simulated: bool
    seq: int
    time: datetime | None
    points: list[CurvePoint]


class Level(Model, frozen=True):
    """`quantity` anyone may take; `conditional_quantity` is for those who fit its conditions."""

    price: Decimal
    quantity: int
    conditional_quantity: int
    orders: int


class Book(Model, frozen=True):
    """Bids from the best down, asks from the best up. `simulated`: asks may be those of Barons without real GPUs.

    `session`, `session_until`: as of its instrument; only in `continuous` do orders trade as they come.
    """

    symbol: str
    simulated: bool
    session: str
    session_until: datetime | None
    seq: int
    time: datetime | None
    bids: list[Level]
    asks: list[Level]


class Trade(Model, frozen=True):
    """`simulated`: the GPUs were a Baron's that had no real ones. `auction`: both sides rested.

    `displacement`: a bid took a running spot lease at its own limit; such a trade sets no last price.
    """

    id: str
    price: Decimal
    quantity: int
    taker_side: str
    auction: bool
    displacement: bool
    simulated: bool
    time: datetime
    seq: int


class Quote(Model, frozen=True):
    """With a `reason` the whole isn't to be had. Costs are of the whole quantity per hour.

    `simulated`: some of the available GPUs are a Baron's that has no real ones.
    """

    symbol: str
    region: str
    gpus: int
    available_gpus: int
    best_price: Decimal | None
    worst_price: Decimal | None
    cost_per_hour: Decimal | None
    fee_per_hour: Decimal | None
    hold: Decimal | None
    simulated: bool
    reason: str | None
    detail: str | None


class Quotes(Model, frozen=True):
    """Cheapest first, then those that can't give the whole."""

    seq: int
    kind: str
    hours: int
    quotes: list[Quote]


class Ssh(Model, frozen=True):
    """The way into a lease; `host_key` is the only one to accept."""

    host: str
    port: int
    user: str
    command: str
    host_key: str


class Lease(Model, frozen=True):
    """`charged`: usage posted so far, at each full hour and at the end; `accrued`: used since then, as of the answer.

    Both are without fees. `ssh` is there while it is active or ending, for its renter alone. `ends`: when a lease that is
    `ending` will have ended, for its `reason`. `max_price`: the most at which an on-demand lease is extended; `auto_extend`: it
    does so by itself.
    """

    id: str
    state: str
    reason: str | None
    instrument: str
    sku: str
    region: str
    kind: str
    gpus: int
    price: Decimal
    order_id: str | None
    baron: str
    simulated: bool
    started: datetime
    active: datetime | None
    ended: datetime | None
    term_end: datetime | None
    ends: datetime | None
    max_price: Decimal | None
    auto_extend: bool
    charged: Decimal
    accrued: Decimal
    wiped: bool
    detail: str | None
    ssh: Ssh | None
    seq: int

    @property
    def is_over(self) -> bool:
        return self.state in ("ended", "failed")


class Rental(Model, frozen=True):
    """One lease a Baron and price."""

    seq: int
    order_id: str
    instrument: str
    leases: list[Lease]
    duplicate: bool


class Order(Model, frozen=True):
    """`origin`: client, rental, offer, quote, cover (of what a provider failed to deliver), or release. `reason`: why it was
    cut or closed.

    `price` is None for a stop without a protection price, until it is triggered; `armed`: it waits for that. `shown_quantity`:
    what the book shows of it. `simulated`: the Baron of a sell has no real GPUs; None for a buy, which names none.
    """

    id: str
    client_order_id: str | None
    instrument: str
    side: str
    type: str
    time_in_force: str
    expire: datetime | None
    price: Decimal | None
    stop_price: Decimal | None
    armed: bool
    triggered: datetime | None
    quantity: int
    cum_quantity: int
    leaves_quantity: int
    shown_quantity: int
    display_quantity: int | None
    min_quantity: int | None
    status: str
    reason: str | None
    origin: str
    quote_set: str | None
    tag: str | None
    post_only: bool
    stp: str
    hours: int | None
    features: list[str]
    min_rating: int | None
    same_baron: bool
    baron: str | None
    simulated: bool | None
    lot: int | None
    min_hours: int | None
    window_end: datetime | None
    created: datetime
    updated: datetime
    seq: int


class Released(Model, frozen=True):
    """The asks that a release entered, and the lease that they sell of."""

    seq: int
    lease: Lease
    orders: list[Order]
    duplicate: bool


class Fill(Model, frozen=True):
    """`liquidity`: maker, taker, or auction. `lease_id`: none for a forward. `simulated`: the Baron has no real GPUs."""

    trade_id: str
    price: Decimal
    quantity: int
    liquidity: str
    lease_id: str | None
    simulated: bool


class Placed(Model, frozen=True):
    """`duplicate`: a repeat; then the order is as it is now, and its fills are not told again."""

    seq: int
    order: Order
    fills: list[Fill]
    leases: list[Lease]
    duplicate: bool


class Changed(Model, frozen=True):
    """An order after its amend or cancel; of a cancel `price`, total `quantity` and `expire` may not be known yet."""

    seq: int
    order_id: str
    instrument: str
    status: str
    price: Decimal | None
    quantity: int | None
    expire: datetime | None
    leaves_quantity: int
    reason: str | None
    fills: list[Fill]
    leases: list[Lease]


class AllCanceled(Model, frozen=True):
    """`orders`: how many were cancelled."""

    seq: int
    orders: int


class Offer(Model, frozen=True, kw_only=True):
    """An offer of one Baron on one instrument; `gpus` counts what is leased under it; a fill is a multiple of `lot`."""

    baron: str
    instrument: str
    price: Decimal
    gpus: int
    max_hours: int | None = None
    min_hours: int | None = None
    lot: int | None = None


class StandingOffer(Offer, frozen=True, kw_only=True):
    """An offer as it stands: `listed_gpus` are on offer now, and `note` says why it isn't all of them.

    `simulated`: the Baron has no real GPUs.
    """

    simulated: bool
    listed_gpus: int
    note: str | None


class Offers(Model, frozen=True):
    seq: int
    offers: list[StandingOffer]


class Baron(Model, frozen=True):
    """`enrolled`: an agent has its credential; `online`: it is connected now; `simulated`: no real GPUs; `rating`: 0 to 100.

    `presence`: reporting, quiet or lost; `draining`: you have taken it out of the market. Nothing is sold on it but in
    `reporting`, and not draining.
    """

    id: str
    name: str
    sku: str
    region: str
    enrolled: bool
    online: bool
    last_heartbeat: datetime | None
    verified_gpus: int
    leased_gpus: int
    simulated: bool
    features: list[str]
    rating: int
    presence: str
    draining: bool
    created: datetime
    seq: int


class BaronPresence(Model, frozen=True):
    """Whether a Baron is heard of (reporting, quiet, lost), and whether you have taken it out of the market, from `seq` on."""

    seq: int
    baron: str
    presence: str
    draining: bool


class Limits(Model, frozen=True):
    """What your account may have open; None: only the exchange's own bound. `killed`: an operator has stopped it."""

    seq: int
    account: str
    max_open_orders: int | None
    max_notional: Decimal | None
    max_gpus: int | None
    killed: bool


class NewBaron(Model, frozen=True):
    """`enrolment_token` is for `baron enroll`, once, until `expires`; it is shown here and never again."""

    seq: int
    id: str
    name: str
    sku: str
    region: str
    enrolment_token: str
    expires: datetime


class Balances(Model, frozen=True):
    seq: int
    available: Decimal
    held: Decimal
    escrow: Decimal
    receivable: Decimal
    bond: Decimal


class Party(Model, frozen=True):
    """`whose`: you, exchange, or counterparty."""

    whose: str
    pot: str


class Transfer(Model, frozen=True):
    """Money out of `debit` into `credit`."""

    id: str
    time: datetime
    code: str
    amount: Decimal
    debit: Party
    credit: Party
    ref: str | None


class StatementLine(Model, frozen=True):
    """The sum of one code in the month; positive is money that came to the account."""

    code: str
    transfers: int
    amount: Decimal


class StatementLease(Model, frozen=True):
    """Negative: what you paid. `credit`: for outages, or its provider's failure; `paid_out`: made available to its provider."""

    lease_id: str
    usage: Decimal
    fee: Decimal
    credit: Decimal = Decimal(0)
    paid_out: Decimal = Decimal(0)


class Statement(Model, frozen=True):
    """A calendar month, UTC; `opening` and `closing` are all pots together."""

    account: str
    month: str
    seq: int
    opening: Decimal
    closing: Decimal
    lines: list[StatementLine]
    leases: list[StatementLease]


class Account(Model, frozen=True):
    id: str
    name: str
    maker_fee_ppm: int
    taker_fee_ppm: int
    key_id: str
    scopes: list[str]


class SshKey(Model, frozen=True):
    id: str
    name: str
    public_key: str
    fingerprint: str
    created: datetime


class Key(Model, frozen=True):
    """`token` is there in the answer that makes the key, and never again."""

    id: str
    label: str
    scopes: list[str]
    created: datetime
    expires: datetime | None
    token: str | None = None


class Gone(Model, frozen=True):
    """What was deleted or revoked."""

    id: str
