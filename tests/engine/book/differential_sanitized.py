"""The fast book built with AddressSanitizer and UBSan, beside the one in use, and a Python that runs it.

As a program it plays random flows over that build and the plain book: a byte read or written where none should be ends it
with the sanitizer's report. What it proves is the memory; that the books are equal it checks in passing.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[3]
BUILD: Final = ROOT / "build" / "sanitize"
BUILD_S: Final = 1_200
SWITCH: Final = "HOURBOOK_SANITIZE"
CROWD_COMMANDS: Final = 40_000
CHUNK: Final = 500 * 64
ROOM: Final = 1 << 20
MARK: Final = b"__asan_report"
"""A name that every module built with AddressSanitizer asks for."""


def build() -> Path:
    """Build every extension sanitized, away from the sources; the folder that holds them as packages."""
    library = BUILD / "lib"
    command = [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", str(library)]
    command += ["--build-temp", str(BUILD / "temp")]
    environment = {**os.environ, SWITCH: "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=BUILD_S, check=False
    )
    if done.returncode:
        raise RuntimeError(f"the sanitized build failed:\n{done.stdout[-4_000:]}\n{done.stderr[-4_000:]}")
    return library


def _runtime(name: str) -> str:
    """A library of the compiler that built the extension."""
    compiler = os.environ.get("CC", "cc").split()[0]
    done = subprocess.run(
        [compiler, f"-print-file-name={name}"], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


def run(library: Path, module: str, *arguments: str, timeout_s: int) -> subprocess.CompletedProcess[str]:
    """`python -m module` with the sanitizers' runtime before everything else; `use(library)` is the module's part."""
    environment = {
        **os.environ,
        "LD_PRELOAD": _runtime("libasan.so"),
        # Python keeps what it has for good at its end; and its own small blocks would hide a use after free.
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
        "PYTHONMALLOC": "malloc",
    }
    command = [sys.executable, "-X", "faulthandler", "-m", module, str(library), *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False
    )


def find_in(library: Path) -> None:
    """From now on this process finds the engine's extensions here."""
    for folder in sorted({path.parent for path in library.rglob("*.so")}):
        package = importlib.import_module(".".join(folder.relative_to(library).parts))
        package.__path__.insert(0, str(folder))
    importlib.import_module("engine.book_fast")


def use(library: Path) -> None:
    """As `find_in`; RuntimeError if one of them isn't sanitized."""
    find_in(library)
    for name, module in list(sys.modules.items()):
        found = Path(getattr(module, "__file__", None) or "")
        if not name.startswith("engine.") or found.suffix != ".so":
            continue
        if not found.is_relative_to(library) or MARK not in found.read_bytes():
            raise RuntimeError(f"{found} isn't the sanitized build")


def overflow() -> None:
    """Write behind the end of a block: the canary of this test, which must never survive."""
    block = ctypes.create_string_buffer(64)
    ctypes.memset(ctypes.addressof(block), 0, 4_096)


def crowd(seed: int) -> int:
    """A life in which so many orders stand at once that tables grow by and by, over this build alone; the most at once."""
    from tests.engine.book.differential_pair import fast_book
    from tests.engine.book.flows import segments

    (segment,) = segments(seed, CROWD_COMMANDS, "crowd")
    book, out, most = fast_book()(segment.limits), bytearray(ROOM), 0
    for at in range(0, len(segment.commands), CHUNK):
        result = book.batch(memoryview(segment.commands)[at : at + CHUNK], out)
        if result.pending:
            raise RuntimeError(f"{result.pending} events found no room")
        most = max(most, len(book))
    return most


def main(library: str, commands: str, *seeds: str) -> int:
    """Play so many commands of each seed's flow, then a crowd; without a seed, the canary."""
    use(Path(library).resolve())
    if not seeds:
        overflow()
    from tests.engine.book import differential
    from tests.engine.book.differential_pair import fast_book

    for seed in seeds:
        print(f"seed {seed}", flush=True)
        differential.run(int(seed), int(commands), fast_book())
    if seeds:
        print(f"a crowd of {crowd(int(seeds[0])):,}", flush=True)
    print("sanitized and equal")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
