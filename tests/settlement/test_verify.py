"""The proof on a real machine's market: it holds whatever happens there, and a micro-dollar out of place is found."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kinds import EndReason, Fault, LeaseState, Pot
from engine.messages import ReportOutage, Withdraw
from engine.units import NS_PER_HOUR, NS_PER_S
from settlement.errors import LedgerError
from settlement.verify import MAX_FINDINGS, Proof, ledger_moment
from tests.settlement.market import ONDEMAND, PROVIDERS, RENTERS, SPOT, Market, refused

PASSED_NS = st.one_of(st.integers(1, 10 * NS_PER_S), st.integers(1, 5 * NS_PER_HOUR), st.just(NS_PER_HOUR))


def live_a_while(market: Market, data: st.DataObject) -> None:
    """One thing that may happen in a market, chosen by chance."""
    act = data.draw(
        st.sampled_from(
            [
                "rent",
                "rent",
                "active",
                "active",
                "quit",
                "raise",
                "extend",
                "price",
                "fail",
                "out",
                "wipe",
                "pass",
                "pass",
                "part",
            ]
        )
    )
    leases = market.unwiped() if act == "wipe" else market.live()
    if act == "rent":
        instrument = data.draw(st.sampled_from([SPOT, ONDEMAND]))
        market.rent(
            data.draw(st.sampled_from(RENTERS)),
            instrument,
            data.draw(st.integers(1, 9)),
            data.draw(st.integers(1, 6)),
            auto_extend=instrument == ONDEMAND and data.draw(st.booleans()),
        )
    elif act == "price":
        market.reprice(data.draw(st.sampled_from([19_999, 20_012, 24_007, 25_001])))
    elif act == "pass":
        market.pass_time(data.draw(PASSED_NS))
    elif act == "part":
        market.pass_time(data.draw(PASSED_NS), ticks=1)
    elif leases:
        lease = data.draw(st.sampled_from(leases))
        if act == "active":
            market.activate(lease)
        elif act == "quit":
            market.quit(lease)
        elif act == "extend":
            market.pass_time(max(0, market.machine.state.leases[lease].term_end_ns - market.now_ns - 300 * NS_PER_S))
            market.extend(lease, data.draw(st.integers(1, 3)))
        elif act == "raise":
            market.raise_price(lease, data.draw(st.integers(9_974, 30_000)))
        elif act == "wipe":
            market.wipe(lease)
        elif act == "out":
            to_ns = market.now_ns - data.draw(st.just(0) | PASSED_NS)
            market.enter(ReportOutage(lease_id=lease, from_ns=to_ns - data.draw(PASSED_NS), to_ns=to_ns))
        else:
            market.fail(lease, data.draw(st.sampled_from(Fault)), data.draw(st.just(0) | PASSED_NS))


@settings(max_examples=40)
@given(data=st.data(), max_timers=st.sampled_from([1, 2, 1_024]))
def test_the_proof_holds_after_whatever_happens(data: st.DataObject, max_timers: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        market = Market(Path(folder, "ledger.db"), max_timers)
        for _ in range(data.draw(st.integers(1, 25))):
            live_a_while(market, data)
            proof = market.prove()
            assert proof.findings == []
            assert proof.leases == len(market.leases)
            assert proof.leases_running == len(market.live())
        market.close()


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Market]:
    """A market with every kind of end behind it, one lease running in its third hour, and one not active yet."""
    made = Market(tmp_path / "ledger.db")
    made.activate(quits := made.rent(RENTERS[0], ONDEMAND, 1, 5)[0])
    made.pass_time(100 * NS_PER_S)
    made.quit(quits)
    made.activate(free := made.rent(RENTERS[0], SPOT, 1, 5)[0], late := made.rent(RENTERS[0], SPOT, 1, 50)[0])
    made.pass_time(NS_PER_HOUR // 2)
    made.fail(free, Fault.PROVIDER)
    made.activate(broke := made.rent(RENTERS[1], SPOT, 4, 50)[0])
    made.enter(Withdraw(account=RENTERS[1], amount_micros=90 * 10**6, client_id="out"))
    made.pass_time(4 * NS_PER_HOUR + 7)
    made.fail(late, Fault.PROVIDER, ago_ns=NS_PER_HOUR)
    for never in made.rent(RENTERS[0], ONDEMAND, 2, 5):
        made.fail(never, Fault.RENTER)
    made.activate(expires := made.rent(RENTERS[0], ONDEMAND, 1, 1)[0])
    made.pass_time(NS_PER_HOUR)
    for over in made.unwiped():
        made.wipe(over)
    (runs,) = made.rent(RENTERS[0], ONDEMAND, 3, 50)
    made.activate(runs, raised := made.rent(RENTERS[0], SPOT, 1, 50)[0])
    made.pass_time(NS_PER_S)
    assert not refused(made.raise_price(raised, 15_003))
    made.pass_time(2 * NS_PER_HOUR)
    made.quit(raised)
    waits = made.rent(RENTERS[0], SPOT, 1, 5)[0]
    assert made.live() == [runs, waits]
    assert {made.states[lease].reason for lease in (quits, free, late, broke, expires)} == {
        EndReason.QUIT,
        EndReason.PROVIDER_FAILED,
        EndReason.UNPAID,
        EndReason.EXPIRED,
    }
    made.post()
    yield made
    made.close()


def checks(proof: Proof) -> set[str]:
    return {finding.check for finding in proof.findings}


def test_the_market_proves_as_it_is(market: Market) -> None:
    proof = market.prove()
    assert proof.holds
    assert (proof.leases, proof.leases_running, proof.seq) == (len(market.leases), 2, market.machine.last_seq)
    assert proof.postings > 50


def test_an_extended_lease_proves_at_both_prices(market: Market) -> None:
    (lease,) = market.rent(RENTERS[0], ONDEMAND, 1, 1)
    market.activate(lease)
    market.pass_time(NS_PER_HOUR - 1_000 * NS_PER_S)
    market.reprice(24_007)
    market.pass_time(500 * NS_PER_S)
    assert not refused(market.extend(lease, 2))
    for _ in range(4):
        assert market.prove().holds
        market.pass_time(NS_PER_HOUR)
    assert market.states[lease].reason is EndReason.EXPIRED
    assert market.states[lease].charged_micros == 2_001_200 + 2 * 2_400_700
    with contextlib.closing(sqlite3.connect(market.path)) as connection, connection:
        connection.execute("update leases set term_end_ns = term_end_ns - 1 where lease_id = ?", (lease,))
        connection.execute("update lease_prices set price_ticks = 24006 where lease_id = ?", (lease,))
    assert checks(market.prove()) == {CHARGE}


def test_a_lease_under_notice_proves_and_what_it_says_is_compared(market: Market) -> None:
    (poor,) = market.rent(RENTERS[1], SPOT, 1, 50)
    market.activate(poor)
    (left,) = (amount for account, pot, amount in market.machine.balances() if (account, pot) == (RENTERS[1], 1))
    market.enter(Withdraw(account=RENTERS[1], amount_micros=left, client_id="all of it"))
    market.pass_time(NS_PER_HOUR + 60 * NS_PER_S)
    assert market.states[poor].state is LeaseState.ENDING
    assert market.prove().holds
    with contextlib.closing(sqlite3.connect(market.path)) as connection, connection:
        connection.execute("update leases set charged_micros = charged_micros + 1 where state = 4")
    assert checks(market.prove()) == {"lease says what was posted"}


SUM = "balance is the sum of its postings"
ENGINE = "ledger is engine"
ZERO = "all sums to zero"
CHARGE = "lease is charged what its dates say"

# name: (what is done to the file, :last being the last usage's position; the checks that must find it)
DAMAGE = {
    "a posting of one micro-dollar more": (
        "update postings set amount_micros = amount_micros + 1 where position = (select min(position) from postings)",
        {SUM},
    ),
    "a posting is gone": ("delete from postings where position = :last", {SUM}),
    "a balance of one micro-dollar more": (
        "update balances set amount_micros = amount_micros + 1 where account = 3 and pot = 1",
        {SUM, ENGINE, ZERO},
    ),
    "a micro-dollar moved between two balances": (
        """
        update balances set amount_micros = amount_micros + case account when 3 then 1 else -1 end
        where pot = 1 and account in (3, 4)
        """,
        {SUM, ENGINE},
    ),
    "a balance is gone": ("delete from balances where account = 0 and pot = 6", {SUM, ENGINE, ZERO}),
    "a micro-dollar of usage moved to another lease": (
        """
        update postings set amount_micros = amount_micros + case position when :last then 1 else -1 end
        where position in (:last, (
            select max(other.position) from postings other join postings last on last.position = :last
            where other.code = last.code and other.ref <> last.ref and other.debit_account = last.debit_account
            and other.credit_account = last.credit_account))
        """,
        {"lease says what was posted", CHARGE},
    ),
    "a fee posted as usage's lease never was": (
        "update postings set ref = 12345 where position = (select max(position) from postings where code = 8)",
        {"charge has a lease"},
    ),
    "a charge of two others' lease": (
        "update postings set debit_account = 4, debit_pot = 2 where position = (select min(position) from postings where code = 6)",
        {"charge belongs to a lease's parties", SUM},
    ),
    "a posting of nothing": (
        "update postings set amount_micros = 0 where position = :last",
        {"posting is balanced"},
    ),
    "a posting into itsel": (
        "update postings set credit_account = debit_account, credit_pot = debit_pot where position = :last",
        {"posting is balanced"},
    ),
    "a posting into a renter's cash": (
        "update postings set credit_pot = 8 where position = :last",
        {"posting is balanced"},
    ),
    "a posting into no pot": ("update postings set credit_pot = 99 where position = :last", {SUM}),
    "a posting from the future": (
        "update postings set position = position + (1 << 50) where position = :last",
        {"posting is balanced"},
    ),
    "a lease a second longer": (
        "update leases set ended_ns = ended_ns + 1000000000 where reason = 1",
        {CHARGE},
    ),
    "a lease that quit, as if expired": ("update leases set reason = 1 where reason = 7", {CHARGE}),
    "a lease of one GPU more": (
        "update leases set quantity = quantity + 1 where state = 3",
        {"lease is charged its full hours"},
    ),
    "a lease says another charge": (
        "update leases set charged_micros = charged_micros + 1 where reason = 6",
        {"lease says what was posted"},
    ),
    "a lease is gone": ("delete from leases where reason = 6", {"charge has a lease"}),
    "a lease in no state": ("update leases set state = 77 where reason = 6", {"lease can be read"}),
    "a lease ended for no reason": (
        "update leases set reason = 0 where reason = 6",
        {"lease ended for a reason of today"},
    ),
    "a running lease with an end": ("update leases set ended_ns = 1 where state = 3", {"running lease has no end"}),
    "a lease that ended after its notice": (
        "update leases set ends_ns = ended_ns - 1 where reason = 6",
        {"lease ends with its notice"},
    ),
    "a lease under notice that nobody gave": (
        "update leases set state = 4 where state = 3",
        {"notice has a reason", "notice has a time"},
    ),
    "a running lease with a notice's time": (
        "update leases set ends_ns = 1 where state = 3",
        {"running lease has no end"},
    ),
    "a price of a tick more": (
        "update lease_prices set price_ticks = price_ticks + 1",
        {CHARGE},
    ),
    "a price from a second later": ("update lease_prices set from_ns = from_ns + 1000000000", {CHARGE}),
    "a price is gone": ("delete from lease_prices", {CHARGE}),
    "a price of no lease": ("insert into lease_prices values (5, 1, 1)", {"price has a lease"}),
    "the position a command behind": ("update position set seq = seq - 1", {"sequence"}),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found(market: Market, name: str) -> None:
    statement, expected = DAMAGE[name]
    with contextlib.closing(sqlite3.connect(market.path)) as connection, connection:
        (last,) = connection.execute("select max(position) from postings where code = 6").fetchone()
        assert connection.execute(statement, {"last": last}).rowcount > 0
    proof = market.prove()
    assert not proof.holds
    assert expected <= checks(proof)


def test_an_engine_that_is_a_micro_dollar_off_is_found(market: Market) -> None:
    engine = market.engine()
    account, pot, amount = engine.balances[-1]
    wrong = msgspec.structs.replace(engine, balances=[*engine.balances[:-1], (account, pot, amount - 1)])
    with ledger_moment(market.path) as moment:
        assert checks(moment.prove(wrong)) == {ENGINE, ZERO}


def test_a_debt_is_found_even_where_ledger_and_engine_agree(market: Market) -> None:
    with contextlib.closing(sqlite3.connect(market.path)) as connection, connection:
        connection.execute(
            "insert into postings select position + 1000, ts_ns, 2, 0, 1000000000000, 4, 1, 0, 8 from postings"
            " where position = (select min(position) from postings)"
        )
        connection.execute(
            "update balances set amount_micros = amount_micros - 1000000000000 where account = 4 and pot = 1"
        )
        connection.execute(
            "update balances set amount_micros = amount_micros + 1000000000000 where account = 0 and pot = 8"
        )
    moved = {(4, Pot.AVAILABLE): -(10**12), (0, Pot.CASH): 10**12}
    engine = market.engine()
    agreed = [(account, pot, amount + moved.get((account, pot), 0)) for account, pot, amount in engine.balances]
    with ledger_moment(market.path) as moment:
        proof = moment.prove(msgspec.structs.replace(engine, balances=agreed))
    assert checks(proof) == {"only cash is below zero"}


def test_findings_are_kept_up_to_a_bound_and_all_counted(market: Market) -> None:
    with contextlib.closing(sqlite3.connect(market.path)) as connection, connection:
        connection.execute("update postings set amount_micros = -1")
        connection.execute("update leases set lease_id = lease_id + 1")
        connection.execute(
            "insert into balances with recursive n(i) as (select 10 union select i + 1 from n where i < 200) select i, 1, 7 from n"
        )
    proof = market.prove()
    assert len(proof.findings) == MAX_FINDINGS
    assert proof.findings_total > MAX_FINDINGS + proof.postings


def test_a_moment_stays_while_the_ledger_goes_on(market: Market) -> None:
    engine = market.engine()
    with ledger_moment(market.path) as moment:
        market.pass_time(NS_PER_HOUR)
        market.rent(RENTERS[0], SPOT, 1, 3)
        market.post()
        assert moment.prove(engine).holds
        assert not moment.prove(market.engine()).holds
    assert market.prove().holds


def test_a_stopped_exchange_can_be_proved(market: Market) -> None:
    market.close()
    before = market.path.read_bytes()
    assert market.prove().holds
    assert market.path.read_bytes() == before


def test_no_ledger_is_an_error_with_advice(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="there is no ledger"), ledger_moment(tmp_path / "none.db"):
        raise AssertionError("a ledger that isn't there was opened")


def test_a_damaged_file_is_an_error_with_advice(market: Market) -> None:
    market.close()
    market.path.write_bytes(b"\xff" * 100_000)
    with pytest.raises(LedgerError, match="can't be read"):
        market.prove()


def test_providers_get_what_renters_pay_less_fees(market: Market) -> None:
    balances = {(account, pot): amount for account, pot, amount in market.machine.balances()}
    earned = sum(balances.get((provider, Pot.RECEIVABLE), 0) for provider in PROVIDERS)
    kept = sum(balances.get((renter, pot), 0) for renter in RENTERS for pot in (Pot.AVAILABLE, Pot.HELD))
    assert earned + balances[(0, Pot.FEES)] + kept == (10_000 + 100 - 90) * 10**6
