"""Laws of postings: one for each transfer, in place, and together nothing is made or lost."""

from __future__ import annotations

from hypothesis import given

from engine.ids import INDEX_MAX, SEQ_MAX
from engine.kinds import Pot
from engine.messages import EXCHANGE_ACCOUNT, Reply, Transfer
from settlement.postings import PotKey, below_zero, first_position, net, position_of, postings, seq_of
from tests.settlement.made import histories


@given(histories())
def test_one_posting_for_each_transfer_at_its_place(history: list[Reply]) -> None:
    made = [posting for reply in history for posting in postings(reply)]
    expected = [
        (reply.seq << 16 | index, reply.ts_ns, event.amount_micros, event.code, event.ref)
        for reply in history
        for index, event in enumerate(reply.events)
        if isinstance(event, Transfer)
    ]
    assert [(each.position, each.ts_ns, each.amount_micros, each.code, each.ref) for each in made] == expected


@given(histories())
def test_net_of_any_postings_sums_to_zero(history: list[Reply]) -> None:
    changes = net(posting for reply in history for posting in postings(reply))
    assert sum(changes.values()) == 0


def test_positions_keep_the_order_of_events() -> None:
    assert position_of(1, INDEX_MAX) < position_of(2, 0) < position_of(SEQ_MAX, INDEX_MAX) < 2**63
    assert first_position(2) == position_of(2, 0)
    assert seq_of(position_of(7, 3)) == 7


def test_only_cash_may_be_below_zero() -> None:
    debt = PotKey(1, Pot.AVAILABLE)
    assert below_zero({debt: -1, PotKey(2, Pot.HELD): 0, PotKey(EXCHANGE_ACCOUNT, Pot.CASH): -1}) == [debt]
