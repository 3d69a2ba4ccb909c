"""Hours, rebuilt: what each account has of each Baron in plain counters by hour, kept from the events alone (rulebook §4).

An hour that is over is forgotten, whatever stood in it, once no timer is late for it. It shares no arithmetic with
`engine.rows`, and knows no money.
"""

from __future__ import annotations

import dataclasses
from collections import Counter

from engine.kinds import EndReason, Kind, LeaseState, ObligationChange, Presence, Side
from engine.messages import (
    Accepted,
    Amended,
    BaronPresence,
    BaronRegistered,
    Canceled,
    CapacityChanged,
    Event,
    LeaseChanged,
    LeasePriced,
    LeaseScheduled,
    ObligationChanged,
    Traded,
)
from tests.engine.auditing.charges import HOUR_NS
from tests.engine.auditing.records import SeenOrder

Key = tuple[int, int]
"""(account, Baron)."""


@dataclasses.dataclass
class Ask:
    """An open ask: what it stands on, and to which hour (0: spot)."""

    leaves: int
    lot: int
    end_h: int
    start_h: int = 0
    """A forward's first hour; 0: the running one."""


@dataclasses.dataclass
class Let:
    """A lease as its row sees it; `held` while its GPUs count there."""

    lease_id: int
    row: Key
    kind: Kind
    renter: int
    start_h: int
    end_h: int
    quantity: int = 0
    price_ticks: int = 0
    held: bool = True
    state: LeaseState = LeaseState.PROVISIONING
    ended_ns: int = 0
    overdue: bool = False
    returned: bool = False
    """It failed on hours that its seller had bought, and gave them back at once."""
    displaces: int = 0
    """A newcomer's: whose GPUs it waits for, until they are wiped."""
    promised_to: int = 0
    delivers: bool = False
    """A forward's: an obligation stands behind it."""
    begun_ns: int = 0

    @property
    def live(self) -> bool:
        return self.state not in (LeaseState.ENDED, LeaseState.FAILED)

    @property
    def leaving(self) -> bool:
        """Under notice or over, still there, and nobody waits for its GPUs."""
        return self.held and not self.promised_to and (self.state is LeaseState.ENDING or not self.live)


@dataclasses.dataclass
class RowHours:
    """One row. Asks stand in order of age, the newest last."""

    bought: Counter[int] = dataclasses.field(default_factory=Counter)
    sold: Counter[int] = dataclasses.field(default_factory=Counter)
    reserved: Counter[int] = dataclasses.field(default_factory=Counter)
    spot_gpus: int = 0
    spot_asks: dict[int, Ask] = dataclasses.field(default_factory=dict)
    firm_asks: dict[int, Ask] = dataclasses.field(default_factory=dict)


