"""The read models: rows are the projection of the log, whatever batches, repeats and restarts it comes in."""

from __future__ import annotations

import itertools
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kinds import LeaseState, OrderStatus
from engine.messages import Accepted, LeaseChanged, LeaseScheduled, LeaseWiped, Reply, SetCapacity, Traded
from exchange.read import schema
from exchange.read.model import ReadModel, connect
from exchange.read.projection import ReadError
from exchange.read.queries import PAGE_MAX, Queries
from tests.exchange.market_data.chance import run
from tests.exchange.market_data.commands import FAR_SPOT, PROVIDERS, RENTERS, Exchange, ask, bid, opened

TABLES = (*schema.TABLES, "offers", "position")


def dump(path: Path) -> dict[str, list[tuple[object, ...]]]:
    connection = connect(path, read_only=True)
    try:
        return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in TABLES}  # noqa: S608
    finally:
        connection.close()


def queries_of(path: Path) -> Queries:
    return Queries(connect(path, read_only=True))


@pytest.fixture
def played() -> Exchange:
    exchange = opened()
    for _ in run(exchange, Random(21), 500):
        pass
    return exchange


@settings(max_examples=15)
@given(st.integers(0, 2**32))
def test_rows_don_t_depend_on_batches_repeats_and_restarts(seed: int) -> None:
    chance = Random(seed)
    exchange = opened()
    for _ in run(exchange, chance, 150):
        pass
    with TemporaryDirectory() as folder:
        straight = ReadModel.open(Path(folder, "straight.db"))
        straight.apply(exchange.replies)
        straight.close()
        pieces = ReadModel.open(Path(folder, "pieces.db"))
        at = 0
        while at < len(exchange.replies):
            back = chance.randint(0, at)
            to = min(len(exchange.replies), at + chance.randint(1, 40))
            assert pieces.apply(exchange.replies[back:to]) == exchange.replies[to - 1].seq
            at = to
            if chance.random() < 0.3:
                pieces.close()
                pieces = ReadModel.open(Path(folder, "pieces.db"))
                assert pieces.position == exchange.replies[at - 1].seq
        pieces.close()
        assert dump(Path(folder, "pieces.db")) == dump(Path(folder, "straight.db"))


def test_rows_say_what_the_events_say(played: Exchange, tmp_path: Path) -> None:
    """Independently of the projection: sums of the trades, last states of the leases."""
    model = ReadModel.open(tmp_path / "read.db")
    model.apply(played.replies)
    queries = queries_of(model.path)
    events = [event for reply in played.replies for event in reply.events]
    filled: dict[int, int] = {}
    for event in events:
        if isinstance(event, Traded):
            for order_id in (event.maker_order_id, event.taker_order_id):
                filled[order_id] = filled.get(order_id, 0) + event.quantity
    assert filled
    for event in events:
        if isinstance(event, Accepted):
            row = queries.order(event.order_id)
            assert row is not None
            assert row.cum_quantity == filled.get(event.order_id, 0)
            assert row.account == event.account
            live = row.status in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)
            assert (row.leaves_quantity > 0) == live
            assert live is False or row.leaves_quantity == row.quantity - row.cum_quantity
            if live and row.cum_quantity:
                assert row.status is OrderStatus.PARTIALLY_FILLED
    last = {event.lease_id: event for event in events if isinstance(event, LeaseChanged)}
    scheduled = {event.lease_id: event for event in events if isinstance(event, LeaseScheduled)}
    assert last
    assert scheduled
    for lease_id, was in scheduled.items():
        lease = queries.lease(lease_id)
        assert lease is not None
        assert (lease.renter, lease.order_id, lease.quantity) == (was.renter, was.order_id, was.quantity)
        if lease_id in last:
            changed = last[lease_id]
            assert (lease.state, lease.reason, lease.charged_micros) == (
                changed.state,
                changed.reason,
                changed.charged_micros,
            )
        else:
            assert lease.state is LeaseState.PROVISIONING
    assert [row.symbol for row in queries.instruments()][:2] == [
        "H100-SXM5-80GB.us-east.spot",
        "H100-SXM5-80GB.us-east.ondemand",
    ]
    queries.close()
    model.close()


