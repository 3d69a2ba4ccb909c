"""What the gateway counts of its own work, for /v1/metrics: requests by route and status, and how long they took."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

UNKNOWN_ROUTE: Final = "unknown"
_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclasses.dataclass
class Measured:
    """One request; its status stays 500 when it ends in an exception."""

    status: int = HTTPStatus.INTERNAL_SERVER_ERROR


class Meter:
    """Counts into a registry that the composition root may share with others."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._requests = Counter(
            "hourbook_http_requests", "REST requests answered.", ("route", "status"), registry=registry
        )
        self._seconds = Histogram(
            "hourbook_http_request_seconds",
            "From the request's arrival to its answer.",
            ("route",),
            registry=registry,
            buckets=_BUCKETS_S,
        )

    @contextmanager
    def measure(self, route: str) -> Iterator[Measured]:
        """Count one request and its time; the block sets its status."""
        measured = Measured()
        started_s = time.perf_counter()
        try:
            yield measured
        finally:
            self._seconds.labels(route).observe(time.perf_counter() - started_s)
            self.count(route, measured.status)

    def count(self, route: str, status: int) -> None:
        self._requests.labels(route, str(status)).inc()

    def exposition(self) -> bytes:
        """Everything in the registry, in Prometheus's text format."""
        return generate_latest(self._registry)
