"""What a client does when requests go wrong: what it repeats, with which key, and what it says became of them.

Faults like these can't be had from the exchange on demand, so a local HTTP server makes them.
"""

from __future__ import annotations

import socket
import threading
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from hourbook import transport
from hourbook.client import Client
from hourbook.errors import HourbookError, OutcomeUnknown, Rejected, Unreachable
from hourbook.models import Offer
from tests.clients.faulty import Answer, problem, serving

BALANCES = Answer(200, {"seq": 7, "available": "1.000000", "held": "0.000000", "escrow": "0.000000",
                        "receivable": "0.000000", "bond": "0.000000", "of_a_later_stage": {"x": 1}})  # fmt: skip
QUOTES = Answer(200, {"seq": 7, "kind": "spot", "hours": 1, "quotes": []})
CHANGED = Answer(200, {"seq": 7, "order_id": "ord_1", "instrument": "X", "status": "canceled", "price": None,
                       "quantity": None, "expire": None, "leaves_quantity": 0, "reason": None, "fills": [],
                       "leases": []})  # fmt: skip
HANG_UP = Answer()
OVERLOADED = problem("overloaded", 503, retry_after_ms=1)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "BACKOFF_S", 0.001)


def test_fields_of_a_later_exchange_are_passed_over() -> None:
    with serving(BALANCES) as server, Client(server.url, "hb_x") as client:
        assert client.balances().seq == 7
    assert server.seen[0].authorization == "Bearer hb_x"


@pytest.mark.parametrize(
    "trouble", [HANG_UP, OVERLOADED, problem("idempotency_in_flight", 409), problem("outcome_unknown", 503, "unknown")]
)
def test_a_post_is_repeated_with_the_same_idempotency_key(trouble: Answer) -> None:
    with serving(trouble, trouble, QUOTES) as server, Client(server.url) as client:
        assert client.quotes("X").seq == 7
    assert len(server.seen) == 3
    assert len({(seen.idempotency_key, seen.body) for seen in server.seen}) == 1
    assert server.seen[0].idempotency_key


def test_each_post_has_a_key_of_its_own() -> None:
    with serving(QUOTES) as server, Client(server.url) as client:
        client.quotes("X")
        client.quotes("X")
    assert server.seen[0].idempotency_key != server.seen[1].idempotency_key


def test_a_change_without_key_that_was_lost_is_not_repeated() -> None:
    with serving(HANG_UP, CHANGED) as server, Client(server.url) as client, pytest.raises(OutcomeUnknown):
        client.cancel("ord_1")
    assert len(server.seen) == 1


def test_a_change_that_was_refused_for_load_is_repeated() -> None:
    with serving(OVERLOADED, CHANGED) as server, Client(server.url) as client:
        assert client.cancel("ord_1").status == "canceled"
    assert [seen.method for seen in server.seen] == ["DELETE", "DELETE"]


@pytest.mark.parametrize(
    ("trouble", "error"),
    [
        (HANG_UP, OutcomeUnknown),
        (OVERLOADED, Rejected),
        (problem("outcome_unknown", 503, "unknown"), OutcomeUnknown),
    ],
)
def test_repeats_are_bounded_and_the_last_word_is_kept(trouble: Answer, error: type[HourbookError]) -> None:
    with serving(trouble) as server, Client(server.url) as client, pytest.raises(error) as raised:
        client.rent("X", idempotency_key="mine")
    assert type(raised.value) is error
    assert len(server.seen) == transport.ATTEMPTS
    assert {seen.idempotency_key for seen in server.seen} == {"mine"}
    if isinstance(raised.value, OutcomeUnknown):
        assert raised.value.idempotency_key == "mine"


def test_a_problem_is_told_whole_and_not_repeated() -> None:
    wrong = problem("order_closed", 409, field="order_id", order_id="ord_1", order_status="filled")
    with serving(wrong) as server, Client(server.url) as client, pytest.raises(Rejected) as raised:
        client.cancel("ord_1")
    told = raised.value
    assert (told.code, told.field, told.outcome, told.retry_after_ms) == ("order_closed", "order_id", "rejected", None)
    assert (told.problem.order_id, told.problem.order_status, told.problem.status) == ("ord_1", "filled", 409)
    assert told.detail == "It is so. Do that."
    assert str(told) == "order_closed (order_id): It is so. Do that."
    assert len(server.seen) == 1


