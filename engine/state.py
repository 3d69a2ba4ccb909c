"""The state of one shard: every table that a command can read or change, and the record of each row.

Records are plain mutable structs, so that the snapshot can carry them as they are; what can be derived (timers, orders
by account, what waits) is rebuilt from them. The scratch of the running command (its events, ids, touched Barons) lives here
too and never outlasts it. It knows no rule of the market.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeVar

import msgspec
from sortedcontainers import SortedList

from engine.book import Book, BookLimits
from engine.dues import Bill, Cover
from engine.grid import GridFactory
from engine.grid_plain import PlainGrid
from engine.ids import make_id
from engine.kinds import (
    EndReason,
    Kind,
    LeaseState,
    OrderStatus,
    OrderType,
    Origin,
    Pot,
    Presence,
    Side,
    TimeInForce,
)
from engine.limits import Limits
from engine.messages import EXCHANGE_ACCOUNT, Event, Offer
from engine.obligation import Obligation, Part
from engine.periods import trading_end_ns
from engine.reasons import Reason
from engine.records import SelfTrade
from engine.row import Row
from engine.units import RATING_NEW

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


class _Record(msgspec.Struct, array_like=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the rows that commands change."""


class Remembered(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True):
    """What a client id stood for: a digest of the command's content, its seq, and the order that came of it (or 0)."""

    digest: bytes
    seq: int
    order_id: int


class QuoteSet(_Record):
    """What is counted of a set of quotes while one of its orders is live; these carry its name (§5)."""

    max_fills: int
    fills: int = 0
    orders: int = 0
    """Its live orders."""


class Account(_Record):
    """One account. `pots` holds micro-dollars by Pot; the dicts forget their oldest beyond `Limits.max_client_ids`."""

    account: int
    maker_fee_ppm: int
    taker_fee_ppm: int
    pots: list[int]
    open_orders: int = 0
    leases: int = 0
    """Leases, as renter, that aren't wiped yet, but of forwards: those are bounded as obligations are."""
    offers: tuple[Offer, ...] = ()
    client_ids: dict[str, Remembered] = {}
    older_live_ids: dict[str, Remembered] = {}
    """Client ids older than those above whose order is still live."""
    closed_orders: dict[int, OrderStatus] = {}
    wiped_leases: dict[int, None] = {}
    quote_sets: dict[str, QuoteSet] = {}
    dead_man_ns: int = 0
    """When all of its orders are cancelled, if nothing is heard before; 0: never."""
    gpus: int = 0
    """What its open bids leave, and the GPUs of its leases, as renter, that aren't wiped yet."""
    max_open_orders: int = 0
    """Its own limits, set by an operator; 0: the shard's bound on open orders, none on the others."""
    max_notional_micros: int = 0
    max_gpus: int = 0
    killed: bool = False
    obligations: int = 0
    """Forwards' obligations that it holds."""


class Instrument(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True):
    """What is listed; a forward's delivery is [start_h, end_h), and `period` ends its symbol, after `fwd-` (§3)."""

    instrument: int
    sku: str
    region: str
    kind: Kind
    start_h: int = 0
    end_h: int = 0
    period: str = ""

    @property
    def hours(self) -> int:
        """How long a forward delivers."""
        return self.end_h - self.start_h

    @property
    def trading_end_ns(self) -> int:
        """When trading in a forward ends; of no meaning for the others."""
        return trading_end_ns(self.start_h)


class Calendar(_Record):
    """When the forwards of one market change next (§3)."""

    market: int
    """Its spot instrument's number: markets come in order of listing."""
    due_ns: int
    priced: bool = False
    """That day's settlement prices are said, and what expires had more orders than one firing cancels."""


class ClosingTrades(_Record):
    """What was traded in one forward in the last half-hour of a day's trading, for its settlement price (§11).

    The sum of price x quantity is in units of 2^64 and a remainder: no number of the encoding has more than 64 bits.
    """

    instrument: int
    day_end_ns: int
    value_high: int = 0
    value_low: int = 0
    quantity: int = 0


class Baron(_Record):
    """One Baron. `leased_gpus` counts leases of every kind and seller, from fill to wipe."""

    baron: int
    provider: int
    sku: str
    region: str
    verified_gpus: int = 0
    leased_gpus: int = 0
    unwiped_gpus: int = 0
    """GPUs of leases that ended so long ago that they count as verified no more until they are wiped."""
    simulated: bool = False
    features: int = 0
    rating: int = RATING_NEW
    presence: Presence = Presence.REPORTING
    draining: bool = False
    heard_ns: int = 0
    """When a lost Baron was heard of last."""
    offer_due_ns: int = 0

    @property
    def counted_gpus(self) -> int:
        """What it can deliver in any hour: its provider's row's `verified` (§4)."""
        return max(0, self.verified_gpus - self.unwiped_gpus)

    @property
    def shut(self) -> Reason:
        """Why it sells nothing more; NONE: it does (§4)."""
        if self.presence is not Presence.REPORTING:
            return Reason.BARON_QUIET
        return Reason.BARON_DRAINED if self.draining else Reason.NONE


