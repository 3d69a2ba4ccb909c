"""Orders, fills and offers in their public form."""

from __future__ import annotations

from typing import Final, Literal

from engine.ids import format_id
from engine.kinds import OrderStatus, Presence, edge_name
from engine.messages import Offer, Traded
from engine.reasons import Reason
from engine.units import format_price
from exchange.gateway.views.leases import Lease
from exchange.gateway.views.text import View, features_out, format_price_if, format_time, format_time_if
from exchange.read.interface import BaronRow, OrderRow
from exchange.registry.rows import BaronEntry

_CLOSED: Final = (OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.REJECTED)
_KILLED: Final = "nothing is listed: the exchange's administration has stopped the account"


class Order(View, frozen=True):
    """`origin`: client, rental, offer (placed for an offer of PUT /v1/asks), quote, cover, or release. `reason`: why it was cut
    or closed, null when nothing but its owner's amends changed it.

    `price` is null for a stop without a protection price, until it is triggered. `armed`: a stop that waits for its trigger;
    `shown_quantity`: what the book shows of it. `quote_set`: the set of quotes that it is of. `simulated`: the Baron of a sell
    has no real GPUs now; null for a buy, which names none.
    """

    id: str
    client_order_id: str | None
    instrument: str
    side: str
    type: str
    time_in_force: str
    expire: str | None
    price: str | None
    stop_price: str | None
    armed: bool
    triggered: str | None
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
    window_end: str | None
    created: str
    updated: str
    seq: int


class Orders(View, frozen=True):
    seq: int
    orders: list[Order]
    next_cursor: str | None


class Fill(View, frozen=True):
    """`liquidity`: maker, taker, or auction. `simulated`: the Baron that delivers has no real GPUs."""

    trade_id: str
    price: str
    quantity: int
    liquidity: str
    lease_id: str | None
    simulated: bool


class Placed(View, frozen=True):
    """An order as its entry left it, its fills, and the leases that a buy made.

    `duplicate`: a repeat by client_order_id; then the order is as it is now, and its fills are not told again.
    """

    seq: int
    order: Order
    fills: list[Fill]
    leases: list[Lease]
    duplicate: bool


class Changed(View, frozen=True):
    """An order after its amend or cancel, with its price, total `quantity` and `expire`.

    Of a canceled order these three are null while the read side hasn't come to the cancel.
    """

    seq: int
    order_id: str
    instrument: str
    status: str
    price: str | None
    quantity: int | None
    expire: str | None
    leaves_quantity: int
    reason: str | None
    fills: list[Fill]
    leases: list[Lease]


class Released(View, frozen=True):
    """The asks that a release entered, as it left them, and the lease, which runs on with what isn't sold.

    `duplicate`: a repeat with the same Idempotency-Key; then all of it is as it is now.
    """

    seq: int
    lease: Lease
    orders: list[Order]
    duplicate: bool


class AllCanceled(View, frozen=True):
    """`orders`: how many were cancelled."""

    seq: int
    orders: int


class StandingOffer(View, frozen=True):
    """One offer (rulebook §4); the ask that stands for it is among GET /v1/orders, with origin `offer`.

    `simulated`: the Baron has no real GPUs. `listed_gpus`: what that ask stands for now; `note`: why it is less than `gpus`.
    """

    baron: str
    simulated: bool
    instrument: str
    price: str
    gpus: int
    max_hours: int | None
    min_hours: int | None
    lot: int | None
    listed_gpus: int
    note: str | None


class StandingOffers(View, frozen=True):
    seq: int
    offers: list[StandingOffer]


def order(row: OrderRow, symbol: str, simulated: bool) -> Order:
    """`simulated` is its Baron's; a buy has none, and what is given then is not looked at."""
    return Order(
        id=format_id("ord", row.order_id),
        client_order_id=row.client_order_id or None,
        instrument=symbol,
        side=edge_name(row.side),
        type=edge_name(row.order_type),
        time_in_force=edge_name(row.time_in_force),
        expire=format_time_if(row.expire_ns),
        price=format_price_if(row.price_ticks),
        stop_price=format_price_if(row.stop_price_ticks),
        armed=row.armed,
        triggered=format_time_if(row.triggered_ns),
        quantity=row.quantity,
        cum_quantity=row.cum_quantity,
        leaves_quantity=row.leaves_quantity,
        shown_quantity=row.shown_quantity,
        display_quantity=row.display_quantity or None,
        min_quantity=row.min_quantity or None,
        status=edge_name(row.status),
        reason=reason_of(row),
        origin=edge_name(row.origin),
        quote_set=row.quote_set or None,
        tag=row.tag or None,
        post_only=row.post_only,
        stp=edge_name(row.self_trade),
        hours=row.hours or None,
        features=features_out(row.features),
        min_rating=row.min_rating or None,
        same_baron=row.same_baron,
        baron=format_id("brn", row.baron) if row.baron else None,
        simulated=simulated if row.baron else None,
        lot=row.lot or None,
        min_hours=row.min_hours or None,
        window_end=format_time_if(row.window_end_ns),
        created=format_time(row.created_ns),
        updated=format_time(row.updated_ns),
        seq=row.seq,
    )


