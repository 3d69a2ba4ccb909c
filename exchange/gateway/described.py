"""What the OpenAPI 3.1 document says of each route: derived from the routes' table and the structs, never written twice.

The application carries it with its routes; `exchange.gateway.openapi` writes the whole down.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

import msgspec

from exchange.gateway import errors
from exchange.gateway.auth import Access
from exchange.gateway.endpoint import PATH_IDS, Endpoint
from exchange.gateway.idempotency import HEADER, KEY_PATTERN
from exchange.gateway.routes import ENDPOINTS
from exchange.gateway.schema import Since
from exchange.registry.rows import Scope

API_VERSION: Final = "1"
TITLE: Final = "hourbook"
RULEBOOK: Final = '"(rulebook §8)" is section §8 of docs/market.md.'
DESCRIPTION: Final = f"An exchange for GPU-hours. {RULEBOOK} The codes of errors are in docs/errors.md."

_REF: Final = "#/components/schemas/{name}"
_PATH_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_S: Final = HTTPStatus
_PATH_PATTERNS: Final = {"client_order_id": "^[A-Za-z0-9_-]{1,36}$", "month": "^[0-9]{4}-(0[1-9]|1[0-2])$"}
_ONCE: Final = "The request is done once: for 24 hours a repeat gets the first answer again. Other methods take none."
_ANEW: Final = "Makes no difference here: the request changes nothing, so a repeat is answered anew."

# What an engine may answer to any command, and what reading one takes.
_BODY_PROBLEMS: Final = (
    _S.BAD_REQUEST,
    _S.REQUEST_TIMEOUT,
    _S.REQUEST_ENTITY_TOO_LARGE,
    _S.UNSUPPORTED_MEDIA_TYPE,
)
_WRITE_PROBLEMS: Final = (_S.FORBIDDEN, _S.NOT_FOUND, _S.CONFLICT, _S.SERVICE_UNAVAILABLE)


def operation(endpoint: Endpoint[Any, Any, Any]) -> dict[str, Any]:
    """The operation object of a route, as FastAPI's `openapi_extra`."""
    described: dict[str, Any] = {
        "summary": endpoint.summary,
        "parameters": [*_path_parameters(endpoint), *_query_parameters(endpoint), *_header_parameters(endpoint)],
        "responses": {str(endpoint.status): _success(endpoint)}
        | {str(int(status)): _problem(status) for status in sorted(problem_statuses(endpoint))},
        "security": [] if endpoint.access is Access.PUBLIC else [{"key": []}],
    }
    if isinstance(endpoint.access, Scope):
        described["description"] = f"Scope: `{endpoint.access.value}`."
    if endpoint.has_body:
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": _REF.format(name=endpoint.body.__name__)}}},
        }
    return described


def operation_id(endpoint: Endpoint[Any, Any, Any]) -> str:
    """For example `get_leases_lease_id`."""
    return "_".join([endpoint.method.lower(), *re.findall(r"[a-z]+", endpoint.path)])


def problem_statuses(endpoint: Endpoint[Any, Any, Any]) -> set[HTTPStatus]:
    """Each status that this route may refuse with; 500 is not among them, for no input leads there."""
    statuses = {_S.UNPROCESSABLE_ENTITY}
    if endpoint.access is not Access.PUBLIC:
        statuses.add(_S.UNAUTHORIZED)
    if isinstance(endpoint.access, Scope):
        statuses.add(_S.FORBIDDEN)
    if endpoint.has_body:
        statuses.update(_BODY_PROBLEMS)
    if endpoint.method != "GET":
        statuses.update(_WRITE_PROBLEMS)
    if endpoint.is_once:
        statuses.add(_S.TOO_MANY_REQUESTS)
    if "{" in endpoint.path:
        statuses.add(_S.NOT_FOUND)
    if issubclass(endpoint.query, Since) or "min_seq" in _fields(endpoint) or endpoint.path.startswith("/health/ready"):
        statuses.add(_S.SERVICE_UNAVAILABLE)
    if endpoint.media_type == "text/event-stream":
        statuses.add(_S.SERVICE_UNAVAILABLE)
    return statuses


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """Add to FastAPI's document what it can't know: our structs, and how keys are sent."""
    kinds: set[type[msgspec.Struct]] = {errors.ProblemBody}
    for endpoint in ENDPOINTS:
        kinds.update([endpoint.body] if endpoint.has_body else [])
        kinds.update([endpoint.answer] if endpoint.media_type != "text/plain" else [])
    _, schemas = msgspec.json.schema_components(sorted(kinds, key=lambda kind: kind.__name__), ref_template=_REF)
    document["components"] = {
        "schemas": dict(sorted(schemas.items())),
        "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "An API key, `hb_...`."}},
    }
    return document


def _success(endpoint: Endpoint[Any, Any, Any]) -> dict[str, Any]:
    ref = {"$ref": _REF.format(name=endpoint.answer.__name__)}
    schema = {"application/json": ref, "text/event-stream": _event_of(ref)}.get(endpoint.media_type, {"type": "string"})
    return {"description": HTTPStatus(endpoint.status).phrase, "content": {endpoint.media_type: {"schema": schema}}}


def _event_of(data: dict[str, Any]) -> dict[str, Any]:
    """One server-sent event of a stream; OpenAPI 3.1 has no word for the stream itself."""
    text = {"type": "string"}
    fields = {"event": text, "id": text, "data": text | {"contentMediaType": "application/json", "contentSchema": data}}
    return {"type": "object", "description": "Each event of the stream.", "properties": fields, "required": ["data"]}


def _problem(status: HTTPStatus) -> dict[str, Any]:
    schema = {"$ref": _REF.format(name=errors.ProblemBody.__name__)}
    return {"description": status.phrase, "content": {errors.MEDIA_TYPE: {"schema": schema}}}


def _path_parameters(endpoint: Endpoint[Any, Any, Any]) -> Iterable[dict[str, Any]]:
    for name in _PATH_PARAMETER.findall(endpoint.path):
        pattern = f"^{PATH_IDS[name][0]}_[0-9A-HJKMNP-TV-Z]{{13}}$" if name in PATH_IDS else _PATH_PATTERNS.get(name)
        schema = {"type": "string", "minLength": 1} | ({"pattern": pattern} if pattern else {})
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _fields(endpoint: Endpoint[Any, Any, Any]) -> dict[str, Any]:
    schema = msgspec.json.schema(endpoint.query)
    fields: dict[str, Any] = schema["$defs"][endpoint.query.__name__]["properties"]
    return fields


def _query_parameters(endpoint: Endpoint[Any, Any, Any]) -> Iterable[dict[str, Any]]:
    for name, schema in _fields(endpoint).items():
        yield {"name": name, "in": "query", "required": False, "schema": schema}


def _header_parameters(endpoint: Endpoint[Any, Any, Any]) -> Iterable[dict[str, Any]]:
    if endpoint.method == "POST":
        schema = {"type": "string", "pattern": KEY_PATTERN}
        said = _ONCE if endpoint.is_once else _ANEW
        yield {"name": HEADER.title(), "in": "header", "required": False, "description": said, "schema": schema}
