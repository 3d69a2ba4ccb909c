"""The proof over everything that an order may be: stops, icebergs, auctions, sets of quotes, mass cancels, features.

Settlement reads transfers and leases alone, so that what an order was must make no difference to it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kinds import Side
from engine.messages import LeaseScheduled, SetSession, Traded
from engine.records import Session
from settlement.ledger import Settlement
from settlement.verify import EngineState, Proof, ledger_moment
from tests.exchange.market_data.chance import TIGHT, run
from tests.exchange.market_data.commands import RENTERS, Exchange, ask, bid, opened

SPOT = 1
STEPS = 6
"""How often a life is proved."""


def prove(path: Path, exchange: Exchange) -> Proof:
    engine = EngineState(
        seq=exchange.replies[-1].seq,
        ts_ns=exchange.machine.last_ts_ns,
        next_due_ns=exchange.machine.next_due_ns(),
        balances=list(exchange.machine.balances()),
    )
    with ledger_moment(path) as moment:
        return moment.prove(engine)


@settings(max_examples=10)
@given(st.integers(0, 2**32))
def test_the_proof_holds_whatever_the_orders_were(seed: int) -> None:
    exchange, chance = opened(TIGHT), Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ledger.db")
        ledger = Settlement.open(path)
        for _ in range(STEPS):
            for _ in run(exchange, chance, 40):
                pass
            ledger.apply(exchange.replies)
            proof = prove(path, exchange)
            assert proof.findings == []
            events = (event for reply in exchange.replies for event in reply.events)
            assert proof.leases == sum(isinstance(event, LeaseScheduled) for event in events)
        ledger.close()


def test_in_an_auction_both_sides_pay_as_makers(tmp_path: Path) -> None:
    exchange = opened()
    exchange.apply(SetSession(instrument=SPOT, session=Session.AUCTION))
    exchange.apply(ask(SPOT, 20_000, 2))
    exchange.apply(bid(RENTERS[0], SPOT, 20_000, 2))
    cleared = exchange.apply(SetSession(instrument=SPOT, session=Session.CONTINUOUS)).events
    (trade,) = (event for event in cleared if isinstance(event, Traded))
    (lease,) = (event for event in cleared if isinstance(event, LeaseScheduled))
    assert (trade.auction, trade.taker_side) == (True, Side.BUY)
    assert (lease.renter_fee_ppm, lease.provider_fee_ppm) == (0, 0)
    ledger = Settlement.open(tmp_path / "ledger.db")
    ledger.apply(exchange.replies)
    assert prove(tmp_path / "ledger.db", exchange).findings == []
    ledger.close()
