"""Obligations of forwards alone: what a resale cuts and moves, and that no micro-dollar and no GPU-hour is lost (§8, §9)."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import obligation_hours, obligations, rows
from engine.book_plain import PlainBook
from engine.kinds import ObligationChange, Pot
from engine.limits import Limits
from engine.messages import ObligationChanged, Transfer
from engine.obligation import Obligation, Part
from engine.state import Baron, Broken, State
from engine.timers import TimerKind
from engine.units import MICROS_PER_TICK, NS_PER_HOUR

START_H = 400_000
HOURS = 12
PROVIDER = 21
HOLDERS = (11, 12, 13)
BARON = 101
BOND_PPM = 100_000


def shard() -> State:
    """Four accounts and a Baron, in the hour before all that is sold."""
    state = State(1, Limits(), PlainBook)
    state.last_seq, state.last_ts_ns = 1, (START_H - 1) * NS_PER_HOUR
    for account in (PROVIDER, *HOLDERS):
        state.accounts[account] = state.new_account(account, 0, 0)
    state.barons[BARON] = Baron(baron=BARON, provider=PROVIDER, sku="X", region="here", verified_gpus=10**6)
    return state


def sell(
    state: State, holder: int, part: Part, price_ticks: int = 100, delivery: bytes = b"", bond_micros: int = -1
) -> Obligation:
    """A provider's sale as a trade makes it: escrow and bond paid in, hours bought."""
    obligation = Obligation(
        obligation_id=state.new_id(),
        provider=PROVIDER,
        holder=holder,
        baron=BARON,
        instrument=3,
        quantity=part.quantity,
        start_h=part.start_h,
        end_h=part.end_h,
        price_ticks=price_ticks,
        bond_micros=0,
        delivery=delivery,
    )
    escrow = obligation.escrow_micros
    obligation.bond_micros = bond_micros if bond_micros >= 0 else -(-escrow * BOND_PPM // 10**6)
    pots = state.accounts[PROVIDER].pots
    pots[Pot.ESCROW] += escrow
    pots[Pot.BOND] += obligation.bond_micros
    rows.row_of(state, holder, BARON).grid.add_bought(part.start_h, part.end_h, part.quantity)
    return obligations.open_sold(state, obligation)


def resell(state: State, holder: int, part: Part, buyer: int, delivery: bytes = b"") -> None:
    """A holder's sale as a trade makes it."""
    planned = obligations.plan(state, holder, BARON, part)
    rows.row_of(state, holder, BARON).grid.add_bought(part.start_h, part.end_h, -part.quantity)
    if buyer != PROVIDER:
        rows.row_of(state, buyer, BARON).grid.add_bought(part.start_h, part.end_h, part.quantity)
    obligations.move(state, planned, buyer, 3, delivery)


def shape(state: State, holder: int) -> list[tuple[int, int, int, int, int]]:
    """(start, end, GPUs, price, bond) of a holder's obligations, oldest first; hours from START_H."""
    return [
        (each.start_h - START_H, each.end_h - START_H, each.quantity, each.price_ticks, each.bond_micros)
        for each in obligations.held(state, holder, BARON)
    ]


def part(start: int, end: int, quantity: int) -> Part:
    return Part(START_H + start, START_H + end, quantity)


def units(state: State, holder: int, hour: int) -> Counter[int]:
    """What a holder is owed in an hour: GPUs by price."""
    owed: Counter[int] = Counter()
    for each in obligations.held(state, holder, BARON):
        if each.start_h <= hour < each.end_h:
            owed[each.price_ticks] += each.quantity
    return owed


def test_a_resale_of_the_middle_cuts_hours_and_quantity() -> None:
    state = shard()
    first = sell(state, 11, part(0, 10, 4)).obligation_id
    resell(state, 11, part(2, 5, 1), 12)
    # 40 GPU-hours have 40,000 micro-dollars of bond: 8 + 9 stay before the 3 that go, and the last 20 take the rest.
    assert shape(state, 11) == [(0, 2, 4, 100, 8_000), (2, 5, 3, 100, 9_000), (5, 10, 4, 100, 20_000)]
    assert shape(state, 12) == [(2, 5, 1, 100, 3_000)]
    assert next(iter(obligations.held(state, 11, BARON))).obligation_id == first


def test_shares_of_a_bond_round_down_and_the_last_piece_takes_the_rest() -> None:
    state = shard()
    sell(state, 11, part(0, 3, 1), bond_micros=100)
    resell(state, 11, part(1, 2, 1), 12)
    assert [bond for *_, bond in shape(state, 11)] == [33, 34]
    assert [bond for *_, bond in shape(state, 12)] == [33]


def test_the_oldest_goes_first_and_what_it_lacks_comes_of_the_next() -> None:
    state = shard()
    sell(state, 11, part(0, 4, 2), price_ticks=100)
    sell(state, 11, part(2, 8, 3), price_ticks=200)
    resell(state, 11, part(2, 6, 3), 12)
    assert [row[:4] for row in shape(state, 12)] == [(2, 4, 2, 100), (2, 4, 1, 200), (4, 6, 3, 200)]
    assert [row[:4] for row in shape(state, 11)] == [(0, 2, 2, 100), (2, 4, 2, 200), (6, 8, 3, 200)]


def test_what_goes_whole_has_a_new_id_and_the_old_is_over() -> None:
    state = shard()
    old = sell(state, 11, part(0, 4, 2)).obligation_id
    state.events.clear()
    resell(state, 11, part(0, 4, 2), 12)
    said = [event for event in state.events if isinstance(event, ObligationChanged)]
    assert [(event.obligation_id == old, event.live, event.change) for event in said] == [
        (False, True, ObligationChange.RESOLD),
        (True, False, ObligationChange.RESOLD),
    ]
    assert said[0].other_id == old
    assert state.accounts[11].obligations == 0
    assert state.accounts[12].obligations == 1


def test_of_many_equal_neighbours_the_oldest_without_a_lease_is_joined() -> None:
    state = shard()
    after = [sell(state, 11, part(4, 8, 2), delivery=b"key") for _ in range(4)]
    after[0].lease_id = 77
    before = [sell(state, 11, part(0, 2, 2), delivery=b"key") for _ in range(3)]
    middle = sell(state, 11, part(2, 4, 2), delivery=b"key")
    assert middle.obligation_id == after[1].obligation_id
    assert before[0].obligation_id not in state.obligations
    assert (middle.start_h, middle.end_h) == (START_H, START_H + 8)
    # The table of neighbours stays in order of age.
    assert all(numbers == sorted(numbers) for numbers in state.neighbours.values())
    assert min(shape(state, 11))[:3] == (0, 2, 2)


def test_neighbours_are_joined_under_the_older_id() -> None:
    state = shard()
    later = sell(state, 11, part(4, 8, 2), delivery=b"key").obligation_id
    sell(state, 11, part(0, 4, 2), delivery=b"key")
    assert shape(state, 11) == [(0, 8, 2, 100, 16_000)]
    assert list(state.obligations) == [later]
    assert state.obligations[later].due_ns == START_H * NS_PER_HOUR


@pytest.mark.parametrize(
    ("price_ticks", "quantity", "delivery", "start"),
    [(101, 2, b"key", 4), (100, 3, b"key", 4), (100, 2, b"other", 4), (100, 2, b"key", 5)],
    ids=["price", "quantity", "delivery", "hours"],
)
def test_only_equals_are_joined(price_ticks: int, quantity: int, delivery: bytes, start: int) -> None:
    state = shard()
    sell(state, 11, part(0, 4, 2), delivery=b"key")
    sell(state, 11, part(start, 8, quantity), price_ticks, delivery)
    assert len(shape(state, 11)) == 2


def test_three_that_follow_one_another_become_one() -> None:
    state = shard()
    sell(state, 11, part(0, 2, 1))
    sell(state, 11, part(4, 6, 1))
    sell(state, 12, part(2, 4, 1))
    resell(state, 12, part(2, 4, 1), 11)
    assert [row[:4] for row in shape(state, 11)] == [(0, 6, 1, 100)]


def test_what_its_provider_buys_is_over_and_pays_back() -> None:
    state = shard()
    sell(state, 11, part(0, 10, 4))
    resell(state, 11, part(2, 5, 1), PROVIDER)
    pots = state.accounts[PROVIDER].pots
    assert (pots[Pot.ESCROW], pots[Pot.BOND]) == (37 * 10_000, 37_000)
    assert pots[Pot.AVAILABLE] == 3 * 10_000 + 3_000
    assert shape(state, PROVIDER) == []


def test_an_hour_is_paid_and_its_bond_is_free() -> None:
    state = shard()
    obligation = sell(state, 11, part(0, 3, 2), bond_micros=100)
    obligation_hours.begin(state, obligation)
    paid = [obligation_hours.pay(state, obligation) for _ in range(3)]
    assert paid == [True, True, False]
    pots = state.accounts[PROVIDER].pots
    assert (pots[Pot.ESCROW], pots[Pot.BOND], pots[Pot.AVAILABLE]) == (0, 0, 100)
    assert pots[Pot.RECEIVABLE] == 3 * 2 * 100 * MICROS_PER_TICK
    bonds = [event.amount_micros for event in state.events if isinstance(event, Transfer)][1::2]
    assert bonds == [33, 33, 34]
    assert not state.obligations
    (bill,) = state.bills.values()
    assert (bill.charge_micros, bill.receivable_micros) == (pots[Pot.RECEIVABLE], pots[Pot.RECEIVABLE])
    assert [number for _, _, number in state.timers] == [bill.bill_id], "nothing but its month's close"


def test_a_failure_pays_what_is_left_to_the_holder_and_no_more() -> None:
    state = shard()
    obligation = sell(state, 11, part(0, 4, 2))
    obligation_hours.begin(state, obligation)
    obligation_hours.pay(state, obligation)
    state.last_ts_ns = (START_H + 1) * NS_PER_HOUR
    assert obligation_hours.fail(state, obligation) == 6_000
    assert state.accounts[11].pots[Pot.AVAILABLE] == 6 * 10_000 + 6_000
    assert rows.row_of(state, 11, BARON).grid.least_deliverable(START_H + 1, START_H + 4) == 0
    pots = state.accounts[PROVIDER].pots
    assert (pots[Pot.ESCROW], pots[Pot.BOND]) == (0, 0)


def test_hours_that_nobody_owes_cannot_be_sold() -> None:
    state = shard()
    sell(state, 11, part(0, 4, 2))
    with pytest.raises(Broken):
        obligations.plan(state, 11, BARON, part(3, 5, 1))


_hour = st.integers(0, HOURS)
_steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("sell"), st.sampled_from(HOLDERS), _hour, _hour, st.integers(1, 5), st.sampled_from((1, 7, 10_000))
        ),
        st.tuples(
            st.just("resell"),
            st.sampled_from(HOLDERS),
            _hour,
            _hour,
            st.integers(1, 5),
            st.sampled_from((*HOLDERS, PROVIDER)),
        ),
        st.tuples(st.just("hour"), st.just(0), _hour, _hour, st.just(0), st.just(0)),
        st.tuples(st.just("fail"), st.sampled_from(HOLDERS), _hour, _hour, st.integers(0, 5), st.just(0)),
    ),
    max_size=30,
)


