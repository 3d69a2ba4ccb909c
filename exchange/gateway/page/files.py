"""Serves the web page: one HTML document at `/`, and its style, scripts and icon under `/page/`.

The files are read once, when the router is made, and answered from memory. Their headers let the page load nothing and
speak to nobody but this exchange, and run no script that isn't one of these files. It knows nothing of the market, of
accounts or of keys: whatever the page shows, its scripts ask the public API for.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import PurePath
from typing import Final

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

DOCUMENT: Final = "index.html"
PREFIX: Final = "/page/"
MAX_FILE_BYTES: Final = 64 << 10
"""The page is thin; a file beyond this is a mistake of the package."""

_MEDIA_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_POLICY: Final = {
    "default-src": "'self'",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    # Text can't become markup, not even by mistake: browsers that know trusted types refuse innerHTML and its kin.
    "require-trusted-types-for": "'script'",
    "trusted-types": "'none'",
}
_HEADERS: Final = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in _POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Kept by browsers, but asked about each time, so that a new release is seen at once.
    "Cache-Control": "no-cache",
}


class _File:
    """One file of the page, and its answer's headers."""

    def __init__(self, name: str, body: bytes) -> None:
        if len(body) > MAX_FILE_BYTES:
            raise ValueError(f"{name} has {len(body)} bytes; a file of the page has at most {MAX_FILE_BYTES}")
        self.body = body
        self.headers = _HEADERS | {
            "Content-Type": _MEDIA_TYPES[PurePath(name).suffix],
            "ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"',
        }

    def answer(self, request: Request) -> Response:
        if self.headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=self.headers)
        return Response(self.body, headers=self.headers)


def page_router() -> APIRouter:
    """The page's routes, to be mounted beside the API; they stand in no API document. OSError: a file is missing."""
    folder = resources.files(__package__) / "static"
    files = {entry.name: _File(entry.name, entry.read_bytes()) for entry in folder.iterdir()}
    document = files.pop(DOCUMENT)
    router = APIRouter(include_in_schema=False)

    @router.api_route("/", methods=["GET", "HEAD"])
    async def page(request: Request) -> Response:
        return document.answer(request)

    @router.api_route(PREFIX + "{name}", methods=["GET", "HEAD"])
    async def part(request: Request, name: str) -> Response:
        if name not in files:
            raise HTTPException(404, "The page has no such file")
        return files[name].answer(request)

    return router
