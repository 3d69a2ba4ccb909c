"""The read side that the gateway asks: rows of orders, trades, leases and Barons, and where it has got to.

The read models are a consumer of the event log with a database of their own: what is here can always be rebuilt from the
log. Rows are in the engine's units; the gateway turns them into the public form. Lists are newest first and page by
`before_id` (0: from the newest); `limit` is at most 200.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from engine.kinds import (
    EndReason,
    Kind,
    LeaseState,
    ObligationChange,
    OrderStatus,
    OrderType,
    Origin,
    Presence,
    Side,
    TimeInForce,
)
from engine.messages import Offer
from engine.reasons import Reason
from engine.records import SelfTrade, Session
from engine.units import RATING_NEW


class InstrumentRow(msgspec.Struct, frozen=True, kw_only=True):
    """`simulated`: a Baron without real GPUs has been admitted to this market, now or before.

    Its session, and the last auction that cleared (§6). session_reason OUTSIDE_BAND and session_until_ns: an auction by a
    breach. reference_ticks: as the session began; 0: none. auction_*: 0 before the first; surplus_side None: no surplus.

    A forward's delivery is [start_h, end_h), in hours since the epoch; settlement_ticks and settlement_day (days since
    the epoch) are of its last daily settlement price, 0 before the first (§11). What isn't a forward has none of these.
    """

    instrument: int
    symbol: str
    sku: str
    region: str
    kind: Kind
    simulated: bool
    session: Session = Session.CONTINUOUS
    session_reason: Reason = Reason.NONE
    session_until_ns: int = 0
    reference_ticks: int = 0
    auction_ns: int = 0
    auction_price_ticks: int = 0
    auction_quantity: int = 0
    auction_surplus_quantity: int = 0
    auction_surplus_side: Side | None = None
    period: str = ""
    start_h: int = 0
    end_h: int = 0
    settlement_ticks: int = 0
    settlement_day: int = 0

    @property
    def listed(self) -> bool:
        """False of a forward that has expired: it is kept for what was traded in it."""
        return self.kind is not Kind.FORWARD or self.session is not Session.EXPIRED


class OrderRow(msgspec.Struct, frozen=True, kw_only=True):
    """Terms as in `engine.messages.Accepted`; what doesn't apply is 0 or empty.

    armed: a stop that waits for its trigger, in no depth; triggered_ns: when it entered the book; 0: it hasn't.
    shown_quantity: what the depth counts of it: less than leaves_quantity for an iceberg, 0 while armed.
    """

    order_id: int
    account: int
    instrument: int
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    price_ticks: int
    quantity: int
    cum_quantity: int
    leaves_quantity: int
    status: OrderStatus
    reason: Reason
    origin: Origin
    post_only: bool
    client_order_id: str
    hours: int
    baron: int
    window_end_ns: int
    created_ns: int
    updated_ns: int
    seq: int
    stop_price_ticks: int = 0
    display_quantity: int = 0
    min_quantity: int = 0
    self_trade: SelfTrade = SelfTrade.CANCEL_NEWEST
    features: int = 0
    same_baron: bool = False
    lot: int = 0
    min_hours: int = 0
    tag: str = ""
    expire_ns: int = 0
    quote_set: str = ""
    armed: bool = False
    triggered_ns: int = 0
    shown_quantity: int = 0
    min_rating: int = 0


class TradeRow(msgspec.Struct, frozen=True, kw_only=True):
    """`simulated` as the seller's Baron was when it traded. auction: both rested; taker_side is the bid's then (§6).

    displacement: the bid took a running lease at its own limit; it is no last price (§7).
    """

    trade_id: int
    instrument: int
    price_ticks: int
    quantity: int
    taker_side: Side
    simulated: bool
    ts_ns: int
    seq: int
    auction: bool = False
    displacement: bool = False


class LeaseRow(msgspec.Struct, frozen=True, kw_only=True):
    """`access` is the provisioner's blob, empty until the lease was active. `simulated` as its Baron was when it was let.

    ends_ns: when its notice is over; 0: it has none. price_ticks: its newest price. prices: msgpack of (from_ns, price_ticks)
    in order, the first as it was let; empty for a lease that has had one price. limit_ticks: the most at which it is
    extended; 0: it can't be.
    """

    lease_id: int
    order_id: int
    renter: int
    provider: int
    baron: int
    instrument: int
    kind: Kind
    quantity: int
    price_ticks: int
    start_ns: int
    term_end_ns: int
    state: LeaseState
    reason: EndReason
    active_ns: int
    ended_ns: int
    charged_micros: int
    wiped: bool
    access: bytes
    detail: str
    simulated: bool
    seq: int
    ends_ns: int = 0
    limit_ticks: int = 0
    auto_extend: bool = False
    prices: bytes = b""

    def all_prices(self) -> list[tuple[int, int]]:
        """(from_ns, price_ticks) in order, as the engine keeps them; empty: one price."""
        return msgspec.msgpack.decode(self.prices, type=list[tuple[int, int]]) if self.prices else []


class ObligationRow(msgspec.Struct, frozen=True, kw_only=True):
    """A forward's obligation: of the Baron's provider to a holder, `quantity` GPUs in the hours [start_h, end_h) that aren't paid.

    Hours are full hours since the epoch. addressed: its holder has said where to deliver. change: why it is as it is; one that
    isn't live is over, with nothing left in escrow and bond.
    """

    obligation_id: int
    provider: int
    holder: int
    baron: int
    instrument: int
    quantity: int
    start_h: int
    end_h: int
    price_ticks: int
    escrow_micros: int
    bond_micros: int
    lease_id: int
    addressed: bool
    live: bool
    change: ObligationChange
    simulated: bool
    seq: int


class BaronRow(msgspec.Struct, frozen=True, kw_only=True):
    baron: int
    provider: int
    sku: str
    region: str
    verified_gpus: int
    leased_gpus: int
    simulated: bool
    seq: int
    features: int = 0
    rating: int = RATING_NEW
    presence: Presence = Presence.REPORTING
    draining: bool = False


class AccountLimitsRow(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator lets an account have open (§2); 0: the shard's bound on open orders, none on the others."""

    account: int
    max_open_orders: int
    max_notional_micros: int
    max_gpus: int
    killed: bool
    seq: int


