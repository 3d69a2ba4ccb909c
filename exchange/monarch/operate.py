"""`monarch admin session`, `features`, `rating`, `outage`, `limits`, `kill`: an operator's word to the Monarch that runs.

The address is the running Monarch's, as its home tells; the key, which must hold the scope `admin`, comes from
`HOURBOOK_KEY`, since what stands in a command line can be read by others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from exchange.monarch.config import ENV_PREFIX, Config
from exchange.monarch.demo.rest import Rest
from exchange.monarch.places import Places


class NotReachable(Exception):
    """There is no Monarch to tell, or no key to tell it with; the message says which."""


def set_session(config: Config, environ: Mapping[str, str], symbol: str, session: str) -> dict[str, Any]:
    """Bring an instrument to a session (rulebook §6); what the API answers. RestError when it refuses."""
    path = f"/v1/instruments/{quote(symbol, safe='')}/session"
    return dict(_running(config, environ).put(path, {"session": session}))


def set_features(config: Config, environ: Mapping[str, str], baron: str, features: list[str]) -> dict[str, Any]:
    """Say which features a Baron has, whole (rulebook §5); what the API answers. RestError when it refuses."""
    return dict(_running(config, environ).put(f"/v1/barons/{quote(baron, safe='')}/features", {"features": features}))


def set_rating(config: Config, environ: Mapping[str, str], baron: str, rating: int) -> dict[str, Any]:
    """Say how a Baron is rated (rulebook §10); what the API answers. RestError when it refuses."""
    return dict(_running(config, environ).put(f"/v1/barons/{quote(baron, safe='')}/rating", {"rating": rating}))


def report_outage(config: Config, environ: Mapping[str, str], lease: str, began: str, ended: str) -> dict[str, Any]:
    """Say when a lease couldn't be used (rulebook §9); what the API answers. RestError when it refuses."""
    path = f"/v1/leases/{quote(lease, safe='')}/outages"
    return dict(_running(config, environ).post(path, {"began": began, "ended": ended}))


def limits(
    config: Config, environ: Mapping[str, str], account: str, wanted: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Set all limits of an account, or (None) ask for them; what the API answers. RestError when it refuses."""
    rest, path = _running(config, environ), f"/v1/accounts/{quote(account, safe='')}/limits"
    return dict(rest.get(path) if wanted is None else rest.put(path, dict(wanted)))


def set_kill_switch(config: Config, environ: Mapping[str, str], account: str, killed: bool) -> dict[str, Any]:
    """Stop an account, or let it trade again; what the API answers. RestError when it refuses."""
    path = f"/v1/accounts/{quote(account, safe='')}/kill-switch"
    return dict(_running(config, environ).put(path, {"killed": killed}))


def _running(config: Config, environ: Mapping[str, str]) -> Rest:
    key = environ.get(f"{ENV_PREFIX}KEY")
    if not key:
        raise NotReachable(f"give the administrator's key in {ENV_PREFIX}KEY")
    try:
        running = json.loads(Places(config.home).running.read_text())
    except FileNotFoundError:
        raise NotReachable(f"no Monarch runs on {config.home}; start it with monarch up") from None
    return Rest(running["api_url"], key)
