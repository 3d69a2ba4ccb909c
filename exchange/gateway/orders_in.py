"""From the public form to the engine's commands: symbols, prices, ids and SSH keys. REST and WebSocket share this room.

It checks form alone; what the market thinks of an order is the engine's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from engine.ids import parse_id
from engine.kinds import Feature, Kind, OrderType, Side, TimeInForce, edge_name
from engine.messages import AmendOrder, CancelAll, CancelOrder, Offer, PlaceOrder, Rent, SetOffers
from engine.reasons import Reason
from engine.records import SelfTrade, Session
from engine.units import INT64_MAX, NS_PER_US, parse_money, parse_price
from exchange.gateway.errors import Problem
from exchange.gateway.schema import (
    MONEY_SAID,
    PRICE_SAID,
    AmendTerms,
    AsksBody,
    CancelFilter,
    OrderTerms,
    QuoteBody,
    RentalBody,
)
from exchange.gateway.ssh_keys import delivery_blob, normalize
from exchange.gateway.wording import shown
from exchange.read.interface import InstrumentRow, ReadSide

ONDEMAND_DEFAULT_HOURS: Final = 1
"""Guaranteed term of an on-demand bid that names none (§5)."""

SIDES: Final = {edge_name(side): side for side in Side}
_TYPES: Final = {edge_name(order_type): order_type for order_type in OrderType}
_TIMES: Final = {edge_name(time): time for time in TimeInForce}
_SELF_TRADES: Final = {edge_name(mode): mode for mode in SelfTrade}
_FEATURES: Final = {str(feature.name).lower(): feature for feature in Feature}
_STOPS: Final = (OrderType.STOP, OrderType.STOP_LIMIT)
REMEMBERED_MAX: Final = 20_000
"""Instruments that are remembered; of as many all are forgotten, and asked for again."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SESSIONS: Final = {edge_name(session): session for session in Session}
KINDS: Final = {edge_name(kind): kind for kind in Kind}


class StoredSshKeys(Protocol):
    """The account's stored public key lines, as the registry keeps them."""

    async def ssh_public_keys(self, account: int) -> list[str]: ...


class Instruments:
    """Instruments by symbol and number, forwards that have expired too: asked of the read side, and remembered.

    What is remembered of one may be older than its session.
    """

    def __init__(self, read: ReadSide) -> None:
        self._read = read
        self._by_symbol: dict[str, InstrumentRow] = {}
        self._by_number: dict[int, InstrumentRow] = {}

    async def listed(self, sku: str = "", region: str = "", kind: Kind | None = None) -> list[InstrumentRow]:
        """What is listed now of a SKU, a region and a kind, each where it is given, in order of listing."""
        return await self._read.instruments(sku, region, kind)

    async def of_symbol(self, symbol: str, field: str | None = None) -> InstrumentRow:
        """Problem unknown_instrument when there never was one of that symbol."""
        row = self._by_symbol.get(symbol) or await self._read.instrument_of(symbol)
        if row is None:
            raise Problem(Reason.UNKNOWN_INSTRUMENT, "No instrument has that symbol", field=field)
        return self._remembered(row)

    async def of_number(self, instrument: int) -> InstrumentRow:
        """KeyError when there is none: numbers come from the engine, so that would be a fault of ours."""
        row = self._by_number.get(instrument) or await self._read.instrument(instrument)
        if row is None:
            raise KeyError(instrument)
        return self._remembered(row)

    def _remembered(self, row: InstrumentRow) -> InstrumentRow:
        if row.instrument not in self._by_number:
            if len(self._by_number) >= REMEMBERED_MAX:
                self._by_number.clear()
                self._by_symbol.clear()
            self._by_number[row.instrument] = self._by_symbol[row.symbol] = row
        return row

    async def of_market(self, body: QuoteBody) -> tuple[InstrumentRow, ...]:
        """The instruments that a quote or rental means: one a region, in the order named, else of listing."""
        kind = KINDS[body.kind]
        by_region = {row.region: row for row in await self.listed(sku=body.sku, kind=kind)}
        if not by_region:
            raise Problem(Reason.UNKNOWN_INSTRUMENT, "No market of that SKU is listed", field="sku")
        if body.regions is None:
            return tuple(by_region.values())
        if len(set(body.regions)) != len(body.regions):
            raise Problem("invalid_field", "A region is named twice", field="regions")
        for place, region in enumerate(body.regions):
            if region not in by_region:
                raise Problem(Reason.UNKNOWN_INSTRUMENT, "That SKU has no market there", field=f"regions[{place}]")
        return tuple(by_region[region] for region in body.regions)


