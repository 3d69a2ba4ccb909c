"""What a shard was made with: its limits, written once before its first command.

The limits are part of the engine's state, and the command log doesn't carry them: replayed under other limits it would
give other events. So they are kept beside it, and a configuration that says otherwise is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from engine.limits import Limits
from exchange.log.files import make_folder, write_durably
from exchange.sequencer.errors import RecoveryError

FORMAT: Final = 1
FILE_NAME: Final = "genesis.json"


class _Genesis(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    shard: int
    limits: Limits


def settle_limits(home: Path, shard: int, limits: Limits, *, new: bool) -> None:
    """Write down the limits of a `new` shard; of one with commands, RecoveryError when they aren't those it was made with."""
    file = _file(home, shard)
    if new:
        make_folder(file.parent)
        write_durably(file, msgspec.json.format(msgspec.json.encode(_Genesis(FORMAT, shard, limits))) + b"\n")
        return
    made_with = read_limits(home, shard)
    if made_with != limits:
        names = [name for name in limits.__struct_fields__ if getattr(made_with, name) != getattr(limits, name)]
        was = ", ".join(f"{name} {getattr(made_with, name)} (now {getattr(limits, name)})" for name in names)
        raise RecoveryError(f"shard {shard} was made with {was}, and limits can't change: configure them as they were.")


def read_limits(home: Path, shard: int) -> Limits:
    """The limits that a shard was made with; RecoveryError when they can't be read."""
    file = _file(home, shard)
    try:
        genesis = msgspec.json.decode(file.read_bytes(), type=_Genesis)
    except FileNotFoundError as error:
        raise RecoveryError(
            f"{file} is missing, without which the log can't be replayed: restore it from a backup."
        ) from error
    except msgspec.MsgspecError as error:
        raise RecoveryError(f"{file} can't be read ({error}): restore it from a backup.") from error
    if genesis.format != FORMAT or genesis.shard != shard:
        raise RecoveryError(
            f"{file} is of format {genesis.format} and shard {genesis.shard}: restore it from a backup."
        )
    return genesis.limits


def _file(home: Path, shard: int) -> Path:
    return home / "log" / str(shard) / FILE_NAME