def test_a_strangers_answer_is_a_refusal_to_a_question_and_unknown_to_a_change() -> None:
    with serving(Answer(502, b"<html>bad gateway</html>")) as server, Client(server.url) as client:
        with pytest.raises(Rejected) as raised:
            client.balances()
        assert raised.value.code == "http_502"
        with pytest.raises(OutcomeUnknown):
            client.cancel("ord_1")
    assert len(server.seen) == 2


@pytest.mark.parametrize("body", [b"not json", b'{"seq": "x"}', b"\xff"])
def test_an_answer_that_is_not_understood_is_no_success(body: bytes) -> None:
    with serving(Answer(200, body)) as server, Client(server.url) as client:
        with pytest.raises(Rejected) as raised:
            client.balances()
        assert raised.value.code == "bad_answer"
        with pytest.raises(OutcomeUnknown):
            client.rent("X")


def test_nothing_listens_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}") as client, pytest.raises(Unreachable, match="doesn't answer"):
        client.rent("X")


def test_a_silent_exchange_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Client(url, timeout_s=0.05) as client, pytest.raises(Unreachable):
            client.balances()
        with Client(url, timeout_s=0.05) as client, pytest.raises(OutcomeUnknown):
            client.end_lease("lse_1")


def test_doubt_of_an_earlier_attempt_outlives_a_later_one_that_never_arrived() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    def take_one_and_vanish() -> None:
        connection, _ = listener.accept()
        listener.close()
        connection.recv(1)
        connection.close()

    thread = threading.Thread(target=take_one_and_vanish)
    thread.start()
    with Client(url) as client, pytest.raises(OutcomeUnknown, match=r"unreachable: .*doesn't answer"):
        client.rent("X")
    thread.join()


@pytest.mark.parametrize(
    "refusal",
    [
        problem("unauthorized", 401),
        problem("missing_scope", 403),
        problem("too_many_idempotency_keys", 429),
        problem("idempotency_key_reused", 422),
        problem("duplicate_client_order_id", 422, seq=9),
        problem("overloaded", 503, retry_after_ms=1),
        problem("time_went_back", 503, seq=9),
        Answer(407, b"<html>proxy authentication required</html>"),
    ],
)
def test_a_refusal_that_knows_nothing_of_the_first_attempt_leaves_it_in_doubt(refusal: Answer) -> None:
    with serving(HANG_UP, refusal) as server, Client(server.url) as client, pytest.raises(OutcomeUnknown) as raised:
        client.place("X", "buy", 1, "1", idempotency_key="mine")
    told = raised.value
    assert (told.idempotency_key, told.code, told.outcome) == ("mine", "outcome_unknown", "unknown")
    assert told.last is not None
    assert (told.last.status, told.last.code in told.detail) == (refusal.status, True)
    assert "it may have been done" in told.detail


@pytest.mark.parametrize(
    "answer",
    [
        problem("insufficient_funds", 409, seq=9),
        Answer(409, problem("too_early_to_extend", 409, seq=9).body, (("Idempotent-Replayed", "true"),)),
        problem("idempotency_secret_shown_once", 409, made_id="key_1"),
    ],
)
def test_an_answer_for_the_key_ends_the_doubt(answer: Answer) -> None:
    with serving(HANG_UP, answer) as server, Client(server.url) as client, pytest.raises(Rejected) as raised:
        client.place("X", "buy", 1, "1")
    assert (raised.value.code, raised.value.settles) == (answer.body["code"], True)


def test_a_refusal_of_what_the_engine_knows_no_repeat_of_leaves_it_in_doubt() -> None:
    early = problem("too_early_to_extend", 409, seq=9)
    with serving(HANG_UP, early) as server, Client(server.url) as client, pytest.raises(OutcomeUnknown):
        client.extend("lse_1")
    with serving(early) as server, Client(server.url) as client, pytest.raises(Rejected) as raised:
        client.extend("lse_1")
    assert not raised.value.settles


