"""Postings: what the events of one command mean for the book of record (rulebook §9).

A Transfer is a posting, one debit and one credit of the same amount, so that no posting can be out of balance. Pure
functions of events: this room knows neither the database nor why money moved, and it interprets nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from engine.ids import INDEX_MAX, make_id
from engine.kinds import Pot, TransferCode
from engine.messages import Reply, Transfer

INDEX_BITS: Final = INDEX_MAX.bit_length()
"""A position is seq << 16 | index: the ids' own layout, less the shard."""
CHARGE_CODES: Final = (TransferCode.USAGE, TransferCode.FEE, TransferCode.REFUND)
"""What a lease costs and earns; their `ref` is the lease."""

CLOSE_CODES: Final = (TransferCode.PENALTY, TransferCode.PAYOUT)
"""What a lease's failure or its month's close moves; their `ref` is the lease."""


class PotKey(NamedTuple):
    """One pot of one account; the exchange's own account is 0. `pot` is a Pot's number: what a damaged file holds may not be."""

    account: int
    pot: int


class Posting(NamedTuple):
    """`amount_micros` (more than 0) out of the debit pot into the credit pot; field names are the table's columns."""

    position: int
    ts_ns: int
    code: TransferCode
    ref: int
    amount_micros: int
    debit_account: int
    debit_pot: Pot
    credit_account: int
    credit_pot: Pot


def position_of(seq: int, index: int) -> int:
    """The sortable number of event `index` of command `seq`; ValueError when either is out of its range."""
    return make_id(0, seq, index)


def first_position(seq: int) -> int:
    """The smallest position that command `seq` can have."""
    return seq << INDEX_BITS


def seq_of(position: int) -> int:
    """The command that a position belongs to."""
    return position >> INDEX_BITS


def postings(reply: Reply) -> list[Posting]:
    """The postings of one command, in the order of its events; their index counts all of its events."""
    return [
        Posting(
            position_of(reply.seq, index),
            reply.ts_ns,
            event.code,
            event.ref,
            event.amount_micros,
            event.debit_account,
            event.debit_pot,
            event.credit_account,
            event.credit_pot,
        )
        for index, event in enumerate(reply.events)
        if isinstance(event, Transfer)
    ]


def net(made: Iterable[Posting]) -> dict[PotKey, int]:
    """What postings change in each pot they touch, in micro-dollars: credits less debits."""
    changes: dict[PotKey, int] = {}
    for posting in made:
        debit = PotKey(posting.debit_account, posting.debit_pot)
        credit = PotKey(posting.credit_account, posting.credit_pot)
        changes[debit] = changes.get(debit, 0) - posting.amount_micros
        changes[credit] = changes.get(credit, 0) + posting.amount_micros
    return changes


def below_zero(balances: Mapping[PotKey, int]) -> list[PotKey]:
    """The pots below zero that may not be: all but the exchange's `cash` (§9)."""
    return [key for key, amount in balances.items() if amount < 0 and key.pot != Pot.CASH]
