"""Long seeded lives of a shard on both halves of the engine at once: equal events, equal bytes, nothing left unseen.

Where `test_laws` makes failures small, these go far: each life is some thousand commands of a crowded market.
"""

from __future__ import annotations

import base64
from collections import Counter
from random import Random

import msgspec
import pytest

from engine.halves import compiled_half
from engine.kinds import OrderType, Presence, Side, TimeInForce
from engine.limits import Limits
from engine.messages import (
    Accepted,
    Amended,
    AmendOrder,
    AuctionCleared,
    CancelAll,
    CancelAllAfter,
    Canceled,
    CancelOrder,
    Command,
    EndLease,
    Event,
    InstrumentSession,
    KeepOrders,
    LeaseActive,
    LeaseChanged,
    LeasePriced,
    LeaseWiped,
    ObligationChanged,
    Offer,
    PlaceOrder,
    Quote,
    RaisePrice,
    Refilled,
    Rejected,
    Rent,
    SetAccountLimits,
    SetCapacity,
    SetDelivery,
    SetDrain,
    SetFeatures,
    SetOffers,
    SetPresence,
    SetQuotes,
    SetRating,
    SetSession,
    Traded,
    Triggered,
)
from engine.reasons import Reason
from engine.records import SelfTrade, Session
from tests.engine.shard import (
    ALICE,
    BARON,
    BOB,
    HOUR,
    MINUTE,
    ONDEMAND,
    OTHER_BARON,
    PAT,
    QUINN,
    SECOND,
    SECOND_BARON,
    SPOT,
    Shard,
    ask,
    bid,
    rental,
)
from tests.engine.test_snapshot import replay

LIMITS = Limits(
    max_looked=8,
    max_open_orders=60,
    max_leases=6,
    max_stops=3,
    max_conditional_account=2,
    max_conditional_side=4,
    display_ratio=8,
    band_ppm=3_000,
    auction_s=240,
    cooldown_s=600,
)
STEPS = 8_000
MET = {
    "Triggered",
    "Refilled",
    "AuctionCleared",
    "Traded",
    "Traded in an auction",
    "Amended KEPT",
    "Amended SELF_TRADE",
    "Amended CAPACITY_CUT",
    "InstrumentSession AUCTION OUTSIDE_BAND",
    "LeasePriced",
    "Traded by displacement",
    "LeaseChanged ENDING DISPLACED",
    "LeaseChanged ENDING PREEMPTED",
    "LeaseChanged ENDED PREEMPTED",
    "LeaseChanged FAILED PROVIDER_FAILED",
    "LeaseChanged PROVISIONING NONE",
    *(f"ObligationChanged {change}" for change in "SOLD RESOLD LEASED PAID DELIVERED FAILED ADDRESSED".split()),
    *(
        f"Canceled {reason}"
        for reason in (
            "SELF_TRADE WALK_LIMIT TOO_MANY_LEASES CONDITIONAL_LIMIT OUTSIDE_BAND EXPIRED MASS_CANCELED QUOTE_REPLACED "
            "MAX_FILLS DISCONNECTED DEAD_MAN REQUESTED IOC_REMAINDER MARKET_REMAINDER CAPACITY_CUT OFFER_CHANGED "
            "NO_LIQUIDITY ACCOUNT_KILLED BARON_QUIET BARON_DRAINED"
        ).split()
    ),
    *(
        f"Rejected {reason}"
        for reason in (
            "FOK_KILLED NO_LIQUIDITY SELF_TRADE POST_ONLY_WOULD_TRADE SESSION_CLOSED TOO_MANY_CONDITIONAL "
            "INSUFFICIENT_CAPACITY TOO_MANY_LEASES TOO_MANY_ORDERS GPU_LIMIT NOTIONAL_LIMIT ACCOUNT_KILLED "
            "BARON_QUIET BARON_DRAINED"
        ).split()
    ),
}
"""What a life must have met at least once, so that it proves something."""


