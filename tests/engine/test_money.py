"""Accounts and the money that comes in and goes out (§9)."""

from __future__ import annotations

import pytest

from engine.kinds import Pot, TransferCode
from engine.messages import AccountOpened, AmendOrder, Command, Deposit, OpenAccount, Transfer, Withdraw
from engine.money import transfer
from engine.reasons import Reason
from engine.state import Broken
from engine.units import AMOUNT_MAX_MICROS, INT64_MAX
from tests.engine.shard import ALICE, BOB, ONDEMAND, PAT, Shard, ask, bid, only

UINT64_MAX = 2**64 - 1


def opened(account: int, maker_fee_ppm: int = 0, taker_fee_ppm: int = 0) -> OpenAccount:
    return OpenAccount(account=account, maker_fee_ppm=maker_fee_ppm, taker_fee_ppm=taker_fee_ppm)


@pytest.mark.parametrize(
    ("command", "reason", "field"),
    [
        (opened(0), Reason.ACCOUNT_EXISTS, "account"),
        (opened(-1), Reason.UNKNOWN_ACCOUNT, "account"),
        (opened(INT64_MAX + 1), Reason.UNKNOWN_ACCOUNT, "account"),
        (opened(ALICE), Reason.ACCOUNT_EXISTS, "account"),
        (opened(50, maker_fee_ppm=-1), Reason.INVALID_AMOUNT, "maker_fee_ppm"),
        (opened(50, taker_fee_ppm=1_000_001), Reason.INVALID_AMOUNT, "taker_fee_ppm"),
        (Deposit(account=99, amount_micros=1, client_id=""), Reason.UNKNOWN_ACCOUNT, "account"),
        (Deposit(account=ALICE, amount_micros=0, client_id=""), Reason.INVALID_AMOUNT, "amount_micros"),
        (Deposit(account=ALICE, amount_micros=-1, client_id=""), Reason.INVALID_AMOUNT, "amount_micros"),
        (Deposit(account=ALICE, amount_micros=UINT64_MAX, client_id=""), Reason.INVALID_AMOUNT, "amount_micros"),
        (Deposit(account=ALICE, amount_micros=1, client_id="a b"), Reason.INVALID_ORDER, "client_id"),
        (Withdraw(account=99, amount_micros=1, client_id=""), Reason.UNKNOWN_ACCOUNT, "account"),
        (Withdraw(account=ALICE, amount_micros=0, client_id=""), Reason.INVALID_AMOUNT, "amount_micros"),
        (Withdraw(account=ALICE, amount_micros=10**12, client_id=""), Reason.INSUFFICIENT_FUNDS, "amount_micros"),
        (Withdraw(account=ALICE, amount_micros=1, client_id="é"), Reason.INVALID_ORDER, "client_id"),
    ],
)
def test_what_is_refused(command: Command, reason: Reason, field: str) -> None:
    Shard().refuse(command, reason, field)


def test_opening_again_with_equal_content_is_harmless() -> None:
    shard = Shard()
    first = shard.do(opened(50, 1, 2))
    rows = shard.rows()
    assert shard.do(opened(50, 1, 2)) == first == [AccountOpened(account=50, maker_fee_ppm=1, taker_fee_ppm=2)]
    assert shard.rows() == rows


def test_money_in_and_out_moves_against_cash() -> None:
    shard = Shard(usd=0, providers_usd=0)
    (moved,) = only(shard.do(Deposit(account=ALICE, amount_micros=7, client_id="in")), Transfer)
    assert (moved.debit_pot, moved.credit_pot, moved.code) == (Pot.CASH, Pot.AVAILABLE, TransferCode.DEPOSIT)
    (moved,) = only(shard.do(Withdraw(account=ALICE, amount_micros=3, client_id="out")), Transfer)
    assert (moved.debit_pot, moved.credit_pot, moved.code) == (Pot.AVAILABLE, Pot.CASH, TransferCode.WITHDRAW)
    assert list(shard.machine.balances()) == [(0, Pot.CASH, -4), (ALICE, Pot.AVAILABLE, 4)]


def test_held_money_cannot_be_withdrawn() -> None:
    shard = Shard(usd=10)
    shard.place(bid(ALICE, 20_000, 4))
    shard.refuse(Withdraw(account=ALICE, amount_micros=2_000_000, client_id=""), Reason.INSUFFICIENT_FUNDS)


def test_an_account_and_the_whole_shard_stay_inside_their_bounds() -> None:
    shard = Shard(usd=0)
    shard.do(Deposit(account=ALICE, amount_micros=AMOUNT_MAX_MICROS, client_id=""))
    shard.refuse(Deposit(account=ALICE, amount_micros=1, client_id=""), Reason.INVALID_AMOUNT)
    shard.do(Deposit(account=BOB, amount_micros=1, client_id=""))
    for account in range(1_000, 1_091):
        shard.do(opened(account))
        shard.do(Deposit(account=account, amount_micros=AMOUNT_MAX_MICROS, client_id=""))
    shard.do(opened(2_000))
    shard.refuse(Deposit(account=2_000, amount_micros=AMOUNT_MAX_MICROS, client_id=""), Reason.INVALID_AMOUNT)
    assert -shard.auditor.pots[0, Pot.CASH] <= INT64_MAX


@pytest.mark.parametrize("amount", [-1, 10_000_000_001])
def test_a_pot_below_zero_stops_the_engine(amount: int) -> None:
    state = Shard().machine.state
    with pytest.raises(Broken):
        transfer(state, (ALICE, Pot.AVAILABLE), (BOB, Pot.AVAILABLE), amount, TransferCode.PAYOUT, 0)


def test_what_lacks_funds_is_told_what_it_needs_and_what_there_is() -> None:
    shard = Shard(usd=10, providers_usd=1)
    rejected = shard.refuse(bid(ALICE, 20_000, 5), Reason.INSUFFICIENT_FUNDS)
    assert (rejected.needed_micros, rejected.available_micros) == (10_385_001, 10_000_000)
    rejected = shard.refuse(ask(PAT, 20_000, 1, ONDEMAND), Reason.INSUFFICIENT_FUNDS)
    assert (rejected.needed_micros, rejected.available_micros) == (2_000_000, 1_000_000)
    order = shard.place(bid(ALICE, 20_000, 4))
    # What it holds itself is there for its amend.
    amend = AmendOrder(account=ALICE, order_id=order, quantity=6)
    rejected = shard.refuse(amend, Reason.INSUFFICIENT_FUNDS)
    assert (rejected.needed_micros, rejected.available_micros) == (12_462_000, 10_000_000)
    rejected = shard.refuse(bid(ALICE, 0, 5), Reason.INVALID_PRICE)
    assert (rejected.needed_micros, rejected.available_micros) == (0, 0)
