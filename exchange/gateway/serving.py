"""Answers one request by its endpoint: admits it, reads it, runs it once for its Idempotency-Key, writes the answer."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from exchange.gateway.auth import Access, identify, require
from exchange.gateway.endpoint import Call, Endpoint
from exchange.gateway.errors import MEDIA_TYPE, RETRY_AFTER_MS, Problem
from exchange.gateway.gateway import Gateway
from exchange.gateway.idempotency import REPLAYED_HEADER, check_same, idempotency_key, slot_of
from exchange.gateway.reading import decode_body, decode_query, read_body, refuse_body
from exchange.gateway.schema import Nothing
from exchange.registry.rows import Principal, RegistryError, Scope, Slot

_JSON: Final = "application/json"
_MS_PER_S: Final = 1000
_NO_STORE: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_UNREAD: Final = frozenset({"request_timeout", "payload_too_large", "unexpected_body"})
"""Problems after which the rest of the body may still be on its way: the connection can't be used again."""
_FIRST_ERROR_STATUS: Final = 400
_FIRST_FAULT_STATUS: Final = 500

Handler = Callable[[Request], Awaitable[Response]]


def handler(gateway: Gateway, endpoint: Endpoint[Any, Any, Any]) -> Handler:
    """The function that the route of this endpoint calls."""

    async def handle(request: Request) -> Response:
        with gateway.meter.measure(endpoint.route) as measured:
            try:
                response = await _answer(gateway, endpoint, request)
            except RegistryError as error:
                response = problem_response(registry_problem(error))
            except Problem as problem:
                response = problem_response(problem)
            measured.status = response.status_code
        return response

    return handle


def problem_response(problem: Problem) -> Response:
    """A Problem as application/problem+json, with the headers that its status asks for."""
    headers = dict(_NO_STORE)
    if problem.body.retry_after_ms is not None:
        headers["Retry-After"] = str(math.ceil(problem.body.retry_after_ms / _MS_PER_S))
    if problem.code == "unauthorized":
        headers["WWW-Authenticate"] = "Bearer"
    if problem.code in _UNREAD:
        headers["Connection"] = "close"
    return Response(msgspec.json.encode(problem.body), problem.status, headers, MEDIA_TYPE)


def registry_problem(error: RegistryError) -> Problem:
    """What the registry refused, as the problem of the same code."""
    return Problem(error.code, error.wrong, retry_after_ms=RETRY_AFTER_MS if error.code == "overloaded" else None)


async def _answer(gateway: Gateway, endpoint: Endpoint[Any, Any, Any], request: Request) -> Response:
    principal = await _admit(gateway, endpoint, request)
    query = decode_query(request, endpoint.query)
    data = await read_body(request) if endpoint.has_body else await refuse_body(request)
    key_hash = idempotency_key(request, endpoint.method)
    slot = slot_of(key_hash, principal, endpoint.route, data) if key_hash and principal and endpoint.is_once else None

    async def run() -> Response:
        longest = gateway.deps.max_term_hours
        body = decode_body(data, endpoint.body, longest) if endpoint.has_body else Nothing()
        call = Call(request=request, principal=principal, slot=slot, body=body, query=query)
        return _response(endpoint, await endpoint.run(gateway, call))

    return await run() if slot is None else await _once(gateway, endpoint, slot, run)


async def _admit(gateway: Gateway, endpoint: Endpoint[Any, Any, Any], request: Request) -> Principal | None:
    if endpoint.access is Access.PUBLIC:
        return None
    given = request.headers.getlist("authorization")
    principal = await identify(gateway.deps.registry, given[0] if len(given) == 1 else None)
    if isinstance(endpoint.access, Scope):
        require(principal, endpoint.access)
    return principal


async def _once(
    gateway: Gateway, endpoint: Endpoint[Any, Any, Any], slot: Slot, run: Callable[[], Awaitable[Response]]
) -> Response:
    registry = gateway.deps.registry
    with gateway.in_flight.hold(slot):
        first = await registry.remembered(slot)
        if first is not None:
            check_same(slot, first)
            media_type = _JSON if first.status < _FIRST_ERROR_STATUS else MEDIA_TYPE
            headers = _NO_STORE | {REPLAYED_HEADER: "true"}
            return Response(first.body, first.status, headers, media_type)
        try:
            response = await run()
        except RegistryError as error:
            response = problem_response(registry_problem(error))
        except Problem as problem:
            response = problem_response(problem)
        is_final = response.status_code < _FIRST_FAULT_STATUS
        is_secret = endpoint.makes_secret and response.status_code < _FIRST_ERROR_STATUS
        if is_final and not is_secret:
            await registry.remember(slot, response.status_code, bytes(response.body))
        return response


def _response(endpoint: Endpoint[Any, Any, Any], answer: msgspec.Struct | Response) -> Response:
    if isinstance(answer, Response):
        return answer
    return Response(msgspec.json.encode(answer), endpoint.status, _NO_STORE, _JSON)
