"""The state of one shard: every table that a command can read or change, and the one door to their records.

A snapshot carries the records (`engine.tables`); what can be derived (timers, orders by account, what waits) is rebuilt
from them. The scratch of the running command (its events, ids, touched Barons) lives here
too and never outlasts it. It knows no rule of the market.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from sortedcontainers import SortedList

from engine.book import Book, BookLimits
from engine.dues import Bill, Cover
from engine.grid import GridFactory
from engine.grid_plain import PlainGrid
from engine.ids import make_id
from engine.kinds import (
    Kind,
    OrderStatus,
    Pot,
    Side,
)
from engine.limits import Limits
from engine.messages import EXCHANGE_ACCOUNT, Event
from engine.obligation import Obligation, Part
from engine.reasons import Reason
from engine.row import Row
from engine.tables import (
    Account,
    Baron,
    Calendar,
    ClosingTrades,
    Draft,
    Instrument,
    Lease,
    Order,
    QuoteSet,
    Remembered,
)

__all__ = [
    "CUTS_A_COMMAND",
    "POTS",
    "Account",
    "Baron",
    "BookFactory",
    "Broken",
    "Calendar",
    "ClosingTrades",
    "Draft",
    "Instrument",
    "Lease",
    "Order",
    "QuoteSet",
    "R",
    "Records",
    "Refused",
    "Remembered",
    "State",
    "Timer",
    "short_of_funds",
]

BookFactory = Callable[[BookLimits], Book]
Timer = tuple[int, int, int]
"""(due_ns, kind, id): sorts as the rulebook orders timers (§2)."""


class Refused(Exception):
    """A command, or an offer's order, is refused: raised before anything has changed."""

    def __init__(
        self, reason: Reason, field: str = "", order_id: int = 0, order_status: OrderStatus = OrderStatus.NONE
    ) -> None:
        super().__init__(reason.name, field)
        self.needed_micros = 0
        self.available_micros = 0
        self.reason = reason
        self.field = field
        self.order_id = order_id
        self.order_status = order_status


def short_of_funds(needed_micros: int, available_micros: int, field: str = "") -> Refused:
    """The refusal of what needs more than the account has; both amounts count what it would free itself."""
    refusal = Refused(Reason.INSUFFICIENT_FUNDS, field)
    refusal.needed_micros, refusal.available_micros = needed_micros, available_micros
    return refusal


class Broken(Exception):
    """The engine contradicts itself: its state can't be trusted, and the process must stop rather than go on."""


CUTS_A_COMMAND: Final = 8_192
"""Obligations that the resales of one command cut; each makes some ids and events, which are numbered in 16 bits."""
POTS: Final = max(Pot) + 1
"""Length of an account's list of pots, which is indexed by Pot."""


R = TypeVar("R")


class Records:
    """What a state makes its records of: here the structs above themselves, in a compiled machine what looks like them."""

    account: type[Account] = Account
    baron: type[Baron] = Baron
    bill: type[Bill] = Bill
    draft: type[Draft] = Draft
    lease: type[Lease] = Lease
    order: type[Order] = Order
    row: type[Row] = Row
    pairs: Callable[[], SortedList[tuple[int, int]]] = SortedList
    """What keeps spot leases in the order in which they yield."""

    def own(self, record: R) -> R:
        """A struct out of a snapshot as the state's own record."""
        return record

    def law(self, record: R) -> R:
        """A state's own record as the struct that a snapshot carries."""
        return record


