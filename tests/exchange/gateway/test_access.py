"""Keys, scopes, SSH keys: who may do what, and what a key can't give."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from exchange.gateway.auth import Access
from exchange.gateway.routes import ENDPOINTS, PREFIX
from exchange.registry.rows import Scope
from tests.exchange.gateway.floor import SSH_KEY, Client, Floor, floor


async def test_every_route_asks_for_its_scope_and_no_other(exchange: Floor) -> None:
    keys = {}
    for scope in Scope:
        made = await exchange.admin.post("/accounts", {"name": scope.value, "scopes": [scope.value]})
        keys[scope] = Client(exchange.http, made["key"]["token"])
    nobody = Client(exchange.http, None)
    for endpoint in ENDPOINTS:
        path = endpoint.path.replace("{", "").replace("}", "")
        if endpoint.access is Access.PUBLIC:
            assert (await nobody.ask(endpoint.method, path)).status_code not in {401, 403}, endpoint.route
            continue
        problem = await nobody.refused(endpoint.method, path)
        assert (problem["status"], problem["code"]) == (401, "unauthorized"), endpoint.route
        for scope, client in keys.items():
            response = await client.ask(endpoint.method, path)
            refused = response.status_code == 403 and response.json()["code"] == "missing_scope"
            assert refused is (endpoint.access not in (Access.ANY_KEY, scope)), (endpoint.route, scope)


NO_KEYS = [
    "",
    "Bearer",
    "Bearer ",
    "Bearer hb_",
    "Basic eDp5",
    "Bearer hb_" + "A" * 43,
    "Bearer hb_" + "ü" * 43,
    "hb_x",
    "Bearer \xff",
]


async def test_a_header_without_a_valid_key(exchange: Floor) -> None:
    for authorization in NO_KEYS:
        headers = [(b"Authorization", authorization.encode("latin-1"))]
        response = await exchange.http.get(f"{PREFIX}/account", headers=headers)
        assert (response.status_code, response.json()["code"]) == (401, "unauthorized"), authorization
        assert response.headers["www-authenticate"] == "Bearer"


async def test_two_authorization_headers_are_none(exchange: Floor) -> None:
    headers = [("Authorization", f"Bearer {exchange.admin.token}")] * 2
    assert (await exchange.http.get(f"{PREFIX}/account", headers=headers)).status_code == 401


async def test_a_key_gives_only_what_it_holds(exchange: Floor) -> None:
    owner = await exchange.open("owner")
    me = await owner.get("/account")
    assert (me["id"], me["scopes"]) == (owner.account, ["provide", "read", "rent", "trade"])
    made = await owner.post("/keys", {"scopes": ["read"], "label": "screen", "expires_in_s": 60})
    reader = Client(exchange.http, made["token"])
    assert (await reader.refused("POST", "/keys", {"scopes": ["trade"]}))["code"] == "scope_not_held"
    assert (await reader.refused("POST", "/keys", {"scopes": ["read"], "expires_in_s": 61}))["code"] == "scope_not_held"
    assert (await reader.refused("DELETE", f"/keys/{me['key_id']}"))["code"] == "scope_not_held"
    child = await reader.post("/keys", {"scopes": ["read"]})
    assert child["expires"] == made["expires"]
    assert [key["id"] for key in (await owner.get("/keys"))["keys"]] == [me["key_id"], made["id"], child["id"]]
    assert "token" not in (await owner.get("/keys"))["keys"][1]

    exchange.clock.now_ns += 60 * 10**9
    assert (await reader.refused("GET", "/account"))["code"] == "unauthorized"
    assert [key["id"] for key in (await owner.get("/keys"))["keys"]] == [me["key_id"]]


async def test_a_revoked_key_is_dead_at_once_and_its_connections_are_told(tmp_path: Path) -> None:
    revoked: list[int] = []
    async with floor(tmp_path, lambda deps: dataclasses.replace(deps, on_key_revoked=revoked.append)) as exchange:
        owner, stranger = await exchange.open("owner"), await exchange.open("stranger")
        made = await owner.post("/keys", {"scopes": ["read"]})
        assert (await stranger.refused("DELETE", f"/keys/{made['id']}"))["code"] == "unknown_key"
        assert revoked == []
        await owner.delete(f"/keys/{made['id']}")
        assert len(revoked) == 1
        reader = Client(exchange.http, made["token"])
        assert (await reader.refused("GET", "/account"))["status"] == 401
        assert (await owner.refused("DELETE", f"/keys/{made['id']}"))["code"] == "unknown_key"


async def test_ssh_keys_are_stored_listed_and_forgotten(exchange: Floor) -> None:
    renter, stranger = await exchange.open("renter"), await exchange.open("stranger")
    made = await renter.post("/ssh-keys", {"name": "laptop", "public_key": f"  {SSH_KEY} me@home "})
    assert made["public_key"] == SSH_KEY
    assert made["fingerprint"].startswith("SHA256:")
    assert (await renter.get("/ssh-keys"))["ssh_keys"] == [made]
    problem = await renter.refused("POST", "/ssh-keys", {"name": "again", "public_key": SSH_KEY})
    assert (problem["status"], problem["code"]) == (409, "ssh_key_exists")
    assert (await stranger.get("/ssh-keys"))["ssh_keys"] == []
    assert (await stranger.refused("DELETE", f"/ssh-keys/{made['id']}"))["code"] == "unknown_ssh_key"
    await renter.delete(f"/ssh-keys/{made['id']}")
    assert (await renter.get("/ssh-keys"))["ssh_keys"] == []
    problem = await renter.refused("POST", "/ssh-keys", {"name": "bad", "public_key": "ssh-dss AAAA"})
    assert (problem["code"], problem["field"]) == ("invalid_ssh_key", "public_key")
