"""Large pages for small objects: what is kept there stays as it was, what goes makes room, and the system was asked for them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

LARGE_PAGES: Final = Path("/sys/kernel/mm/transparent_hugepage")

_ASK = """
from engine.compiled.arenas import on_large_pages

assert on_large_pages() and on_large_pages(), "twice is as once"
"""
_KEEP = """
kept = [bytes((number % 251,)) * (17 + number % 400) for number in range(200_000)]
"""
_SAME = """
assert all(piece == bytes((number % 251,)) * (17 + number % 400) for number, piece in enumerate(kept))
"""
_RESIDENT = """
def resident():
    with open("/proc/self/statm") as figures:
        return int(figures.read().split()[1]) * 4096
"""


def _run(source: str) -> str:
    """In a process of its own: what it changes holds until the process ends."""
    done = subprocess.run([sys.executable, "-c", source], check=True, capture_output=True, text=True, timeout=120)
    return done.stdout


def test_what_is_kept_before_and_after_stays_as_it_was() -> None:
    early = _KEEP.replace("kept", "early")
    _run(early + _ASK + _KEEP + "del early" + _KEEP.replace("kept", "late") + _SAME + _SAME.replace("kept", "late"))


def test_what_goes_makes_room_for_what_comes() -> None:
    rounds = (
        _RESIDENT
        + _ASK
        + _KEEP
        + "first = resident()\nfor _ in range(4):\n    del kept"
        + _KEEP.replace("\n", "\n    ")
    )
    grown = int(_run(rounds + "\nprint(resident() - first)"))
    assert grown < 20 << 20, "four times 45 MB came and went"


def test_the_system_is_asked_for_large_pages() -> None:
    flags = _run(_ASK + _KEEP + "print(*(line for line in open('/proc/self/smaps') if line.startswith('VmFlags')))")
    asked = any("hg" in line.split() for line in flags.splitlines())
    assert asked == LARGE_PAGES.exists()
