"""The tool as somebody watches it: what a terminal shows meanwhile, and Ctrl-C amid one long command."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.replay import BLOCK_BYTES
from tests.engine.replay.running import flow

ROOT = Path(__file__).resolve().parents[3]
WITHIN_S = 60
SLICES = 2_000_000_000


class Watched:
    """The tool with a terminal for its messages."""

    def __init__(self, arguments: list[str]) -> None:
        self._screen, terminal = pty.openpty()
        # Whoever runs the tests in the background ignores Ctrl-C, and the tool would, too.
        command = ["/usr/bin/env", "--default-signal", sys.executable, "-m", "engine.replay", *arguments]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stderr=terminal)
        os.close(terminal)
        self.said = ""

    def until(self, text: str) -> None:
        """Read on until it says this."""
        self.until_like(re.escape(text))

    def until_like(self, pattern: str) -> None:
        """The same for what has this form."""
        end_s = time.monotonic() + WITHIN_S
        while re.search(pattern, self.said) is None:
            assert select.select([self._screen], [], [], max(0, end_s - time.monotonic()))[0], self.said
            self.said += os.read(self._screen, 65_536).decode()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        os.close(self._screen)


@contextmanager
def watched(*arguments: str | Path) -> Iterator[Watched]:
    run = Watched([str(argument) for argument in arguments])
    try:
        yield run
    finally:
        run.close()


def test_progress_is_told_on_a_terminal_and_wiped() -> None:
    """The flow comes through a pipe that stays open after more than a block of it."""
    rows = [f"{ts_ns},new,bid{ts_ns},buy,gtc,7,1" for ts_ns in range(BLOCK_BYTES // 20)]
    with watched("-", "--book", "plain") as run:
        assert run.process.stdin is not None
        run.process.stdin.write(flow(*rows).encode())
        run.process.stdin.flush()
        run.until(" rows/s\033[K")
        run.process.stdin.write(b",new,ask,sell,gtc,7,1\n")
        run.process.stdin.close()
        run.process.stdin = None
        run.until(f"\r\033[K{len(rows) + 1:,} rows, 1 trades, 0 rejects, {len(rows) - 1:,} live orders; ")
        assert run.process.wait(WITHIN_S) == 0


@pytest.mark.parametrize("book", ["fast", "plain"])
def test_an_interrupt_amid_one_command_ends_it(book: str, tmp_path: Path) -> None:
    """No bound cuts off an iceberg of two billion slices here: whoever started it must be able to."""
    path = tmp_path / "flow.csv"
    header = "ts_ns,op,order_id,side,price,quantity,display_quantity"
    path.write_text(flow(f"1,new,ice,sell,7,{SLICES},1", f"2,new,t,buy,7,{SLICES},", header=header))
    with watched(path, "--book", book, "--trades", tmp_path / "trades.csv") as run:
        run.until_like("100 %  0 rows, 0 trades, 0 rejects  [1-9][0-9]* s")
        run.process.send_signal(signal.SIGINT)
        run.until("replay: interrupted. No file was written.")
        assert run.process.wait(WITHIN_S) == 130
    assert [left.name for left in tmp_path.iterdir()] == ["flow.csv"]