class State:
    """All tables of a shard, and the scratch of the command that runs."""

    records = Records()

    def __init__(
        self, shard: int, limits: Limits, book_factory: BookFactory, grid_factory: GridFactory = PlainGrid
    ) -> None:
        self.shard = shard
        self.limits = limits
        self.book_factory = book_factory
        self.grid_factory = grid_factory
        self.last_seq = 0
        self.last_ts_ns = 0
        self.accounts: dict[int, Account] = {EXCHANGE_ACCOUNT: self.new_account(EXCHANGE_ACCOUNT, 0, 0)}
        self.instruments: dict[int, Instrument] = {}
        self.next_instrument = 1
        """No number is used again, whatever has expired."""
        self.markets: dict[tuple[str, str], tuple[int, int]] = {}
        """By SKU and region: the spot and the on-demand instrument."""
        self.instruments_of: dict[tuple[str, str], dict[int, None]] = {}
        """By SKU and region: all that is listed, in order of listing."""
        self.calendars: dict[int, Calendar] = {}
        """By a market's spot instrument."""
        self.closing_trades: dict[int, ClosingTrades] = {}
        """By instrument, where there were any."""
        self.barons: dict[int, Baron] = {}
        self.barons_of: dict[tuple[str, str], list[Baron]] = {}
        """By SKU and region."""
        self.rows: dict[tuple[int, int], Row] = {}
        """By (account, Baron)."""
        self.rows_of: dict[int, dict[int, Row]] = {}
        """By Baron and account: its provider's first, then in order of their first hours."""
        self.orders: dict[int, Order] = {}
        self.leases: dict[int, Lease] = {}
        self.leases_of: dict[int, dict[int, Lease]] = {}
        """By Baron: its leases that aren't wiped yet."""
        self.obligations: dict[int, Obligation] = {}
        """Those of forwards, oldest first."""
        self.obligations_of: dict[tuple[int, int], dict[int, Obligation]] = {}
        """By (holder, Baron): oldest first."""
        self.neighbours: dict[tuple[object, ...], list[int]] = {}
        """Obligations that one may be joined with, oldest first, by what makes them equal and the hour at which they meet."""
        self.handovers: dict[tuple[int, int, int, int], dict[int, None]] = {}
        """By (renter, Baron, GPUs, end of term): leases whose obligation is over, for one that begins as they end (§8)."""
        self.bills: dict[int, Bill] = {}
        self.paid_of: dict[int, SortedList[tuple[int, int]]] = {}
        """By Baron: (end of the last hour that was paid, id) of the bills with hours that may still be undone."""
        self.covers: list[Cover] = []
        """Those still to enter, at the end of the command or with the next Tick."""
        self.books: dict[int, Book] = {}
        self.auction_ends: dict[int, int] = {}
        """By instrument: when its auction ends by itself, ns."""
        self.timers: SortedList[Timer] = SortedList()
        self.orders_of: dict[int, dict[int, Order]] = {}
        """By account: its live orders, in order of entry."""
        self.spot_index: dict[int, SortedList[tuple[int, int]]] = {}
        """By spot instrument: (price_ticks, -lease_id) of the leases that a bid may displace, who yields first first (§7)."""
        self.yielding: set[tuple[int, int]] = set()
        """Rows of which more spot leases must yield than one command makes: a Tick goes on."""
        self.waiting: set[int] = set()
        """Instruments in which stops wait to fire, or a clearing to go on."""
        self.shutting: set[int] = set()
        """Barons that are shut, or short of GPUs, and have asks or leases left to end (`engine.presence`)."""
        self.expiring: set[int] = set()
        """Instruments that an operator made expire, with orders left to cancel (`engine.sessions`)."""
        self.begin()

    def begin(self) -> None:
        """Clear the scratch before a command."""
        self.events: list[Event] = []
        self.made = 0
        self.fills_left = self.limits.max_looked
        self.leases_passed = 0
        """Leases that bids looked at and didn't displace."""
        self.touched_barons: dict[int, None] = {}
        self.touched_books: dict[int, None] = {}
        self.spent_quotes: dict[tuple[int, str], None] = {}
        """(account, name) of the sets of quotes that have had their fills."""
        self.touched_rows: dict[tuple[int, int], None] = {}
        """Rows whose capacity moved: each is brought to order when the running step ends."""
        self.short_rows: dict[tuple[int, int], None] = {}
        """Rows whose firm sales may leave spot leases without GPUs: looked at when the command ends."""
        self.cuts_left = CUTS_A_COMMAND
        self.dry_holdings: dict[tuple[int, int], list[Part]] = {}
        """By (holder, Baron): hours that are left of what the command has sold, which moves when it ends (`engine.dry_resales`)."""
        self.drafts: dict[tuple[int, int, int, int, bool, bool], Draft] = {}
        """By (bid, seller, Baron, price, and which of the two took)."""
        self.entering_ticks: dict[int, int] = {}
        """By ask that is being amended: the price at which its bond and fee are held until it rests (§9)."""

    def add_instrument(self, instrument: Instrument) -> None:
        """List an instrument with an empty book; a market's spot instrument comes just before its on-demand one."""
        number, market = instrument.instrument, (instrument.sku, instrument.region)
        self.instruments[number] = instrument
        self.next_instrument = max(self.next_instrument, number + 1)
        if instrument.kind is Kind.SPOT:
            self.markets[market] = (number, number + 1)
        self.instruments_of.setdefault(market, {})[number] = None
        self.books[number] = self.book_factory(self.limits.of_book())

    def new_account(self, account: int, maker_fee_ppm: int, taker_fee_ppm: int) -> Account:
        """An account with empty pots; fees in parts per million."""
        pots = [0] * POTS
        return self.records.account(
            account=account, maker_fee_ppm=maker_fee_ppm, taker_fee_ppm=taker_fee_ppm, pots=pots
        )

    def add_order(self, order: Order) -> None:
        """An order is live: the newest of its account. ValueError for one that is live already."""
        if order.order_id in self.orders:
            raise ValueError(f"order {order.order_id} is live already")
        self.orders[order.order_id] = order
        self.orders_of.setdefault(order.account, {})[order.order_id] = order

    def take_asks(self, row: Row, spot: bool, order_ids: list[int]) -> int:
        """Live asks stand in a row that has none yet, oldest first, as spot asks or as firm ones; GPUs that they leave.

        ValueError for what isn't such an ask of this row, or comes twice; KeyError for what isn't live.
        """
        asks = row.spot_asks if spot else row.firm_asks
        for order_id in order_ids:
            order = self.orders[order_id]
            if (order.account, order.baron, order.side) != (row.account, row.baron, Side.SELL) or order_id in asks:
                raise ValueError(f"order {order_id} doesn't stand in this row")
            if (order.kind is Kind.SPOT) != spot:
                raise ValueError(f"order {order_id} stands among spot asks, and is firm, or the other way round")
            asks[order_id] = None
        return sum(self.orders[order_id].leaves_quantity for order_id in order_ids)

    def drop_order(self, order: Order) -> None:
        """An order is live no more."""
        del self.orders[order.order_id]
        del self.orders_of[order.account][order.order_id]

    def orders_by(self, account: int) -> list[Order]:
        """An account's live orders, in order of entry."""
        return list(self.orders_of.get(account, {}).values())

    def add_baron(self, baron: Baron) -> None:
        self.barons[baron.baron] = baron
        self.barons_of.setdefault((baron.sku, baron.region), []).append(baron)

    def add_lease(self, lease: Lease) -> None:
        self.leases[lease.lease_id] = lease
        self.leases_of.setdefault(lease.baron, {})[lease.lease_id] = lease

    def drop_lease(self, lease: Lease) -> None:
        del self.leases[lease.lease_id]
        here = self.leases_of[lease.baron]
        del here[lease.lease_id]
        if not here:
            del self.leases_of[lease.baron]

    def drop_instrument(self, number: int) -> None:
        """Forget an instrument that has expired, and its empty book: years of days would fill the tables."""
        instrument = self.instruments.pop(number)
        del self.instruments_of[instrument.sku, instrument.region][number]
        del self.books[number]
        self.closing_trades.pop(number, None)
        self.touched_books.pop(number, None)
        self.waiting.discard(number)
        self.expiring.discard(number)

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def new_id(self) -> int:
        """The next id of this command."""
        number = make_id(self.shard, self.last_seq, self.made)
        self.made += 1
        return number

    def open_account(self, account: int) -> Account:
        """An account that may trade; refused when it isn't open here. The exchange's own may not."""
        found = self.accounts.get(account)
        if found is None or account == EXCHANGE_ACCOUNT:
            raise Refused(Reason.UNKNOWN_ACCOUNT, "account")
        return found

    def balances(self) -> Iterator[tuple[int, Pot, int]]:
        """(account, pot, amount_micros) of every pot that isn't empty, by account and pot."""
        for number in sorted(self.accounts):
            pots = self.accounts[number].pots
            yield from ((number, pot, pots[pot]) for pot in Pot if pots[pot])
