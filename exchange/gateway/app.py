"""The ASGI application: FastAPI with the routes of the table, and every fault turned into a problem of the table."""

from __future__ import annotations

import logging
from typing import Any, Final

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.websockets import WebSocket

from exchange.gateway.deps import Deps
from exchange.gateway.described import API_VERSION, DESCRIPTION, TITLE, complete, operation, operation_id
from exchange.gateway.endpoint import Endpoint
from exchange.gateway.errors import Problem
from exchange.gateway.gateway import Gateway
from exchange.gateway.meter import UNKNOWN_ROUTE
from exchange.gateway.routes import ENDPOINTS, PREFIX
from exchange.gateway.serving import Handler, handler, problem_response
from exchange.gateway.ws.upgrade import refuse

_LOG: Final = logging.getLogger(__name__)
_CODES: Final = {404: "not_found", 405: "method_not_allowed"}


def create_app(deps: Deps) -> FastAPI:
    """The application. It starts and stops nothing: what is in `deps` is the composition root's to run."""
    app = _bare_app()
    gateway = Gateway(deps)
    for endpoint in ENDPOINTS:
        _mount(app, endpoint, handler(gateway, endpoint))
    for router in deps.routers:
        app.include_router(router)
    # Last, so that it takes only what no door has.
    app.add_api_websocket_route("/{path:path}", _no_such_door)

    async def on_http_exception(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise TypeError("registered for HTTPException alone") from error
        response = problem_response(Problem(_CODES.get(error.status_code, "malformed_request"), str(error.detail)))
        if error.status_code == 405:
            response.headers["Allow"] = ", ".join(_allowed(app, request))
        gateway.meter.count(UNKNOWN_ROUTE, response.status_code)
        return response

    async def on_fault(request: Request, error: Exception) -> Response:
        _LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return problem_response(Problem("internal", "The exchange met a fault of its own", outcome="unknown"))

    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(Exception, on_fault)
    return app


async def _no_such_door(websocket: WebSocket) -> None:
    await refuse(websocket, Problem("not_found", "No WebSocket is here"))


def described_app() -> FastAPI:
    """The application's shape alone, for its document: its routes answer nothing."""

    async def refuse(_request: Request) -> Response:
        return problem_response(Problem("not_ready", "This application is here to be described"))

    app = _bare_app()
    for endpoint in ENDPOINTS:
        _mount(app, endpoint, refuse)
    return app


def _bare_app() -> FastAPI:
    # No documentation pages: they would load scripts from elsewhere.
    app = FastAPI(
        title=TITLE,
        version=API_VERSION,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=f"{PREFIX}/openapi.json",
        redirect_slashes=False,
    )
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = complete(plain())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def _mount(app: FastAPI, endpoint: Endpoint[Any, Any, Any], handle: Handler) -> None:
    app.add_api_route(
        PREFIX + endpoint.path,
        handle,
        methods=[endpoint.method],
        status_code=endpoint.status,
        response_model=None,
        response_class=Response,
        openapi_extra=operation(endpoint),
        operation_id=operation_id(endpoint),
    )


def _allowed(app: FastAPI, request: Request) -> list[str]:
    """The methods that the path has."""
    found: set[str] = set()
    for route in app.routes:
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            found.update(getattr(route, "methods", None) or ())
    return sorted(found)
