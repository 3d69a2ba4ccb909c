"""Runs a bench by name: `python -m bench NAME [--json FILE] [--quick]`; without a name it lists them.

It knows where benches are, and nothing of what any of them measures.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Sequence

import bench


def names() -> list[str]:
    """The benches: the modules directly in this folder."""
    return sorted(
        module.name for module in pkgutil.iter_modules(bench.__path__) if not module.ispkg and module.name != "__main__"
    )


def main(arguments: Sequence[str]) -> int:
    """Run the bench that the first argument names with the rest; 2 when there is none of that name."""
    if arguments and arguments[0] in names():
        run = importlib.import_module(f"bench.{arguments[0]}").main
        return int(run(arguments[1:]))
    known = arguments and arguments[0] in ("-h", "--help")
    out = sys.stdout if known or not arguments else sys.stderr
    if arguments and not known:
        print(f"There is no bench {arguments[0]!r}.", file=out)
    print("python -m bench NAME [--json FILE] [--quick]; each NAME says with --help what else it takes:", file=out)
    for name in names():
        first_line = (importlib.import_module(f"bench.{name}").__doc__ or "").partition("\n")[0]
        print(f"  {name:12} {first_line}", file=out)
    return 0 if known or not arguments else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
