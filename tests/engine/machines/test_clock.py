"""The last time there is: both machines take it, and refuse what comes later alike, whatever width the number has."""

from __future__ import annotations

from typing import Final

import pytest

from engine import snapshot
from engine.book_plain import PlainBook
from engine.codec import DecodeError, decode_events, encode_command
from engine.compiled.machine import FastMachine
from engine.kinds import LeaseState
from engine.machine import Machine
from engine.messages import CancelOrder, Command, LeaseActive, LeaseScheduled, Rejected, Tick
from engine.reasons import Reason
from engine.units import TIME_MAX_NS
from tests.engine.machines.forging import body_of, place_of, sealed
from tests.engine.shard import ALICE, HOUR, ONDEMAND, PAT, SPOT, START, Shard, ask, bid, offered, only

BEYOND: Final = (TIME_MAX_NS + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**80)
COMMANDS: Final[tuple[Command, ...]] = (
    Tick(),
    bid(ALICE, 20_000, 1),
    ask(PAT, 20_000, 1),
    CancelOrder(account=ALICE, order_id=1),
    LeaseActive(lease_id=1, access=b""),
)


@pytest.mark.parametrize("ts_ns", BEYOND)
@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: type(each).__name__)
def test_what_comes_after_the_last_time_is_refused_and_changes_nothing(command: Command, ts_ns: int) -> None:
    shard = Shard()
    shard.place(bid(ALICE, 10_000, 1))
    before = shard.rows()
    for machine in (shard.machine, shard.twin):
        (said,) = machine.apply(machine.last_seq + 1, ts_ns, command)
        assert isinstance(said, Rejected)
        assert said.reason is Reason.TIME_TOO_LATE
        assert machine.last_ts_ns == START
    assert shard.rows() == before
    assert shard.twin.snapshot() == shard.machine.snapshot()
    # The clock is set, and all goes on.
    shard.place(bid(ALICE, 10_000, 1))


@pytest.mark.parametrize("ts_ns", [ts_ns for ts_ns in BEYOND if ts_ns < 2**64])
def test_so_is_a_record_of_a_log(ts_ns: int) -> None:
    shard = Shard()
    for command in COMMANDS:
        (law,), (compiled,) = (
            machine.batch([encode_command(ts_ns, command)], machine.last_seq + 1)
            for machine in (shard.machine, shard.twin)
        )
        assert law == compiled
        (said,) = decode_events(shard.machine.last_seq, law).events
        assert isinstance(said, Rejected)
        assert said.reason is Reason.TIME_TOO_LATE


def test_a_market_lives_to_the_last_time_there_is() -> None:
    """Leases, bills and forwards that are reckoned beyond it stand; nothing of them runs over."""
    shard = Shard(start_ns=(TIME_MAX_NS // HOUR - 2) * HOUR)
    shard.offer(offered(20_000, 4, ONDEMAND), offered(20_000, 4))
    shard.place(bid(ALICE, 10_000, 1))
    shard.lease(ALICE, 2, 5)
    (spot,) = only(shard.do(bid(ALICE, 20_000, 2, SPOT)), LeaseScheduled)
    shard.do(LeaseActive(lease_id=spot.lease_id, access=b""))
    shard.wait(TIME_MAX_NS - shard.now_ns)
    assert shard.machine.last_ts_ns == TIME_MAX_NS
    assert {lease.state for lease in shard.machine.state.leases.values()} == {LeaseState.ACTIVE}
    assert all(bill.due_ns > TIME_MAX_NS for bill in shard.machine.state.bills.values())
    data = shard.machine.snapshot()
    assert shard.twin.snapshot() == data == FastMachine.restore(data).snapshot()
    assert Machine.restore(data, PlainBook).snapshot() == data


@pytest.mark.parametrize("ts_ns", [*BEYOND[:4], -1])
def test_no_snapshot_is_of_another_time(ts_ns: int) -> None:
    body = body_of(Shard().machine.snapshot())
    body[place_of(snapshot.Body, "last_ts_ns")] = ts_ns
    with pytest.raises(DecodeError):
        Machine.restore(sealed(body), PlainBook)
    with pytest.raises(DecodeError):
        FastMachine.restore(sealed(body))
