"""The small REST client of the demo and of administration: the standard library and the exchange's public API.

Both come through the same door as everybody. It knows no secret but the keys it is given.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from typing import Any

TIMEOUT_S = 30.0
_STRAIGHT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Without the proxy that the environment may name: what it asks is on this machine."""


class RestError(Exception):
    """The exchange refused, or didn't answer; `code` is the problem's code, `unreachable` when there was no answer."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code


class Rest:
    """One base URL and one bearer key (empty: none); an answer is waited for at most `timeout_s`."""

    def __init__(self, url: str, key: str = "", timeout_s: float = TIMEOUT_S) -> None:
        if not url.startswith("http://"):
            raise ValueError("this client speaks http:// to loopback only")
        self._url = url
        self._key = key
        self._timeout_s = timeout_s

    def get(self, path: str) -> Any:
        return self._call("GET", path, None, "")

    def post(self, path: str, body: dict[str, Any], idempotency_key: str = "") -> Any:
        return self._call("POST", path, body, idempotency_key)

    def put(self, path: str, body: dict[str, Any]) -> Any:
        return self._call("PUT", path, body, "")

    def delete(self, path: str) -> Any:
        return self._call("DELETE", path, None, "")

    def _call(self, method: str, path: str, body: dict[str, Any] | None, idempotency_key: str) -> Any:
        headers = {"Accept": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(self._url + path, data, headers, method=method)  # noqa: S310 - http only, checked
        try:
            with _STRAIGHT.open(request, timeout=self._timeout_s) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise _problem(error) from error
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            raise RestError("unreachable", f"{method} {path}: {error}") from error
        return json.loads(text) if text else None


def _problem(error: urllib.error.HTTPError) -> RestError:
    try:
        problem = json.loads(error.read())
        return RestError(problem["code"], problem["detail"])
    except (ValueError, KeyError, TypeError, http.client.HTTPException, OSError):
        return RestError(f"http_{error.code}", error.reason)
