"""The sequencer on a real log with a real machine: order, durability, release, time, and what it can't take."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.book_plain import PlainBook
from engine.codec import decode_command
from engine.kinds import Fault, TransferCode
from engine.limits import Limits
from engine.machine import Machine
from engine.messages import (
    CancelAll,
    CancelOrder,
    Command,
    Deposit,
    LeaseActive,
    LeaseFailed,
    LeaseScheduled,
    Reply,
    SetOffers,
    Tick,
    Traded,
    Transfer,
    Triggered,
)
from exchange.log.topics import COMMANDS
from exchange.sequencer.errors import InvalidCommand, RecoveryError
from exchange.sequencer.interface import Overloaded
from exchange.sequencer.sequencer import RESERVE_SHARE, Sequencer
from tests.exchange.sequencer.conftest import SHARD, START_NS, House, Shard
from tests.exchange.sequencer.traffic import RENTERS, ask, bid, deposit, founding, stop_bid
from tests.waiting import wait_until_async

HOUR_NS = 3_600 * 10**9


def triggered(replies: list[Reply]) -> list[Triggered]:
    return [event for reply in replies for event in reply.events if isinstance(event, Triggered)]


async def test_replies_come_in_the_order_of_submission_with_dense_sequence_numbers(house: House) -> None:
    shard = house.shard()
    sequencer = await shard.start()
    replies = await shard.submit(founding())
    assert [reply.seq for reply in replies] == list(range(1, len(replies) + 1))
    assert all(reply.ts_ns == START_NS for reply in replies)
    assert (sequencer.seq, sequencer.ts_ns) == (len(replies), START_NS)


async def test_a_reply_is_durable_before_it_is_given(house: House) -> None:
    shard = house.shard()
    await shard.start()
    for command in founding():
        reply = await shard.sequencer.submit(command)
        logged = await house.records(COMMANDS)
        assert decode_command(logged[-1].data) == (reply.ts_ns, command)
        assert logged[-1].seq == reply.seq


async def test_the_event_log_holds_every_reply_with_events_and_nothing_else(house: House) -> None:
    shard = house.shard()
    await shard.start(max_batch=3)
    replies = await shard.submit([*founding(), Tick(), ask(20_000, 4), Tick(), bid(RENTERS[0], 20_000, 2)])
    await shard.close()
    assert await house.published() == [reply for reply in replies if reply.events]
    assert any(not reply.events for reply in replies)


async def test_what_waits_is_written_together(house: House) -> None:
    shard = house.shard()
    sequencer = await shard.start()
    await shard.submit(founding())
    before = sequencer.figures
    await shard.submit([deposit(number) for number in range(1, 301)])
    after = sequencer.figures
    assert after.commands - before.commands == 300
    assert after.batches - before.batches == 1
    assert after.largest_batch == 300
    assert after.append_ns > before.append_ns


async def test_a_round_is_no_larger_than_a_batch(house: House) -> None:
    shard = house.shard()
    sequencer = await shard.start(max_batch=7)
    await shard.submit(founding())
    await shard.submit([deposit(number) for number in range(1, 51)])
    assert sequencer.figures.largest_batch == 7


async def test_subscribers_are_called_in_order_after_the_reply(house: House) -> None:
    shard = house.shard()
    sequencer = await shard.start()
    seen: list[tuple[str, int]] = []
    sequencer.subscribe(lambda reply: seen.append(("first", reply.seq)))
    end = sequencer.subscribe(lambda reply: seen.append(("second", reply.seq)))

    async def ask_for(command: Command) -> None:
        reply = await sequencer.submit(command)
        seen.append(("reply", reply.seq))

    for command in founding()[:3]:
        await ask_for(command)
    await wait_until_async(lambda: len(seen) == 9, "three replies and six calls")
    assert seen == [(name, seq) for seq in (1, 2, 3) for name in ("reply", "first", "second")]
    end()
    end()
    await ask_for(founding()[3])
    await wait_until_async(lambda: len(seen) == 11, "one reply and one call")
    assert seen[9:] == [("reply", 4), ("first", 4)]


async def test_a_trade_reaches_its_subscribers_whole(house: House) -> None:
    shard = house.shard()
    sequencer = await shard.start()
    seen: list[Reply] = []
    sequencer.subscribe(seen.append)
    await shard.submit([*founding(), ask(20_000, 4)])
    reply = await sequencer.submit(bid(RENTERS[0], 21_000, 4))
    assert {Traded, LeaseScheduled} <= {type(event) for event in reply.events}
    await wait_until_async(lambda: seen and seen[-1].seq == reply.seq, "the trade's own call")
    assert seen[-1] is reply


async def test_commands_without_events_are_no_news(house: House) -> None:
    shard = house.shard()
    sequencer = await shard.start()
    seen: list[Reply] = []
    sequencer.subscribe(seen.append)
    await shard.submit([Tick(), *founding()[:1], Tick()])
    await wait_until_async(lambda: seen, "the one command with events")
    assert [reply.seq for reply in seen] == [2]


async def test_a_subscriber_that_raises_is_reported_and_harms_nobody(house: House) -> None:
    shard = house.shard()
    sequencer = await shard.start()
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))
    seen: list[int] = []

    def broken(reply: Reply) -> None:
        raise RuntimeError(f"no taste for {reply.seq}")

    sequencer.subscribe(broken)
    sequencer.subscribe(lambda reply: seen.append(reply.seq))
    await shard.submit(founding()[:3])
    await wait_until_async(lambda: len(seen) == 3, "the sound subscriber")
    assert [str(context["exception"]) for context in reported] == [f"no taste for {seq}" for seq in (1, 2, 3)]
    assert sequencer.healthy


# ---------------------------------------------------------------- time


async def test_time_never_goes_back(house: House) -> None:
    shard = house.shard()
    sequencer = await shard.start()
    times = []
    for now_ns in (START_NS, START_NS + 5, START_NS - 10**9, START_NS + 6):
        house.clock.now_ns = now_ns
        times.append((await sequencer.submit(Tick())).ts_ns)
    assert times == [START_NS, START_NS + 5, START_NS + 5, START_NS + 6]


async def test_time_goes_on_from_the_log_after_a_start(house: House) -> None:
    shard = house.shard()
    await shard.start()
    await shard.submit(founding()[:1])
    await shard.close()
    house.clock.now_ns -= HOUR_NS
    again = house.shard()
    await again.start()
    assert (await again.sequencer.submit(Tick())).ts_ns == START_NS


async def running_lease(shard: Shard) -> int:
    """A lease that is active; its timers come at each full hour."""
    await shard.submit([*founding(), ask(20_000, 4)])
    (rented,) = await shard.submit([bid(RENTERS[0], 20_000, 4)])
    (lease,) = [event.lease_id for event in rented.events if isinstance(event, LeaseScheduled)]
    await shard.submit([LeaseActive(lease_id=lease, access=b"")])
    return lease


async def test_due_timers_fire_in_a_tick_before_the_next_command(house: House) -> None:
    shard = house.shard()
    sequencer = await shard.start()
    await running_lease(shard)
    seq = sequencer.seq
    house.clock.now_ns += 3 * HOUR_NS
    reply = await sequencer.submit(deposit(1))
    assert reply.seq == seq + 2
    kinds = [type(decode_command(record.data)[1]) for record in await house.records(COMMANDS)]
    assert kinds[seq:] == [Tick, Deposit]
    assert (shard.machine.next_due_ns() or 0) > house.clock.now_ns


async def test_an_idle_sequencer_fires_due_timers_and_else_writes_nothing(house: House) -> None:
    shard = house.shard()
    sequencer = await shard.start(tick_s=0.01)
    await running_lease(shard)
    house.clock.now_ns += HOUR_NS - 1
    # Before this one there was a Tick for what is done two minutes before a full hour.
    seq, ticks = (await sequencer.submit(deposit(1))).seq, sequencer.figures.ticks
    looks = house.clock.looks
    await wait_until_async(lambda: house.clock.looks > looks + 3, "three looks at the clock")
    assert (sequencer.seq, sequencer.figures.ticks) == (seq, ticks)
    house.clock.now_ns += 2
    await wait_until_async(lambda: sequencer.figures.ticks == ticks + 1, "the tick of the first full hour")
    assert sequencer.seq == seq + 1


async def test_what_happened_while_nobody_sequenced_enters_before_the_timers_that_fell_due(house: House) -> None:
    shard = house.shard()
    await shard.start()
    lease_id = await running_lease(shard)
    seq, heard_ns = shard.sequencer.seq, house.clock.now_ns
    await shard.close()
    house.clock.now_ns += 7 * HOUR_NS
    failed = LeaseFailed(lease_id=lease_id, fault=Fault.PROVIDER, as_of_ns=heard_ns, detail="nobody was there")
    again = house.shard()
    sequencer = await again.start(opening=[failed], tick_s=0.01)
    await wait_until_async(lambda: sequencer.seq > seq, "the failure")
    commands = [decode_command(record.data)[1] for record in await house.records(COMMANDS)]
    assert commands[seq] == failed
    usage = [event for reply in await house.published() for event in reply.events if isinstance(event, Transfer)]
    assert TransferCode.USAGE not in {transfer.code for transfer in usage}, (
        "nobody pays for hours that nobody delivered"
    )


async def test_ticks_are_repeated_until_no_timer_is_due_even_beyond_a_batch(house: House) -> None:
    shard = house.shard()
    sequencer = await shard.start(limits=Limits(max_timers=1), max_batch=2)
    await running_lease(shard)
    seq = sequencer.seq
    house.clock.now_ns += 7 * HOUR_NS
    reply = await sequencer.submit(deposit(1))
    kinds = [type(decode_command(record.data)[1]) for record in await house.records(COMMANDS)]
    assert reply.seq == len(kinds)
    # One a full hour of use at least.
    assert len(kinds) - seq > 7
    assert kinds[seq:] == [Tick] * (len(kinds) - seq - 1) + [Deposit]
    assert (shard.machine.next_due_ns() or 0) > house.clock.now_ns


# ---------------------------------------------------------------- what can't be taken


async def test_stops_that_one_command_may_not_fire_fire_in_the_ticks_after_it(house: House) -> None:
    """At once, though nothing else comes: a stop that waits for a clock's next turn would trade at another price."""
    shard = house.shard()
    await shard.start(limits=Limits(max_stops=2))
    await shard.submit([*founding(), ask(20_000, 9), *(stop_bid(RENTERS[0], 20_000, 1) for _ in range(7))])
    fired: list[Reply] = []
    shard.sequencer.subscribe(fired.append)
    reply = await shard.sequencer.submit(bid(RENTERS[1], 20_000, 1))
    await wait_until_async(lambda: len(triggered(fired)) == 7, "all stops")
    assert [len(triggered([one])) for one in fired] == [2, 2, 2, 1]
    assert [one.seq for one in fired] == [reply.seq + place for place in range(4)]
    assert not shard.machine.state.waiting


