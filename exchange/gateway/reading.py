"""Reads a request's body and parameters: bounded, as UTF-8 JSON, into a strict struct; each fault is a Problem.

It knows HTTP and msgspec, and nothing of what the fields mean but which code the market has for a bad one.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Final, TypeVar
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import ClientDisconnect, HTTPConnection, Request

from engine.reasons import Reason
from exchange.gateway import wording
from exchange.gateway.errors import Problem, last_name
from exchange.gateway.schema import MAX_HOURS

MAX_BODY_BYTES: Final = 64 * 1024
MAX_PARAMETERS: Final = 32
BODY_TIMEOUT_S: Final = 10.0

T = TypeVar("T", bound=msgspec.Struct)

_AT: Final = re.compile(r" - at `\$\.?(.*)`\Z", re.DOTALL)
_NAMED: Final = re.compile(r"Object (contains unknown|missing required) field `(.*)`\Z", re.DOTALL)
_MAX_ECHO_CHARS: Final = 200
_CHARSETS: Final = frozenset({"utf-8", "utf8"})

_MARKET_CODES: Final = {
    "price": Reason.INVALID_PRICE,
    "max_price": Reason.INVALID_PRICE,
    "amount": Reason.INVALID_AMOUNT,
    "gpus": Reason.INVALID_QUANTITY,
    "quantity": Reason.INVALID_QUANTITY,
    "hours": Reason.INVALID_HOURS,
    "max_hours": Reason.INVALID_HOURS,
    "min_hours": Reason.INVALID_HOURS,
    "stop_price": Reason.INVALID_PRICE,
    "display_quantity": Reason.INVALID_QUANTITY,
    "min_quantity": Reason.INVALID_QUANTITY,
    "lot": Reason.INVALID_QUANTITY,
    "features": Reason.INVALID_FEATURES,
    "min_rating": Reason.INVALID_RATING,
    "rating": Reason.INVALID_RATING,
    "max_open_orders": Reason.INVALID_LIMITS,
    "max_notional": Reason.INVALID_LIMITS,
    "max_gpus": Reason.INVALID_LIMITS,
    "expire": Reason.INVALID_EXPIRY,
    "expire_us": Reason.INVALID_EXPIRY,
    "after_ms": Reason.INVALID_EXPIRY,
}


async def read_body(request: Request) -> bytes:
    """The raw body of a request that must carry JSON; Problem when it is of another type, encoded, too large or too slow."""
    _check_media_type(request.headers.getlist("content-type"))
    _check_encoding(request.headers.getlist("content-encoding"))
    length = request.headers.get("content-length", "0")
    if length.isascii() and length.isdigit() and len(length.lstrip("0")) > len(str(MAX_BODY_BYTES)):
        raise _too_large()
    parts: list[bytes] = []
    total = 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for part in request.stream():
                total += len(part)
                if total > MAX_BODY_BYTES:
                    raise _too_large()
                parts.append(part)
    except TimeoutError as error:
        raise _too_slow() from error
    except ClientDisconnect as error:
        raise _cut_off() from error
    return b"".join(parts)


async def refuse_body(request: Request) -> bytes:
    """b"", the body of a request that takes none; Problem unexpected_body when it has one."""
    declared = request.headers.get("content-length", "0").strip("0")
    if declared or ("transfer-encoding" in request.headers and await _has_body(request)):
        raise Problem("unexpected_body", "This request takes no body")
    return b""


def decode_body(data: bytes, kind: type[T], max_term_hours: int = MAX_HOURS) -> T:
    """A body as its struct; Problem invalid_utf8, invalid_json, or what is wrong with which field.

    `max_term_hours`: the exchange's longest term, for the words of a body that has hours.
    What isn't JSON is said to be that, whatever else is wrong; a field that is given twice could mean either value, so it
    is refused.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise Problem("invalid_utf8", f"Byte {error.start} of the body isn't UTF-8") from error
    try:
        decoded = msgspec.json.decode(data, type=kind)
        _NAMES.decode(text)
    except msgspec.ValidationError as error:
        _check_syntax(data, text)
        raise fault(error, kind, wording.plain(text), "invalid_field", max_term_hours) from error
    except (msgspec.DecodeError, json.JSONDecodeError, RecursionError) as error:
        raise _invalid_json(error, text) from error
    return decoded


def decode_query(request: HTTPConnection, kind: type[T]) -> T:
    """The query string as its struct; each parameter once, none unknown; Problem invalid_parameter."""
    raw = request.scope["query_string"].decode("latin-1")
    try:
        pairs = parse_qsl(raw, keep_blank_values=True, strict_parsing=bool(raw), max_num_fields=MAX_PARAMETERS)
    except ValueError as error:
        raise Problem("invalid_parameter", "The query string isn't `name=value&...`, or has too many") from error
    values = dict(pairs)
    if len(values) != len(pairs):
        raise Problem("invalid_parameter", "A parameter is given twice")
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise fault(error, kind, values, "invalid_parameter") from error


