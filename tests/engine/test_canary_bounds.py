"""Canaries for accounts' limits, the kill switch and ratings: bugs put in on purpose, each of which the auditor must catch."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from engine import account_limits, book_orders, capacity, leases, machine
from engine.messages import EndLease, LeaseScheduled, LeaseWiped, SetAccountLimits, SetRating
from engine.state import Broken
from tests.engine.shard import ALICE, BARON, BOB, PAT, Shard, ask, bid, only

# What is caught here, the laws catch.
pytestmark = pytest.mark.usefixtures("law_alone")


def story() -> None:
    """Accounts with limits, one that is killed, bids that ask for a rating, and a lease that comes to its end."""
    shard = Shard()
    shard.place(ask(PAT, 20_000, 4))
    shard.place(bid(ALICE, 20_000, 1, min_rating=71))
    shard.do(SetRating(baron=BARON, rating=90))
    (lease,) = only(shard.do(bid(ALICE, 20_000, 1, min_rating=90)), LeaseScheduled)
    shard.do(EndLease(account=ALICE, lease_id=lease.lease_id))
    shard.do(LeaseWiped(lease_id=lease.lease_id))
    shard.do(SetRating(baron=BARON, rating=10))
    shard.do(ask(PAT, 20_000, 1))
    shard.do(SetAccountLimits(account=BOB, max_gpus=3, max_notional_micros=7_000_000, max_open_orders=2))
    for price, quantity in ((20_000, 4), (30_000, 3), (19_000, 1), (19_000, 1), (19_000, 1)):
        shard.apply(bid(BOB, price, quantity))
    shard.do(SetAccountLimits(account=PAT, killed=True))
    shard.apply(ask(PAT, 20_000, 1))


def nothing(*_: object) -> None:
    """Does nothing where something is needed."""


def keeps_gpus(wiped: Callable[..., None]) -> Callable[..., None]:
    """A wipe that forgets to give the account its GPUs back."""

    def faulty(state: Any, command: Any) -> None:
        renter = state.accounts[state.leases[command.lease_id].renter]
        before = renter.gpus
        wiped(state, command)
        renter.gpus = before

    return faulty


CANARIES: list[tuple[str, ModuleType, str, Callable[[Any], Any]]] = [
    ("a Baron's rating isn't told", capacity, "_tell_books", lambda _: nothing),
    ("ratings don't reach the book", book_orders, "new", lambda new: lambda *given: new(*given)._replace(min_rating=0)),
    ("limits don't bind", account_limits, "check_growth", lambda _: nothing),
    ("open orders aren't counted", account_limits, "check_entry", lambda _: nothing),
    ("the kill switch leaves orders", account_limits, "_cancel_all", lambda _: nothing),
    ("the kill switch lets orders in", account_limits, "check_alive", lambda _: nothing),
]


def test_the_story_is_lawful() -> None:
    story()


@pytest.mark.parametrize(("name", "module", "function", "bug"), CANARIES, ids=[canary[0] for canary in CANARIES])
def test_a_bug_is_caught(
    name: str, module: ModuleType, function: str, bug: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, function, bug(getattr(module, function)))
    with pytest.raises((AssertionError, Broken)):
        story()


def test_a_wipe_that_gives_no_gpus_back_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    # The machine's table has the handlers themselves.
    monkeypatch.setitem(machine._HANDLERS, LeaseWiped, keeps_gpus(leases.wiped))
    with pytest.raises(AssertionError, match="GPUs are counted"):
        story()