@pytest.mark.parametrize(
    "command",
    [
        Deposit(account=2**64, amount_micros=1, client_id="x"),
        Deposit(account=2, amount_micros=-(2**70), client_id="x"),
        Deposit(account="two", amount_micros=1, client_id="x"),  # type: ignore[arg-type]
        Deposit(account=2, amount_micros=1.5, client_id="x"),  # type: ignore[arg-type]
        Deposit(account=2, amount_micros=1, client_id="\ud800"),
        Deposit(account=2, amount_micros=object(), client_id="x"),  # type: ignore[arg-type]
        Deposit(account=2, amount_micros=1, client_id="x" * 200_000),
        SetOffers(account=2, offers=(1, 2)),  # type: ignore[arg-type]
    ],
    ids=["65 bits", "-71 bits", "text", "float", "surrogate", "object", "huge", "offers"],
)
async def test_what_the_log_cannot_carry_is_refused_alone(house: House, command: Command) -> None:
    shard = house.shard()
    sequencer = await shard.start()
    good = asyncio.create_task(sequencer.submit(founding()[0]))
    with pytest.raises(InvalidCommand, match=r"can't be logged|at most"):
        await sequencer.submit(command)
    assert (await good).seq == 1
    assert (await sequencer.submit(Tick())).seq == 2


