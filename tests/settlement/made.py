"""Commands' events made for tests of the ledger alone: transfers of every code between pots that exist.

They obey what a Transfer promises and nothing else; tests of charges and proofs run the real machine instead.
"""

from __future__ import annotations

from hypothesis import strategies as st

from engine.kinds import Pot, TransferCode
from engine.messages import EXCHANGE_ACCOUNT, Event, Rejected, Reply, Transfer
from engine.reasons import Reason
from engine.units import NS_PER_HOUR
from settlement.postings import PotKey

START_NS = 1_700_000_000_000_000_000
ACCOUNTS = (1, 2, 3)
POTS = [PotKey(account, pot) for account in ACCOUNTS for pot in (Pot.AVAILABLE, Pot.HELD, Pot.RECEIVABLE)] + [
    PotKey(EXCHANGE_ACCOUNT, pot) for pot in (Pot.FEES, Pot.CASH)
]


def transfer(debit: PotKey, credit: PotKey, amount_micros: int, code: TransferCode, ref: int = 0) -> Transfer:
    """A Transfer between two pots."""
    return Transfer(
        debit_account=debit.account,
        debit_pot=Pot(debit.pot),
        credit_account=credit.account,
        credit_pot=Pot(credit.pot),
        amount_micros=amount_micros,
        code=code,
        ref=ref,
    )


def deposit(seq: int, account: int, amount_micros: int, ts_ns: int = START_NS) -> Reply:
    """A deposit's events."""
    cash, available = PotKey(EXCHANGE_ACCOUNT, Pot.CASH), PotKey(account, Pot.AVAILABLE)
    return Reply(seq, ts_ns, (transfer(cash, available, amount_micros, TransferCode.DEPOSIT),))


REJECTED = Rejected(account=1, reason=Reason.UNKNOWN_ACCOUNT)


@st.composite
def transfers(draw: st.DrawFn) -> Transfer:
    """Any transfer between two different pots; each names what it is of, as all but deposits and withdrawals do."""
    debit, credit = draw(st.lists(st.sampled_from(POTS), min_size=2, max_size=2, unique=True))
    amount = draw(st.integers(1, 10**15))
    return transfer(debit, credit, amount, draw(st.sampled_from(TransferCode)), draw(st.integers(1, 4)))


@st.composite
def histories(draw: st.DrawFn, max_commands: int = 24) -> list[Reply]:
    """Commands in order, with gaps in their sequence, over some months; some without any money."""
    replies: list[Reply] = []
    seq, ts_ns = 0, START_NS
    for _ in range(draw(st.integers(1, max_commands))):
        seq += draw(st.integers(1, 3))
        ts_ns += draw(st.integers(0, 300 * NS_PER_HOUR))
        events: list[Event] = draw(st.lists(transfers() | st.just(REJECTED), max_size=5))
        replies.append(Reply(seq, ts_ns, tuple(events)))
    return replies
