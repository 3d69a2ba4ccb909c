"""What travels over the WebSockets: requests, replies and events; the AsyncAPI document is made from these same structs.

Orders are placed with the same struct as over REST. Times are microseconds since the epoch, UTC; prices decimal strings.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from engine.limits import Limits
from engine.units import INT64_MAX, NS_PER_US
from exchange.gateway.errors import ProblemBody
from exchange.gateway.schema import (
    ID_SAID,
    AmendTerms,
    BaronId,
    CancelFilter,
    ClientOrderId,
    Gpus,
    Hours,
    OrderTerms,
    OrderTypeName,
    Price,
    SelfTradeName,
    SideName,
    Symbol,
    TimeInForceName,
)
from exchange.gateway.views.leases import Ssh
from exchange.gateway.views.market import Level
from exchange.gateway.wording import SAID

SUBPROTOCOL: Final = "hourbook.v1.json"
TRADE_PATH: Final = "/ws/v1/trade"
MARKET_PATH: Final = "/ws/v1/market"
MAX_MESSAGE_BYTES: Final = 65_536
"""Of an incoming message; the server's `ws_max_size` must be the same."""

MAX_FILLS: Final = 1_000_000
_LIMITS: Final = Limits()

RequestId = Annotated[str, Meta(min_length=1, max_length=64)] | Annotated[int, Meta(ge=0, le=2**53 - 1)]
ChannelName = Annotated[str, Meta(min_length=1, max_length=128, examples=["book.H100-SXM5-80GB.us-east.spot"])]
OrderId = Annotated[str, Meta(pattern="^ord_[0-9A-Z]{13}$", extra={SAID: ID_SAID.format("ord")})]
OrderStatusName = Literal["new", "partially_filled", "filled", "canceled", "expired"]
ExecType = Literal["new", "trade", "triggered", "replaced", "restated", "canceled", "expired", "status"]
Liquidity = Literal["maker", "taker", "auction"]
TimeUs = Annotated[
    int,
    Meta(
        ge=1, le=INT64_MAX // NS_PER_US, extra={SAID: "microseconds since the epoch, UTC"}, examples=[1798135200000000]
    ),
]


class TradeQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of the trade door's address. Keys have no place there: addresses end up in logs.

    cancel_on_disconnect: orders and quotes that came by this connection are cancelled when it ends, unless it logged out.
    """

    cancel_on_disconnect: bool = False


class NoQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The market door's address takes no parameters."""


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Any request; `params` is what its `op` takes."""

    id: RequestId
    op: Annotated[str, Meta(max_length=64)]
    params: msgspec.Raw


class Place(OrderTerms, frozen=True):
    """An order; `expire_us`: when a gtd order does."""

    expire_us: TimeUs | None = None


class Amend(AmendTerms, frozen=True):
    """Change an order, named by one of its two ids: its price, total quantity, or (gtd) `expire_us`."""

    expire_us: TimeUs | None = None
    order_id: OrderId | None = None
    client_order_id: ClientOrderId | None = None


class Cancel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Cancel an order, named by one of its two ids."""

    order_id: OrderId | None = None
    client_order_id: ClientOrderId | None = None


class CancelAllAfter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The dead-man switch: cancel all of the account's orders after so long, unless this comes again; 0 switches it off."""

    after_ms: Annotated[int, Meta(ge=0, le=_LIMITS.max_dead_man_s * 1_000)]


class QuoteTerms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One side of a set of quotes: a gtc limit order; the fields as in `order.place`."""

    instrument: Symbol
    side: SideName
    price: Price
    quantity: Gpus
    hours: Hours | None = None
    baron: BaronId | None = None
    max_hours: Hours | None = None


class SetQuotes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Replace your set of quotes of this name, whole and at once; an empty list withdraws it (rulebook §5).

    `max_fills`: after so many fills what is left of the set is cancelled, at the end of the command that reached it, which
    may have filled more; never when it is left out.
    """

    name: ClientOrderId
    quotes: Annotated[list[QuoteTerms], Meta(max_length=_LIMITS.max_quotes)]
    max_fills: Annotated[int, Meta(ge=1, le=MAX_FILLS)] | None = None


class Logout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """End the connection in order: its orders stay, whatever `cancel_on_disconnect` was."""


class Subscription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One channel of this endpoint."""

    ch: ChannelName


TRADE_OPS: Final[dict[str, type[msgspec.Struct]]] = {
    "order.place": Place,
    "order.amend": Amend,
    "order.cancel": Cancel,
    "orders.cancel_all": CancelFilter,
    "cancel_all_after": CancelAllAfter,
    "quotes.set": SetQuotes,
    "session.logout": Logout,
    "subscribe": Subscription,
    "unsubscribe": Subscription,
}
MARKET_OPS: Final[dict[str, type[msgspec.Struct]]] = {"subscribe": Subscription, "unsubscribe": Subscription}
PRIVATE_CHANNELS: Final = ("orders", "fills", "leases")
PUBLIC_CHANNELS: Final = ("book", "trades")
"""Of one instrument each, `TOPIC.SYMBOL`; beside them there are INSTRUMENTS and CURVE."""
INSTRUMENTS: Final = "instruments"
"""Of all that is listed; `instruments.KIND`: of one kind."""
CURVE: Final = "curve"
"""Of one market each, `curve.SKU.REGION`."""


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to the request of that `id` (null when none could be read); `status` as over REST.

    `seq`: the engine's sequence of the command, or of the channel at a subscription; left out where there is none.
    """

    id: str | int | None
    status: int
    result: Any | UnsetType = UNSET
    error: ProblemBody | UnsetType = UNSET
    seq: int | UnsetType = UNSET
    in_us: int
    out_us: int


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A channel's message. `prev_seq` is the `seq` of the channel's message before; where it isn't, something was missed."""

    ch: str
    type: Literal["snapshot", "update"]
    seq: int
    prev_seq: int
    ts_us: int
    data: Any