@given(_steps)
def test_no_micro_dollar_and_no_gpu_hour_is_lost(steps: list[tuple[str, int, int, int, int, int]]) -> None:
    """Any sales, resales, hours and failures against a table of single GPU-hours."""
    state = shard()
    paid_in = 0
    hour = START_H - 1
    for step, holder, one, other, number, last in steps:
        start_h, end_h = START_H + min(one, other), START_H + max(one, other)
        start_h = max(start_h, hour + 1)  # trading in what runs is over
        before = {(each, h): units(state, each, h) for each in HOLDERS for h in range(START_H, START_H + HOURS)}
        expected = {key: Counter(owed) for key, owed in before.items()}
        if step == "sell" and start_h < end_h:
            made = sell(state, holder, Part(start_h, end_h, number), last)
            paid_in += last * MICROS_PER_TICK * number * (end_h - start_h)
            paid_in += -(-last * MICROS_PER_TICK * number * (end_h - start_h) * BOND_PPM // 10**6)
            assert made.holder == holder
            for h in range(start_h, end_h):
                expected[holder, h][last] += number
        elif step == "resell" and start_h < end_h and holder != last:
            number = min([number, *(before[holder, h].total() for h in range(start_h, end_h))])
            if number:
                for h in range(start_h, end_h):
                    for price in _oldest(state, holder, h, number):
                        expected[holder, h][price] -= 1
                        if last != PROVIDER:
                            expected[last, h][price] += 1
                resell(state, holder, Part(start_h, end_h, number), last)
        elif step == "hour":
            _pass_hour(state, hour)
            for each in HOLDERS:
                if (each, hour) in expected:
                    expected[each, hour] = Counter()
            hour += 1
        elif step == "fail":
            found = list(obligations.held(state, holder, BARON))[number : number + 1]
            for obligation in found:
                for h in range(obligation.start_h, obligation.end_h):
                    expected[holder, h][obligation.price_ticks] -= obligation.quantity
                obligation_hours.fail(state, obligation)
        after = {(each, h): units(state, each, h) for each in HOLDERS for h in range(START_H, START_H + HOURS)}
        assert {key: +owed for key, owed in after.items()} == {key: +owed for key, owed in expected.items()}
        _check(state, paid_in, hour)


def _oldest(state: State, holder: int, hour: int, number: int) -> list[int]:
    """The prices of so many GPUs of an hour, oldest first."""
    prices = [
        each.price_ticks
        for each in sorted(obligations.held(state, holder, BARON), key=lambda each: each.obligation_id)
        if each.start_h <= hour < each.end_h
        for _ in range(each.quantity)
    ]
    return prices[:number]


def _pass_hour(state: State, hour: int) -> None:
    """The hour is over: what ran is paid, what begins begins."""
    state.last_ts_ns = (hour + 1) * NS_PER_HOUR
    for obligation in [each for each in state.obligations.values() if each.running]:
        obligation_hours.pay(state, obligation)
    for obligation in state.obligations.values():
        if obligation.start_h == hour + 1 and not obligation.running:
            obligation_hours.begin(state, obligation)


def _check(state: State, paid_in: int, hour: int) -> None:
    live = list(state.obligations.values())
    pots = state.accounts[PROVIDER].pots
    assert pots[Pot.ESCROW] == sum(each.escrow_micros for each in live)
    assert pots[Pot.BOND] == sum(each.bond_micros for each in live)
    assert sum(sum(account.pots) for account in state.accounts.values()) == paid_in
    assert all(min(account.pots) >= 0 for account in state.accounts.values())
    assert sorted(state.obligations) == list(state.obligations)
    due = sorted((due_ns, number) for due_ns, kind, number in state.timers if kind != TimerKind.MONTH_CLOSE)
    assert due == sorted((each.due_ns, each.obligation_id) for each in live)
    for each in live:
        assert each.quantity > 0
        assert max(START_H, hour) <= each.start_h < each.end_h
        assert each.holder != each.provider
    for holder in HOLDERS:
        assert state.accounts[holder].obligations == sum(each.holder == holder for each in live)
        row = rows.row_of(state, holder, BARON)
        for h in range(max(START_H, hour), START_H + HOURS):
            assert row.grid.at(h).bought == units(state, holder, h).total()
