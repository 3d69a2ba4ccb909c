"""Requests over HTTP: one at a time, with a time limit, a bounded number of repeats, and an honest word on the outcome.

A POST carries an Idempotency-Key and may be repeated whatever happened to it; other changes are repeated only when the
exchange said that nothing was done, or when they were never sent. Once an attempt's outcome is unknown, only an answer
for its key ends the doubt. It knows nothing of what the requests mean.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any, Final, TypeVar

import httpx
import msgspec

from hourbook.decimals import refuse_no_number
from hourbook.errors import (
    HourbookError,
    OutcomeUnknown,
    Problem,
    Rejected,
    Unreachable,
    from_problem,
    made_here,
    settles,
    still_unknown,
)
from hourbook.proxies import named, proxy_for

TIMEOUT_S: Final = 15.0
CONNECT_TIMEOUT_S: Final = 5.0
ATTEMPTS: Final = 4
BACKOFF_S: Final = 0.1
MAX_BACKOFF_S: Final = 5.0
SILENCE_S: Final = 45.0
"""Longer than the exchange ever is silent on an open stream."""
_RETRY_CODES: Final = frozenset({"idempotency_in_flight"})
_REPLAYED: Final = "Idempotent-Replayed"
"""The header of an answer that is the stored one of the first request with its key."""
_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_SAFE: Final = frozenset({"GET", "PUT"})
"""May be repeated without a key: a PUT says how things should be, however often it is said."""

T = TypeVar("T")


class Transport:
    """A connection pool to one exchange with one key (empty: none)."""

    def __init__(self, url: str, key: str = "", timeout_s: float = TIMEOUT_S) -> None:
        headers = {"Accept": "application/json"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        timeout = httpx.Timeout(timeout_s, connect=min(CONNECT_TIMEOUT_S, timeout_s))
        proxy = proxy_for(url)
        way = httpx.HTTPTransport(proxy=proxy or None)
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout, transport=way)
        self._through = f" through the proxy {named(proxy)} (no_proxy would go past it)" if proxy else ""

    def close(self) -> None:
        self._http.close()

    def ask(
        self,
        method: str,
        path: str,
        answer: type[T],
        body: dict[str, Any] | None = None,
        query: dict[str, Any] | None = None,
        idempotency_key: str = "",
        engine_knows_repeats: bool = False,
    ) -> T:
        """The answer, decoded; Rejected, OutcomeUnknown or Unreachable. None in `body` or `query` means left out.

        `engine_knows_repeats`: of a POST whose command the engine knows again by the key, whatever else was forgotten.
        """
        if not (idempotency_key.isascii() and idempotency_key.isprintable()):
            raise ValueError(f"an idempotency key is of plain ASCII characters, and {idempotency_key!r} isn't")
        if method == "POST" and not idempotency_key:
            idempotency_key = str(uuid.uuid4())
        request = self._request(method, path, _without_none(body), _without_none(query), idempotency_key)
        content = self._ask(request, idempotency_key, engine_knows_repeats)
        try:
            return msgspec.json.decode(content, type=answer)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            outcome = "rejected" if method == "GET" else "unknown"
            wrong = made_here(
                "bad_answer", f"{method} {path} was answered with what isn't understood: {error}", outcome
            )
            raise from_problem(wrong, idempotency_key) from error

    def lines(self, path: str) -> Iterator[str]:
        """Lines of an endless answer as they come; Unreachable when it breaks or is silent for too long."""
        timeout = httpx.Timeout(CONNECT_TIMEOUT_S, read=SILENCE_S)
        try:
            with self._http.stream("GET", path, headers={"Accept": "text/event-stream"}, timeout=timeout) as response:
                if not response.is_success:
                    response.read()
                    raise self._refused("GET", response, "", False)
                yield from response.iter_lines()
        except httpx.HTTPError as error:
            raise self._lost("GET", path, error, "") from error

    def _request(
        self, method: str, path: str, body: dict[str, Any] | None, query: dict[str, Any] | None, idempotency_key: str
    ) -> httpx.Request:
        """What is sent, however often: the same bytes under the same key; ValueError for a number that is none."""
        refuse_no_number(body)
        refuse_no_number(query)
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = msgspec.json.encode(body)
        return self._http.build_request(method, path, content=content, params=query, headers=headers)

    def _ask(self, request: httpx.Request, idempotency_key: str, engine_knows_repeats: bool) -> bytes:
        method = request.method
        doubt: OutcomeUnknown | None = None
        for attempt in range(ATTEMPTS):
            last = attempt == ATTEMPTS - 1
            failed: HourbookError
            try:
                response = self._http.send(request)
            except _NEVER_SENT as error:
                detail = f"{self._http.base_url} doesn't answer{self._through}: {error}"
                failed = Unreachable(made_here("unreachable", detail))
            except httpx.HTTPError as error:
                failed = self._lost(method, request.url.path, error, idempotency_key)
            else:
                if response.is_success:
                    return response.content
                failed = self._refused(method, response, idempotency_key, engine_knows_repeats)
            if last or not _may_repeat(method, failed, idempotency_key):
                raise failed if doubt is None else _in_doubt(doubt, failed)
            if isinstance(failed, OutcomeUnknown) and method != "GET":
                doubt = doubt or failed
            time.sleep(_pause_s(attempt, failed))
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _lost(self, method: str, path: str, error: httpx.HTTPError, idempotency_key: str) -> HourbookError:
        """The connection broke or time ran out after the request may have been sent."""
        detail = f"no answer to {method} {path}{self._through}: {str(error) or type(error).__name__}"
        if method == "GET":
            return Unreachable(made_here("unreachable", detail))
        return OutcomeUnknown(
            made_here("outcome_unknown", f"{detail}; it may have been done", "unknown"), idempotency_key
        )

    def _refused(
        self, method: str, response: httpx.Response, idempotency_key: str, engine_knows_repeats: bool
    ) -> HourbookError:
        try:
            problem = msgspec.json.decode(response.content, type=Problem)
        except (msgspec.DecodeError, UnicodeDecodeError):
            # Something between answered, not the exchange: a proxy's 5xx says nothing of what became of a change.
            outcome = "unknown" if response.is_server_error and method != "GET" else "rejected"
            answered = f"{response.url} answered {response.status_code}{self._through}"
            detail = f"{answered} without a problem document: is this an exchange?"
            problem = Problem(
                code=f"http_{response.status_code}", detail=detail, status=response.status_code, outcome=outcome
            )
            return from_problem(problem, idempotency_key)
        replayed = response.headers.get(_REPLAYED) == "true"
        return from_problem(problem, idempotency_key, settles(problem, replayed, engine_knows_repeats))


def _without_none(fields: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if fields is None else {name: value for name, value in fields.items() if value is not None}


def _in_doubt(doubt: OutcomeUnknown, failed: HourbookError) -> HourbookError:
    """What to raise when an earlier attempt may have been done, and the last one failed like this."""
    if isinstance(failed, OutcomeUnknown) or (isinstance(failed, Rejected) and failed.settles):
        return failed
    return still_unknown(doubt.detail, failed, doubt.idempotency_key)


def _may_repeat(method: str, failed: HourbookError, idempotency_key: str) -> bool:
    if isinstance(failed, Unreachable):
        return True
    if isinstance(failed, OutcomeUnknown):
        return bool(idempotency_key) or method in _SAFE
    return isinstance(failed, Rejected) and (failed.problem.status == 503 or failed.code in _RETRY_CODES)


def _pause_s(attempt: int, failed: HourbookError) -> float:
    told_s = (failed.retry_after_ms or 0) / 1000
    return min(MAX_BACKOFF_S, max(told_s, BACKOFF_S * (1 << attempt)))
