"""What a running lease shows of its cost: posted and accrued together are the engine's charge, at every moment."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from engine.kinds import LeaseState, Pot
from engine.messages import EndLease, LeaseActive, RaisePrice, Tick, Withdraw
from engine.units import NS_PER_HOUR, NS_PER_S
from exchange.gateway.views.leases import accrued_micros, price_at
from exchange.gateway.ws.reports import lease_data
from exchange.market_data.live import Live
from exchange.read.interface import LeaseRow
from exchange.read.queries import Snapshot
from tests.exchange.gateway.floor import ACCESS, ONDEMAND, SKU, Floor, number_of
from tests.exchange.market_data.commands import GPUS, Exchange, ask, bid, opened

RENTER = 21


class Running:
    """An engine with one active lease, and the row of it that the read side keeps."""

    def __init__(self, price_ticks: int, gpus: int, instrument: int = 1, hours: int = 0) -> None:
        self.exchange: Exchange = opened()
        self.exchange.apply(ask(instrument, price_ticks, gpus))
        self.exchange.apply(bid(RENTER, instrument, price_ticks, gpus, hours=hours))
        self.lease_id = self.exchange.leases[0]
        self.exchange.apply(LeaseActive(lease_id=self.lease_id, access=ACCESS))
        self.live = Live(Snapshot(0, 0, [], [], [], []))
        for reply in self.exchange.replies:
            self.live.apply(reply)

    @property
    def row(self) -> LeaseRow:
        row = self.live.lease(self.lease_id)
        assert row is not None
        return row

    def shown(self, now_ns: int) -> int:
        return self.row.charged_micros + accrued_micros(self.row, now_ns)

    def apply(self, command: Tick | EndLease | RaisePrice | Withdraw, at_ns: int) -> None:
        reply = self.exchange.apply(command, at_ns - self.exchange.ts_ns)
        if reply.events:
            self.live.apply(reply)

    def quit(self, at_ns: int) -> int:
        """What the engine charges in all when the renter ends it then."""
        self.apply(EndLease(account=RENTER, lease_id=self.lease_id), at_ns)
        return self.row.charged_micros


@given(st.lists(st.tuples(st.integers(1, 2 * NS_PER_HOUR), st.integers(1, 5_000)), min_size=1, max_size=6))
def test_each_price_counts_for_its_time(raises: list[tuple[int, int]]) -> None:
    lease = Running(20_000, 3)
    now_ns = lease.row.active_ns + 60 * NS_PER_S
    for step_ns, more_ticks in raises:
        now_ns += step_ns
        lease.apply(Tick(), now_ns)
        shown = lease.shown(now_ns)
        price = lease.row.price_ticks + more_ticks
        lease.apply(RaisePrice(account=RENTER, lease_id=lease.lease_id, price_ticks=price), now_ns)
        assert lease.shown(now_ns) == shown, "what was used costs what it did"
        assert price_at(lease.row, now_ns) == lease.row.price_ticks == price
    assert price_at(lease.row, lease.row.active_ns) == 20_000
    now_ns += NS_PER_HOUR - 1
    lease.apply(Tick(), now_ns)
    shown = lease.shown(now_ns)
    assert lease.quit(now_ns) == shown


PRICES = st.integers(1, 40_000)
QUANTITIES = st.integers(1, GPUS)


@given(PRICES, QUANTITIES, st.lists(st.integers(1, 2 * NS_PER_HOUR), min_size=1, max_size=6))
def test_whoever_quits_now_is_charged_what_is_shown(price_ticks: int, gpus: int, steps_ns: list[int]) -> None:
    lease = Running(price_ticks, gpus)
    now_ns = lease.row.active_ns + 60 * NS_PER_S
    last = 0
    for step_ns in steps_ns:
        now_ns += step_ns
        shown = lease.shown(now_ns)
        assert shown >= last
        lease.apply(Tick(), now_ns)
        assert lease.shown(now_ns) >= shown
        last = lease.shown(now_ns)
    now_ns += 1
    shown = lease.shown(now_ns)
    assert lease.quit(now_ns) == shown
    assert accrued_micros(lease.row, now_ns + NS_PER_HOUR) == 0


@given(PRICES, QUANTITIES)
def test_at_each_full_hour_it_is_the_engines_charge(price_ticks: int, gpus: int) -> None:
    lease = Running(price_ticks, gpus)
    for hour in range(1, 4):
        due_ns = lease.row.active_ns + hour * NS_PER_HOUR
        shown = lease.shown(due_ns)
        assert lease.shown(due_ns + NS_PER_HOUR // 2) == shown, "more isn't held before the hour is posted"
        lease.apply(Tick(), due_ns)
        assert (lease.row.charged_micros, accrued_micros(lease.row, due_ns)) == (shown, 0)
        assert shown == price_ticks * 100 * gpus * hour


def test_it_ends_with_the_term() -> None:
    lease = Running(20_000, 3, instrument=2, hours=1)
    end_ns = lease.row.term_end_ns
    shown = lease.shown(end_ns + NS_PER_HOUR)
    assert shown < 3 * 2_000_000, "the term began with the fill, the charge later"
    lease.apply(Tick(), end_ns + NS_PER_S)
    assert (lease.row.charged_micros, lease.shown(end_ns + NS_PER_HOUR)) == (shown, shown)


def test_under_notice_it_runs_on_to_the_notices_end() -> None:
    lease = Running(20_000, 3)
    available = lease.exchange.machine.state.accounts[RENTER].pots[Pot.AVAILABLE]
    lease.apply(Withdraw(account=RENTER, amount_micros=available, client_id=""), lease.row.active_ns)
    hour_ns = lease.row.active_ns + NS_PER_HOUR
    lease.apply(Tick(), hour_ns)
    row = lease.row
    assert (row.state, row.ends_ns, row.charged_micros) == (LeaseState.ENDING, hour_ns + 120 * NS_PER_S, 6_000_000)
    assert accrued_micros(row, hour_ns) == 0
    assert accrued_micros(row, hour_ns + 60 * NS_PER_S) == 100_000
    shown = lease.shown(hour_ns + NS_PER_HOUR)
    told = lease_data(row, lease.live.instrument(1), RENTER, hour_ns)
    assert (told.state, told.reason, told.ends_us) == ("ending", "unpaid", row.ends_ns // 1_000)
    assert told.ssh is not None
    lease.apply(Tick(), hour_ns + NS_PER_HOUR)
    assert (lease.row.state, lease.row.charged_micros, shown) == (LeaseState.ENDED, 6_200_000, 6_200_000)
    assert accrued_micros(lease.row, hour_ns + NS_PER_HOUR) == 0


async def test_the_api_shows_a_lease_under_notice(exchange: Floor) -> None:
    await exchange.seller(price="2.0000", symbol=ONDEMAND)
    renter = await exchange.renter("5")
    wanted = {"sku": SKU, "kind": "ondemand", "gpus": 2, "hours": 3, "regions": ["us-east"]}
    (lease,) = (await renter.post("/rentals", wanted))["leases"]
    await exchange.enter(LeaseActive(lease_id=number_of(lease["id"]), access=ACCESS))
    exchange.clock.now_ns += NS_PER_HOUR + 30 * NS_PER_S
    await exchange.open("somebody")
    shown = await renter.get(f"/leases/{lease['id']}", min_seq=exchange.machine.last_seq)
    assert (shown["state"], shown["reason"], shown["ended"]) == ("ending", "unpaid", None)
    active = datetime.fromisoformat(shown["active"])
    assert datetime.fromisoformat(shown["ends"]) == active + timedelta(hours=1, seconds=120)
    assert (shown["charged"], shown["accrued"]) == ("4.000000", "0.033333")
    assert shown["ssh"]["port"] == 22001
    assert (await renter.get("/leases", open="true"))["leases"] == [shown]
    ended = await renter.delete(f"/leases/{lease['id']}")
    assert (ended["state"], ended["reason"], ended["charged"]) == ("ended", "unpaid", "4.033333")
    assert ended["ends"] == shown["ends"]
    balances = await renter.get("/balances", min_seq=ended["seq"])
    assert (balances["available"], balances["held"]) == ("0.946501", "0.000000")


async def test_the_api_shows_it(exchange: Floor) -> None:
    await exchange.seller(price="3.0001", symbol=ONDEMAND)
    renter = await exchange.renter()
    wanted = {"sku": SKU, "kind": "ondemand", "gpus": 2, "hours": 3, "regions": ["us-east"]}
    (lease,) = (await renter.post("/rentals", wanted))["leases"]
    assert (lease["charged"], lease["accrued"]) == ("0.000000", "0.000000")
    await exchange.enter(LeaseActive(lease_id=number_of(lease["id"]), access=ACCESS))
    seq = exchange.machine.last_seq
    exchange.clock.now_ns += NS_PER_HOUR // 2
    shown = await renter.get(f"/leases/{lease['id']}", min_seq=seq)
    assert (shown["charged"], shown["accrued"]) == ("0.000000", "3.000100")
    exchange.clock.now_ns += NS_PER_HOUR
    # Any command posts what is due before it.
    await exchange.open("somebody")
    (listed,) = (await renter.get("/leases", min_seq=exchange.machine.last_seq))["leases"]
    assert (listed["charged"], listed["accrued"]) == ("6.000200", "3.000100")
    ended = await renter.delete(f"/leases/{lease['id']}")
    assert (ended["charged"], ended["accrued"]) == ("9.000300", "0.000000")
