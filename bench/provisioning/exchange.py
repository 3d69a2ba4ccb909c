"""The exchange that the provisioning bench measures: the demo's, with one Baron, all of it on offer at one price.

It knows how to stand it up and take it down again, and nothing of what is measured on it.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Final

from exchange.monarch.demo.local import LocalExchange
from exchange.monarch.demo.rest import Rest
from exchange.monarch.demo.world import GPUS_PER_BARON, REGION, SKU

BARON: Final = 1
SPOT: Final = f"{SKU}.{REGION}.spot"


class Exchange(LocalExchange):
    """One Baron of 8 simulated GPUs, all on offer; `with` ends the processes and wipes what sandboxes are left."""

    def __init__(self, home: Path, tools_dir: Path, price: str) -> None:
        super().__init__(home, tools_dir)
        self._price = price

    def __enter__(self) -> Exchange:
        try:
            self.prepare()
            self.start_monarch()
            self.settle()
            self.start_barons(BARON)
            self._offer()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()

    def _offer(self) -> None:
        offer = {"baron": self.world.baron_id(BARON), "gpus": GPUS_PER_BARON, "instrument": SPOT, "price": self._price}
        self.rest("provider").put("/v1/asks", {"offers": [offer]})
        self.wait("its ask in the book", lambda: Rest(self.url).get(f"/v1/books/{SPOT}")["asks"])
