"""Who gets a place at a crowded port, as a table and as laws."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.crowd import CROWD, SETTLED_TURNS, Place, Room, Rules, fewest, room, source

RULES = Rules(places=20, new_per_address=12, login_s=40.0, fresh_s=2.0)
NOW_S = 1_000.0


def place(address: str, age_s: float, turns: int = 1, *, reached: bool = True) -> Place:
    made = Place(address, NOW_S - age_s)
    made.reached_s = made.taken_s if reached else None
    made.flow.turns = turns
    return made


def crowd(address: str, count: int, age_s: float = 1.0, turns: int = 1, *, reached: bool = True) -> list[Place]:
    return [place(address, age_s + index / 100, turns, reached=reached) for index in range(count)]


def strangers(count: int, age_s: float, turns: int = 1) -> list[Place]:
    return [place(f"stranger-{index}", age_s + index / 100, turns) for index in range(count)]


def admits(places: list[Place], address: str) -> tuple[bool, Place | None]:
    found = room(places, address, NOW_S, RULES)
    return found.now, found.goes


def test_a_port_with_room_takes_whoever_comes_and_ends_nobody() -> None:
    assert admits([], "renter") == (True, None)
    assert admits(crowd("flood", 11) + strangers(8, 1.0), "renter") == (True, None)


@pytest.mark.parametrize("age_s", [0.0, 1.0, 39.0])
@pytest.mark.parametrize("turns", [0, 1, SETTLED_TURNS - 1])
def test_an_address_that_holds_a_crowd_makes_room_for_others_at_once(age_s: float, turns: int) -> None:
    flood = crowd("flood", 12, age_s, turns)
    others = strangers(8, 10.0, turns=0)
    now, goes = admits(flood + others, "renter")
    assert now
    assert goes is flood[-1] or age_s == 39.0, "the oldest of those who got least far"
    assert goes in flood


def test_a_crowded_address_makes_room_from_its_own_and_never_from_others() -> None:
    flood, others = crowd("flood", 12, age_s=5.0), strangers(8, age_s=30.0, turns=0)
    assert admits(flood + others, "flood") == (True, flood[-1])
    fresh = crowd("flood", 12, age_s=0.5)
    assert room(fresh + others, "flood", NOW_S, RULES) == Room(now=False, look_s=min(p.taken_s for p in fresh) + 2.0)


def test_an_address_has_its_share_of_new_connections_though_the_port_has_room() -> None:
    flood = crowd("flood", 12, age_s=5.0)
    assert admits(flood, "flood") == (True, flood[-1])
    assert admits(crowd("flood", 12, age_s=5.0, turns=SETTLED_TURNS), "flood") == (False, None)
    assert admits(crowd("renter", 12, age_s=50.0), "renter") == (True, None)


def test_among_many_addresses_the_one_that_got_least_far_goes_once_it_had_its_time() -> None:
    least = place("least", 3.0, turns=0)
    logging_in = place("renter", 20.0, turns=6)
    assert admits([least, logging_in, *strangers(18, 10.0, turns=3)], "next") == (True, least)
    assert admits(strangers(20, 0.5), "next") == (False, None)


@pytest.mark.parametrize(
    "logged_in",
    [
        pytest.param(lambda: place("renter", 60.0, turns=1), id="old"),
        pytest.param(lambda: place("renter", 0.1, turns=SETTLED_TURNS), id="busy"),
    ],
)
def test_a_logged_in_connection_is_never_ended_for_anybody(logged_in) -> None:  # type: ignore[no-untyped-def]
    places = [logged_in() for _ in range(20)]
    for address in ("renter", "stranger"):
        assert admits(places, address) == (False, None)


def test_a_dial_that_hasnt_been_answered_is_no_login_however_long_it_takes() -> None:
    waiting = crowd("flood", 20, age_s=100.0, turns=0, reached=False)
    assert admits(waiting, "renter")[0]


def test_whoever_holds_fewest_is_served_first() -> None:
    held = fewest([*crowd("flood", 3), *crowd("renter", 2, age_s=60.0)], NOW_S, RULES)
    assert [held(address) for address in ("flood", "renter", "nobody")] == [3, 0, 0]


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_a_host_is_one_address(peer: str, address: str) -> None:
    assert source(peer) == address


places = st.lists(
    st.builds(
        place,
        st.sampled_from(["a", "b", "c", "d"]),
        st.floats(0.0, 80.0),
        st.integers(0, 2 * SETTLED_TURNS),
        reached=st.booleans(),
    ),
    max_size=RULES.places,
)


@given(places, st.sampled_from(["a", "b", "c", "d", "e"]))
def test_laws(held: list[Place], address: str) -> None:
    found = room(held, address, NOW_S, RULES)
    new = [p for p in held if p.reached_s is None or NOW_S - p.reached_s < RULES.login_s]
    mine = sum(p.address == address for p in new)
    if found.goes is not None:
        goes = found.goes
        assert found.now and goes in new and goes.flow.turns < SETTLED_TURNS
        rivals = [p for p in new if p.address == goes.address and p.flow.turns < goes.flow.turns]
        assert all(NOW_S - p.taken_s < RULES.fresh_s for p in rivals), "nobody of the same address who got less far"
        if mine >= CROWD:
            assert goes.address == address
    elif found.now:
        assert len(held) < RULES.places and mine < RULES.new_per_address
    if found.look_s is not None:
        assert found.look_s > NOW_S


def test_one_renter_gets_in_and_stays_however_fast_others_come_again() -> None:
    rng = random.Random(7)
    held: list[Place] = []
    renter = place("renter", 0.0)
    for step in range(2_000):
        now_s = NOW_S + step / 100
        address = "renter" if step == 500 else f"flood-{step % 2}"
        if step == 500:
            assert len(held) == RULES.places
        found = room(held, address, now_s, RULES)
        if found.goes is not None:
            held.remove(found.goes)
        if found.now:
            comer = renter if address == "renter" else Place(address, now_s)
            comer.taken_s = comer.reached_s = now_s
            comer.flow.turns = rng.randrange(4)
            held.append(comer)
        assert step < 500 or renter in held