async def test_the_machine_gets_what_replay_will_read(house: House) -> None:
    """A list where the type says tuple is the same bytes; it must be the same value too."""
    shard = house.shard()
    await shard.start(snapshots=None)
    await shard.submit([*founding(), SetOffers(account=1, offers=[])])  # type: ignore[arg-type]
    await shard.close()
    live = shard.machine.state_hash()
    assert shard.machine.state.accounts[1].offers == ()
    again = house.shard()
    await again.recover()
    assert again.machine.state_hash() == live


async def test_a_full_queue_takes_no_orders_but_still_takes_cancels(house: House) -> None:
    shard = house.shard()
    sequencer = await shard.start(max_queue=16)
    ordinary = 16 - 16 // RESERVE_SHARE
    orders = [asyncio.create_task(sequencer.submit(Tick())) for _ in range(20)]
    lessening = (CancelOrder(account=2, order_id=1), CancelAll(account=2))
    cancels = [asyncio.create_task(sequencer.submit(command)) for command in (*lessening, *lessening)]
    done = await asyncio.gather(*orders, *cancels, return_exceptions=True)
    taken = [isinstance(one, Reply) for one in done]
    assert taken == [True] * ordinary + [False] * (20 - ordinary) + [True] * 2 + [False] * 2
    assert all(isinstance(one, Reply | Overloaded) for one in done)
    assert sequencer.figures.overloaded == 20 - ordinary + 2
    assert sequencer.queue_length == 0
    assert (await sequencer.submit(Tick())).seq == ordinary + 3


