"""The demo's market maker: the command line of the client's example bot, run as a program of its own.

The server never imports the client; the exchange and the key reach it through the environment.
"""

from __future__ import annotations

import sys
from pathlib import Path

REFERENCE_PRICE = "2.10"
MAX_HOURS = 24


def command(home: Path, sku: str, region: str) -> list[str]:
    """What to start so that all demo Barons' GPUs are on offer; `home` is the demo's, with the renter's SSH key in it."""
    return [
        *(sys.executable, "-m", "hourbook.bots.market_maker", "--sku", sku, "--region", region),
        *("--price", REFERENCE_PRICE, "--max-hours", str(MAX_HOURS)),
        *("--ssh-key", str(home / "renter" / "id_ed25519.pub")),
    ]
