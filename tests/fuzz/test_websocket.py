"""The WebSockets' requests made up: whatever is sent, each is answered once, by its result or by an error of the table.

Requests are mostly right, so that they get far, with one or a few things wrong in them: a field left out, of another
type, huge, nested, unknown, given twice; and some are no requests at all. The connection outlives all of it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from engine.ids import format_id, make_id
from exchange.gateway.errors import TABLE
from exchange.gateway.schema import (
    FeatureName,
    OrderTypeName,
    SelfTradeName,
    SideName,
    TimeInForceName,
)
from exchange.gateway.ws import asyncapi
from exchange.gateway.ws.messages import MARKET_OPS, MAX_MESSAGE_BYTES, TRADE_OPS
from tests.exchange.gateway.floor import ONDEMAND, SPOT
from tests.fuzz.conftest import Traded

EXAMPLES: Final = 320
REQUESTS: Final = 20
"""Of one connection, at most: all of an example together are fewer than may be under way."""
ANSWER_S: Final = 30.0
LAST: Final = "the last one"
OUT: Final = (
    '{"id": 1, "op": "session.logout", "params": {}}',
    '{"id": 2, "op": "orders.cancel_all", "params": {}}',
)
"""Chance seldom logs out and goes on."""

Json = Any

names = st.sampled_from(["a", "b", "c"])
prices = st.sampled_from(["1.8", "1.9", "1.9000", "2", "2.0000", "2.1", "2.1000", "0.0001", "1000.0000"])
gpus = st.one_of(st.integers(1, 16), st.sampled_from([64, 100, 100_000]))
hours = st.integers(1, 48)
symbols = st.sampled_from([SPOT, SPOT, ONDEMAND])
BARON: Final = "brn_of_the_trader"
ORDER_ID: Final = "ord_of_the_trader"
"""They stand for ids that are known when a test runs."""
barons = st.just(BARON)
order_ids = st.integers(1, 400).map(lambda seq: format_id("ord", make_id(0, seq, 0)))
times_us = st.sampled_from([1, 1_900_000_000_000_000, 2**53, 9_000_000_000_000_000])


def choice(kind: Any) -> st.SearchStrategy[str]:
    return st.sampled_from(kind.__args__)


ORDER: Final = {
    "stop_price": prices,
    "time_in_force": choice(TimeInForceName),
    "type": choice(OrderTypeName),
    "expire_us": times_us,
    "post_only": st.booleans(),
    "min_quantity": gpus,
    "display_quantity": gpus,
    "stp": choice(SelfTradeName),
    "client_order_id": names,
    "hours": hours,
    "features": st.lists(choice(FeatureName), max_size=4),
    "same_baron": st.booleans(),
    "lot": st.integers(1, 8),
    "min_hours": hours,
    "max_hours": hours,
    "tag": names,
}
bids = st.fixed_dictionaries({"instrument": symbols, "side": st.just("buy"), "quantity": gpus, "price": prices})
asks = st.fixed_dictionaries(
    {"instrument": symbols, "side": st.just("sell"), "quantity": gpus, "price": prices, "baron": barons}
)
# A few of the fields at a time: with all of them at once nearly every order contradicts itself.
some = st.lists(st.sampled_from(sorted(ORDER)), max_size=2, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: ORDER[name] for name in names})
)
named_at_times: st.SearchStrategy[dict[str, str]] = st.one_of(
    st.just({}), st.fixed_dictionaries({"client_order_id": names})
)
terms = st.builds(lambda must, may, name: must | may | name, st.one_of(bids, asks), some, named_at_times)
quotes = st.one_of(bids, asks, st.builds(lambda ask, most: ask | {"max_hours": most}, asks, hours))
named = st.one_of(
    *[st.fixed_dictionaries({"client_order_id": names})] * 2,
    *[st.fixed_dictionaries({"order_id": st.just(ORDER_ID)})] * 2,
    st.fixed_dictionaries({"order_id": order_ids}),
    st.fixed_dictionaries({}, optional={"client_order_id": names, "order_id": order_ids}),
)
channels = st.sampled_from(
    ["orders", "fills", "leases", "instruments", "heartbeat", f"book.{SPOT}", f"trades.{ONDEMAND}", "book", "balances"]
)
subscriptions = st.one_of(
    *[st.fixed_dictionaries({"ch": channels})] * 3,
    st.fixed_dictionaries({"ch": channels, "from_seq": st.integers(-1, 2**70)}),
)
PARAMS: Final[dict[str, st.SearchStrategy[dict[str, Json]]]] = {
    "order.place": terms,
    "order.amend": st.builds(
        lambda which, what: which | what,
        named,
        st.one_of(
            st.fixed_dictionaries({"quantity": gpus}),
            st.fixed_dictionaries({}, optional={"price": prices, "quantity": gpus, "expire_us": times_us}),
        ),
    ),
    "order.cancel": named,
    "orders.cancel_all": st.fixed_dictionaries(
        {}, optional={"instrument": symbols, "side": choice(SideName), "tag": names}
    ),
    "cancel_all_after": st.fixed_dictionaries({"after_ms": st.sampled_from([0, 0, 1, 60_000, 86_400_000, 86_400_001])}),
    "quotes.set": st.fixed_dictionaries(
        {"name": names, "quotes": st.lists(quotes, max_size=4)}, optional={"max_fills": st.integers(1, 3)}
    ),
    "session.logout": st.just({}),
    "subscribe": subscriptions,
    "unsubscribe": subscriptions,
}

junk = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.sampled_from([-1, 0, 2**31, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**30, 10**400]),
        st.floats(),
        st.sampled_from(
            ["", "NaN", "1e3", "-1", "0.00001", "1_000", "１", "\ud800", "\x00", "ord_", "hb_", "a" * 5_000]
        ),
        st.text(max_size=12),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=8,
)


@st.composite
def spoilt(draw: st.DrawFn, value: Json) -> Json:
    """The same with one thing wrong, somewhere inside."""
    if isinstance(value, dict):
        what = draw(st.sampled_from(["change", "change", "leave out", "add", "replace"]))
        if what == "add" or not value:
            return value | {
                draw(st.sampled_from(["min_rating", "reduce_only", "deadline_us", "x", "", "__proto__"])): draw(junk)
            }
        if what == "replace":
            return draw(junk)
        name = draw(st.sampled_from(sorted(value)))
        if what == "leave out":
            return {other: kept for other, kept in value.items() if other != name}
        return value | {name: draw(spoilt(value[name]))}
    if isinstance(value, list) and value:
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], draw(spoilt(value[place])), *value[place + 1 :]]
    return draw(junk)


NESTED: Final = [
    start * times for start in ("[", '{"a":', '{"id":1,"op":"order.place","params":[') for times in (2, 1_700)
]
ODD: Final = [
    '{"id":1,"id":2,"op":"subscribe","params":{"ch":"orders"}}',
    '{"id":1,"op":"order.cancel","params":{"client_order_id":"a","client_order_id":"b"}}',
    '{"id":1,"op":"cancel_all_after","params":{"after_ms":NaN}}',
    '{"id":1,"op":"cancel_all_after","params":{"after_ms":1e400}}',
    '{"id":1.5,"op":"subscribe","params":null}',
]


@st.composite
def texts(draw: st.DrawFn, ops: dict[str, Any]) -> str:
    """One message: as often as not a right request, else one with something wrong in it, or none at all."""
    chance = draw(st.integers(0, 99))
    if chance >= 93:
        return draw(st.one_of(st.sampled_from(NESTED), st.sampled_from(ODD), st.text(max_size=40)))
    # A logout ends what a connection can do, so it is rare.
    op = (
        "session.logout"
        if chance == 50 and "session.logout" in ops
        else draw(st.sampled_from([op for op in ops if op != "session.logout"]))
    )
    whole: Json = {"id": draw(st.integers(0, 10**6)), "op": op, "params": draw(PARAMS.get(op, st.just({})))}
    if chance >= 60:
        for _ in range(draw(st.integers(1, 3))):
            if isinstance(whole, dict) and "params" in whole and draw(st.integers(0, 5)):
                whole["params"] = draw(spoilt(whole["params"]))
            else:
                whole = draw(spoilt(whole))
    text = json.dumps(whole)
    if chance >= 89:
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.sampled_from(["", "}", ",", '"', "\x00", "é", "\ufeff"])) + text[at + 1 :]
    return text


class Answer(msgspec.Struct, forbid_unknown_fields=True):
    """A reply as the document says it: one of `result` and `error`."""

    id: str | int | None
    status: int
    in_us: int
    out_us: int
    result: Json = msgspec.UNSET
    error: Json = msgspec.UNSET
    seq: int | msgspec.UnsetType = msgspec.UNSET


@contextmanager
def dialed(traded: Traded, door: str) -> Iterator[ClientConnection]:
    headers = {"Authorization": f"Bearer {traded.token}"} if door == "trade" else {}
    query = "?cancel_on_disconnect=true" if door == "trade" else ""
    address = f"{traded.url}/{door}{query}"
    with connect(address, additional_headers=headers, proxy=None, max_size=None) as connection:
        yield connection


def placed(connection: ClientConnection) -> str:
    """An order that rests, to be amended and cancelled; its id."""
    order = {"instrument": SPOT, "side": "buy", "quantity": 4, "price": "1.8000"}
    connection.send(json.dumps({"id": 0, "op": "order.place", "params": order}))
    return str(json.loads(connection.recv(ANSWER_S))["result"]["order_id"])


def subscribed(connection: ClientConnection, channel: str) -> None:
    """A channel to leave."""
    connection.send(json.dumps({"id": 0, "op": "subscribe", "params": {"ch": channel}}))
    while "ch" in (message := json.loads(connection.recv(ANSWER_S))):
        pass
    assert message["result"]["subscribed"]


def answers(connection: ClientConnection, sent: list[str]) -> list[Answer]:
    """The answers to what was sent; each has one, and the connection takes one more request after them."""
    for text in sent:
        connection.send(text)
    found: list[Answer] = []
    while len(found) < len(sent):
        message = json.loads(connection.recv(ANSWER_S))
        if "ch" not in message:
            found.append(msgspec.convert(message, Answer))
    connection.send(json.dumps({"id": LAST, "op": "unsubscribe", "params": {"ch": "no channel"}}))
    while True:
        message = json.loads(connection.recv(ANSWER_S))
        if "ch" not in message:
            assert message["id"] == LAST, f"more answers than requests: {message}"
            return found


def check(answer: Answer) -> None:
    """An answer is a result, or a problem of the table with what was wrong and what to do."""
    if answer.status == 200:
        assert answer.error is msgspec.UNSET
        assert answer.result is not msgspec.UNSET
        return
    assert answer.result is msgspec.UNSET
    problem = answer.error
    assert problem["code"] != "internal", problem
    status, _ = TABLE[problem["code"]]
    assert (problem["status"], answer.status) == (status, status)
    assert problem["outcome"] == "rejected", problem
    assert re.fullmatch(r".+\. [A-Z].+\.", problem["detail"], re.DOTALL), problem
    assert len(problem["detail"]) < 2_000, "what is echoed is cut"


def check_results(sent: list[str], found: list[Answer]) -> Iterator[str]:
    """What was done has the result that the document states for its op, which is given; of one id it may be any's."""
    ops: dict[Json, set[str]] = {}
    for text in sent:
        try:
            request = json.loads(text)
            ops.setdefault(request["id"], set()).add(request["op"])
        except (ValueError, TypeError, KeyError, RecursionError):
            continue
    for answer in found:
        if answer.status == 200 and len(ops[answer.id]) == 1:
            (op,) = ops[answer.id]
            assert msgspec.to_builtins(msgspec.convert(answer.result, asyncapi.RESULTS[op])) == answer.result
            yield op


