"""Whatever is sent: a clear error of the table, never a 500, and nothing changed."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator

import pytest

from exchange.gateway.reading import MAX_BODY_BYTES
from exchange.gateway.routes import ENDPOINTS, PREFIX
from tests.exchange.gateway.floor import SKU, SPOT, Floor, Json

GOOD_RENTAL = {"sku": SKU, "kind": "spot", "gpus": 1, "hours": 1}
HUGE = int("9" * 4000)


def rental(**changes: Json) -> str:
    """A good rental with changes, as it is sent."""
    return json.dumps(GOOD_RENTAL | changes)


BAD_RENTALS: list[tuple[bytes | str, int, str, str | None]] = [
    (b"", 400, "invalid_json", None),
    (b"{", 400, "invalid_json", None),
    (b"nonsense", 400, "invalid_json", None),
    (rental() + " trailing", 400, "invalid_json", None),
    (b'{"sku": "\\ud800"}', 400, "invalid_json", None),
    (b"[" * 60_000, 400, "invalid_json", None),
    (b"[[[[", 400, "invalid_json", None),
    (b'{"gpus":' * 8_000, 400, "invalid_json", None),
    (rental(gpus="1")[:-1], 400, "invalid_json", None),
    (rental(raise_to=1) + "}", 400, "invalid_json", None),
    (rental(gpus=0)[:-1] + ', "hours": }', 400, "invalid_json", None),
    (rental(gpus=0).replace(" 0", " 00"), 400, "invalid_json", None),
    (rental()[:-1] + ', "gpus": 8}', 400, "invalid_json", "gpus"),
    (rental()[:-1] + ', "gp\\u0075s": 1}', 400, "invalid_json", "gpus"),
    (rental(gpus=0)[:-1] + ', "gpus": 1}', 422, "invalid_quantity", "gpus"),
    (rental(max_price=0.5).replace("0.5", "1e999"), 422, "invalid_price", "max_price"),
    (b"\xff\xfe", 400, "invalid_utf8", None),
    (b'{"sku": "\xff"}', 400, "invalid_utf8", None),
    (b"[]", 422, "invalid_field", None),
    (b"null", 422, "invalid_field", None),
    (b"{}", 422, "missing_field", "sku"),
    (rental(raise_to=1), 422, "unknown_field", "raise_to"),
    (rental(min_rating=101), 422, "invalid_rating", "min_rating"),
    (rental(min_rating=-1), 422, "invalid_rating", "min_rating"),
    (rental(min_rating=70.5), 422, "invalid_rating", "min_rating"),
    (rental(min_rating=71), 409, "no_liquidity", None),
    (rental(auto_extend=True), 422, "invalid_order", "auto_extend"),
    (rental(auto_extend=1), 422, "invalid_field", "auto_extend"),
    (rental(same_baron=1), 422, "invalid_field", "same_baron"),
    (rental(features=["gold"]), 422, "invalid_features", "features[0]"),
    (rental(features=["nvlink"]), 409, "no_liquidity", None),
    (rental(image="x"), 422, "unknown_field", "image"),
    (rental(gpus=0), 422, "invalid_quantity", "gpus"),
    (rental(gpus=-1), 422, "invalid_quantity", "gpus"),
    (rental(gpus=100001), 422, "invalid_quantity", "gpus"),
    (rental(gpus=HUGE), 422, "invalid_quantity", "gpus"),
    (rental(gpus=1.5), 422, "invalid_quantity", "gpus"),
    (rental(gpus="1"), 422, "invalid_quantity", "gpus"),
    (rental(gpus=True), 422, "invalid_quantity", "gpus"),
    (rental(hours=0), 422, "invalid_hours", "hours"),
    (rental(hours=745), 422, "invalid_hours", "hours"),
    (rental(max_price=2), 422, "invalid_price", "max_price"),
    (rental(max_price="2.00001"), 422, "invalid_price", "max_price"),
    (rental(max_price="0.0000"), 422, "invalid_price", "max_price"),
    (rental(max_price="-1"), 422, "invalid_price", "max_price"),
    (rental(max_price="1e2"), 422, "invalid_price", "max_price"),
    (rental(max_price="2\n"), 422, "invalid_price", "max_price"),
    (rental(max_price="1000.0001"), 422, "invalid_price", "max_price"),
    (rental(kind="fwd-2026"), 422, "invalid_field", "kind"),
    (rental(regions=[]), 422, "invalid_field", "regions"),
    (rental(regions=["us-east", "us-east"]), 422, "invalid_field", "regions"),
    (rental(regions=["mars"]), 404, "unknown_instrument", "regions[0]"),
    (rental(sku="ABACUS"), 404, "unknown_instrument", "sku"),
    (rental(ssh_keys=[]), 422, "invalid_field", "ssh_keys"),
    (rental(ssh_keys=['command="x" ssh-ed25519 AAAA']), 422, "invalid_ssh_key", "ssh_keys"),
]


async def test_a_rental_that_cant_be(exchange: Floor) -> None:
    await exchange.seller()
    renter = await exchange.renter()
    before = list(exchange.machine.balances())
    for body, status, code, field in BAD_RENTALS:
        headers = {"Content-Type": "application/json"}
        problem = await renter.refused("POST", "/rentals", content=body, headers=headers)
        found = (problem["status"], problem["code"], problem.get("field"))
        assert found == (status, code, field), body[:100]
        assert problem["outcome"] == "rejected"
    assert (await renter.get("/leases", min_seq=exchange.machine.last_seq))["leases"] == []
    assert list(exchange.machine.balances()) == before


@pytest.mark.parametrize("media_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
async def test_another_content_type(exchange: Floor, media_type: str | None) -> None:
    headers = {} if media_type is None else {"Content-Type": media_type}
    problem = await exchange.admin.refused("POST", "/accounts", content=b"{}", headers=headers)
    assert (problem["status"], problem["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("parameter", ["charset=utf-8", 'charset="UTF-8"', "x=y; Charset = utf8"])
async def test_a_content_type_may_have_parameters(exchange: Floor, parameter: str) -> None:
    body = b'{"name": "x", "scopes": ["read"]}'
    headers = {"Content-Type": f"application/JSON; {parameter}"}
    assert (await exchange.admin.ask("POST", "/accounts", content=body, headers=headers)).status_code == 201


@pytest.mark.parametrize("parameter", ["charset=utf-16", 'x=y;charset="latin-1"', "charset*=utf-16''", "charset"])
async def test_a_charset_that_json_isnt_in(exchange: Floor, parameter: str) -> None:
    body = '{"name": "x", "scopes": ["read"]}'
    headers = {"Content-Type": f"application/json; {parameter}"}
    for content in (body.encode(), body.encode("utf-16")):
        problem = await exchange.admin.refused("POST", "/accounts", content=content, headers=headers)
        assert (problem["status"], problem["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("encoding", ["gzip", "Deflate", "identity, br", "x"])
async def test_a_body_that_claims_to_be_encoded_is_refused(exchange: Floor, encoding: str) -> None:
    body = b'{"name": "x", "scopes": ["read"]}'
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    for content in (body, gzip.compress(body)):
        problem = await exchange.admin.refused("POST", "/accounts", content=content, headers=headers)
        assert (problem["status"], problem["code"]) == (415, "unsupported_media_type")
        assert "without Content-Encoding" in problem["detail"]
    plain = headers | {"Content-Encoding": "identity"}
    assert (await exchange.admin.ask("POST", "/accounts", content=body, headers=plain)).status_code == 201


async def test_a_body_that_is_too_large_declared_or_not(exchange: Floor) -> None:
    body = b'{"name": "%s", "scopes": ["read"]}'
    fits = body % (b" " * (MAX_BODY_BYTES - len(body) + 2))

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(MAX_BODY_BYTES // 1024 + 1):
            yield b" " * 1024

    headers = {"Content-Type": "application/json"}
    assert len(fits) == MAX_BODY_BYTES
    problem = await exchange.admin.refused("POST", "/accounts", content=fits, headers=headers)
    assert problem["code"] == "invalid_field"
    for content in (fits + b" ", b" " * 10_000_000, chunks()):
        problem = await exchange.admin.refused("POST", "/accounts", content=content, headers=headers)
        assert (problem["status"], problem["code"]) == (413, "payload_too_large")


async def test_a_body_where_none_belongs(exchange: Floor) -> None:
    await exchange.seller()
    renter = await exchange.renter()
    (lease,) = (await renter.post("/rentals", GOOD_RENTAL))["leases"]
    paths = [("GET", "/leases"), ("GET", f"/leases/{lease['id']}/events"), ("GET", "/instruments")]
    for method, path in [*paths, ("DELETE", f"/leases/{lease['id']}")]:
        for content in (b"{}", b"x", _chunks(b"", b"{}")):
            problem = await renter.refused(method, path, content=content)
            assert (problem["status"], problem["code"]) == (422, "unexpected_body"), (method, path)
    shown = await renter.get(f"/leases/{lease['id']}", min_seq=exchange.machine.last_seq)
    assert shown["state"] == "provisioning"
    for empty in (b"", _chunks(), _chunks(b"")):
        assert (await renter.ask("GET", "/leases", content=empty)).status_code == 200
    assert (await renter.ask("DELETE", f"/leases/{lease['id']}", content=_chunks())).status_code == 200


async def _chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


MISSING = [
    ("/leases/x", "unknown_lease"),
    ("/leases/ord_0000000000001", "unknown_lease"),
    ("/leases/lse_ZZZZZZZZZZZZZ", "unknown_lease"),
    ("/leases/lse_0000000000001/events", "unknown_lease"),
    ("/orders/lse_0000000000001", "unknown_order"),
    ("/orders/%00", "unknown_order"),
    ("/orders/by-client-id/%F0%9F%92%A9", "unknown_order"),
    ("/orders/by-client-id/none", "unknown_order"),
    ("/barons/brn_00000000000UU", "unknown_baron"),
    ("/books/nothing", "unknown_instrument"),
    ("/trades/%FF", "unknown_instrument"),
    ("/nothing", "not_found"),
    ("/orders/", "not_found"),
    ("/obligations/obl_0000000000001", "unknown_obligation"),
    ("/webhooks", "not_found"),
    ("/candles/x", "not_found"),
    ("/docs", "not_found"),
]


async def test_what_isnt_there(exchange: Floor) -> None:
    renter = await exchange.open("renter")
    for path, code in MISSING:
        problem = await renter.refused("GET", path)
        assert (problem["status"], problem["code"]) == (404, code), path


async def test_the_wrong_method_names_the_right_ones(exchange: Floor) -> None:
    response = await exchange.admin.ask("PUT", "/orders")
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    assert response.headers["allow"] == "DELETE, GET, POST"
    for endpoint in ENDPOINTS:
        path = endpoint.path.replace("{", "").replace("}", "")
        assert (await exchange.admin.ask("OPTIONS", path)).status_code == 405


BAD_PARAMETERS: list[tuple[str, str | None]] = [
    ("limit=0", "limit"),
    ("limit=201", "limit"),
    ("limit=x", "limit"),
    ("limit=1&limit=2", None),
    ("open=maybe", "open"),
    ("cursor=zzz", "cursor"),
    ("cursor=" + "9" * 100, "cursor"),
    ("min_seq=-1", "min_seq"),
    ("min_seq=" + "9" * 60, "min_seq"),
    ("page=2", "page"),
    ("%FF=1", "\ufffd"),
    ("limit", None),
    ("&".join(f"a{number}=1" for number in range(40)), None),
]


async def test_a_parameter_that_cant_be(exchange: Floor) -> None:
    renter = await exchange.open("renter")
    for query, field in BAD_PARAMETERS:
        problem = await renter.refused("GET", f"/orders?{query}")
        assert (problem["status"], problem["code"], problem.get("field")) == (422, "invalid_parameter", field), query


async def test_routes_without_parameters_take_none(exchange: Floor) -> None:
    renter = await exchange.renter()
    bid = {"instrument": SPOT, "side": "buy", "quantity": 1, "price": "1"}
    assert (await renter.refused("POST", "/orders?x=1", bid))["code"] == "invalid_parameter"
    assert (await renter.refused("GET", "/health/live?x=1"))["code"] == "invalid_parameter"
    assert (await renter.get("/orders", min_seq=exchange.machine.last_seq))["orders"] == []


async def test_a_sequence_that_isnt_there_yet(exchange: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exchange.gateway.gateway.READ_WAIT_S", 0.01)
    renter = await exchange.open("renter")
    for path in ("/orders", "/leases", "/balances", "/transfers", "/statements/2025-10", f"/books/{SPOT}"):
        response = await renter.ask("GET", path, params={"min_seq": exchange.machine.last_seq + 1000})
        assert (response.status_code, response.json()["code"]) == (503, "read_side_behind")
        assert response.json()["retry_after_ms"] > 0
        assert response.headers["retry-after"] == "1"


async def test_a_fault_of_ours_is_a_problem_too(exchange: Floor) -> None:
    @exchange.app.get(f"{PREFIX}/fault")
    async def fault() -> None:
        raise RuntimeError("a fault")

    with pytest.raises(RuntimeError, match="a fault"):
        await exchange.http.get(f"{PREFIX}/fault")
