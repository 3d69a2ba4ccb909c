"""What the gateway is made of: passed in whole by the composition root, frozen."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter
from prometheus_client import CollectorRegistry
from starlette.responses import Response

from engine.limits import Limits
from exchange.gateway.ports import LedgerView, Quoter
from exchange.read.interface import ReadSide
from exchange.registry.registry import Registry
from exchange.registry.rows import Principal
from exchange.sequencer.interface import Submit

LeaseEvents = Callable[[Principal, int, Callable[[], Awaitable[None]]], Awaitable[Response]]
"""Answers `GET /v1/leases/{id}/events` for this principal and lease; it checks whose lease that is. What comes last asks
once more whether the key is valid, Problem unauthorized when it isn't: for when `on_key_revoked` would end the answer."""


def _no_key_revoked(_key_id: int) -> None:
    """Nobody holds connections open by key."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Deps:
    """`not_ready` names what isn't ready (nothing: ready). `baron_heartbeats`: Baron to its last heartbeat, ns, while
    it is connected. `on_key_revoked` ends the connections of a key. `routers`: the WebSockets' and the
    page's. Fees are for accounts that are opened from now on. `max_term_hours`: the engine's longest term."""

    submit: Submit
    read: ReadSide
    ledger: LedgerView
    quoter: Quoter
    registry: Registry
    lease_events: LeaseEvents
    maker_fee_ppm: int
    taker_fee_ppm: int
    max_term_hours: int = Limits().max_term_hours
    not_ready: Callable[[], list[str]] = list
    baron_heartbeats: Callable[[], Mapping[int, int]] = dict
    on_key_revoked: Callable[[int], None] = _no_key_revoked
    routers: tuple[APIRouter, ...] = ()
    metrics: CollectorRegistry = dataclasses.field(default_factory=CollectorRegistry)
    clock_ns: Callable[[], int] = time.time_ns