FUZZ: Final = settings(max_examples=EXAMPLES, derandomize=True, suppress_health_check=list(HealthCheck))


def test_whatever_a_trader_sends_is_answered(traded: Traded) -> None:
    seen = fuzz(traded, "trade", TRADE_OPS, OUT)
    # It is worth nothing unless it gets past the form: each op was done, and the market refused for its own reasons.
    assert seen.keys() >= TRADE_OPS.keys()
    assert seen.keys() >= {"unknown_order", "order_closed", "invalid_expiry", "invalid_order", "invalid_hours"}
    assert seen.keys() >= {"duplicate_client_order_id", "logged_out", "unknown_channel", "not_subscribed"}


def test_whatever_a_reader_sends_is_answered(traded: Traded) -> None:
    seen = fuzz(traded, "market", MARKET_OPS)
    assert seen.keys() >= {*MARKET_OPS, "unknown_channel", "not_subscribed", "unknown_field", "invalid_json"}


def fuzz(traded: Traded, door: str, ops: dict[str, Any], always: tuple[str, ...] = ()) -> Counter[str]:
    """Send made-up requests by many connections, and some `always`; which ops were done how often, and which codes came."""
    seen: Counter[str] = Counter()

    @given(sent=st.lists(texts(ops), min_size=1, max_size=REQUESTS))
    @example(sent=list(always))
    @FUZZ
    def one(sent: list[str]) -> None:
        before = len(traded.complaints)
        with dialed(traded, door) as connection:
            order_id = placed(connection) if door == "trade" else ORDER_ID
            subscribed(connection, "orders" if door == "trade" else f"book.{SPOT}")
            sent = [text.replace(BARON, traded.baron).replace(ORDER_ID, order_id) for text in sent]
            found = answers(connection, sent)
        for answer in found:
            check(answer)
            if answer.status != 200:
                seen[answer.error["code"]] += 1
        seen.update(check_results(sent, found))
        assert traded.complaints[before:] == []

    one()
    # Shown with a failure.
    print(f"{door}: {seen.most_common()}")
    return seen


def drain(connection: ClientConnection) -> None:
    while True:
        connection.recv(ANSWER_S)


@pytest.mark.parametrize("door", ["trade", "market"])
@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (msgspec.msgpack.encode({"id": 1, "op": "subscribe", "params": {"ch": "orders"}}), 1003),
        (b"", 1003),
        (b"\xff" * 64, 1003),
        ("x" * (MAX_MESSAGE_BYTES + 1), 1009),
        ("é" * (MAX_MESSAGE_BYTES // 2 + 1), 1009),
    ],
)
def test_what_is_no_text_of_ours_ends_the_connection(traded: Traded, door: str, frame: bytes | str, code: int) -> None:
    before = len(traded.complaints)
    with dialed(traded, door) as connection:
        connection.send(frame)
        with pytest.raises(ConnectionClosed) as ended:
            drain(connection)
        assert ended.value.rcvd is not None and ended.value.rcvd.code == code
    assert traded.complaints[before:] == []
