"""Where Monarch keeps what under its home."""

from __future__ import annotations

from pathlib import Path


class Places:
    """Paths below one home; `log/` and `snapshots/` below it are the log's and the sequencer's own."""

    def __init__(self, home: Path) -> None:
        self.home = home

    @property
    def registry(self) -> Path:
        """Accounts, key hashes, SSH keys, Barons, idempotency records."""
        return self.home / "registry.db"

    @property
    def ledger(self) -> Path:
        """Settlement's book of record."""
        return self.home / "ledger.db"

    @property
    def read(self) -> Path:
        """The read models: can always be made anew from the log."""
        return self.home / "read.db"

    @property
    def provisioner(self) -> Path:
        """Desired leases, ports, GPUs."""
        return self.home / "provisioner.db"

    @property
    def running(self) -> Path:
        """Pid and ports of the Monarch that runs here, while it runs."""
        return self.home / "running.json"
