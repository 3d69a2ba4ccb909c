"""One Monarch a home: a lock on the data directory, held by the process that writes there and freed by its end.

The lock is the kernel's (flock), so a process that was killed leaves none behind; the file's text is only for the message.
It knows nothing of what lies in the home.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Final

from exchange.log.files import make_folder

LOCK_NAME: Final = "monarch.lock"


class HomeInUse(Exception):
    """Another process holds the home; the message names it."""


class HomeLock:
    """Holds a home from its making until `release` (or the end of a `with`)."""

    def __init__(self, home: Path) -> None:
        """Take the lock, making the home if need be; HomeInUse when another process has it, OSError when it can't be made."""
        make_folder(home)
        file = home / LOCK_NAME
        self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            self.release()
            raise HomeInUse(
                f"{home} is in use by the Monarch with process id {holder}: stop it first, or give another home."
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let the home go; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> HomeLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