class Life:
    """A crowded market: whose command comes next is chance's, from a printed seed."""

    def __init__(self, seed: int, limits: Limits = LIMITS) -> None:
        self.chance = Random(seed)
        self.shard = Shard(limits, gpus=60, usd=50_000)
        for account in (PAT, QUINN):
            self.shard.pay(account, 50_000)
        self.shard.twin = compiled_half().restored(self.shard.machine.snapshot())
        self.shard.auditor.every = 10
        self.met: Counter[str] = Counter()
        self.mid = 20_000

    def step(self) -> None:
        chance = self.chance
        self.mid += chance.choice((-3, 0, 0, 0, 3))
        wait_ns = chance.choice((0,) * 18 + (SECOND, 20 * SECOND, 2 * MINUTE) * 3 + (MINUTE, 20 * MINUTE, HOUR))
        for event in self.shard.wait(wait_ns) if wait_ns else []:
            self.count(event)
        often = (
            *(self.order,) * 40,
            *(self.stop,) * 6,
            *(self.change,) * 8,
            *(self.report,) * 14,
            *(self.quotes,) * 4,
            *(self.dear,) * 6,
            *(self.ahead,) * 10,
        )
        rare = (
            self.mass,
            self.floor,
            self.floor,
            self.capacity,
            self.offers,
            self.offers,
            self.rent,
            self.rent,
            self.limits,
            self.presence,
        )
        for event in self.shard.apply(chance.choice(often + rare)()):
            self.count(event)

    def count(self, event: Event) -> None:
        match event:
            case Canceled() | Rejected():
                self.met[f"{type(event).__name__} {event.reason.name}"] += 1
            case Amended():
                self.met[f"Amended {'KEPT' if event.reason is Reason.REQUESTED else event.reason.name}"] += 1
            case Traded():
                how = " by displacement" if event.displaced_lease_id else " in an auction" if event.auction else ""
                self.met["Traded" + how] += 1
            case ObligationChanged():
                self.met[f"ObligationChanged {event.change.name}"] += 1
            case LeaseChanged():
                self.met[f"LeaseChanged {event.state.name} {event.reason.name}"] += 1
            case InstrumentSession():
                self.met[f"InstrumentSession {event.session.name} {event.reason.name}"] += 1
            case Triggered() | Refilled() | AuctionCleared() | Accepted() | LeasePriced():
                self.met[type(event).__name__] += 1

    # ---- commands

    def price(self) -> int:
        return self.mid + self.chance.randint(-12, 12) + self.chance.choice((0,) * 30 + (-90, 90))

    def plain(self) -> PlaceOrder:
        """A limit order of either side in either kind, by anybody who may."""
        chance = self.chance
        instrument = chance.choice((SPOT, SPOT, ONDEMAND))
        if chance.random() < 0.5:
            hours = chance.choice((1, 1, 1, 3)) if instrument == ONDEMAND else 0
            account = chance.choice((ALICE, ALICE, BOB, PAT, QUINN))
            return bid(account, self.price(), chance.randint(1, 6), instrument, hours=hours)
        baron = chance.choice((BARON, SECOND_BARON, OTHER_BARON))
        account = QUINN if baron == OTHER_BARON else PAT
        max_hours = chance.choice((2, 3, 24, 60)) if instrument == ONDEMAND else 0
        return ask(account, self.price(), chance.randint(1, 6), instrument, baron=baron, max_hours=max_hours)

    def ahead(self) -> Command:
        """An order for one of the next two days: sold, bought, resold or bought back; now and then, where to deliver."""
        chance = self.chance
        state = self.shard.machine.state
        owed = list(state.obligations.values())
        if owed and chance.random() < 0.2:
            each = chance.choice(owed)
            return SetDelivery(account=each.holder, obligation_id=each.obligation_id, delivery=b"key")
        days = [each for each in state.instruments.values() if each.region == "here" and each.hours == 24]
        day = chance.choice(sorted(days, key=lambda each: each.start_h)[:2]).instrument
        price, quantity = self.mid, chance.randint(1, 6)
        if chance.random() < 0.5:
            order = bid(chance.choice((ALICE, BOB, PAT)), price + 20, quantity, day, hours=0)
            terms: tuple[dict[str, object], ...] = (
                {},
                {},
                {"time_in_force": TimeInForce.FOK},
                {"time_in_force": TimeInForce.IOC},
                {"same_baron": True},
                {"display_quantity": 1},
                {"min_quantity": min(2, quantity)},
            )
            return msgspec.structs.replace(order, **chance.choice(terms))
        if owed and chance.random() < 0.6:
            each = chance.choice(owed)
            return ask(each.holder, price, min(quantity, each.quantity), day, baron=each.baron, max_hours=0)
        order = ask(PAT, price, quantity, day, baron=chance.choice((BARON, SECOND_BARON)), max_hours=0)
        shows = chance.choice((0, 0, 1))
        return msgspec.structs.replace(order, display_quantity=shows)

    def dear(self) -> Command:
        """A spot bid far above the market, for as many GPUs as one lease has, or two."""
        chance = self.chance
        price = self.mid * chance.choice((112, 125, 140)) // 100
        return bid(chance.choice((ALICE, BOB, QUINN)), price, chance.choice((2, 3, 6, 12)))

    def order(self) -> Command:
        chance = self.chance
        order = self.plain()
        even = order.quantity - order.quantity % 2
        changes: dict[str, object] = {
            "time_in_force": chance.choice((TimeInForce.GTC,) * 6 + (TimeInForce.IOC, TimeInForce.FOK)),
            "self_trade": chance.choice((SelfTrade.CANCEL_NEWEST, *SelfTrade)),
            "tag": chance.choice(("", "a")),
            "connection": chance.choice((0, 1)),
        }
        match chance.randint(0, 16):
            case 0:
                changes |= {"display_quantity": 1, "time_in_force": TimeInForce.GTC}
            case 1 | 10:
                changes |= {"min_quantity": min(2, order.quantity), "time_in_force": TimeInForce.GTC}
            case 2:
                changes |= {"lot": 2, "quantity": even} if even and order.side is Side.SELL else {}
            case 3:
                changes |= {"features": 1} if order.side is Side.BUY else {}
            case 11:
                changes |= {"min_rating": chance.choice((60, 70, 71))} if order.side is Side.BUY else {}
            case 4:
                changes |= {"same_baron": order.side is Side.BUY}
            case 5:
                changes |= {"time_in_force": TimeInForce.GTD, "expire_ns": self.shard.now_ns + 5 * MINUTE}
            case 6:
                changes |= {"post_only": True, "time_in_force": TimeInForce.GTC}
            case 7 | 8:
                changes |= {"order_type": OrderType.MARKET, "price_ticks": 0, "time_in_force": TimeInForce.IOC}
            case 9:
                lasting = self.chance.choice((TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK))
                changes |= {"self_trade": SelfTrade.DECREMENT, "time_in_force": lasting}
        return msgspec.structs.replace(order, **changes)

    def stop(self) -> Command:
        order = self.plain()
        away = 6 if order.side is Side.BUY else -6
        kind = self.chance.choice((OrderType.STOP, OrderType.STOP_LIMIT))
        unpriced = kind is OrderType.STOP and order.side is Side.SELL
        return msgspec.structs.replace(
            order,
            order_type=kind,
            stop_price_ticks=order.price_ticks - away,
            price_ticks=0 if unpriced else order.price_ticks,
        )

    def change(self) -> Command:
        chance = self.chance
        live = list(self.shard.auditor.orders.values())
        if not live:
            return self.order()
        accepted = chance.choice(live).accepted
        if chance.random() < 0.5:
            return CancelOrder(account=accepted.account, order_id=accepted.order_id)
        price = chance.choice((0, self.price()))
        return AmendOrder(
            account=accepted.account, order_id=accepted.order_id, price_ticks=price, quantity=chance.randint(0, 8)
        )

    def report(self) -> Command:
        """Leases move on; mostly they end, so that GPUs come back."""
        leases = list(self.shard.machine.state.leases.values())
        if not leases:
            return self.order()
        # Somebody waits for the GPUs of some: these go sooner, and who waits stays.
        awaited = [lease for lease in leases if lease.promised_to]
        staying = [lease for lease in leases if not lease.waits_for] or leases
        lease = self.chance.choice(awaited if awaited and self.chance.random() < 0.5 else staying)
        if not lease.live:
            return LeaseWiped(lease_id=lease.lease_id)
        if self.chance.random() < 0.1:
            return RaisePrice(account=lease.renter, lease_id=lease.lease_id, price_ticks=lease.price_ticks + 7)
        if lease.active_ns == 0 and self.chance.random() < 0.6:
            return LeaseActive(lease_id=lease.lease_id, access=b"")
        return EndLease(account=lease.renter, lease_id=lease.lease_id)

    def quotes(self) -> Command:
        chance = self.chance
        account, baron = chance.choice(((PAT, BARON), (QUINN, OTHER_BARON)))
        spread = chance.choice((-2, 2, 6))
        quotes = []
        for step in range(chance.randint(0, 3)):
            away = spread + 3 * step
            quotes.append(
                Quote(instrument=SPOT, side=Side.BUY, price_ticks=self.mid - away, quantity=2, delivery=b"key")
            )
            quotes.append(Quote(instrument=SPOT, side=Side.SELL, price_ticks=self.mid + away, quantity=2, baron=baron))
        return SetQuotes(account=account, name="maker", quotes=tuple(quotes), max_fills=2, connection=1)

    def mass(self) -> Command:
        chance = self.chance
        account = chance.choice((ALICE, BOB, PAT, QUINN))
        if chance.random() < 0.3:
            return CancelAllAfter(account=account, after_ns=chance.choice((0, MINUTE)))
        match chance.randint(0, 4):
            case 0:
                return CancelAll(account=account, tag="a")
            case 4:
                return KeepOrders(account=account, connection=1)
            case 1:
                return CancelAll(account=account, connection=1)
            case 2:
                return CancelAll(account=account, instrument=SPOT)
            case _:
                return CancelAll(account=account)

    def floor(self) -> Command:
        chance = self.chance
        if chance.random() < 0.2:
            return SetRating(baron=chance.choice((BARON, SECOND_BARON)), rating=chance.choice((0, 60, 70, 100)))
        if chance.random() < 0.3:
            return SetFeatures(baron=chance.choice((BARON, SECOND_BARON)), features=chance.choice((0, 1)))
        closed = [n for n in (SPOT, ONDEMAND) if self.shard.machine.session(n) is not Session.CONTINUOUS]
        if closed and chance.random() < 0.8:
            return SetSession(instrument=chance.choice(closed), session=Session.CONTINUOUS)
        session = chance.choice((Session.AUCTION, Session.AUCTION, Session.PRE_OPEN, Session.HALTED))
        return SetSession(instrument=chance.choice((SPOT, ONDEMAND)), session=session)

    def limits(self) -> Command:
        """An operator's word on an account: mostly a limit, now and then the kill switch, and mostly it goes off again."""
        chance = self.chance
        killed = [row.account for row in self.shard.machine.state.accounts.values() if row.killed]
        if killed:
            return SetAccountLimits(account=chance.choice(killed), killed=False)
        account = chance.choice((ALICE, BOB, PAT, QUINN))
        if chance.random() < 0.2:
            return SetAccountLimits(account=account, killed=True)
        return SetAccountLimits(
            account=account,
            max_open_orders=chance.choice((0, 0, 6)),
            max_gpus=chance.choice((0, 0, 20)),
            max_notional_micros=chance.choice((0, 0, 40_000_000)),
        )

    def capacity(self) -> Command:
        baron = self.chance.choice((BARON, SECOND_BARON, OTHER_BARON))
        return SetCapacity(baron=baron, gpus=self.chance.choice((5, 20, 60, 60)), simulated=False)

    def presence(self) -> Command:
        """A Baron falls silent, is lost or drained; mostly it comes back soon."""
        chance = self.chance
        shut = [baron for baron in self.shard.machine.state.barons.values() if baron.shut]
        if shut and chance.random() < 0.8:
            baron = chance.choice(shut)
            if baron.draining:
                return SetDrain(account=baron.provider, baron=baron.baron, draining=False)
            return SetPresence(baron=baron.baron, presence=Presence.REPORTING)
        number = chance.choice((BARON, SECOND_BARON))
        match chance.randint(0, 2):
            case 0:
                return SetDrain(account=PAT, baron=number, draining=True)
            case 1:
                return SetPresence(baron=number, presence=Presence.QUIET)
            case _:
                heard_ns = self.shard.now_ns - 10 * MINUTE
                return SetPresence(baron=number, presence=Presence.LOST, as_of_ns=heard_ns)

    def offers(self) -> Command:
        chance = self.chance
        offer = Offer(
            baron=SECOND_BARON,
            instrument=SPOT,
            price_ticks=self.mid + 4,
            gpus=chance.choice((4, 10)),
            max_hours=0,
            lot=chance.choice((0, 2)),
        )
        return SetOffers(account=PAT, offers=(offer,) if chance.random() < 0.7 else ())

    def rent(self) -> Rent:
        return rental(
            self.chance.choice((ALICE, BOB)), self.chance.randint(1, 8), 1, self.chance.choice((ONDEMAND, SPOT))
        )