class DepthLevel(msgspec.Struct, frozen=True, kw_only=True):
    """Quantities are what the orders show."""

    price_ticks: int
    unconditional_quantity: int
    conditional_quantity: int
    orders: int


class BookView(msgspec.Struct, frozen=True, kw_only=True):
    """`simulated` and the session as of its instrument."""

    instrument: int
    simulated: bool
    seq: int
    ts_ns: int
    bids: list[DepthLevel]
    asks: list[DepthLevel]
    session: Session = Session.CONTINUOUS
    session_until_ns: int = 0


class CurvePoint(msgspec.Struct, frozen=True, kw_only=True):
    """A listed forward: its best prices, and the last at which it traded; 0: none."""

    instrument: InstrumentRow
    bid_ticks: int
    ask_ticks: int
    last_ticks: int


class CurveView(msgspec.Struct, frozen=True, kw_only=True):
    """A market's forward curve: its listed periods, by their first and then their last hour."""

    sku: str
    region: str
    seq: int
    ts_ns: int
    points: list[CurvePoint]


class ReadSide(Protocol):
    """Queries. `seq` of the whole: everything up to it is in the answers."""

    def position(self) -> int: ...

    async def reached(self, seq: int, timeout_s: float) -> bool:
        """Wait until the read side has taken in command `seq`; False when it hasn't in time."""

    async def instruments(self, sku: str = "", region: str = "", kind: Kind | None = None) -> list[InstrumentRow]:
        """What is listed now of a SKU, a region and a kind, each where it is given, in order of listing."""

    async def instrument(self, instrument: int) -> InstrumentRow | None:
        """One by its number, a forward that has expired too."""

    async def instrument_of(self, symbol: str) -> InstrumentRow | None:
        """One by its symbol, a forward that has expired too."""

    async def order(self, order_id: int) -> OrderRow | None: ...

    async def order_by_client_id(self, account: int, client_order_id: str) -> OrderRow | None: ...

    async def orders(self, account: int, open_only: bool, before_id: int, limit: int) -> list[OrderRow]: ...

    async def trades(self, instrument: int, before_id: int, limit: int) -> list[TradeRow]: ...

    async def lease(self, lease_id: int) -> LeaseRow | None: ...

    async def leases(
        self, account: int, as_provider: bool, open_only: bool, before_id: int, limit: int
    ) -> list[LeaseRow]: ...

    async def leases_of_order(self, order_id: int) -> list[LeaseRow]: ...

    async def obligation(self, obligation_id: int) -> ObligationRow | None: ...

    async def obligations(
        self, account: int, as_provider: bool, live_only: bool, before_id: int, limit: int
    ) -> list[ObligationRow]: ...

    async def owed(self, account: int) -> list[ObligationRow]:
        """All live obligations that the account holds, oldest first: at most some thousands (rulebook §2)."""

    async def offers(self, account: int) -> list[Offer]: ...

    async def offer_asks(self, account: int) -> list[OrderRow]:
        """The live asks that stand for the account's offers."""

    async def account_limits(self, account: int) -> AccountLimitsRow | None:
        """None where nobody ever set any."""

    async def baron(self, baron: int) -> BaronRow | None: ...

    async def barons(self, provider: int, before_id: int, limit: int) -> list[BaronRow]: ...

    def book(self, instrument: int, max_levels: int) -> BookView:
        """From memory, as of the last durable command; KeyError for an unknown instrument."""

    def curve(self, sku: str, region: str) -> CurveView:
        """From memory, as of the last durable command; KeyError for a market that isn't listed."""