async def test_who_stops_waiting_leaves_the_command_in(house: House) -> None:
    shard = house.shard()
    sequencer = await shard.start()
    waiting = asyncio.create_task(sequencer.submit(founding()[0]))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (await sequencer.submit(Tick())).seq == 2
    assert [type(decode_command(record.data)[1]) for record in await house.records(COMMANDS)] == [
        type(founding()[0]),
        Tick,
    ]


async def test_before_start_and_after_stop_nothing_is_taken(house: House) -> None:
    shard = house.shard()
    recovered = await shard.recover()
    sequencer = Sequencer(recovered.machine, shard.commands, shard.events)
    with pytest.raises(Overloaded):
        await sequencer.submit(Tick())
    await sequencer.start()
    await sequencer.submit(Tick())
    await sequencer.stop()
    assert not sequencer.healthy
    assert sequencer.failure is None
    with pytest.raises(Overloaded):
        await sequencer.submit(Tick())
    await sequencer.stop()


async def test_stop_finishes_what_was_queued(house: House) -> None:
    shard = house.shard()
    sequencer = await shard.start(max_batch=4)
    waiting = [asyncio.create_task(sequencer.submit(command)) for command in founding()]
    await asyncio.sleep(0)
    await sequencer.stop()
    replies = await asyncio.gather(*waiting)
    assert [reply.seq for reply in replies] == list(range(1, len(replies) + 1))
    assert await house.published() == replies


async def test_a_machine_that_stands_elsewhere_is_not_started(house: House) -> None:
    shard = house.shard()
    await shard.start()
    await shard.submit(founding()[:2])
    await shard.close()
    again = house.shard()
    with pytest.raises(RecoveryError, match="stands at 0, its command log at 2"):
        await again.start(machine=Machine(SHARD, Limits(), PlainBook))
