"""The auditor: follows the events alone, keeps its own books, and holds the machine to the laws after every command.

It reckons with fractions where the engine reckons with rounded integers, and shares none of its arithmetic. What it
checks stands in `saw`; a broken law is an AssertionError in the test that drove the machine there.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from engine.book import BookState, RestingOrder
from engine.book_plain_orders import conditional
from engine.kinds import EndReason, Kind, LeaseState, Pot, Side, TransferCode
from engine.machine import Machine
from engine.messages import (
    Accepted,
    AccountLimitsSet,
    Amended,
    BaronFeatures,
    BaronRating,
    BaronRegistered,
    Canceled,
    CapacityChanged,
    Event,
    InstrumentSession,
    LeaseChanged,
    LeasePriced,
    LeaseScheduled,
    ObligationOpened,
    QuotesSet,
    Refilled,
    Rejected,
    Traded,
    Transfer,
    Triggered,
)
from engine.reasons import Reason
from engine.records import Session
from engine.units import INT64_MAX
from tests.engine.billing import Billing

HOUR_NS = 3600 * 10**9


@dataclasses.dataclass
class SeenOrder:
    accepted: Accepted
    price_ticks: int
    quantity: int
    leaves: int
    window_end_ns: int
    expire_ns: int
    armed: bool
    filled: int = 0


@dataclasses.dataclass
class SeenLease:
    scheduled: LeaseScheduled
    last: LeaseChanged | None = None
    usage: int = 0
    renter_fee: int = 0
    provider_fee: int = 0
    prices: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    """(from_ns, price_ticks), the first as it was let."""
    term_end_ns: int = 0


class Auditor:
    """`orders` are the live ones, `leases` all that ever were."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.every = 1
        """The laws are checked after every so many commands: a test that fills a book may look less often."""
        self.commands = 0
        self.ticked_in_time = True
        """No command came while a timer was due, as the sequencer promises."""
        self.pots: Counter[tuple[int, Pot]] = Counter()
        self.orders: dict[int, SeenOrder] = {}
        self.order_ids: list[int] = []
        self.leases: dict[int, SeenLease] = {}
        self.billing = Billing(machine.state.limits.max_outages)
        self.capacity: dict[int, CapacityChanged] = {}
        self.features: dict[int, int] = {}
        self.ratings: dict[int, int] = {}
        self.limits: dict[int, AccountLimitsSet] = {}
        self.stood: dict[int, tuple[int, int, int]] = {}
        """Open orders, GPUs and held money of the accounts with limits, after the command before."""
        self.topped_up: Counter[int] = Counter()
        """Money that the command put aside for running leases, which no limit stops."""
        self.sessions: dict[int, Session] = {}
        self.quotes: dict[tuple[int, str], tuple[int, int]] = {}
        """(max_fills, fills) by account and name of the set of quotes."""

    def saw(self, now_ns: int, events: Sequence[Event]) -> None:
        """Take in one command's events, and check every law."""
        rejected = [event for event in events if isinstance(event, Rejected)]
        assert not rejected or len(events) == 1, "a refused command has Rejected as its only event"
        self.topped_up.clear()
        self._trades_make_leases(events)
        for event in events:
            self.billing.take(event)
        ended = [self._take(event) for event in events]
        for lease in ended:
            if lease is not None:
                self._charged_as_it_should(lease)
        self._account_limits()
        self.commands += 1
        if self.commands % self.every:
            return
        self._money()
        self.billing.check(self.pots)
        self._orders_and_books(now_ns)
        self._capacity()

    # ---- following the events

    def _take(self, event: Event) -> SeenLease | None:
        """Keep the books; the lease, when the event ended one."""
        match event:
            case Accepted():
                assert event.order_id not in self.orders
                self.order_ids.append(event.order_id)
                self.orders[event.order_id] = SeenOrder(
                    event,
                    event.price_ticks,
                    event.quantity,
                    event.quantity,
                    event.window_end_ns,
                    event.expire_ns,
                    event.armed,
                )
            case Traded():
                self._trade(event)
            case Amended():
                order = self.orders[event.order_id]
                order.price_ticks, order.window_end_ns = event.price_ticks, event.window_end_ns
                order.quantity, order.leaves = event.quantity, event.leaves_quantity
                order.expire_ns = event.expire_ns
                assert order.quantity - order.leaves == order.filled
            case Canceled():
                order = self.orders.pop(event.order_id)
                assert event.quantity == order.leaves > 0
            case Triggered():
                order = self.orders[event.order_id]
                assert order.armed and order.leaves == event.leaves_quantity
                assert order.accepted.side is Side.SELL or order.price_ticks == event.price_ticks
                order.armed, order.price_ticks = False, event.price_ticks
            case Refilled():
                order = self.orders[event.order_id]
                assert event.quantity == min(order.accepted.display_quantity, order.leaves) > 0
                assert event.leaves_quantity == order.leaves
            case InstrumentSession():
                self.sessions[event.instrument] = event.session
                assert bool(event.until_ns) == (event.reason is Reason.OUTSIDE_BAND)
            case LeaseScheduled():
                self.leases[event.lease_id] = SeenLease(
                    event, prices=[(event.start_ns, event.price_ticks)], term_end_ns=event.term_end_ns
                )
            case LeasePriced():
                self._priced(event)
            case LeaseChanged():
                return self._lease_changed(event)
            case CapacityChanged():
                self.capacity[event.baron] = event
            case QuotesSet():
                self.quotes[event.account, event.name] = (event.max_fills, 0)
            case BaronFeatures():
                self.features[event.baron] = event.features
            case BaronRegistered():
                self.ratings.setdefault(event.baron, 70)
            case BaronRating():
                self.ratings[event.baron] = event.rating
            case AccountLimitsSet():
                self.limits[event.account] = event
            case Transfer():
                self._transfer(event)
        return None

    def _trade(self, trade: Traded) -> None:
        maker, taker = self.orders[trade.maker_order_id], self.orders[trade.taker_order_id]
        if not trade.auction:
            assert trade.price_ticks == maker.price_ticks, "a trade prints at the resting order's price"
        assert not maker.armed and not taker.armed, "a stop trades when it has fired"
        for order in (maker, taker):
            assert (
                order.price_ticks <= trade.price_ticks
                if order.accepted.side is Side.SELL
                else (order.price_ticks >= trade.price_ticks)
            )
            assert trade.quantity % max(order.accepted.lot, 1) == 0, "a fill is of whole lots"
            assert trade.quantity >= min(order.accepted.min_quantity, order.leaves), (
                "a fill is no less than its minimum"
            )
            assert not order.accepted.same_baron or trade.quantity == order.leaves
        bid, ask = (taker, maker) if taker.accepted.side is Side.BUY else (maker, taker)
        features = self.features.get(ask.accepted.baron, 0)
        assert features & bid.accepted.features == bid.accepted.features, "the Baron has what the bid asks for"
        assert self.ratings[ask.accepted.baron] >= bid.accepted.min_rating, "the Baron is rated as the bid asks"
        if self.machine.state.instruments[trade.instrument].kind is Kind.ONDEMAND:
            assert bid.accepted.hours >= ask.accepted.min_hours, "the term is no shorter than what the ask sells"
        assert maker.accepted.account != taker.accepted.account, "nobody trades with themselves"
        assert taker.accepted.side is trade.taker_side
        for order, leaves in ((maker, trade.maker_leaves), (taker, trade.taker_leaves)):
            order.leaves -= trade.quantity
            order.filled += trade.quantity
            assert order.leaves == leaves >= 0
            if order.accepted.quote_set:
                key = (order.accepted.account, order.accepted.quote_set)
                most, fills = self.quotes[key]
                self.quotes[key] = (most, fills + 1)
        for order_id in (trade.maker_order_id, trade.taker_order_id):
            if self.orders[order_id].leaves == 0:
                del self.orders[order_id]

    def _transfer(self, transfer: Transfer) -> None:
        assert 0 < transfer.amount_micros <= INT64_MAX
        self.pots[transfer.debit_account, transfer.debit_pot] -= transfer.amount_micros
        self.pots[transfer.credit_account, transfer.credit_pot] += transfer.amount_micros
        for account, pot in (
            (transfer.debit_account, transfer.debit_pot),
            (transfer.credit_account, transfer.credit_pot),
        ):
            assert (account == 0) == (pot in (Pot.FEES, Pot.CASH))
        lease = self.leases.get(transfer.ref)
        if lease is None:
            return
        if transfer.code is TransferCode.PREPAY:
            self.topped_up[transfer.credit_account] += transfer.amount_micros
        back = transfer.code is TransferCode.REFUND
        signed = -transfer.amount_micros if back else transfer.amount_micros
        payer = transfer.credit_account if back else transfer.debit_account
        to_exchange = 0 in (transfer.debit_account, transfer.credit_account)
        if transfer.code not in (TransferCode.USAGE, TransferCode.FEE, TransferCode.REFUND):
            return
        if not to_exchange:
            lease.usage += signed
        elif payer == lease.scheduled.renter:
            lease.renter_fee += signed
        else:
            lease.provider_fee += signed

    def _lease_changed(self, event: LeaseChanged) -> SeenLease | None:
        lease = self.leases[event.lease_id]
        before, lease.last = lease.last, event
        assert before is None or not before.wiped
        self._notice(lease, before, event)
        if event.wiped:
            assert before is not None and (before.state, before.ended_ns) == (event.state, event.ended_ns)
            return None
        return lease if event.state in (LeaseState.ENDED, LeaseState.FAILED) else None

    def _notice(self, lease: SeenLease, before: LeaseChanged | None, event: LeaseChanged) -> None:
        """Notice is given once, with a reason and a time, and a lease that had it ends then at the latest (§7)."""
        if before is not None and before.ends_ns:
            assert event.ends_ns == before.ends_ns, "a notice doesn't move"
            assert before.state is not LeaseState.ENDING or event.state is not LeaseState.ACTIVE
        if event.state is LeaseState.ENDING:
            assert event.reason in (EndReason.UNPAID, EndReason.PREEMPTED, EndReason.DISPLACED)
            kept = self.machine.state.leases[event.lease_id]
            assert event.ends_ns <= self.machine.last_ts_ns + self.machine.state.limits.notice_s * 10**9
            until = min(event.ends_ns, lease.term_end_ns or event.ends_ns)
            paid = event.charged_micros + lease.renter_fee + kept.prefund_micros if kept.live else None
            usage = self._usage(lease, event.active_ns, until - event.active_ns)
            fee = math.floor(Fraction(usage * lease.scheduled.renter_fee_ppm, 10**6))
            assert paid is None or usage + fee <= paid, "the notice is inside what was paid"
        if event.state in (LeaseState.ENDED, LeaseState.FAILED) and event.ends_ns:
            assert event.ended_ns <= event.ends_ns, "a lease ends with its notice"
            assert event.reason is not EndReason.QUIT, "who goes under notice doesn't quit"
        assert event.reason is not EndReason.UNPAID or event.ends_ns

    def _trades_make_leases(self, events: Sequence[Event]) -> None:
        """What is bought is sold, is owed and is let: by lease, the same GPUs in all four."""
        traded: Counter[int] = Counter()
        for event in events:
            if isinstance(event, Traded):
                traded[event.lease_id] += event.quantity
        opened = {event.lease_id: event for event in events if isinstance(event, ObligationOpened)}
        scheduled = {event.lease_id: event for event in events if isinstance(event, LeaseScheduled)}
        assert dict(traded) == {lease: event.quantity for lease, event in opened.items()}
        assert dict(traded) == {lease: event.quantity for lease, event in scheduled.items()}
        keys = Counter(
            (event.order_id, event.baron, event.price_ticks, event.renter_fee_ppm, event.provider_fee_ppm)
            for event in scheduled.values()
        )
        assert all(count == 1 for count in keys.values()), "fills of one order, Baron and price are one lease"

    # ---- the laws

    def _account_limits(self) -> None:
        """Nothing grows beyond an account's limits, whenever they were set; a killed account has no orders."""
        for number, limits in self.limits.items():
            orders = [order for order in self.orders.values() if order.accepted.account == number]
            bids_gpus = sum(order.leaves for order in orders if order.accepted.side is Side.BUY)
            stands = (
                len(orders),
                bids_gpus + self._leased_gpus(number),
                self.pots[number, Pot.HELD] - self.topped_up[number],
            )
            before = self.stood.get(number, stands)
            bounds = (
                limits.max_open_orders or self.machine.state.limits.max_open_orders,
                limits.max_gpus,
                limits.max_notional_micros,
            )
            for what, now, was, most in zip(("orders", "GPUs", "notional"), stands, before, bounds, strict=True):
                assert not most or now <= max(most, was), f"an account's {what} grew to {now}, beyond {most}"
            assert not limits.killed or not orders, "a killed account has no orders"
            self.stood[number] = (*stands[:2], self.pots[number, Pot.HELD])

    def _leased_gpus(self, renter: int) -> int:
        """GPUs of the account's leases that aren't wiped."""
        leases = (seen for seen in self.leases.values() if seen.scheduled.renter == renter)
        return sum(seen.scheduled.quantity for seen in leases if seen.last is None or not seen.last.wiped)

    def _charged_as_it_should(self, lease: SeenLease) -> None:
        """The charge of an ended lease, reckoned anew from its start, end and reason (rulebook §7, §8, §9)."""
        last, terms = lease.last, lease.scheduled
        assert last is not None
        active = last.active_ns or last.ended_ns
        duration = last.ended_ns - active
        assert duration >= 0
        if lease.term_end_ns:
            assert last.ended_ns <= lease.term_end_ns
            assert last.reason is not EndReason.EXPIRED or last.ended_ns == lease.term_end_ns
        if last.reason is EndReason.PROVIDER_FAILED and duration < HOUR_NS:
            duration = 0
        if last.reason in (EndReason.QUIT, EndReason.RENTER_FAILED):
            minimum = terms.minimum_s * 10**9
            if lease.term_end_ns:
                minimum = min(minimum, lease.term_end_ns - active)
            duration = max(duration, minimum)
        usage = self._usage(lease, active, duration)
        if last.state is LeaseState.FAILED:
            # What a closed month paid out isn't taken back.
            usage = max(usage, self.billing.bills[terms.lease_id].closed)
        assert lease.usage == last.charged_micros == usage
        assert lease.renter_fee == math.floor(Fraction(usage * terms.renter_fee_ppm, 10**6))
        assert lease.provider_fee == math.floor(Fraction(usage * terms.provider_fee_ppm, 10**6))

    def _priced(self, event: LeasePriced) -> None:
        """A raise of a spot lease, from now on, to more than it paid (§7); or an on-demand lease's extension (§8)."""
        lease = self.leases[event.lease_id]
        assert lease.last is None or lease.last.state is LeaseState.ACTIVE
        if lease.scheduled.kind is Kind.SPOT:
            assert event.price_ticks > lease.prices[-1][1]
            assert event.from_ns == self.machine.last_ts_ns
            assert event.term_end_ns == lease.term_end_ns
        else:
            assert event.price_ticks <= lease.scheduled.limit_ticks
            assert event.from_ns == lease.term_end_ns, "the old term is paid at the old price"
            assert event.from_ns <= self.machine.last_ts_ns + self.machine.state.limits.extend_s * 10**9
            assert event.term_end_ns > lease.term_end_ns
            assert (event.term_end_ns - lease.term_end_ns) % HOUR_NS == 0
            lease.term_end_ns = event.term_end_ns
        lease.prices.append((event.from_ns, event.price_ticks))
        assert self.machine.state.leases[event.lease_id].price_ticks == event.price_ticks

    def _usage(self, lease: SeenLease, from_ns: int, duration_ns: int) -> int:
        """What so much use from a time on costs at the prices of that time, in exact fractions rounded down once."""
        until_ns, dollars = from_ns + duration_ns, Fraction(0)
        bounds = [from_ns, *(begins for begins, _ in lease.prices[1:]), until_ns]
        for (_, ticks), begins, ends in zip(lease.prices, bounds, bounds[1:], strict=False):
            inside = min(max(ends, from_ns), until_ns) - min(max(begins, from_ns), until_ns)
            dollars += Fraction(ticks * 100 * lease.scheduled.quantity * inside, HOUR_NS)
        return math.floor(dollars)

    def _money(self) -> None:
        state = self.machine.state
        balances = {(account, pot): amount for account, pot, amount in self.machine.balances()}
        assert balances == {key: amount for key, amount in self.pots.items() if amount}
        assert sum(balances.values()) == 0
        assert all(amount > 0 for (_, pot), amount in balances.items() if pot is not Pot.CASH)
        held: Counter[int] = Counter()
        for order in self.orders.values():
            if order.accepted.side is Side.BUY:
                held[order.accepted.account] += self._hold(order)
        for lease in state.leases.values():
            assert lease.prefund_micros >= 0
            assert lease.live or lease.prefund_micros == 0
            held[lease.renter] += lease.prefund_micros
        assert +held == Counter({account: amount for (account, pot), amount in balances.items() if pot is Pot.HELD})

    def _hold(self, order: SeenOrder) -> int:
        account = self.machine.state.accounts[order.accepted.account]
        seconds = self.machine.state.limits.prefund_s
        usage = math.ceil(Fraction(order.price_ticks * 100 * order.leaves * seconds, 3600))
        return usage + math.ceil(Fraction(usage * max(account.maker_fee_ppm, account.taker_fee_ppm), 10**6))

    def _orders_and_books(self, now_ns: int) -> None:
        state = self.machine.state
        books = {number: book.state() for number, book in state.books.items()}
        at_rest = {order.order_id: order for book in books.values() for order in (*book.bids, *book.asks, *book.stops)}
        stops = {order.order_id for book in books.values() for order in book.stops}
        assert set(at_rest) == set(self.orders) == set(state.orders), "an order is live exactly while its book has it"
        assert stops == {number for number, order in self.orders.items() if order.armed}
        for order_id, order in self.orders.items():
            kept, rests = state.orders[order_id], at_rest[order_id]
            assert (kept.price_ticks, kept.quantity, kept.leaves_quantity, kept.window_end_ns, kept.expire_ns) == (
                order.price_ticks,
                order.quantity,
                order.leaves,
                order.window_end_ns,
                order.expire_ns,
            )
            assert (rests.price, rests.quantity, rests.leaves, rests.window_end_h * HOUR_NS) == (
                order.price_ticks,
                order.quantity,
                order.leaves,
                order.window_end_ns,
            )
            assert _terms(rests) == _told(order.accepted, state.instruments[order.accepted.instrument].kind)
            assert order.leaves % max(order.accepted.lot, 1) == 0, "an ask stands in whole lots"
            assert not self.ticked_in_time or not order.expire_ns or order.expire_ns > now_ns, (
                "an order outlives its time"
            )
        open_orders = Counter(order.accepted.account for order in self.orders.values())
        leases = Counter(lease.renter for lease in state.leases.values())
        bids_gpus, leased_gpus = Counter[int](), Counter[int]()
        for order in self.orders.values():
            if order.accepted.side is Side.BUY:
                bids_gpus[order.accepted.account] += order.leaves
        for lease in state.leases.values():
            leased_gpus[lease.renter] += lease.quantity
        for account in state.accounts.values():
            number = account.account
            assert account.open_orders == open_orders[number] <= state.limits.max_open_orders
            assert list(state.orders_of.get(number, {})) == [
                order_id for order_id, order in self.orders.items() if order.accepted.account == number
            ], "an account's orders are known in order of entry"
            assert account.leases == leases[number] <= state.limits.max_leases
            assert account.gpus == bids_gpus[number] + leased_gpus[number], "an account's GPUs are counted"
            quotes = Counter(
                order.accepted.quote_set
                for order in self.orders.values()
                if order.accepted.account == number and order.accepted.quote_set
            )
            assert {name: each.orders for name, each in account.quote_sets.items()} == quotes
            for name in quotes:
                most, fills = self.quotes[number, name]
                assert fills < most or not most, "what is left of a set goes after its fills"
        for number, book in books.items():
            assert book.session is self.sessions.get(number, Session.CONTINUOUS)
            # An offer's window that moves too late may let a bid in that should have traded.
            if self.ticked_in_time and book.session is Session.CONTINUOUS:
                _uncrossed(book, now_ns)

    def _capacity(self) -> None:
        state = self.machine.state
        leased: Counter[int] = Counter()
        for seen in self.leases.values():
            if seen.last is None or not seen.last.wiped:
                leased[seen.scheduled.baron] += seen.scheduled.quantity
        asked: Counter[tuple[int, Kind]] = Counter()
        for order_id, order in self.orders.items():
            if order.accepted.side is Side.SELL:
                asked[order.accepted.baron, state.orders[order_id].kind] += order.leaves
        for baron in state.barons.values():
            last = self.capacity.get(baron.baron)
            assert (baron.verified_gpus, baron.leased_gpus) == (
                (last.verified_gpus, last.leased_gpus) if last else (0, 0)
            )
            assert baron.leased_gpus == leased[baron.baron]
            for instrument in state.markets[baron.sku, baron.region]:
                told = state.books[instrument].state().barons
                expected = (baron.baron, self.ratings[baron.baron], self.features.get(baron.baron, 0))
                assert expected in told, "a book knows what its asks' Barons offer"


