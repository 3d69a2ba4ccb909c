"""Files that survive a power cut: folders and whole files made durable, for the log and for the snapshots beside it.

It knows nothing of what is in them.
"""

from __future__ import annotations

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Make a folder's entries durable: what was made, renamed or removed in it stays so from here on. OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, durably. OSError."""
    missing = [folder, *folder.parents]
    missing = missing[: next(place for place, one in enumerate(missing) if one.exists())]
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)
        sync_folder(one.parent)


def write_durably(path: Path, data: bytes) -> None:
    """Make or replace a file in one step: after a crash it is there whole, or as it was before. OSError."""
    draft = path.with_name(f"{path.name}.tmp")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)
