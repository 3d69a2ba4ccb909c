"""Which proxy a request takes: the environment's, as for curl, but none on the way to this machine itself."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


def proxy_for(url: str) -> str:
    """The proxy that `http_proxy`, `https_proxy` or `all_proxy` name for this address; "" for none, and for loopback.

    What `no_proxy` names needs none either.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    proxies = getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all") or ""
    if not found or is_loopback(host) or proxy_bypass(host):
        return ""
    return found if "://" in found else f"http://{found}"


def named(proxy: str) -> str:
    """A proxy as it may be told: without the password that its address may hold."""
    parts = urlsplit(proxy)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def is_loopback(host: str) -> bool:
    """Whether it is this machine itself, where no proxy could reach for us."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