def price_in(text: str | None, field: str) -> int:
    """Ticks; 0 when it is left out; Problem invalid_price when it is off the grid or out of range."""
    return 0 if text is None else _parsed(parse_price, text, Reason.INVALID_PRICE, field, PRICE_SAID)


def amount_in(text: str, field: str) -> int:
    """Micro-dollars; Problem invalid_amount."""
    return _parsed(parse_money, text, Reason.INVALID_AMOUNT, field, MONEY_SAID)


def id_in(prefix: str, text: str, code: str | Reason, field: str | None = None) -> int:
    """Number of an id; what isn't an id's text is as unknown as an id that nobody has: Problem of that code."""
    try:
        return parse_id(prefix, text)
    except ValueError as error:
        raise Problem(code, f"Not an id of the form {prefix}_...", field=field) from error


async def delivery_of(account: int, lines: list[str] | None, stored: StoredSshKeys) -> bytes:
    """The delivery blob of a bid: the lines given, else the account's; Problem no_ssh_key when there are none."""
    if lines is not None:
        return delivery_blob([normalize(line) for line in lines])
    keys = await stored.ssh_public_keys(account)
    if not keys:
        raise Problem(Reason.NO_SSH_KEY, "The account has no SSH key", field="ssh_keys")
    return delivery_blob(keys)


def features_in(names: Iterable[str] | None) -> int:
    """The bits of named features."""
    bits = 0
    for name in names or ():
        bits |= _FEATURES[name]
    return int(bits)


def time_in(moment: datetime | None, field: str) -> int:
    """Nanoseconds since the epoch; 0 when it is left out; Problem invalid_expiry beyond what can be told."""
    if moment is None:
        return 0
    ts_ns = (moment - _EPOCH) // timedelta(microseconds=1) * NS_PER_US
    if not 0 < ts_ns <= INT64_MAX:
        raise Problem(Reason.INVALID_EXPIRY, f"{field} is out of reach", field=field)
    return ts_ns


async def place_in(
    account: int,
    body: OrderTerms,
    client_id: str,
    instruments: Instruments,
    stored: StoredSshKeys,
    expire_ns: int,
    connection: int = 0,
    expiry: str = "expire",
) -> PlaceOrder:
    """The command of an order; `client_id` is used when the body names none ("" for none at all).

    `expiry`: what the door calls the field of an order's expiry.
    """
    row = await instruments.of_symbol(body.instrument, "instrument")
    side = SIDES[body.side]
    order_type = _TYPES[body.type]
    _check_sides_fields(body, side)
    _check_prices(body, side, order_type)
    time = TimeInForce.IOC if order_type is OrderType.MARKET else TimeInForce.GTC
    if body.time_in_force == "gtd" and not expire_ns:
        raise Problem("missing_field", "A gtd order says when it expires", field=expiry)
    default_hours = ONDEMAND_DEFAULT_HOURS if row.kind is Kind.ONDEMAND and side is Side.BUY else 0
    return PlaceOrder(
        account=account,
        instrument=row.instrument,
        side=side,
        order_type=order_type,
        time_in_force=time if body.time_in_force is None else _TIMES[body.time_in_force],
        price_ticks=price_in(body.price, "price"),
        quantity=body.quantity,
        post_only=body.post_only,
        client_order_id=body.client_order_id or client_id,
        hours=default_hours if body.hours is None else body.hours,
        baron=id_in("brn", body.baron, Reason.UNKNOWN_BARON, "baron") if body.baron is not None else 0,
        max_hours=body.max_hours or 0,
        delivery=await _delivery(account, row, side, stored),
        stop_price_ticks=price_in(body.stop_price, "stop_price"),
        display_quantity=body.display_quantity or 0,
        min_quantity=body.min_quantity or 0,
        self_trade=_SELF_TRADES[body.stp],
        features=features_in(body.features),
        same_baron=body.same_baron,
        lot=body.lot or 0,
        min_hours=body.min_hours or 0,
        tag=body.tag or "",
        expire_ns=expire_ns,
        connection=connection,
        min_rating=body.min_rating or 0,
        reduce_only=body.reduce_only,
    )


