"""The daily settlement price of a forward (rulebook §11): what the market last agreed that its hours are worth.

The volume-weighted price of the day's last half-hour of trading, else the middle of the best bid and ask, else the last
price; each rounded down to a tick. It counts trades and says prices, and moves nothing.
"""

from __future__ import annotations

from typing import Final

from engine import periods
from engine.book import Book
from engine.kinds import Side
from engine.messages import SettlementPrice
from engine.records import Session
from engine.state import ClosingTrades, State
from engine.units import NS_PER_DAY, NS_PER_HOUR

_HALF_HOUR_NS: Final = NS_PER_HOUR // 2
_WORD: Final = 64
"""Bits of the lower part of a sum."""


def count(state: State, instrument: int, price_ticks: int, quantity: int) -> None:
    """A forward traded: in the last half-hour of a day's trading that counts for its settlement price."""
    now_ns = state.last_ts_ns
    day_end_ns = now_ns - now_ns % NS_PER_DAY + NS_PER_DAY - periods.TRADING_ENDS_H * NS_PER_HOUR
    if not day_end_ns - _HALF_HOUR_NS <= now_ns < day_end_ns:
        return
    trades = state.closing_trades.get(instrument)
    if trades is None or trades.day_end_ns != day_end_ns:
        trades = state.closing_trades[instrument] = ClosingTrades(instrument=instrument, day_end_ns=day_end_ns)
    value = _value(trades) + price_ticks * quantity
    trades.value_high, trades.value_low = divmod(value, 1 << _WORD)
    trades.quantity += quantity


def say(state: State, instrument: int, day_end_ns: int) -> None:
    """A day's settlement price, where there is any; what was counted for it is done with."""
    book = state.books[instrument]
    trades = state.closing_trades.get(instrument)
    if book.session is Session.EXPIRED or not (trades or len(book) or book.last_price):
        return
    if trades is not None and trades.day_end_ns <= day_end_ns:
        del state.closing_trades[instrument]
    else:
        # Trades of a later day wait for its own price.
        trades = None
    if trades is not None and trades.day_end_ns == day_end_ns:
        price_ticks, quantity = _value(trades) // trades.quantity, trades.quantity
    else:
        price_ticks, quantity = _middle(book) or book.last_price, 0
    if price_ticks:
        state.emit(
            SettlementPrice(
                instrument=instrument, price_ticks=price_ticks, day=day_end_ns // NS_PER_DAY, quantity=quantity
            )
        )


def _value(trades: ClosingTrades) -> int:
    return trades.value_high << _WORD | trades.value_low


def _middle(book: Book) -> int:
    """Between the best bid and the best ask, whatever their conditions; 0 where one side is empty."""
    bids, asks = book.depth(Side.BUY, 1), book.depth(Side.SELL, 1)
    return (bids[0].price + asks[0].price) // 2 if bids and asks else 0