class Order(_Record):
    """A live order. `quantity` is the total, what is filled included; `baron` and `window_end_ns` are an ask's.

    What of it rests and in which place is its book's to know; this is what the shard knows beyond that, and the terms.
    """

    order_id: int
    account: int
    instrument: int
    kind: Kind
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    price_ticks: int
    quantity: int
    leaves_quantity: int
    origin: Origin
    post_only: bool
    client_order_id: str
    hours: int
    baron: int
    window_end_ns: int
    delivery: bytes
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
    armed: bool = False
    """A stop that waits for its trigger."""
    connection: int = 0
    quote_set: str = ""
    min_rating: int = 0
    hold_ticks: int = 0
    """An ask's: the price at which its bond and fee are held; at rest its limit (§9)."""

    def with_terms(self, price_ticks: int, quantity: int, leaves_quantity: int) -> Order:
        """A copy with another price and total."""
        return msgspec.structs.replace(
            self, price_ticks=price_ticks, quantity=quantity, leaves_quantity=leaves_quantity
        )

    def with_hold(self, hold_ticks: int) -> Order:
        """A copy that is held at another price."""
        return msgspec.structs.replace(self, hold_ticks=hold_ticks)

    @property
    def may_rest(self) -> bool:
        return self.time_in_force in (TimeInForce.GTC, TimeInForce.GTD, TimeInForce.DAY)

    @property
    def filled(self) -> int:
        return self.quantity - self.leaves_quantity


class Draft(msgspec.Struct):
    """A lease that the fills of one bid on one Baron at one price are adding up to."""

    lease_id: int
    obligation_id: int
    bid: Order
    ask: Order
    price_ticks: int
    bid_takes: bool
    ask_takes: bool
    share_micros: int = 0
    """What of the bid's hold was for it."""
    ask_share_micros: int = 0
    """What of the asks' holds was for it."""
    bond_ticks: int = 0
    """Sum of price times GPUs at the prices at which bond and held fee are reckoned: in an auction each ask's limit."""
    quantity: int = 0
    offer_quantity: int = 0
    limit_ticks: int = 0
    """A rental's own maximum price; 0: the bid's limit."""
    auto_extend: bool = False


class Lease(_Record):
    """A lease from its fill until it is wiped. `*_micros` are what was posted, but for the prefund, which is still held."""

    lease_id: int
    renter: int
    provider: int
    baron: int
    kind: Kind
    quantity: int
    offer_quantity: int
    """How many of its GPUs came of an offer's asks."""
    price_ticks: int
    start_ns: int
    term_end_ns: int
    minimum_s: int
    renter_fee_ppm: int
    provider_fee_ppm: int
    prefund_micros: int
    state: LeaseState = LeaseState.PROVISIONING
    reason: EndReason = EndReason.NONE
    active_ns: int = 0
    ended_ns: int = 0
    due_ns: int = 0
    """Its next timer: a full hour of use, or the end of its term; 0 for none."""
    usage_micros: int = 0
    renter_fee_micros: int = 0
    provider_fee_micros: int = 0
    access: bytes = b""
    detail: str = ""
    ends_ns: int = 0
    """When its notice is over; 0: it has none."""
    prices: list[tuple[int, int]] = []
    """(from_ns, price_ticks) where the price changed, in order, the first from its fill on; empty: `price_ticks` always."""
    limit_ticks: int = 0
    """The most at which it is extended."""
    auto_extend: bool = False
    auto_due_ns: int = 0
    """When it extends itself next; 0: it doesn't."""
    wipe_due_ns: int = 0
    """When it has waited too long for its wipe; 0: it isn't over, or it has."""
    overdue: bool = False
    """It ended, wasn't wiped in time, and gave its hours back before its wipe (§4)."""
    returned: bool = False
    """Its seller had bought its hours, and they failed with it: they are that seller's no more (§8)."""
    waits_for: int = 0
    """A newcomer's: the displaced lease whose wipe it waits for; 0: none (§7)."""
    promised_to: int = 0
    """A displaced lease's: the newcomer that gets its GPUs; 0: nobody (§7)."""
    bond_micros: int = 0
    """What its seller has in bond for it (§9)."""
    obligation_id: int = 0
    """Forwards: the obligation that it delivers (§8)."""
    delivery: bytes = b""
    """On-demand's, with the conditions below: what a cover of it would ask for (§8)."""
    features: int = 0
    min_rating: int = 0
    same_baron: bool = False

    def with_prices(self, price_ticks: int, prices: list[tuple[int, int]], term_end_ns: int) -> Lease:
        """A copy at another price, or to another end."""
        return msgspec.structs.replace(self, price_ticks=price_ticks, prices=prices, term_end_ns=term_end_ns)

    @property
    def live(self) -> bool:
        return self.state not in (LeaseState.ENDED, LeaseState.FAILED)


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
        self.paid_of: dict[int, dict[int, None]] = {}
        """By Baron: bills with hours that may still be undone, those whose last hour was paid first before the others."""
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
        """An order is live: the newest of its account."""
        self.orders[order.order_id] = order
        self.orders_of.setdefault(order.account, {})[order.order_id] = order

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
