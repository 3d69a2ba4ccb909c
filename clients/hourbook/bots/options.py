"""The market maker's options: flags, or a TOML file; the exchange's address and the key from the environment."""

from __future__ import annotations

import argparse
import os
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from hourbook.bots.quoting import Product, Settings


class BadOptions(Exception):
    """The options make no sense; the message says which, and what to do."""


class Options(NamedTuple):
    """`ssh_key`: a public key line for the account, which spot bids need; empty: the account has one already."""

    url: str
    key: str
    settings: Settings
    ssh_key: str


def read_options(argv: list[str] | None = None) -> Options:
    """From `argv` and the environment; BadOptions."""
    given = _parser().parse_args(argv)
    url, key = os.environ.get("HOURBOOK_URL", ""), os.environ.get("HOURBOOK_KEY", "")
    if not url or not key:
        raise BadOptions(
            "set HOURBOOK_URL (http://127.0.0.1:8700) and HOURBOOK_KEY (hb_..., with read, provide, trade)"
        )
    try:
        if given.config is not None:
            settings = msgspec.convert(tomllib.loads(given.config.read_text()), Settings)
        else:
            settings = _from_flags(given)
        ssh_key = given.ssh_key.read_text().strip() if given.ssh_key is not None else ""
    except (OSError, ValueError, TypeError) as error:
        raise BadOptions(str(error)) from error
    if given.ssh_key is not None and len(ssh_key.split()) < 2:
        raise BadOptions(f"{given.ssh_key} is no OpenSSH public key: give the .pub file")
    return Options(url, key, settings, ssh_key)


def _from_flags(given: argparse.Namespace) -> Settings:
    named = {name: getattr(given, name) for name in ("sku", "region", "price")}
    missing = [f"--{name}" for name, value in named.items() if value is None]
    if missing:
        raise BadOptions(f"give --config FILE, or {', '.join(missing)}")
    product = Product(**named, **_given(given, "ondemand_price", "max_hours"))
    chosen = _given(given, "drift", "bid_discount", "bid_gpus", "max_bought_gpus", "requote_s")
    return Settings(products=[product], **chosen)


def _given(given: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(given, name)) is not None}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hourbook.bots.market_maker",
        description="Keep all GPUs of your Barons on offer, and small spot bids well below. HOURBOOK_URL and HOURBOOK_KEY"
        " name the exchange and the key (scopes read, provide, trade; and rent with --ssh-key).",
    )
    parser.add_argument("--config", type=Path, help="TOML: [[products]] with sku, region, price; and the options below")
    parser.add_argument("--sku")
    parser.add_argument("--region")
    parser.add_argument("--price", help="reference price of spot, dollars per GPU-hour")
    parser.add_argument("--ondemand-price", help="the same of on-demand; 25 %% above spot if not given")
    parser.add_argument("--max-hours", type=int, help="longest guaranteed term of on-demand (24)")
    parser.add_argument("--drift", help="part by which asks rise until all is leased (0.20)")
    parser.add_argument("--bid-discount", help="part by which bids stand below the reference (0.30)")
    parser.add_argument("--bid-gpus", type=int, help="GPUs of each bid (1); 0: no bids")
    parser.add_argument("--max-bought-gpus", type=int, help="no bids while the account rents as many (2)")
    parser.add_argument("--requote-s", type=float, help="quote anew at least every so many seconds (5)")
    parser.add_argument("--ssh-key", type=Path, help="public key file; stored in the account if it isn't there")
    return parser