def fault(
    error: msgspec.ValidationError,
    kind: type[msgspec.Struct],
    values: object,
    otherwise: str,
    max_term_hours: int = MAX_HOURS,
) -> Problem:
    """What msgspec found wrong with `values`, as a Problem that names the field, what it is and what it may be.

    `otherwise` is the code of what has no better one.
    """
    is_text = otherwise == "invalid_parameter"
    message = str(error)
    at = _AT.search(message)
    path = at[1] if at else ""
    what = message[: at.start()] if at else message
    if named := _NAMED.match(what):
        field = f"{path}.{named[2]}" if path else named[2]
        code = "unknown_field" if named[1] == "contains unknown" else "missing_field"
        thing = "parameter" if is_text else "field"
        wrong = f"There is no such {thing}" if code == "unknown_field" else f"The {thing} is missing"
        if is_text:
            code = otherwise
        return Problem(code, f"{wrong}: {field[:_MAX_ECHO_CHARS]}", field=field[:_MAX_ECHO_CHARS])
    field = path[:_MAX_ECHO_CHARS]
    reason = _MARKET_CODES.get(last_name(path))
    code = otherwise if reason is None or is_text else reason.name.lower()
    return Problem(code, wording.say(kind, values, path, max_term_hours, is_text), field=field or None)


def _check_media_type(content_types: list[str]) -> None:
    """Problem unsupported_media_type: JSON is UTF-8, and what claims to be in another charset is not read as that."""
    media_type, *parameters = ", ".join(content_types).lower().split(";")
    if media_type.strip() != "application/json":
        raise Problem("unsupported_media_type", f"The body is of type {media_type.strip()[:64]!r}")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        # `charset*` is another way to write the same parameter; none of its values is plain "utf-8".
        if name.strip().startswith("charset") and value.strip().strip('"') not in _CHARSETS:
            raise Problem("unsupported_media_type", f"The body's charset is given as {value.strip()[:64]!r}")


def _check_encoding(encodings: list[str]) -> None:
    """Problem unsupported_media_type: what claims to be compressed is not read as if it weren't."""
    for encoding in ",".join(encodings).lower().split(","):
        if encoding.strip() not in ("", "identity"):
            raise Problem(
                "unsupported_media_type",
                f"The body's encoding is given as {encoding.strip()[:64]!r}",
                advice="Send the body as it is, without Content-Encoding.",
            )


async def _has_body(request: Request) -> bool:
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for part in request.stream():
                if part:
                    return True
    except TimeoutError as error:
        raise _too_slow() from error
    except ClientDisconnect as error:
        raise _cut_off() from error
    return False


def _check_syntax(data: bytes, text: str) -> None:
    """Problem invalid_json; a decoder that wants a certain struct may find that missing before it finds broken JSON."""
    try:
        msgspec.json.decode(data)
    except msgspec.ValidationError:
        # Well-formed JSON with a number that no machine holds: what is wrong with the field says more.
        return
    except (msgspec.DecodeError, RecursionError) as error:
        raise _invalid_json(error, text) from error


def _refuse_doubled(pairs: list[tuple[str, object]]) -> None:
    if len(dict(pairs)) == len(pairs):
        return
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            field = name[:_MAX_ECHO_CHARS]
            raise Problem("invalid_json", f"A field is given twice: {field}", field=field)
        seen.add(name)


_NAMES: Final = json.JSONDecoder(object_pairs_hook=_refuse_doubled, parse_int=str, parse_float=str)
"""Reads JSON that is known to be good once more, for its fields' names alone."""


def _invalid_json(error: Exception, text: str) -> Problem:
    if _has_half_pair(text):
        return Problem(
            "invalid_json",
            "A string of the body holds half of a surrogate pair, which is no character",
            advice="Escape a character outside the basic plane as both halves, or send it as UTF-8.",
        )
    return Problem("invalid_json", str(error)[:_MAX_ECHO_CHARS])


def _has_half_pair(text: str) -> bool:
    """Whether it is JSON but for that: the decoder's own words for it are of a text cut off."""
    try:
        json.dumps(wording.plain(text), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    except (ValueError, RecursionError):
        return False
    return False


def _too_slow() -> Problem:
    return Problem("request_timeout", f"The body didn't arrive within {BODY_TIMEOUT_S:.0f} s")


def _cut_off() -> Problem:
    return Problem("malformed_request", "The connection ended inside the body")


def _too_large() -> Problem:
    return Problem("payload_too_large", f"The body has more than {MAX_BODY_BYTES} bytes")