def test_lists_page_by_id_newest_first(played: Exchange, tmp_path: Path) -> None:
    model = ReadModel.open(tmp_path / "read.db")
    model.apply(played.replies)
    queries = queries_of(model.path)
    account = RENTERS[0]
    whole = queries.orders(account, False, 0, PAGE_MAX)
    assert len(whole) > 10
    assert [row.order_id for row in whole] == sorted((row.order_id for row in whole), reverse=True)
    assert {row.account for row in whole} == {account}
    paged = []
    before = 0
    while page := queries.orders(account, False, before, 3):
        paged += page
        before = page[-1].order_id
    assert paged == whole
    live = {OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED}
    assert queries.orders(account, True, 0, PAGE_MAX) == [row for row in whole if row.status in live]

    leases = queries.leases(PROVIDERS[1], True, False, 0, PAGE_MAX)
    assert leases
    assert {row.provider for row in leases} == {PROVIDERS[1]}
    ended = {LeaseState.ENDED, LeaseState.FAILED}
    assert queries.leases(PROVIDERS[1], True, True, 0, PAGE_MAX) == [row for row in leases if row.state not in ended]
    assert queries.leases(PROVIDERS[1], False, False, 0, PAGE_MAX) == []
    assert leases[0] in queries.leases_of_order(leases[0].order_id)
    assert [row.baron for row in queries.barons(PROVIDERS[2], 0, 10)] == [2]
    trades = queries.trades(1, 0, PAGE_MAX)
    assert trades
    assert queries.trades(1, trades[0].trade_id, PAGE_MAX) == trades[1:]
    queries.close()
    model.close()


def test_a_client_id_finds_its_newest_order(tmp_path: Path) -> None:
    exchange = opened()
    exchange.apply(bid(21, 1, 10_000, 1, client_order_id="mine"))
    exchange.apply(bid(22, 1, 10_000, 1, client_order_id="mine"))
    exchange.apply(bid(21, 1, 10_000, 1))
    model = ReadModel.open(tmp_path / "read.db")
    model.apply(exchange.replies)
    queries = queries_of(model.path)
    found = queries.order_by_client_id(21, "mine")
    assert found is not None
    assert found.order_id == exchange.orders[0]
    assert queries.order_by_client_id(23, "mine") is None
    assert queries.order_by_client_id(21, "") is None
    queries.close()
    model.close()


def test_a_lease_says_simulated_as_its_baron_was_when_it_was_let(tmp_path: Path) -> None:
    exchange = opened()
    exchange.apply(ask(FAR_SPOT, 10_000, 4))
    exchange.apply(bid(21, FAR_SPOT, 10_000, 1))
    exchange.apply(SetCapacity(baron=2, gpus=16, simulated=False))
    exchange.apply(bid(21, FAR_SPOT, 10_000, 1))
    model = ReadModel.open(tmp_path / "read.db")
    model.apply(exchange.replies)
    queries = queries_of(model.path)
    assert [row.simulated for row in queries.leases(21, False, False, 0, 10)] == [False, True]
    queries.close()
    model.close()


def test_trades_and_markets_say_simulated(tmp_path: Path) -> None:
    """A trade as its Baron was then; a market once such a Baron was admitted, and from then on."""
    exchange = opened()
    exchange.apply(ask(1, 10_000, 4))
    exchange.apply(bid(21, 1, 10_000, 1))
    exchange.apply(ask(FAR_SPOT, 10_000, 4))
    exchange.apply(bid(21, FAR_SPOT, 10_000, 1))
    exchange.apply(SetCapacity(baron=2, gpus=16, simulated=False))
    exchange.apply(bid(21, FAR_SPOT, 10_000, 1))
    model = ReadModel.open(tmp_path / "read.db")
    # One command a transaction: what is marked must be found in the file as well as in the batch.
    for reply in exchange.replies:
        model.apply([reply])
    queries = queries_of(model.path)
    assert [row.simulated for row in queries.trades(1, 0, 10)] == [False]
    assert [row.simulated for row in queries.trades(FAR_SPOT, 0, 10)] == [False, True]
    assert [row.simulated for row in queries.instruments()] == 31 * [False] + 31 * [True]
    queries.close()
    model.close()


