"""What the auditor has seen: its own books of money, orders and leases, kept from the events alone.

Each event is held to what was seen before it; nothing here looks at the machine's tables but for its limits and the
prefund of a lease that has notice.
"""

from __future__ import annotations

from collections import Counter

from engine.kinds import Kind, LeaseState, Pot, Side, TransferCode
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
    ObligationChanged,
    QuotesSet,
    Refilled,
    Traded,
    Transfer,
    Triggered,
)
from engine.reasons import Reason
from engine.records import Session
from engine.units import INT64_MAX
from tests.engine.auditing import charges
from tests.engine.auditing.records import SeenLease, SeenOrder


class Seen:
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
        self.used: set[int] = set()
        """Instruments that ever had an order: the others' books are empty, and there are many."""
        self.leases: dict[int, SeenLease] = {}
        self.unwiped: dict[int, SeenLease] = {}
        """Of these, those that aren't wiped."""
        self.obligations: dict[int, ObligationChanged] = {}
        """Forwards' obligations that aren't over."""
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

    def _take(self, event: Event) -> SeenLease | None:
        """Keep the books; the lease, when the event ended one."""
        match event:
            case Accepted():
                assert event.order_id not in self.orders
                self.order_ids.append(event.order_id)
                self.used.add(event.instrument)
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
            case ObligationChanged():
                self._owed(event)
            case LeaseScheduled():
                self.leases[event.lease_id] = SeenLease(
                    event, prices=[(event.start_ns, event.price_ticks)], term_end_ns=event.term_end_ns
                )
                self.unwiped[event.lease_id] = self.leases[event.lease_id]
            case LeasePriced():
                charges.check_raise(self.machine, self.leases[event.lease_id], event)
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

    def _owed(self, event: ObligationChanged) -> None:
        """An obligation names one provider, and what of it is over has nothing left."""
        before = self.obligations.pop(event.obligation_id, None)
        assert before is None or (before.provider, before.baron) == (event.provider, event.baron)
        if event.live:
            assert event.quantity > 0 and event.start_h < event.end_h
            assert event.holder != event.provider
            self.obligations[event.obligation_id] = event
        else:
            assert before is not None and event.escrow_micros == event.bond_micros == 0

    def _trade(self, trade: Traded) -> None:
        if trade.displaced_lease_id:
            self.orders[trade.taker_order_id].displaced += trade.quantity
            self._fill(self.orders[trade.taker_order_id], trade.quantity, trade.taker_leaves)
            return
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
        self._fill(maker, trade.quantity, trade.maker_leaves)
        self._fill(taker, trade.quantity, trade.taker_leaves)

    def _fill(self, order: SeenOrder, quantity: int, leaves: int) -> None:
        order.leaves -= quantity
        order.filled += quantity
        assert order.leaves == leaves >= 0
        if order.accepted.quote_set:
            key = (order.accepted.account, order.accepted.quote_set)
            most, fills = self.quotes[key]
            self.quotes[key] = (most, fills + 1)
        if order.leaves == 0:
            del self.orders[order.accepted.order_id]

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
        if lease is None or lease.scheduled.kind is Kind.FORWARD:
            # What a forward's hours pay is its bill's alone.
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
        charges.check_notice(self.machine, lease, before, event)
        if event.wiped:
            del self.unwiped[event.lease_id]
            assert before is not None and (before.state, before.ended_ns) == (event.state, event.ended_ns)
            return None
        return lease if event.state in (LeaseState.ENDED, LeaseState.FAILED) else None
