"""From the public form to the engine's commands: symbols, prices, ids and SSH keys. REST and WebSocket share this room.

It checks form alone; what the market thinks of an order is the engine's to say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from engine.ids import parse_id
from engine.kinds import Kind, OrderType, Side, TimeInForce, edge_name
from engine.messages import AmendOrder, CancelOrder, Offer, PlaceOrder, Rent, SetOffers
from engine.reasons import Reason
from engine.units import parse_money, parse_price
from exchange.gateway.errors import Problem
from exchange.gateway.schema import (
    MONEY_SAID,
    PRICE_SAID,
    AmendBody,
    AsksBody,
    OrderBody,
    QuoteBody,
    RentalBody,
)
from exchange.gateway.ssh_keys import delivery_blob, normalize
from exchange.gateway.wording import shown
from exchange.read.interface import InstrumentRow, ReadSide

ONDEMAND_DEFAULT_HOURS: Final = 1
"""Guaranteed term of an on-demand bid that names none (§5)."""

_SIDES: Final = {edge_name(side): side for side in Side}
_TYPES: Final = {edge_name(order_type): order_type for order_type in OrderType}
_TIMES: Final = {edge_name(time): time for time in TimeInForce}
KINDS: Final = {edge_name(kind): kind for kind in Kind}


class StoredSshKeys(Protocol):
    """The account's stored public key lines, as the registry keeps them."""

    async def ssh_public_keys(self, account: int) -> list[str]: ...


class Instruments:
    """What is listed, remembered; asked of the read side again when a symbol or a number isn't known."""

    def __init__(self, read: ReadSide) -> None:
        self._read = read
        self._by_symbol: dict[str, InstrumentRow] = {}
        self._by_number: dict[int, InstrumentRow] = {}

    async def listed(self) -> list[InstrumentRow]:
        """All instruments, in order of listing."""
        rows = await self._read.instruments()
        self._by_symbol = {row.symbol: row for row in rows}
        self._by_number = {row.instrument: row for row in rows}
        return rows

    async def of_symbol(self, symbol: str, field: str | None = None) -> InstrumentRow:
        """Problem unknown_instrument when there is none of that symbol."""
        if symbol not in self._by_symbol:
            await self.listed()
        row = self._by_symbol.get(symbol)
        if row is None:
            raise Problem(Reason.UNKNOWN_INSTRUMENT, "No instrument has that symbol", field=field)
        return row

    async def of_number(self, instrument: int) -> InstrumentRow:
        """KeyError when there is none: numbers come from the engine, so that would be a fault of ours."""
        if instrument not in self._by_number:
            await self.listed()
        return self._by_number[instrument]

    async def of_market(self, body: QuoteBody) -> tuple[InstrumentRow, ...]:
        """The instruments that a quote or rental means: one a region, in the order named, else of listing."""
        kind = KINDS[body.kind]
        by_region = {row.region: row for row in await self.listed() if row.sku == body.sku and row.kind is kind}
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


async def place_in(
    account: int, body: OrderBody, client_id: str, instruments: Instruments, stored: StoredSshKeys
) -> PlaceOrder:
    """The command of an order; `client_id` is used when the body names none ("" for none at all)."""
    row = await instruments.of_symbol(body.instrument, "instrument")
    side = _SIDES[body.side]
    order_type = _TYPES[body.type]
    _check_sides_fields(body, side)
    time = body.time_in_force or edge_name(TimeInForce.GTC if order_type is OrderType.LIMIT else TimeInForce.IOC)
    default_hours = ONDEMAND_DEFAULT_HOURS if row.kind is Kind.ONDEMAND and side is Side.BUY else 0
    return PlaceOrder(
        account=account,
        instrument=row.instrument,
        side=side,
        order_type=order_type,
        time_in_force=_TIMES[time],
        price_ticks=price_in(body.price, "price"),
        quantity=body.quantity,
        post_only=body.post_only,
        client_order_id=body.client_order_id or client_id,
        hours=default_hours if body.hours is None else body.hours,
        baron=id_in("brn", body.baron, Reason.UNKNOWN_BARON, "baron") if body.baron is not None else 0,
        max_hours=body.max_hours or 0,
        delivery=await delivery_of(account, None, stored) if side is Side.BUY else b"",
    )


def _check_sides_fields(body: OrderBody, side: Side) -> None:
    """Refuse here what the command can't even carry: fields that the other side alone has, and a limit without price."""
    foreign = {"baron": body.baron, "max_hours": body.max_hours} if side is Side.BUY else {"hours": body.hours}
    for field, value in foreign.items():
        if value is not None:
            raise Problem(Reason.INVALID_ORDER, f"A {body.side} has no {field}", field=field)
    if side is Side.SELL and body.baron is None:
        raise Problem("missing_field", "A sell names the Baron that will deliver", field="baron")
    if body.type == "limit" and body.price is None:
        raise Problem("missing_field", "A limit order has a price", field="price")


def amend_in(account: int, order_id: int, body: AmendBody, client_order_id: str = "") -> AmendOrder:
    """The command of an amend, by id or (order_id 0) by the client's own."""
    return AmendOrder(
        account=account,
        order_id=order_id,
        client_order_id=client_order_id,
        price_ticks=price_in(body.price, "price"),
        quantity=body.quantity or 0,
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
            )
        )
    return SetOffers(account=account, offers=tuple(offers))


def _parsed(parse: Callable[[str], int], text: str, reason: Reason, field: str, said: str) -> int:
    try:
        return parse(text)
    except ValueError as error:
        raise Problem(reason, f"{field} is {shown(text)}, and must be {said}", field=field) from error
