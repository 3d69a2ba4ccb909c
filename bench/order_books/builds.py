"""What a run of the bench has to make first, all of it under `build/`: the fast book without its features, and an environment
with the order books that people install from the package index.

It runs compilers and installers; it knows nothing of what is measured.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
BARE: Final = ROOT / "build" / "bench-bare"
PACKAGES: Final = ROOT / "build" / "bench-packages"
BUILD_TIMEOUT_S: Final = 600
REQUIREMENTS: Final = {
    "bourse": "bourse>=0.4,<1",
    "lightmatchingengine": "lightmatchingengine==2019.1.4",
    "order-matching": "order-matching[polars]>=0.12,<1",
}
"""What each of `packages.PLAYERS` is installed from."""


class CannotBuildError(Exception):
    """A build or an installation failed; the text is the last that it said."""


def bare_fast_book() -> Any:
    """The module of the fast book built with limit orders, cancels and amends alone."""
    build = ["setup.py", "-q", "build_ext", "--build-lib", str(BARE / "lib"), "--build-temp", str(BARE / "temp")]
    _run([sys.executable, *build], environment={**os.environ, "HOURBOOK_BARE": "1"})
    found = sorted((BARE / "lib").glob("engine/book_fast*.so"))
    if not found:
        raise CannotBuildError("the build left no book_fast")
    # Another name than the full build's, so that both can be in one process; the last part is the module's own.
    spec = importlib.util.spec_from_file_location("bench_bare.book_fast", found[0])
    if spec is None or spec.loader is None:
        raise CannotBuildError(f"{found[0]} is no module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def package_command(name: str) -> list[str]:
    """The command that plays flows by this package, installed if it isn't; to be run with `package_environment`."""
    python = PACKAGES / name / "bin" / "python"
    if not python.exists():
        venv.create(python.parents[1], with_pip=True, symlinks=True)
    _run([str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", REQUIREMENTS[name]])
    return [str(python), "-m", "bench.order_books.packages", name]


def package_environment() -> dict[str, str]:
    """Where that command finds its own module and the records' layout."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    try:
        subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BUILD_TIMEOUT_S,
        )
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip() or error.stdout.strip() or str(error)).splitlines()[-1]
        raise CannotBuildError(last) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotBuildError(str(error)) from None