class Subscribed(msgspec.Struct, frozen=True, kw_only=True):
    """Result of subscribe and unsubscribe."""

    ch: str
    subscribed: bool


class AllCanceled(msgspec.Struct, frozen=True, kw_only=True):
    """`orders`: how many were cancelled."""

    orders: int


class CancelAllAfterSet(msgspec.Struct, frozen=True, kw_only=True):
    """When all will be cancelled; null: the switch is off."""

    due_us: int | None


class LoggedOut(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing more is taken on this connection, and its end cancels nothing; close it."""

    logged_out: bool = True


class ExecutionReport(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it stands, and what made it so (`exec_type`; `status` in a snapshot).

    `price` is null for a stop without a protection price, until it is triggered; `armed`: a stop that waits for its trigger;
    `shown_quantity`: what the book shows of it. The `last_` fields and `liquidity` belong to a trade; `duplicate`: the
    client id came again, and this is the first order, as it is by now. `reason`: of a cut, a cancel or an expiry, and of what
    changed the order (`requested`: you) on the report of that change alone.
    `simulated`: of a trade, whether the Baron that delivers has no real GPUs; else whether a sell's has none, and null for a
    buy, which names none.
    """

    order_id: str
    client_order_id: str | None
    exec_id: str | None
    seq: int
    instrument: str
    side: SideName
    type: OrderTypeName
    time_in_force: TimeInForceName
    expire_us: int | None
    price: str | None
    stop_price: str | None
    armed: bool
    quantity: int
    display_quantity: int | None
    min_quantity: int | None
    stp: SelfTradeName
    tag: str | None
    quote_set: str | None
    status: OrderStatusName
    exec_type: ExecType
    cum_quantity: int
    leaves_quantity: int
    shown_quantity: int
    last_quantity: int = 0
    last_price: str | None = None
    liquidity: Liquidity | None = None
    reason: str | None = None
    simulated: bool | None
    duplicate: bool = False


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """One of the account's orders traded; `lease_id` is the lease that came of it, null for a forward.

    `simulated`: the Baron that delivers has no real GPUs.
    """

    trade_id: str
    order_id: str
    client_order_id: str | None
    instrument: str
    side: Literal["buy", "sell"]
    price: str
    quantity: int
    liquidity: Liquidity
    lease_id: str | None
    simulated: bool


class QuoteSet(msgspec.Struct, frozen=True, kw_only=True):
    """A set of quotes as taken: each order as this command left it, in the order of the request."""

    name: str
    orders: list[ExecutionReport]


class BookData(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot: the best levels of both sides, best first. An update: levels as they are now; without orders, gone.

    `simulated`: asks may be those of Barons without real GPUs, for such a one was admitted to this market.
    """

    simulated: bool
    bids: list[Level]
    asks: list[Level]


class TradeData(msgspec.Struct, frozen=True, kw_only=True):
    """One trade, to everybody; the event's `ts_us` is its time. `simulated`: the GPUs were a Baron's without real ones.

    `auction`: both sides rested, and `taker_side` is the bid's. `displacement`: a bid took a running spot lease at its own
    limit; such a trade sets no last price.
    """

    trade_id: str
    price: str
    quantity: int
    taker_side: Literal["buy", "sell"]
    auction: bool
    displacement: bool
    simulated: bool


class AuctionData(msgspec.Struct, frozen=True, kw_only=True):
    """An auction that cleared; `surplus_side` is null where nothing was left over."""

    ts_us: int
    price: str
    quantity: int
    surplus_quantity: int
    surplus_side: SideName | None


class InstrumentData(msgspec.Struct, frozen=True, kw_only=True):
    """An instrument as over REST. A snapshot has all that are listed, an update those that changed, each whole.

    `session_reason`, `session_until_us`: of an auction that a trade outside the band began; it ends by itself then.
    """

    symbol: str
    sku: str
    region: str
    kind: str
    simulated: bool
    session: Literal["pre_open", "auction", "continuous", "halted", "expired"]
    session_reason: str | None
    session_until_us: int | None
    reference_price: str | None
    auction: AuctionData | None
    period: str | None
    delivery_start_us: int | None
    delivery_end_us: int | None
    trading_end_us: int | None
    settlement_price: str | None
    settlement_date: str | None


class CurvePointData(msgspec.Struct, frozen=True, kw_only=True):
    """A period of a market's forward curve as over REST. A snapshot has all that are listed, in order of delivery.

    An update has those that changed, each whole; `session` is `expired` of one that is listed no more.
    """

    symbol: str
    period: str
    delivery_start_us: int
    delivery_end_us: int
    session: Literal["pre_open", "auction", "continuous", "halted", "expired"]
    best_bid: str | None
    best_ask: str | None
    last_price: str | None
    settlement_price: str | None
    settlement_date: str | None


class LeaseData(msgspec.Struct, frozen=True, kw_only=True):
    """A lease as over REST, with times in microseconds; `ssh` is for its renter alone, while it is active or ending.

    `ends_us`: when a lease under notice will have ended. `accrued` is as of the event's `ts_us`.
    """

    id: str
    state: str
    reason: str | None
    instrument: str
    kind: str
    gpus: int
    price: str
    order_id: str | None
    baron: str
    simulated: bool
    started_us: int
    active_us: int | None
    ended_us: int | None
    term_end_us: int | None
    ends_us: int | None
    max_price: str | None
    auto_extend: bool
    charged: str
    accrued: str
    wiped: bool
    detail: str | None
    ssh: Ssh | None
    seq: int


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """The last `seq` of each channel that this connection has subscribed to."""

    channels: dict[str, int]