@pytest.mark.parametrize("seed", [1, 3])
@pytest.mark.timeout(300)
def test_a_long_life_is_lawful_and_the_same_on_both_books(seed: int) -> None:
    life = Life(seed)
    for number in range(STEPS):
        life.step()
        if number % 500 == 0:
            twin = life.shard.twin
            assert twin is not None
            assert twin.snapshot() == life.shard.machine.snapshot(), f"seed {seed}, step {number}"
    missing = sorted(MET - set(life.met))
    assert missing == [], f"seed {seed} met {dict(life.met)}"
    life.shard.wait(HOUR)


def test_a_life_with_forwards_is_the_same_in_processes_that_hash_otherwise() -> None:
    life = Life(7)
    for _ in range(1_500):
        life.step()
    assert life.met["ObligationChanged RESOLD"] and life.met["ObligationChanged PAID"]
    records = b"".join(base64.b64encode(record) + b"\n" for record in life.shard.records)
    outputs = [replay(records, seed, LIMITS).split() for seed in ("1", "2")]
    assert len({digest for output in outputs for digest in (output[0], output[3])}) == 1, "the events' bytes"
    assert {state for output in outputs for state in (output[1], output[4])} == {life.shard.machine.state_hash()}
    assert outputs[0][2] != outputs[1][2], "the two processes hash texts alike: the test can't fail"
