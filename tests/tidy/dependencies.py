"""What each part may import from others: only what its own distribution says it needs.

A Baron's node installs the base dependencies and nothing of the server; a client, those of `clients/pyproject.toml`.
The lists are read from the two pyproject files, so there is no second copy to keep.
"""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterator
from typing import Any

from tests.tidy.imports import OURS
from tests.tidy.sources import ROOT, SERVER, Finding, Source

# FastAPI is Starlette with types: what it re-exports is as much ours to use.
COMES_WITH = {"fastapi": ("starlette",)}


def _pyproject(path: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / path).read_text(encoding="utf-8"))


def _distribution(name: str) -> str:
    """A name as indexes compare it, without its version."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", name, maxsplit=1)[0]).lower()


def _with_companions(requirements: list[str]) -> frozenset[str]:
    names = {_distribution(requirement) for requirement in requirements}
    return frozenset(names.union(*(COMES_WITH.get(name, ()) for name in names)))


@functools.cache
def declared(part: str) -> frozenset[str]:
    """The distributions that `part` ("agent", "server" or "client") may import."""
    if part == "client":
        return _with_companions(_pyproject("clients/pyproject.toml")["project"]["dependencies"])
    project = _pyproject("pyproject.toml")["project"]
    extra = project["optional-dependencies"]["server"] if part == "server" else []
    return _with_companions([*project["dependencies"], *extra])


@functools.cache
def _distributions_of(module: str) -> frozenset[str]:
    names = importlib.metadata.packages_distributions().get(module, [module])
    return frozenset(_distribution(name) for name in names)


def _part(source: Source) -> str | None:
    if source.module.startswith("provisioner.agent") or source.module == "provisioner.wire":
        return "agent"
    if source.top == "clients":
        return "client"
    return "server" if source.top in SERVER else None


def dependency_findings(source: Source) -> Iterator[Finding]:
    """Every import of another project's package that this part's distribution doesn't declare."""
    part = _part(source)
    if part is None or not source.is_python:
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        for top in sorted({name.split(".")[0] for name in names}):
            if top in OURS or top in sys.stdlib_module_names or _distributions_of(top) & declared(part):
                continue
            yield Finding(source.path, node.lineno, f"{top} isn't among the {part}'s dependencies in its pyproject")