def test_a_list_of_offers_in_doubt_stays_so_whatever_refuses_its_repeat() -> None:
    poor = problem("insufficient_funds", 409, seq=9)
    with serving(HANG_UP, poor) as server, Client(server.url) as client, pytest.raises(OutcomeUnknown) as raised:
        client.put_asks([])
    assert (raised.value.idempotency_key, [seen.method for seen in server.seen]) == ("", ["PUT", "PUT"])


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf"), Decimal("NaN"), Decimal("Infinity")])
def test_what_is_no_number_is_refused_before_anything_is_sent(wrong: Any) -> None:
    offer = Offer(baron="brn_1", instrument="X", price=Decimal(1), gpus=wrong)
    with serving(QUOTES) as server, Client(server.url) as client:
        for field, call in (
            ("display_quantity", lambda: client.place("X", "buy", 8, "1", display_quantity=wrong)),
            ("price", lambda: client.place("X", "buy", 8, str(wrong))),
            ("hours", lambda: client.rent("X", hours=wrong)),
            ("quantity", lambda: client.amend("ord_1", quantity=wrong)),
            (r"offers\[1\]\.gpus", lambda: client.put_asks([msgspec.structs.replace(offer, gpus=1), offer])),
            ("levels", lambda: client.book("X", levels=wrong)),
            ("limit", lambda: client.orders(limit=wrong)),
            ("min_seq", lambda: client.order("ord_1", min_seq=wrong)),
        ):
            with pytest.raises(ValueError, match="is not a number" if field == "price" else rf"{field} is .*no number"):
                call()
    assert server.seen == []


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> str:
    """A port where nobody listens; the environment names no proxy."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"127.0.0.1:{probe.getsockname()[1]}"


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_no_proxy_stands_before_this_machine_itself(
    monkeypatch: pytest.MonkeyPatch, nowhere: str, variable: str
) -> None:
    monkeypatch.setenv(variable, f"http://{nowhere}")
    with serving(BALANCES) as server:
        for url in (server.url, server.url.replace("127.0.0.1", "localhost")):
            with Client(url) as client:
                assert client.balances().seq == 7


def test_a_proxy_takes_requests_to_elsewhere_but_for_what_no_proxy_names(
    monkeypatch: pytest.MonkeyPatch, nowhere: str
) -> None:
    with serving(BALANCES) as server:
        monkeypatch.setenv("http_proxy", server.url.replace("http://", "http://me:secret@"))
        with Client("http://exchange.invalid") as client:
            assert client.balances().seq == 7
        assert server.seen[0].path == "http://exchange.invalid/v1/balances"
        monkeypatch.setenv("no_proxy", "invalid")
        with Client("http://exchange.invalid") as client, pytest.raises(Unreachable) as raised:
            client.balances()
    assert "proxy" not in str(raised.value)


def test_a_proxy_that_fails_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch, nowhere: str) -> None:
    monkeypatch.setenv("http_proxy", f"http://me:secret@{nowhere}")
    with Client("http://exchange.invalid") as client, pytest.raises(Unreachable) as raised:
        client.rent("X")
    assert f"exchange.invalid doesn't answer through the proxy http://{nowhere} (no_proxy" in str(raised.value)
    with serving(Answer(502, b"<html>bad gateway</html>")) as server:
        monkeypatch.setenv("http_proxy", server.url)
        with Client("http://exchange.invalid") as client, pytest.raises(Rejected) as refused:
            client.balances()
    assert f"answered 502 through the proxy {server.url} " in str(refused.value)
    with serving(HANG_UP) as server:
        monkeypatch.setenv("http_proxy", server.url)
        with Client("http://exchange.invalid") as client, pytest.raises(OutcomeUnknown) as unknown:
            client.end_lease("lse_1")
    assert f"no answer to DELETE /v1/leases/lse_1 through the proxy {server.url} " in str(unknown.value)


@pytest.mark.parametrize("price", [2.1, True])
def test_a_float_is_refused_before_anything_is_sent(price: Any) -> None:
    with serving(QUOTES) as server, Client(server.url) as client:
        for call in (lambda: client.quotes("X", max_price=price), lambda: client.place("X", "buy", 1, price)):
            with pytest.raises(TypeError, match="Decimal"):
                call()
    assert server.seen == []
