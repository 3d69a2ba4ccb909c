"""Following a topic: the one loop that settlement, the provisioner and the read models share.

A consumer keeps its position in the same transaction as its effects and hands it in here at the start. This loop reads
what comes after it, hands over batches in order, and waits. It never knows what a record means, and never commits.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from exchange.log.interface import LogError, LogReader, Record

MAX_RECORDS: Final = 1_024
"""Records of one batch, unless the consumer asks for another number."""


async def follow(
    reader: LogReader,
    position: int,
    apply_batch: Callable[[list[Record]], Awaitable[None]],
    max_records: int = MAX_RECORDS,
) -> None:
    """Hand every record after `position` to `apply_batch`, in order, without end: cancel it to stop.

    Batches are never empty and hold at most `max_records`; the next is read when `apply_batch` has returned, and what it
    raises ends the loop. LogError when the log ends before `position` (it isn't the log that the position came from, or it
    has lost records), or when sequence numbers don't strictly increase.
    """
    last = await reader.last_seq()
    if last < position:
        raise LogError(
            f"the consumer has taken in {position}, and the log ends at {last}: the log isn't the one it followed, or has "
            "lost records. Restore the log from a backup, or rebuild the consumer's database from this log."
        )
    while True:
        batch = await reader.read(position, max_records)
        if not batch:
            await reader.wait(position)
            continue
        for record in batch:
            if record.seq <= position:
                raise LogError(
                    f"record {record.seq} came after {position}: the log is out of order. Restore it from a backup."
                )
            position = record.seq
        await apply_batch(batch)
