"""What travels over the WebSockets: requests, replies and events; the AsyncAPI document is made from these same structs.

Orders are placed with the same struct as over REST. Times are microseconds since the epoch, UTC; prices decimal strings.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from exchange.gateway.errors import ProblemBody
from exchange.gateway.schema import ID_SAID, AmendBody, ClientOrderId, OrderBody
from exchange.gateway.views.leases import Ssh
from exchange.gateway.views.market import Level
from exchange.gateway.wording import SAID

SUBPROTOCOL: Final = "hourbook.v1.json"
TRADE_PATH: Final = "/ws/v1/trade"
MARKET_PATH: Final = "/ws/v1/market"
MAX_MESSAGE_BYTES: Final = 65_536
"""Of an incoming message; the server's `ws_max_size` must be the same."""

RequestId = Annotated[str, Meta(min_length=1, max_length=64)] | Annotated[int, Meta(ge=0, le=2**53 - 1)]
ChannelName = Annotated[str, Meta(min_length=1, max_length=128, examples=["book.H100-SXM5-80GB.us-east.spot"])]
OrderId = Annotated[str, Meta(pattern="^ord_[0-9A-Z]{13}$", extra={SAID: ID_SAID.format("ord")})]
OrderStatusName = Literal["new", "partially_filled", "filled", "canceled", "expired"]
ExecType = Literal["new", "trade", "replaced", "restated", "canceled", "expired", "status"]


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Any request; `params` is what its `op` takes."""

    id: RequestId
    op: Annotated[str, Meta(max_length=64)]
    params: msgspec.Raw


class Amend(AmendBody, frozen=True):
    """Change an order, named by one of its two ids."""

    order_id: OrderId | None = None
    client_order_id: ClientOrderId | None = None


class Cancel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Cancel an order, named by one of its two ids."""

    order_id: OrderId | None = None
    client_order_id: ClientOrderId | None = None


class Subscription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One channel of this endpoint."""

    ch: ChannelName


TRADE_OPS: Final[dict[str, type[msgspec.Struct]]] = {
    "order.place": OrderBody,
    "order.amend": Amend,
    "order.cancel": Cancel,
    "subscribe": Subscription,
    "unsubscribe": Subscription,
}
MARKET_OPS: Final[dict[str, type[msgspec.Struct]]] = {"subscribe": Subscription, "unsubscribe": Subscription}
PRIVATE_CHANNELS: Final = ("orders", "fills", "leases")
PUBLIC_CHANNELS: Final = ("book", "trades")


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


class ExecutionReport(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it stands, and what made it so (`exec_type`; `status` in a snapshot).

    The `last_` fields and `liquidity` belong to a trade; `duplicate`: the client id came again, and this is the first order.
    `simulated`: of a trade, whether the Baron that delivers has no real GPUs; else whether a sell's has none, and null for a
    buy, which names none.
    """

    order_id: str
    client_order_id: str | None
    exec_id: str | None
    seq: int
    instrument: str
    side: Literal["buy", "sell"]
    price: str
    quantity: int
    status: OrderStatusName
    exec_type: ExecType
    cum_quantity: int
    leaves_quantity: int
    last_quantity: int = 0
    last_price: str | None = None
    liquidity: Literal["maker", "taker"] | None = None
    reason: str | None = None
    simulated: bool | None
    duplicate: bool = False


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """One of the account's orders traded; `lease_id` is the lease that came of it.

    `simulated`: the Baron that delivers has no real GPUs.
    """

    trade_id: str
    order_id: str
    client_order_id: str | None
    instrument: str
    side: Literal["buy", "sell"]
    price: str
    quantity: int
    liquidity: Literal["maker", "taker"]
    lease_id: str
    simulated: bool


class BookData(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot: the best levels of both sides, best first. An update: levels as they are now; without orders, gone.

    `simulated`: asks may be those of Barons without real GPUs, for such a one was admitted to this market.
    """

    simulated: bool
    bids: list[Level]
    asks: list[Level]


class TradeData(msgspec.Struct, frozen=True, kw_only=True):
    """One trade, to everybody; the event's `ts_us` is its time. `simulated`: the GPUs were a Baron's without real ones."""

    trade_id: str
    price: str
    quantity: int
    taker_side: Literal["buy", "sell"]
    simulated: bool


class LeaseData(msgspec.Struct, frozen=True, kw_only=True):
    """A lease as over REST, with times in microseconds; `ssh` is for its renter alone, while it is active.

    `accrued` is as of the event's `ts_us`.
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
    charged: str
    accrued: str
    wiped: bool
    detail: str | None
    ssh: Ssh | None
    seq: int


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """The last `seq` of each channel that this connection has subscribed to."""

    channels: dict[str, int]