def _terms(order: RestingOrder) -> tuple[object, ...]:
    """What a book must know of an order for its eligibility and its manners."""
    minima = (max(order.lot, 1), max(order.min_quantity, 1), max(order.hours, 1))
    who = (order.account, order.side, order.baron, order.self_trade)
    return who, minima, order.display_quantity, order.features, order.min_rating, order.same_baron, order.post_only


def _told(order: Accepted, kind: Kind) -> tuple[object, ...]:
    """The same as the order's events say it: a spot bid's hours are no condition."""
    hours = order.min_hours if order.side is Side.SELL else order.hours if kind is Kind.ONDEMAND else 0
    minima = (max(order.lot, 1), max(order.min_quantity, 1), max(hours, 1))
    who = (order.account, order.side, order.baron, order.self_trade)
    return who, minima, order.display_quantity, order.features, order.min_rating, order.same_baron, order.post_only


def _uncrossed(book: BookState, now_ns: int) -> None:
    """No unconditional bid at rest reaches an unconditional ask (§6)."""
    bids = [order.price for order in book.bids if not conditional(order)]
    asks = [
        order.price
        for order in book.asks
        if not conditional(order) and (order.window_end_h == 0 or now_ns + HOUR_NS <= order.window_end_h * HOUR_NS)
    ]
    assert not bids or not asks or max(bids) < min(asks), "the book is crossed at rest"
