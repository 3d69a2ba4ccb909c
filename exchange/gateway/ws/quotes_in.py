"""From a set of quotes in its public form to the engine's command; each field at fault is named with its quote's place."""

from __future__ import annotations

from engine.kinds import Kind, Side
from engine.messages import Quote, SetQuotes
from engine.reasons import Reason
from exchange.gateway.errors import Problem
from exchange.gateway.orders_in import (
    ONDEMAND_DEFAULT_HOURS,
    SIDES,
    Instruments,
    StoredSshKeys,
    delivery_of,
    id_in,
    price_in,
)
from exchange.gateway.ws import messages


async def quotes_in(
    account: int, wanted: messages.SetQuotes, instruments: Instruments, stored: StoredSshKeys, connection: int
) -> SetQuotes:
    """The command of a set of quotes; its bids are delivered to the account's stored SSH keys."""
    has_bids = any(quote.side == "buy" for quote in wanted.quotes)
    delivery = await delivery_of(account, None, stored) if has_bids else b""
    quotes = []
    for place, quote in enumerate(wanted.quotes):
        at = f"quotes[{place}]."
        row = await instruments.of_symbol(quote.instrument, at + "instrument")
        side = SIDES[quote.side]
        _check_sides_fields(quote, side, at)
        default_hours = ONDEMAND_DEFAULT_HOURS if row.kind is Kind.ONDEMAND and side is Side.BUY else 0
        quotes.append(
            Quote(
                instrument=row.instrument,
                side=side,
                price_ticks=price_in(quote.price, at + "price"),
                quantity=quote.quantity,
                baron=0 if quote.baron is None else id_in("brn", quote.baron, Reason.UNKNOWN_BARON, at + "baron"),
                max_hours=quote.max_hours or 0,
                hours=default_hours if quote.hours is None else quote.hours,
                delivery=delivery if side is Side.BUY else b"",
            )
        )
    return SetQuotes(
        account=account,
        name=wanted.name,
        quotes=tuple(quotes),
        max_fills=wanted.max_fills or 0,
        connection=connection,
    )


def _check_sides_fields(quote: messages.QuoteTerms, side: Side, at: str) -> None:
    foreign = ("baron", "max_hours") if side is Side.BUY else ("hours",)
    for field in foreign:
        if getattr(quote, field) is not None:
            raise Problem(
                Reason.INVALID_ORDER, f"A {quote.side} has no {field}", advice="Leave it out.", field=at + field
            )
    if side is Side.SELL and quote.baron is None:
        raise Problem("missing_field", "A sell names the Baron that will deliver", field=at + "baron")
