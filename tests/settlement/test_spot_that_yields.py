"""The proof over spot that yields: who is displaced or pre-empted, who waits, and who quits before its start."""

from __future__ import annotations

from pathlib import Path

from engine.kinds import EndReason, Fault
from engine.messages import EndLease, LeaseActive, LeaseChanged, LeaseFailed, LeaseScheduled, LeaseWiped, Tick, Traded
from engine.units import NS_PER_HOUR, NS_PER_S
from settlement.ledger import Settlement
from settlement.verify import EngineState, Proof, ledger_moment
from tests.exchange.market_data.commands import ONDEMAND, RENTERS, SPOT, Exchange, ask, bid, opened

HOLDER, NEWCOMER, FIRM = RENTERS


def prove(path: Path, exchange: Exchange) -> Proof:
    engine = EngineState(
        seq=exchange.replies[-1].seq,
        ts_ns=exchange.machine.last_ts_ns,
        next_due_ns=exchange.machine.next_due_ns(),
        balances=list(exchange.machine.balances()),
    )
    with ledger_moment(path) as moment:
        return moment.prove(engine)


def running(exchange: Exchange, quantity: int = 2) -> int:
    """HOLDER's active spot lease."""
    exchange.apply(ask(SPOT, 18_000, quantity))
    made = exchange.apply(bid(HOLDER, SPOT, 18_000, quantity)).events
    (lease,) = (event for event in made if isinstance(event, LeaseScheduled))
    exchange.apply(LeaseActive(lease_id=lease.lease_id, access=b""))
    return lease.lease_id


def claim(exchange: Exchange, quantity: int = 2) -> int:
    """NEWCOMER displaces it; the id of its lease."""
    made = exchange.apply(bid(NEWCOMER, SPOT, 20_000, quantity)).events
    (trade,) = (event for event in made if isinstance(event, Traded))
    assert trade.displaced_lease_id
    return trade.lease_id


def test_each_way_that_a_promise_ends_is_charged_what_its_dates_say(tmp_path: Path) -> None:
    exchange = opened()
    path = tmp_path / "ledger.db"
    ledger = Settlement.open(path)

    def proved() -> None:
        ledger.apply(exchange.replies)
        assert prove(path, exchange).findings == []

    quits, fails, taken, served = (running(exchange) for _ in range(4))
    waiting = [claim(exchange) for _ in range(4)]
    proved()
    # The newest lease was displaced first: its newcomer is the oldest claim.
    exchange.apply(EndLease(account=NEWCOMER, lease_id=waiting[3]))
    exchange.apply(LeaseFailed(lease_id=waiting[2], fault=Fault.PROVIDER, as_of_ns=exchange.ts_ns, detail=""))
    exchange.apply(ask(ONDEMAND, 30_000, 16))
    exchange.apply(bid(FIRM, ONDEMAND, 30_000, 16 - 4))
    proved()
    exchange.apply(Tick(), 120 * NS_PER_S)
    for lease_id in (served, taken, fails, quits):
        exchange.apply(LeaseWiped(lease_id=lease_id))
    proved()
    assert waiting[0] in exchange.machine.state.leases and waiting[1] in exchange.machine.state.leases
    exchange.apply(LeaseActive(lease_id=waiting[0], access=b""))
    exchange.apply(Tick(), NS_PER_HOUR)
    proved()
    exchange.apply(bid(FIRM, ONDEMAND, 30_000, 4))
    exchange.apply(Tick(), 120 * NS_PER_S)
    proved()
    ended = {
        event.lease_id: (event.reason, event.charged_micros)
        for reply in exchange.replies
        for event in reply.events
        if isinstance(event, LeaseChanged) and event.ended_ns
    }
    assert ended[waiting[3]] == (EndReason.QUIT, 4_000_000)
    assert ended[waiting[2]] == (EndReason.PROVIDER_FAILED, 0)
    assert ended[waiting[1]] == (EndReason.PREEMPTED, 0)
    reason, charged = ended[waiting[0]]
    assert (reason, charged > 4_000_000) == (EndReason.PREEMPTED, True)
    assert all(ended[lease_id][0] is EndReason.DISPLACED for lease_id in (served, taken, fails, quits))
    ledger.close()
