"""uvicorn's HTTP protocol, but for one thing: bytes that are no request it knows are answered with a problem document.

uvicorn answers them itself, in plain text, before the application sees anything. Whoever serves the gateway gives this class
(or one made of it) to uvicorn as `http`. It knows nothing of the routes but which methods there are.
"""

from __future__ import annotations

import re
import sys
from http import HTTPStatus
from typing import Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from exchange.gateway.errors import Problem
from exchange.gateway.routes import ENDPOINTS
from exchange.gateway.serving import problem_response

METHODS: Final = ", ".join(sorted({endpoint.method for endpoint in ENDPOINTS}))
_FIRST_LINE: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) [\x21-\x7e]+ HTTP/1\.[01]\r?\n")


class HttpProtocol(HttpToolsProtocol):
    _received: bytes = b""

    def data_received(self, data: bytes) -> None:
        self._received = data
        super().data_received(data)
        self._received = b""

    def send_400_response(self, msg: str) -> None:
        """Called where the parser gives up, inside its exception. The connection ends."""
        before: RequestResponseCycle | None = self.cycle
        if before is not None and not before.more_body and not before.response_complete:
            # The request before is whole and being done: what is written now would be read as its answer.
            self.transport.close()
            return
        response = problem_response(self._problem(msg))
        status = HTTPStatus(response.status_code)
        headers = [*response.raw_headers, (b"connection", b"close")]
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append((b"allow", METHODS.encode()))
        lines = [f"HTTP/1.1 {status.value} {status.phrase}".encode(), *(b": ".join(header) for header in headers)]
        self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + bytes(response.body))
        self.transport.close()

    def _problem(self, msg: str) -> Problem:
        found = _FIRST_LINE.match(self._received)
        if found and isinstance(sys.exc_info()[1], httptools.HttpParserInvalidMethodError):
            return Problem("method_not_allowed", f"{found[1].decode()} is no method of this exchange's")
        return Problem("malformed_request", msg)
