"""Health, metrics, and the document that the application gives."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from exchange.gateway import openapi
from tests.exchange.gateway.floor import Client, Floor, floor


async def test_ready_says_what_isnt(tmp_path: Path) -> None:
    missing = ["the ledger"]
    async with floor(tmp_path, lambda deps: dataclasses.replace(deps, not_ready=lambda: missing)) as exchange:
        nobody = Client(exchange.http, None)
        assert await nobody.get("/health/live") == {"status": "ok"}
        problem = await nobody.refused("GET", "/health/ready")
        assert (problem["status"], problem["code"]) == (503, "not_ready")
        assert "the ledger" in problem["detail"]
        missing.clear()
        assert await nobody.get("/health/ready") == {"status": "ok"}


async def test_metrics_count_requests_by_route_and_status(exchange: Floor) -> None:
    nobody = Client(exchange.http, None)
    await nobody.refused("GET", "/books/x")
    await nobody.refused("GET", "/nothing")
    response = await nobody.ask("GET", "/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    assert 'hourbook_http_requests_total{route="GET /books/{symbol}",status="404"} 1.0' in response.text
    assert 'hourbook_http_requests_total{route="unknown",status="404"} 1.0' in response.text


async def test_the_document_served_is_the_one_committed(exchange: Floor) -> None:
    served = await exchange.http.get("/v1/openapi.json")
    assert served.json() == json.loads(openapi.DOCUMENT.read_text())
    assert openapi.main(["--check", str(openapi.DOCUMENT)]) == 0


def test_a_document_that_differs_is_found(tmp_path: Path) -> None:
    file = tmp_path / "openapi.json"
    assert openapi.main(["--check", str(file)]) == 1
    assert openapi.main(["--write", str(file)]) == 0
    assert openapi.main(["--check", str(file)]) == 0
    file.write_text(file.read_text().replace("hourbook", "hoarbook", 1))
    assert openapi.main(["--check", str(file)]) == 1