def fill(event: Traded, order_id: int, simulated: bool) -> Fill:
    """A trade as one of its two orders sees it; `simulated` as its lease's Baron is."""
    return Fill(
        trade_id=format_id("trd", event.trade_id),
        price=format_price(event.price_ticks),
        quantity=event.quantity,
        liquidity=liquidity(event, order_id),
        lease_id=format_id("lse", event.lease_id) if event.lease_id else None,
        simulated=simulated,
    )


def liquidity(event: Traded, order_id: int) -> Literal["maker", "taker", "auction"]:
    """What an order was in a trade; in an auction both sides rested, and both pay as makers (§9)."""
    if event.auction:
        return "auction"
    return "taker" if event.taker_order_id == order_id else "maker"


def changed(
    seq: int, row: OrderRow, terms: OrderRow | None, symbol: str, fills: list[Fill], leases: list[Lease]
) -> Changed:
    """From a row of which only what this command's events said is known; `terms` has the rest, if that is known."""
    status = row.status
    terms = terms or row
    if status in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED):
        status = OrderStatus.PARTIALLY_FILLED if row.leaves_quantity < row.quantity else OrderStatus.NEW
    return Changed(
        seq=seq,
        order_id=format_id("ord", row.order_id),
        instrument=symbol,
        status=edge_name(status),
        price=format_price_if(terms.price_ticks),
        quantity=terms.quantity or None,
        expire=format_time_if(terms.expire_ns),
        leaves_quantity=row.leaves_quantity,
        reason=reason_of(row),
        fills=fills,
        leases=leases,
    )


def offer(
    row: Offer, symbol: str, listed_gpus: int, baron: BaronRow, entry: BaronEntry | None, online: bool, killed: bool
) -> StandingOffer:
    """An offer, what is listed for it now, and what its Baron's state and its account's say about the difference."""
    return StandingOffer(
        baron=format_id("brn", row.baron),
        simulated=baron.simulated,
        instrument=symbol,
        price=format_price(row.price_ticks),
        gpus=row.gpus,
        max_hours=row.max_hours or None,
        min_hours=row.min_hours or None,
        lot=row.lot or None,
        listed_gpus=listed_gpus,
        note=_KILLED if killed else _why_fewer(row, listed_gpus, baron, entry is not None and entry.enrolled, online),
    )


def _why_fewer(row: Offer, listed_gpus: int, baron: BaronRow, enrolled: bool, online: bool) -> str | None:
    """In words, for people: which GPUs of an offer aren't listed, as far as its Baron's state tells."""
    if listed_gpus >= row.gpus:
        return None
    name = format_id("brn", baron.baron)
    listed = f"{listed_gpus} of {row.gpus} GPUs are listed"
    if baron.draining:
        return f"{listed}: Baron {name} is drained; end its draining to sell on it again"
    if baron.presence is not Presence.REPORTING:
        return f"{listed}: nothing is heard of Baron {name}; see to its agent: baron run"
    if not baron.verified_gpus:
        if online:
            why = f"its agent is connected, and none of its GPUs is verified as {baron.sku}"
        elif enrolled:
            why = "its agent is not connected; run it there: baron run"
        else:
            why = "its agent has not reported yet; enrol and run it there: baron enroll, baron run"
        return f"{listed}: Baron {name} has no verified GPUs; {why}"
    if row.max_hours:
        # Spot leases yield to it, so what is leased doesn't say what it lacks: an hour of its window, or its bond.
        return (
            f"{listed}: Baron {name} has {baron.verified_gpus} verified GPUs, {baron.leased_gpus} of them leased; the ask needs "
            "GPUs that aren't sold on-demand or forward in any hour of its max_hours, a bond of an hour at its price in your "
            "available, and no bid of yours in its way; it is tried again at each full hour, and when you put the list"
        )
    free_gpus = max(0, baron.verified_gpus - baron.leased_gpus)
    note = f"{listed}: Baron {name} has {free_gpus} of {baron.verified_gpus} verified GPUs free"
    if free_gpus <= listed_gpus:
        return note
    return f"{note}; what is leased under the offer counts, and other asks or a bid of yours may be in its way"


def reason_of(row: OrderRow) -> str | None:
    """Why an order was cut or closed; that its owner once amended it is no reason of what it is now."""
    amended = row.reason is Reason.REQUESTED and row.status not in _CLOSED
    return None if amended or row.reason is Reason.NONE else edge_name(row.reason)