class Hours:
    """All rows of a shard, as of `now_ns`."""

    def __init__(self, notice_s: int, wipe_s: int) -> None:
        self.now_ns = 0
        self.notice_ns = notice_s * 10**9
        self.wipe_ns = wipe_s * 10**9
        self.rows: dict[Key, RowHours] = {}
        self.providers: dict[int, int] = {}
        self.capacity: dict[int, CapacityChanged] = {}
        self.presence: dict[int, BaronPresence] = {}
        self.lets: dict[int, Let] = {}
        """Leases from their first fill to their wipe."""
        self.spans: dict[int, tuple[int, int]] = {}
        """Hours of forwards, by instrument."""
        self.settled_ns = 0
        """When no timer was due last."""
        self.displaced: dict[int, int] = {}
        """Leases that this command displaced, and when their notice is over."""

    # ---- what stands

    @property
    def hour(self) -> int:
        return self.now_ns // HOUR_NS

    @property
    def kept_h(self) -> int:
        """The first hour that a timer may count still."""
        return min(self.now_ns, self.settled_ns) // HOUR_NS

    def verified(self, key: Key) -> int:
        """GPUs that count in every hour: of the provider's row those that are verified and not waiting to be wiped too long."""
        account, baron = key
        if self.providers[baron] != account or baron not in self.capacity:
            return 0
        overdue = sum(let.quantity for let in self.lets.values() if let.overdue and let.row[1] == baron)
        return max(0, self.capacity[baron].verified_gpus - overdue)

    def own(self, baron: int) -> Key:
        """The row of its provider."""
        return self.providers[baron], baron

    def deliverable(self, key: Key, hour: int) -> int:
        return self.verified(key) + self.rows[key].bought[hour] - self.rows[key].sold[hour]

    def lacking(self, key: Key, ask: Ask) -> int:
        """The most that an hour of a firm ask's lacks; 0 or less: nothing."""
        row, verified = self.rows[key], self.verified(key)
        hours = range(max(self.hour, ask.start_h), ask.end_h)
        return max((row.sold[h] + row.reserved[h] - row.bought[h] - verified for h in hours), default=0)

    def left_to_spot(self, key: Key) -> int:
        """What firm sales leave in this hour and in that of two minutes from now."""
        return self.least(key, self.now_ns, self.now_ns + self.notice_ns)

    def least(self, key: Key, from_ns: int, until_ns: int) -> int:
        """What firm sales leave in the hours that hold a time or part of it."""
        return min(self.deliverable(key, hour) for hour in range(from_ns // HOUR_NS, until_ns // HOUR_NS + 1))

    def spot_free(self, key: Key) -> int:
        return self.left_to_spot(key) - self.rows[key].spot_gpus

    def spot_asked(self, key: Key) -> int:
        return sum(ask.leaves for ask in self.rows[key].spot_asks.values())

    def staying(self, key: Key, as_of_ns: int | None = None) -> int:
        """GPUs of the row's spot leases that somebody counts on: they aren't leaving, or a newcomer waits for them.

        as_of_ns: of those alone that had begun.
        """
        later = self.now_ns if as_of_ns is None else as_of_ns
        gone = (let.quantity for let in self.spot_lets(key) if let.leaving or (let.held and let.begun_ns > later))
        return self.rows[key].spot_gpus - sum(gone)

    def spot_lets(self, key: Key) -> list[Let]:
        return [let for let in self.lets.values() if let.row == key and let.kind is Kind.SPOT]

    def yields_first(self, key: Key) -> list[Let]:
        """Spot leases of a row that may get notice: the cheapest first, among equals the newest."""
        running = (LeaseState.PROVISIONING, LeaseState.ACTIVE)
        lets = [let for let in self.spot_lets(key) if let.held and let.state in running]
        return sorted(lets, key=lambda let: (let.price_ticks, -let.lease_id))

    def claims(self, key: Key) -> list[Let]:
        """A row's newcomers that wait for their GPUs, the oldest first."""
        return [let for let in self.spot_lets(key) if let.displaces and let.live]

    def own_gpus(self, key: Key) -> int:
        """GPUs of its account's own leases on the Baron, of forwards, that an obligation stands behind."""
        forwards = (let for let in self.lets.values() if let.kind is Kind.FORWARD and let.live and let.delivers)
        return sum(let.quantity for let in forwards if (let.renter, let.row[1]) == key)

    def firm_gpus(self, key: Key) -> int:
        """GPUs of its on-demand leases that live."""
        lets = (let for let in self.lets.values() if let.row == key and let.kind is Kind.ONDEMAND and let.live)
        return sum(let.quantity for let in lets)

    def shut(self, baron: int) -> bool:
        """Nobody may ask on it."""
        told = self.presence.get(baron)
        return told is not None and (told.presence is not Presence.REPORTING or told.draining)

    # ---- following the events

    def begin(self, now_ns: int) -> None:
        """A command comes."""
        passed = range(self.hour, now_ns // HOUR_NS)
        self.now_ns = now_ns
        self.displaced.clear()
        for row in self.rows.values() if passed else ():
            for counts in (row.bought, row.sold, row.reserved):
                for hour in [hour for hour in counts if hour < self.kept_h or not counts[hour]]:
                    del counts[hour]

    def take(self, event: Event, orders: dict[int, SeenOrder], kinds: dict[int, Kind]) -> None:
        """One event, before anybody else has taken it: `orders` still say what stood before it."""
        match event:
            case BaronRegistered():
                self.providers[event.baron] = event.provider
                self.rows.setdefault((event.provider, event.baron), RowHours())
            case BaronPresence():
                self.presence[event.baron] = event
            case CapacityChanged():
                self.capacity[event.baron] = event
            case Accepted() if event.side is Side.SELL:
                start_h, _ = self.spans.get(event.instrument, (0, 0))
                ask = Ask(0, max(event.lot, 1), event.window_end_ns // HOUR_NS, start_h)
                self._asks((event.account, event.baron), kinds[event.instrument])[event.order_id] = ask
                self._stand((event.account, event.baron), event.order_id, event.quantity)
            case Amended() | Canceled() if (order := orders[event.order_id].accepted).side is Side.SELL:
                key = (order.account, order.baron)
                self._changed(key, self._asks(key, kinds[order.instrument]), event)
            case Traded() if event.displaced_lease_id:
                self._displaced(event)
            case Traded():
                self._traded(event, orders, kinds[event.instrument])
            case ObligationChanged():
                if event.change is ObligationChange.FAILED:
                    self._take_hours((event.holder, event.baron), event.start_h, event.end_h, bought=-event.quantity)
                if event.lease_id in self.lets:
                    # One that is joined has given its lease to the other before.
                    over = event.change in (ObligationChange.DELIVERED, ObligationChange.FAILED)
                    self.lets[event.lease_id].delivers = event.live or not over
            case LeaseScheduled() if event.kind is Kind.FORWARD:
                key, end_h = (event.provider, event.baron), event.term_end_ns // HOUR_NS
                self.lets[event.lease_id] = Let(event.lease_id, key, event.kind, event.renter, self.hour, end_h)
                self.lets[event.lease_id].quantity, self.lets[event.lease_id].state = event.quantity, event.state
                self.lets[event.lease_id].delivers = True
            case LeaseScheduled():
                let = self.lets[event.lease_id]
                end_h = -(-event.term_end_ns // HOUR_NS)
                assert let.quantity == event.quantity and (let.end_h == end_h or let.displaces)
                assert (let.row, let.renter) == ((event.provider, event.baron), event.renter)
                let.price_ticks, let.state = event.price_ticks, event.state
            case LeasePriced():
                self._priced(self.lets[event.lease_id], event)
            case LeaseChanged():
                self._lease_changed(self.lets[event.lease_id], event)

    def _asks(self, key: Key, kind: Kind) -> dict[int, Ask]:
        return self.rows[key].spot_asks if kind is Kind.SPOT else self.rows[key].firm_asks

    def _stand(self, key: Key, order_id: int, more: int) -> None:
        row = self.rows[key]
        ask = row.firm_asks.get(order_id) or row.spot_asks[order_id]
        ask.leaves += more
        for hour in range(max(self.hour, ask.start_h), ask.end_h):
            row.reserved[hour] += more

    def _changed(self, key: Key, asks: dict[int, Ask], event: Amended | Canceled) -> None:
        """An ask leaves, has other hours, or leaves less or more; at the back of its level it is its row's newest."""
        leaves = asks[event.order_id].leaves
        self._stand(key, event.order_id, -leaves)
        ask = asks[event.order_id]
        if isinstance(event, Canceled) or not event.kept_priority:
            del asks[event.order_id]
        if isinstance(event, Amended):
            asks[event.order_id] = ask
            ask.end_h = event.window_end_ns // HOUR_NS
            self._stand(key, event.order_id, event.leaves_quantity)

    def _traded(self, event: Traded, orders: dict[int, SeenOrder], kind: Kind) -> None:
        """Reserved becomes sold, in the hours that the bid's term touches; a spot lease has its GPUs until the wipe."""
        maker, taker = orders[event.maker_order_id].accepted, orders[event.taker_order_id].accepted
        bid, ask = (maker, taker) if maker.side is Side.BUY else (taker, maker)
        key = (ask.account, ask.baron)
        row, asks = self.rows[key], self._asks(key, kind)
        self._stand(key, ask.order_id, -event.quantity)
        if not asks[ask.order_id].leaves:
            del asks[ask.order_id]
        if kind is Kind.FORWARD:
            self._sell_forward(key, (bid.account, ask.baron), *self.spans[event.instrument], event.quantity)
            return
        end_h = -(-(self.now_ns + bid.hours * HOUR_NS) // HOUR_NS) if bid.hours else 0
        let = self.lets.setdefault(event.lease_id, Let(event.lease_id, key, kind, bid.account, self.hour, end_h))
        let.begun_ns = self.now_ns
        let.quantity += event.quantity
        let.price_ticks = event.price_ticks
        if kind is Kind.SPOT:
            row.spot_gpus += event.quantity
        else:
            self._sell(key, self.hour, end_h, event.quantity)

    def _sell_forward(self, seller: Key, buyer: Key, start_h: int, end_h: int, quantity: int) -> None:
        """A provider sells what is verified, a holder what it bought; what its provider buys is free again (§8)."""
        own = self.own(seller[1])
        self.rows.setdefault(buyer, RowHours())
        for key, more in ((seller, quantity), (buyer, -quantity)):
            counts = {"sold": more} if key == own else {"bought": -more}
            self._take_hours(key, start_h, end_h, **counts)
        assert all(self.deliverable(seller, h) >= 0 for h in range(max(start_h, self.hour), end_h)), (
            "sold what isn't there"
        )

    def _take_hours(self, key: Key, start_h: int, end_h: int, *, bought: int = 0, sold: int = 0) -> None:
        for hour in range(max(start_h, self.kept_h), end_h):
            self.rows[key].bought[hour] += bought
            self.rows[key].sold[hour] += sold
            assert self.rows[key].bought[hour] >= 0 and self.rows[key].sold[hour] >= 0

    def _displaced(self, event: Traded) -> None:
        old = self.lets[event.displaced_lease_id]
        old.promised_to = event.lease_id
        # The newcomer's limit in hours is its own; what its row counts doesn't need it.
        newcomer = Let(event.lease_id, old.row, Kind.SPOT, event.buyer, self.hour, 0, event.quantity, event.price_ticks)
        newcomer.held, newcomer.displaces, newcomer.begun_ns = False, old.lease_id, self.now_ns
        newcomer.state = LeaseState.SCHEDULED
        self.lets[event.lease_id] = newcomer

    def _sell(self, key: Key, start_h: int, end_h: int, quantity: int) -> None:
        for hour in range(max(start_h, self.kept_h), end_h):
            self.rows[key].sold[hour] += quantity
            assert self.deliverable(key, hour) >= 0, f"sold what isn't there in the hour {hour}"

    def _priced(self, let: Let, event: LeasePriced) -> None:
        let.price_ticks = event.price_ticks
        end_h = -(-event.term_end_ns // HOUR_NS)
        if let.kind is Kind.FORWARD:
            let.end_h = end_h
        elif let.kind is not Kind.SPOT and end_h > let.end_h:
            self._sell(let.row, let.end_h, end_h, let.quantity)
            let.end_h = end_h

    def _lease_changed(self, let: Let, event: LeaseChanged) -> None:
        if event.reason is EndReason.DISPLACED and event.state is LeaseState.ENDING and let.state is LeaseState.ACTIVE:
            self.displaced[let.lease_id] = event.ends_ns
        failed = event.reason is EndReason.PROVIDER_FAILED and let.live
        let.state, let.ended_ns = event.state, event.ended_ns
        assert event.quantity == let.quantity or (let.kind is Kind.FORWARD and 0 < event.quantity < let.quantity)
        let.quantity = event.quantity
        if failed and let.held and let.kind is not Kind.FORWARD and let.row != self.own(let.row[1]):
            # What its seller had bought failed with it (§8).
            self._give_back(let, event.ended_ns)
            let.returned = True
        if let.displaces and not let.live and let.displaces in self.lets:
            # Nobody waits for those GPUs any more.
            self.lets[let.displaces].promised_to = 0
        if event.overdue and not let.overdue:
            # It gives its hours back, and the Baron has its GPUs no more (§4).
            assert (let.held or let.returned) and let.ended_ns + self.wipe_ns <= self.now_ns, "a wipe isn't overdue yet"
            self._give_back(let, let.ended_ns + self.wipe_ns)
            let.overdue = True
        if event.wiped:
            self._give_back(let, self.now_ns)
            del self.lets[let.lease_id]
            if let.promised_to:
                newcomer = self.lets[let.promised_to]
                newcomer.held, newcomer.displaces = True, 0
                self.rows[let.row].spot_gpus += newcomer.quantity

    def _give_back(self, let: Let, as_of_ns: int) -> None:
        if not let.held:
            return
        let.held = False
        row = self.rows[let.row]
        if let.kind is Kind.SPOT:
            row.spot_gpus -= let.quantity
        if let.kind is not Kind.ONDEMAND:
            return
        for hour in range(max(min(self.now_ns, as_of_ns) // HOUR_NS, self.kept_h, let.start_h), let.end_h):
            row.sold[hour] -= let.quantity
