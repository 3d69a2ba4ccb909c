"""One Monarch a home, seen from two processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from exchange.log.home_lock import HomeInUse, HomeLock

HOLD = """
import sys
from pathlib import Path
from exchange.log.home_lock import HomeLock
lock = HomeLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_lock_names_the_first_process(tmp_path: Path) -> None:
    with HomeLock(tmp_path / "home"), pytest.raises(HomeInUse, match=f"process id {os.getpid()}: stop it first"):
        HomeLock(tmp_path / "home")


def test_it_is_free_again_after_release(tmp_path: Path) -> None:
    lock = HomeLock(tmp_path)
    lock.release()
    lock.release()
    HomeLock(tmp_path).release()


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(HomeInUse, match=f"process id {holder.pid}:"):
            HomeLock(tmp_path)
        holder.kill()
        holder.wait()
        HomeLock(tmp_path).release()
