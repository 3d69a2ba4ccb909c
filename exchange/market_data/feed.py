"""The feed: each durable command's events, taken into memory once and handed to whoever listens.

`on_reply` is what the sequencer calls. Until `seed` has been given what lived at the read side's position it keeps what
comes, so that nothing is missed between the two and nothing is taken twice. It never writes to a network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from engine.messages import Reply
from exchange.log.interface import LogReader
from exchange.market_data.live import Live, Update
from exchange.read.interface import BookView, CurveView
from exchange.read.projection import ReadError
from exchange.read.queries import Snapshot

EARLY_MAX: Final = 65_536
"""Commands that are kept before the seed."""

Listener = Callable[[Update], None]
"""Called on the event loop for each command, in order. Must not block and must not raise."""


class SnapshotSource(Protocol):
    """The read side, as far as the start of a feed needs it."""

    async def reached(self, seq: int, timeout_s: float) -> bool: ...

    async def snapshot(self) -> Snapshot: ...


class Feed:
    """Subscribe `on_reply` with the sequencer, then `start` when the read side follows the event log."""

    def __init__(self) -> None:
        self._live: Live | None = None
        self._early: list[Reply] = []
        self._listeners: list[Listener] = []
        self._failed = False

    @property
    def live(self) -> Live:
        """What lives now; ReadError before the seed, and after a command that couldn't be taken in."""
        if self._live is None or self._failed:
            raise ReadError("market data can't be told now; wait until the exchange is ready")
        return self._live

    @property
    def ready(self) -> bool:
        """Whether what is told here is whole and up to the last command."""
        return self._live is not None and not self._failed

    def listen(self, listener: Listener) -> None:
        """Call it for each command from now on."""
        self._listeners.append(listener)

    async def start(self, read: SnapshotSource, events: LogReader, timeout_s: float) -> None:
        """Seed from the read side, once it has everything that is in the event log now; ReadError when it hasn't in time.

        Subscribe first, and call this before the sequencer starts, or at least before its first command since.
        """
        last = await events.last_seq()
        if not await read.reached(last, timeout_s):
            raise ReadError(
                f"the read models didn't come to command {last} within {timeout_s} s; look at why they are slow"
            )
        self.seed(await read.snapshot())

    def seed(self, snapshot: Snapshot) -> None:
        """Begin with what lived at `snapshot.seq`, then with what came after it meanwhile.

        The snapshot must reach the last command before the subscription. ReadError when it has been seeded before.
        """
        if self._live is not None:
            raise ReadError("market data is seeded already")
        self._live = Live(snapshot)
        early, self._early = self._early, []
        for reply in early:
            self.on_reply(reply)

    def on_reply(self, reply: Reply) -> None:
        """Take in a command; one that is in the seed already is passed over."""
        if self._live is None:
            if len(self._early) >= EARLY_MAX:
                raise ReadError("market data was not seeded in time; seed it before the exchange takes orders")
            self._early.append(reply)
            return
        if reply.seq <= self._live.seq or self._failed:
            return
        # What went wrong half-way is never shown: better no market data than wrong ones.
        self._failed = True
        update = self._live.apply(reply)
        self._failed = False
        for listener in self._listeners:
            listener(update)

    def book(self, instrument: int, max_levels: int) -> BookView:
        """`ReadSide.book`: from memory, as of the last durable command; KeyError for an unknown instrument."""
        return self.live.book(instrument, max_levels)

    def curve(self, sku: str, region: str) -> CurveView:
        """`ReadSide.curve`: from memory, as of the last durable command; KeyError for a market that isn't listed."""
        return self.live.curve(sku, region)
