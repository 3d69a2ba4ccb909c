"""The AsyncAPI 3 document of the WebSockets, made from the message structs; committed, so that a change of the API is seen.

`python -m exchange.gateway.ws.asyncapi --write docs/asyncapi.json` makes it, `--check` fails when the committed one
differs. Actions are seen from the server: it receives requests and sends replies and events.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from exchange.gateway.committed import write_or_check
from exchange.gateway.described import RULEBOOK
from exchange.gateway.ws.messages import (
    MARKET_OPS,
    MARKET_PATH,
    MAX_MESSAGE_BYTES,
    SUBPROTOCOL,
    TRADE_OPS,
    TRADE_PATH,
    AllCanceled,
    BookData,
    CancelAllAfterSet,
    CurvePointData,
    Event,
    ExecutionReport,
    Fill,
    Heartbeat,
    InstrumentData,
    LeaseData,
    LoggedOut,
    NoQuery,
    QuoteSet,
    Reply,
    Request,
    Subscribed,
    TradeData,
    TradeQuery,
)

DOCUMENT: Final = Path("docs", "asyncapi.json")
API_VERSION: Final = "1"
_SCHEMAS: Final = "#/components/schemas/"
_MESSAGES: Final = "#/components/messages/"

Json = dict[str, Any]

# What a channel's events carry: the pattern of its name, whether it begins with a snapshot, its data.
EVENTS: Final[dict[str, dict[str, tuple[str, bool, Any]]]] = {
    "trade": {
        "orders": ("^orders$", True, list[ExecutionReport]),
        "fills": ("^fills$", False, list[Fill]),
        "leases": ("^leases$", True, list[LeaseData]),
    },
    "market": {
        "book": (r"^book\..+$", True, BookData),
        "trades": (r"^trades\..+$", False, list[TradeData]),
        "instruments": (r"^instruments(\.(spot|ondemand|forward))?$", True, list[InstrumentData]),
        "curve": (r"^curve\..+\..+$", True, list[CurvePointData]),
        "heartbeat": ("^heartbeat$", False, Heartbeat),
    },
}
_DOORS: Final[dict[str, tuple[str, dict[str, type[msgspec.Struct]], str]]] = {
    "trade": (TRADE_PATH, TRADE_OPS, "Orders in, and the account's own channels: orders, fills, leases."),
    "market": (
        MARKET_PATH,
        MARKET_OPS,
        "Public market data: book.SYMBOL, trades.SYMBOL, curve.SKU.REGION and instruments (or instruments.KIND), with a heartbeat.",
    ),
}
RESULTS: Final[dict[str, type[msgspec.Struct]]] = {
    "order.place": ExecutionReport,
    "order.amend": ExecutionReport,
    "order.cancel": ExecutionReport,
    "orders.cancel_all": AllCanceled,
    "cancel_all_after": CancelAllAfterSet,
    "quotes.set": QuoteSet,
    "session.logout": LoggedOut,
    "subscribe": Subscribed,
    "unsubscribe": Subscribed,
}
_QUERIES: Final[dict[str, type[msgspec.Struct]]] = {"trade": TradeQuery, "market": NoQuery}


def document() -> str:
    """The document as committed: JSON, two spaces, a newline at the end."""
    made: Json = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "hourbook WebSockets",
            "version": API_VERSION,
            "description": (
                f"JSON text frames of at most {MAX_MESSAGE_BYTES} bytes; subprotocol `{SUBPROTOCOL}`, or none. "
                f"A command's reply precedes every event of it on the same connection. {RULEBOOK}"
            ),
        },
        "defaultContentType": "application/json",
        "servers": {"local": {"host": "127.0.0.1:8700", "protocol": "ws"}},
        "channels": {},
        "operations": {},
        "components": {
            "messages": {},
            "schemas": _schemas(),
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key: scope `trade` for orders, `read` for subscriptions.",
                }
            },
        },
    }
    for door, (path, ops, description) in _DOORS.items():
        _add_door(made, door, path, ops, description)
    return msgspec.json.format(msgspec.json.encode(made), indent=2).decode() + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Write the document, or compare it with the committed one (exit status 1: they differ)."""
    return write_or_check("exchange.gateway.ws.asyncapi", DOCUMENT, document, arguments)


def _schemas() -> Json:
    queries = list(_QUERIES.values())
    events = [data for channels in EVENTS.values() for _, _, data in channels.values()]
    structs = [*dict.fromkeys((*TRADE_OPS.values(), *RESULTS.values())), Reply, Event, Request, *events, *queries]
    _, schemas = msgspec.json.schema_components(structs, ref_template=_SCHEMAS + "{name}")
    return dict(sorted(schemas.items()))


def _schema_of(data: Any) -> Json:
    (schema,), _ = msgspec.json.schema_components([data], ref_template=_SCHEMAS + "{name}")
    return schema


def _narrowed(name: str, schemas: Json, properties: Json, left_out: tuple[str, ...] = ()) -> Json:
    """A struct's schema with some properties said more closely."""
    whole: Json = schemas[name]
    return whole | {
        "properties": {
            field: properties.get(field, schema)
            for field, schema in whole["properties"].items()
            if field not in left_out
        },
        "required": [field for field in whole["required"] if field not in left_out]
        + [field for field in properties if field not in whole["required"]],
    }


def _add_door(made: Json, door: str, path: str, ops: dict[str, type[msgspec.Struct]], description: str) -> None:
    schemas = made["components"]["schemas"]
    messages: Json = {}
    for op, params in ops.items():
        request = {"op": {"const": op}, "params": _schema_of(params)}
        messages[f"{door}.{op}.request"] = _narrowed("Request", schemas, request)
        answer = {"result": _schema_of(RESULTS[op])}
        messages[f"{door}.{op}.reply"] = _narrowed("Reply", schemas, answer, left_out=("error",))
    failed = {"error": {"$ref": f"{_SCHEMAS}ProblemBody"}}
    messages[f"{door}.error"] = _narrowed("Reply", schemas, failed, left_out=("result",))
    for topic, (pattern, has_snapshot, data) in EVENTS[door].items():
        kinds = ["snapshot", "update"] if has_snapshot else ["update"]
        event = {"ch": {"type": "string", "pattern": pattern}, "type": {"enum": kinds}, "data": _schema_of(data)}
        messages[f"{door}.{topic}"] = _narrowed("Event", schemas, event)
    made["components"]["messages"] |= {
        name: {"name": name, "contentType": "application/json", "payload": payload}
        for name, payload in messages.items()
    }
    made["channels"][door] = {
        "address": path,
        "description": description,
        "messages": {name: {"$ref": _MESSAGES + name} for name in messages},
        "bindings": {"ws": {"method": "GET", "query": schemas[_QUERIES[door].__name__]}},
    }
    here = {"$ref": f"#/channels/{door}"}
    secured = {"security": [{"$ref": "#/components/securitySchemes/key"}]} if door == "trade" else {}
    for op in ops:
        answers = [_message(door, f"{door}.{op}.reply"), _message(door, f"{door}.error")]
        made["operations"][f"{door}.{op}"] = {
            "action": "receive",
            "channel": here,
            "messages": [_message(door, f"{door}.{op}.request")],
            "reply": {"channel": here, "messages": answers},
        } | secured
    for topic in EVENTS[door]:
        made["operations"][f"{door}.{topic}"] = {
            "action": "send",
            "channel": here,
            "messages": [_message(door, f"{door}.{topic}")],
        } | secured


def _message(door: str, name: str) -> Json:
    return {"$ref": f"#/channels/{door}/messages/{name}"}


if __name__ == "__main__":
    sys.exit(main())