def test_each_list_is_answered_from_an_index(tmp_path: Path) -> None:
    """No question of a page may look at the whole table, nor sort it."""
    model = ReadModel.open(tmp_path / "read.db")
    connection = connect(model.path, read_only=True)
    asked: list[str] = []

    def explain(_cursor: apsw.Cursor, statement: str, bindings: object) -> bool:
        asked.append(statement)
        return True

    queries = Queries(connection)
    connection.exec_trace = explain
    queries.orders(1, False, 0, 10)
    queries.orders(1, True, 0, 10)
    queries.order(1)
    queries.order_by_client_id(1, "x")
    queries.trades(1, 0, 10)
    queries.lease(1)
    for as_provider, open_only in itertools.product((False, True), repeat=2):
        queries.leases(1, as_provider, open_only, 0, 10)
    queries.leases_of_order(1)
    queries.baron(1)
    queries.barons(1, 0, 10)
    queries.offers(1)
    queries.offer_asks(1)
    connection.exec_trace = None
    assert len(asked) == 15
    for statement in asked:
        nothing = (0,) * statement.count("?")
        plan = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", nothing)]
        assert plan
        assert all(step.startswith("SEARCH") for step in plan), (statement, plan)
    connection.close()
    model.close()


def test_a_batch_that_goes_back_halts_and_changes_nothing(played: Exchange, tmp_path: Path) -> None:
    model = ReadModel.open(tmp_path / "read.db")
    model.apply(played.replies[:50])
    before = dump(model.path)
    swapped = [played.replies[51], played.replies[50]]
    with pytest.raises(ReadError, match="goes back"):
        model.apply(swapped)
    with pytest.raises(ReadError, match="goes back"):
        model.apply([played.replies[51], played.replies[51]])
    assert dump(model.path) == before
    assert model.position == played.replies[49].seq
    model.close()


def test_an_event_of_what_is_missing_halts_and_changes_nothing(tmp_path: Path) -> None:
    exchange = opened()
    exchange.apply(ask(1, 10_000, 4))
    skipped = len(exchange.replies)
    exchange.apply(bid(21, 1, 10_000, 1))
    exchange.apply(LeaseWiped(lease_id=exchange.leases[0]))
    model = ReadModel.open(tmp_path / "read.db")
    model.apply(exchange.replies[: skipped - 1])
    before = dump(model.path)
    with pytest.raises(ReadError, match="missed a part of the log"):
        model.apply(exchange.replies[skipped:])
    assert dump(model.path) == before
    model.apply(exchange.replies[skipped - 1 :])
    model.close()


def test_two_writers_on_one_file_halt_the_second(played: Exchange, tmp_path: Path) -> None:
    first = ReadModel.open(tmp_path / "read.db")
    second = ReadModel.open(tmp_path / "read.db")
    first.apply(played.replies[:10])
    with pytest.raises(ReadError, match="another process"):
        second.apply(played.replies[:12])
    assert second.position == 0
    first.apply(played.replies[:20])
    first.close()
    second.close()


def rebuilt(path: Path, replies: list[Reply], warnings: pytest.LogCaptureFixture) -> None:
    model = ReadModel.open(path)
    assert "set aside" in warnings.text
    assert model.position == 0
    model.apply(replies)
    assert model.position == replies[-1].seq
    model.close()
    assert path.with_name(path.name + ".old").exists()


def test_a_file_that_is_no_database_is_set_aside(
    played: Exchange, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "read.db"
    path.write_bytes(b"\x00\xff" * 8_192)
    rebuilt(path, played.replies, caplog)


def test_an_older_schema_is_set_aside(played: Exchange, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "read.db"
    ReadModel.open(path).close()
    connection = connect(path, read_only=False)
    connection.pragma("user_version", schema.FINGERPRINT ^ 1)
    connection.close()
    rebuilt(path, played.replies, caplog)


def test_damage_met_while_writing_halts_and_the_next_start_is_whole(
    played: Exchange, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "read.db"
    model = ReadModel.open(path)
    model.apply(played.replies[:200])
    model.close()
    connection = connect(path, read_only=True)
    root = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'orders'").get
    size = connection.pragma("page_size")
    connection.close()
    assert isinstance(root, int)
    assert isinstance(size, int)
    data = bytearray(path.read_bytes())
    data[(root - 1) * size : root * size] = b"\xa5" * size
    path.write_bytes(data)
    damaged = ReadModel.open(path)
    with pytest.raises(ReadError, match="start again"):
        damaged.apply(played.replies[200:])
    whole = ReadModel.open(path)
    assert whole.position == 0
    whole.apply(played.replies)
    assert whole.position == played.replies[-1].seq
    whole.close()


def test_somebody_elses_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "read.db"
    other = apsw.Connection(str(path))
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(ReadError, match="something else"):
        ReadModel.open(path)
    other = apsw.Connection(str(path))
    assert other.execute("SELECT count(*) FROM theirs").get == 0
    other.close()
