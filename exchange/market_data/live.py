"""All that lives now, in memory: open orders, books, leases that aren't wiped, Barons; fed by events alone.

It is the same projection as the database's (`exchange.read.projection`), over dictionaries: seeded with what lived at one
position, then given each command's events after that. It never asks the engine and never waits for anything.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from engine.kinds import Kind, Side
from engine.messages import Offer, Reply
from exchange.market_data.levels import LevelDelta, Levels
from exchange.read.interface import (
    AccountLimitsRow,
    BaronRow,
    BookView,
    CurvePoint,
    CurveView,
    InstrumentRow,
    LeaseRow,
    ObligationRow,
    OrderRow,
    TradeRow,
)
from exchange.read.projection import Changes, is_live, project
from exchange.read.queries import Snapshot


class Update(msgspec.Struct, frozen=True):
    """One command's mark on everything: its changes, and what each book now shows differently."""

    changes: Changes
    levels: dict[int, list[LevelDelta]]

    def simulated(self, trade_id: int) -> bool:
        """Whether one of its trades was a simulated Baron's; LookupError for a trade of another command."""
        for trade in self.changes.trades:
            if trade.trade_id == trade_id:
                return trade.simulated
        raise LookupError(f"trade {trade_id} isn't of command {self.changes.seq}")


