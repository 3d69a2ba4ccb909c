"""What every route shares: entering commands, waiting for the read sides, and what is known between requests.

Nothing here outlives the process: all of it can be lost, and is asked for again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from engine.ids import INDEX_MAX, SEQ_MAX
from engine.messages import AmendOrder, Command, Rejected, Rent, Reply
from engine.reasons import Reason
from engine.records import Session
from exchange.gateway.deps import Deps
from exchange.gateway.errors import RETRY_AFTER_MS, Problem, outcome_unknown, overloaded
from exchange.gateway.idempotency import InFlight
from exchange.gateway.meter import Meter
from exchange.gateway.orders_in import Instruments
from exchange.gateway.refusals import instrument_named, refused, rejection
from exchange.read.interface import BaronRow, InstrumentRow
from exchange.sequencer.interface import OutcomeUnknown, Overloaded

READ_WAIT_S: Final = 5.0
"""How long a read waits for `min_seq`, or for what this gateway has itself acknowledged."""


class Following(Protocol):
    """A consumer of the log that can be waited for: the read models, or the ledger."""

    async def reached(self, seq: int, timeout_s: float) -> bool: ...


class Gateway:
    """The state of one gateway process."""

    def __init__(self, deps: Deps) -> None:
        self.deps = deps
        self.instruments = Instruments(deps.read)
        self.in_flight = InFlight()
        self.meter = Meter(deps.metrics)
        self._acknowledged_seq = 0

    async def enter(self, command: Command) -> Reply:
        """Enter a command; Problem when it is refused, not taken, or its outcome isn't known."""
        reply = await self.send(command)
        if rejected := refused(reply):
            closed = None
            if rejected.reason is Reason.SESSION_CLOSED:
                closed = await self._closed(rejected, command, reply.seq)
            raise rejection(rejected, command, reply.seq, self.deps.max_term_hours, closed)
        return reply

    async def send(self, command: Command) -> Reply:
        """As `enter`, but a rejection is returned as the reply it is."""
        try:
            reply = await self.deps.submit(command)
        except Overloaded as error:
            raise overloaded() from error
        except OutcomeUnknown as error:
            raise outcome_unknown() from error
        self._acknowledged_seq = max(self._acknowledged_seq, reply.seq)
        return reply

    async def _closed(self, rejected: Rejected, command: Command, seq: int) -> InstrumentRow | None:
        """The instrument whose session didn't take a command, as it was then; None where that isn't known in time."""
        if not await self.deps.read.reached(seq, READ_WAIT_S):
            return None
        if isinstance(command, Rent):
            return await self._closed_to(command)
        number = instrument_named(rejected, command)
        if isinstance(command, AmendOrder):
            order = await self.deps.read.order(command.order_id)
            number = 0 if order is None else order.instrument
        return await self.deps.read.instrument(number)

    async def _closed_to(self, rental: Rent) -> InstrumentRow | None:
        """Of the instruments that a rental named, the first whose session doesn't trade at once; else the first."""
        rows = [await self.deps.read.instrument(number) for number in rental.instruments]
        closed = (row for row in rows if row is not None and row.session is not Session.CONTINUOUS)
        return next(closed, rows[0])

    async def read_from(self, seq: int) -> None:
        """Wait until the read models have `seq`; Problem read_side_behind."""
        await _wait(self.deps.read, seq)

    async def ledger_from(self, seq: int) -> None:
        """Wait until the ledger has `seq`; Problem read_side_behind."""
        await _wait(self.deps.ledger, seq)

    async def read_maker_of(self, number: int) -> None:
        """Wait for the command that made an order or lease, if this gateway has acknowledged it: reads follow writes."""
        seq = number // (INDEX_MAX + 1) & SEQ_MAX
        if seq <= self._acknowledged_seq:
            await self.read_from(seq)

    async def read_done(self, seq: int) -> None:
        """Wait until the read models have the command that this request has just done.

        Problem read_side_behind, when they don't in time, says that it was done and only its telling is late.
        """
        if not await self.deps.read.reached(seq, READ_WAIT_S):
            raise Problem(
                "read_side_behind",
                f"Command {seq} was done",
                retry_after_ms=RETRY_AFTER_MS,
                outcome="unknown",
                seq=seq,
            )

    async def simulated(self, barons: Iterable[int], done_seq: int = 0) -> set[int]:
        """Those of these Barons that have no real GPUs; 0 stands for none. `done_seq`: as of `read_done`."""
        wanted = {baron for baron in barons if baron}
        if wanted and done_seq:
            await self.read_done(done_seq)
        return {baron for baron in wanted if (await self.baron(baron)).simulated}

    async def baron(self, number: int) -> BaronRow:
        """A Baron that sells, as the read models have it."""
        row = await self.deps.read.baron(number)
        if row is None:
            raise LookupError(f"Baron {number} sells and is not in the read models")
        return row


async def _wait(following: Following, seq: int) -> None:
    if seq and not await following.reached(seq, READ_WAIT_S):
        raise Problem("read_side_behind", f"Sequence {seq} isn't there yet", retry_after_ms=RETRY_AFTER_MS)
