"""Documents that are made from the code and committed: the one command line that writes them, or finds them outdated."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable
from pathlib import Path


def write_or_check(module: str, default: Path, make: Callable[[], str], arguments: list[str] | None) -> int:
    """`--write [FILE]` writes what `make` gives; `--check [FILE]` shows how the file differs from it (exit status 1)."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=f"The document {default}, from the code.")
    action = parser.add_mutually_exclusive_group(required=True)
    for flag, what in (("--write", "write the document"), ("--check", "compare the document with the code")):
        action.add_argument(flag, type=Path, nargs="?", const=default, metavar="FILE", help=what)
    options = parser.parse_args(arguments)
    made = make()
    if options.write is not None:
        options.write.parent.mkdir(parents=True, exist_ok=True)
        options.write.write_text(made)
        return 0
    committed = options.check.read_text() if options.check.exists() else ""
    if committed == made:
        return 0
    lines = difflib.unified_diff(committed.splitlines(True), made.splitlines(True), str(options.check), "the code", n=2)
    sys.stderr.writelines(lines)
    sys.stderr.write(f"The document is outdated: look at it, then python -m {module} --write {options.check}\n")
    return 1