class Live:
    """Implements the projection's Store. Lives on the event loop."""

    def __init__(self, seed: Snapshot) -> None:
        self.seq = seed.seq
        self.ts_ns = seed.ts_ns
        self._instruments: dict[int, InstrumentRow] = {}
        self._by_symbol: dict[str, InstrumentRow] = {}
        self._of_market: dict[tuple[str, str], dict[int, None]] = {}
        """By SKU and region: what is listed, in order of listing."""
        self._books: dict[int, Levels] = {}
        self._last_ticks = dict(seed.last_prices)
        self._expired: dict[int, None] = {}
        """Forwards that the command before took from the list: who was told of it may still have asked for them."""
        self._orders: dict[int, OrderRow] = {}
        self._orders_of: dict[int, dict[int, None]] = {}
        self._leases: dict[int, LeaseRow] = {}
        self._leases_of: dict[int, dict[int, None]] = {}
        self._leases_in: dict[int, dict[int, None]] = {}
        """By instrument: a lease outlives the forward that it was bought as."""
        self._barons = {row.baron: row for row in seed.barons}
        for instrument in seed.instruments:
            self.save_instrument(instrument)
        for order in seed.orders:
            self.save_order(order)
            self._books[order.instrument].replace([(None, order)])
        for lease in seed.leases:
            self.save_lease(lease)

    def apply(self, reply: Reply) -> Update:
        """Take in one command's events, which must be the next after `seq`; ReadError when something was missed."""
        self._forget_expired()
        changes = project(reply, self)
        self.seq, self.ts_ns = reply.seq, reply.ts_ns
        first: dict[int, OrderRow | None] = {}
        for change in changes.orders:
            first.setdefault(change.row.order_id, change.before)
        moves: dict[int, list[tuple[OrderRow | None, OrderRow | None]]] = {}
        for order_id, before in first.items():
            after = self._orders[order_id]
            moves.setdefault(after.instrument, []).append((before, after))
            if not is_live(after):
                self._drop(self._orders_of, after.account, order_id)
                del self._orders[order_id]
        for lease in {change.row.lease_id: change.row for change in changes.leases}.values():
            if self._leases[lease.lease_id].wiped:
                self._forget_lease(lease)
        levels = {instrument: self._books[instrument].replace(pairs) for instrument, pairs in moves.items()}
        return Update(changes, {instrument: deltas for instrument, deltas in levels.items() if deltas})

    def book(self, instrument: int, max_levels: int) -> BookView:
        """The depth as of the last durable command; KeyError for an unknown instrument."""
        return self._books[instrument].view(self._instruments[instrument], self.seq, self.ts_ns, max_levels)

    def market(self, sku: str, region: str) -> int:
        """The number of a market's spot instrument, which is its first; 0 for a market that isn't listed."""
        return next(iter(self._of_market.get((sku, region), {})), 0)

    def curve(self, sku: str, region: str) -> CurveView:
        """The listed periods in order of delivery, as of the last durable command; KeyError for an unknown market."""
        listed = [self._instruments[number] for number in self._of_market[sku, region]]
        forwards = sorted((row for row in listed if row.kind is Kind.FORWARD), key=lambda row: (row.start_h, row.end_h))
        return CurveView(sku=sku, region=region, seq=self.seq, ts_ns=self.ts_ns, points=list(map(self.point, forwards)))

    def point(self, forward: InstrumentRow) -> CurvePoint:
        """What a forward costs now."""
        best = {side: self._books[forward.instrument].depth(side, 1) for side in Side}
        bid_ticks, ask_ticks = (levels[0].price_ticks if levels else 0 for levels in (best[Side.BUY], best[Side.SELL]))
        last_ticks = self._last_ticks.get(forward.instrument, 0)
        return CurvePoint(instrument=forward, bid_ticks=bid_ticks, ask_ticks=ask_ticks, last_ticks=last_ticks)

    def instrument(self, instrument: int) -> InstrumentRow:
        """One that is listed, has just expired, or has a lease that isn't wiped; KeyError for another."""
        return self._instruments[instrument]

    def simulated(self, order: OrderRow) -> bool | None:
        """Whether the order's Baron has no real GPUs; None for an order that names none."""
        return self._barons[order.baron].simulated if order.baron else None

    def instruments(self) -> Iterator[InstrumentRow]:
        """All that is listed, in order of listing."""
        return (row for row in self._instruments.values() if row.listed)

    def instrument_of(self, symbol: str) -> InstrumentRow | None:
        return self._by_symbol.get(symbol)

    def orders_of(self, account: int) -> Iterator[OrderRow]:
        """The account's open orders, oldest first."""
        return (self._orders[order_id] for order_id in self._orders_of.get(account, {}))

    def leases_of(self, account: int) -> Iterator[LeaseRow]:
        """Leases that the account rents or delivers and that aren't wiped yet, oldest first."""
        return (self._leases[lease_id] for lease_id in self._leases_of.get(account, {}))

    def order(self, order_id: int) -> OrderRow | None:
        return self._orders.get(order_id)

    def save_order(self, row: OrderRow) -> None:
        if row.order_id not in self._orders:
            self._orders_of.setdefault(row.account, {})[row.order_id] = None
        self._orders[row.order_id] = row

    def lease(self, lease_id: int) -> LeaseRow | None:
        """A lease that isn't wiped yet."""
        return self._leases.get(lease_id)

    def save_lease(self, row: LeaseRow) -> None:
        if row.lease_id not in self._leases:
            self._leases_in.setdefault(row.instrument, {})[row.lease_id] = None
            for account in (row.renter, row.provider):
                self._leases_of.setdefault(account, {})[row.lease_id] = None
        self._leases[row.lease_id] = row

    def baron(self, baron: int) -> BaronRow | None:
        return self._barons.get(baron)

    def save_baron(self, row: BaronRow) -> None:
        self._barons[row.baron] = row

    def listed(self, instrument: int) -> InstrumentRow | None:
        return self._instruments.get(instrument)

    def instruments_of(self, sku: str, region: str) -> list[InstrumentRow]:
        return [self._instruments[number] for number in self._of_market.get((sku, region), {})]

    def save_instrument(self, row: InstrumentRow) -> None:
        number = row.instrument
        if number not in self._books:
            self._books[number] = Levels(row.kind)
        self._instruments[number] = row
        self._by_symbol[row.symbol] = row
        if row.listed:
            self._of_market.setdefault((row.sku, row.region), {})[number] = None
        else:
            self._of_market.get((row.sku, row.region), {}).pop(number, None)
            self._last_ticks.pop(number, None)
            self._expired[number] = None

    def save_trade(self, row: TradeRow) -> None:
        """Trades are passed on in the changes; of a forward's the last price is kept."""
        if self._instruments[row.instrument].kind is Kind.FORWARD:
            self._last_ticks[row.instrument] = row.price_ticks

    def save_offers(self, account: int, offers: tuple[Offer, ...]) -> None:
        """Offers show as the orders that they are."""

    def save_obligation(self, row: ObligationRow) -> None:
        """Who asks for obligations asks the database."""

    def save_account_limits(self, row: AccountLimitsRow) -> None:
        """Limits bind in the engine alone; who asks for them asks the database."""

    def _forget_expired(self) -> None:
        """Nobody asks any more for forwards that expired before, unless there are leases of them."""
        expired, self._expired = self._expired, {}
        for number in expired:
            if number not in self._leases_in:
                del self._books[number]
                del self._by_symbol[self._instruments.pop(number).symbol]

    def _forget_lease(self, row: LeaseRow) -> None:
        del self._leases[row.lease_id]
        self._drop(self._leases_in, row.instrument, row.lease_id)
        if row.instrument not in self._leases_in and not self._instruments[row.instrument].listed:
            self._expired[row.instrument] = None
        for account in {row.renter, row.provider}:
            self._drop(self._leases_of, account, row.lease_id)

    @staticmethod
    def _drop(index: dict[int, dict[int, None]], account: int, number: int) -> None:
        del index[account][number]
        if not index[account]:
            del index[account]