async def _delivery(account: int, row: InstrumentRow, side: Side, stored: StoredSshKeys) -> bytes:
    """A bid's, of the account's stored keys; who has none may still buy a forward, and say later where to deliver."""
    if side is Side.SELL:
        return b""
    if row.kind is Kind.FORWARD and not await stored.ssh_public_keys(account):
        return b""
    return await delivery_of(account, None, stored)


def _check_sides_fields(body: OrderTerms, side: Side) -> None:
    """Refuse here, in words, what the other side alone has: for the command, some of it would be nothing."""
    bid_only = {
        "hours": body.hours,
        "features": body.features,
        "min_rating": body.min_rating,
        "same_baron": body.same_baron or None,
    }
    ask_only = {
        "baron": body.baron,
        "lot": body.lot,
        "min_hours": body.min_hours,
        "max_hours": body.max_hours,
        "reduce_only": body.reduce_only or None,
    }
    foreign = ask_only if side is Side.BUY else bid_only
    for field, value in foreign.items():
        if value is not None:
            raise Problem(Reason.INVALID_ORDER, f"A {body.side} has no {field}", advice="Leave it out.", field=field)
    if side is Side.SELL and body.baron is None:
        raise Problem("missing_field", "A sell names the Baron that will deliver", field="baron")


def _check_prices(body: OrderTerms, side: Side, order_type: OrderType) -> None:
    """Say what a left-out price would be; the command would carry a 0, which is no price of anybody's."""
    if body.price is None and order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT):
        raise Problem("missing_field", f"A {body.type} order has a price", field="price")
    if body.price is None and order_type is OrderType.STOP and side is Side.BUY:
        raise Problem("missing_field", "A stop that buys names the most that it may pay", field="price")
    if body.stop_price is None and order_type in _STOPS:
        raise Problem("missing_field", f"A {body.type} order has a stop_price", field="stop_price")


def amend_in(account: int, order_id: int, body: AmendTerms, expire_ns: int, client_order_id: str = "") -> AmendOrder:
    """The command of an amend, by id or (order_id 0) by the client's own."""
    return AmendOrder(
        account=account,
        order_id=order_id,
        client_order_id=client_order_id,
        price_ticks=price_in(body.price, "price"),
        quantity=body.quantity or 0,
        expire_ns=expire_ns,
    )


async def cancel_all_in(account: int, wanted: CancelFilter, instruments: Instruments) -> CancelAll:
    """The command of a mass cancel."""
    return CancelAll(
        account=account,
        instrument=0
        if wanted.instrument is None
        else (await instruments.of_symbol(wanted.instrument, "instrument")).instrument,
        side=None if wanted.side is None else SIDES[wanted.side],
        tag=wanted.tag or "",
    )


def cancel_in(account: int, order_id: int, client_order_id: str = "") -> CancelOrder:
    return CancelOrder(account=account, order_id=order_id, client_order_id=client_order_id)


async def rent_in(
    account: int, body: RentalBody, client_id: str, instruments: Instruments, stored: StoredSshKeys
) -> Rent:
    """The command of a rental."""
    rows = await instruments.of_market(body)
    return Rent(
        account=account,
        instruments=tuple(row.instrument for row in rows),
        quantity=body.gpus,
        hours=body.hours,
        max_price_ticks=price_in(body.max_price, "max_price"),
        delivery=await delivery_of(account, body.ssh_keys, stored),
        client_order_id=client_id,
        features=features_in(body.features),
        same_baron=body.same_baron,
        min_rating=body.min_rating or 0,
        auto_extend=body.auto_extend,
    )


async def offers_in(account: int, body: AsksBody, instruments: Instruments) -> SetOffers:
    """The command of a provider's list of offers."""
    offers = []
    for place, offer in enumerate(body.offers):
        at = f"offers[{place}]."
        row = await instruments.of_symbol(offer.instrument, at + "instrument")
        offers.append(
            Offer(
                baron=id_in("brn", offer.baron, Reason.UNKNOWN_BARON, at + "baron"),
                instrument=row.instrument,
                price_ticks=price_in(offer.price, at + "price"),
                gpus=offer.gpus,
                max_hours=offer.max_hours or 0,
                lot=offer.lot or 0,
                min_hours=offer.min_hours or 0,
            )
        )
    return SetOffers(account=account, offers=tuple(offers))


def _parsed(parse: Callable[[str], int], text: str, reason: Reason, field: str, said: str) -> int:
    try:
        return parse(text)
    except ValueError as error:
        raise Problem(reason, f"{field} is {shown(text)}, and must be {said}", field=field) from error
