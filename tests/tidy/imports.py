"""The import rule of the house: which folder may lean on which.

Python is read by its syntax tree, imports under TYPE_CHECKING and in functions included; Cython by its import lines.
It knows nothing of what the modules do.
"""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from tests.tidy.sources import SERVER, Finding, Source

OURS = (*SERVER, "hourbook", "bench", "tests", "clients")

# The engine's words, without its machinery: what a consumer of the log needs to read it.
VOCABULARY = tuple(f"engine.{name}" for name in ("messages", "codec", "ids", "kinds", "limits", "reasons", "units"))


@dataclasses.dataclass(frozen=True)
class Rule:
    """What modules under `scope` may import of ours, by prefix; what is `barred` is so in spite of that."""

    scope: str
    allowed: tuple[str, ...]
    barred: tuple[str, ...] = ()


# The first rule whose scope holds the module decides, so the narrower stand before the wider.
RULES = (
    Rule("engine", ("engine",), barred=("engine.replay",)),
    Rule("exchange.monarch", SERVER, barred=("engine.replay",)),
    Rule("exchange.log", ("engine", "exchange.log")),
    Rule("exchange", ("engine", "exchange"), barred=("exchange.monarch", "engine.replay")),
    Rule("settlement", ("settlement", "exchange.log", *VOCABULARY)),
    Rule("provisioner.agent", ("provisioner.agent", "provisioner.wire")),
    # The agent stands on it alone, so it stands on nothing.
    Rule("provisioner.wire", ("provisioner.wire",)),
    Rule("provisioner", ("provisioner", "exchange.log", *VOCABULARY), barred=("provisioner.agent",)),
    Rule("hourbook", ("hourbook",)),
    Rule("bench", (*SERVER, "hourbook", "bench"), barred=("clients",)),
    Rule("tests", OURS, barred=("clients",)),
    Rule("setup", ()),
)

_CYTHON_IMPORT = re.compile(r"^\s*(?:from\s+([\w.]+)\s+c?import\s+(.*)|c?import\s+([\w., ]+))", re.MULTILINE)


def _within(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(prefix + ".")


def _python_imports(source: Source) -> Iterator[tuple[int, str]]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield node.lineno, "." * node.level
            elif node.module in OURS:
                # "from exchange import log" names a module as much as "import exchange.log" does.
                yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module or ""
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = ast.unparse(node.func)
            if name in ("__import__", "importlib.import_module", "import_module"):
                yield node.lineno, str(node.args[0].value)


def _cython_imports(source: Source) -> Iterator[tuple[int, str]]:
    for match in _CYTHON_IMPORT.finditer(source.text):
        line = source.text.count("\n", 0, match.start()) + 1 + match.group(0).count("\n")
        package, names, modules = match.groups()
        if package in OURS:
            yield from (
                (line, f"{package}.{name.split()[0]}") for name in names.strip("( )").split(",") if name.strip()
            )
        elif package:
            yield line, package
        else:
            yield from ((line, name.split()[0]) for name in modules.split(",") if name.strip())


def _rule_for(module: str) -> Rule | None:
    return next((rule for rule in RULES if _within(module, rule.scope)), None)


def import_findings(source: Source) -> Iterator[Finding]:
    """Every import of ours that the rule for the file's folder doesn't allow."""
    imports = _cython_imports(source) if source.is_cython else _python_imports(source)
    rule = _rule_for(source.module)
    for line, name in imports:
        if name.startswith("."):
            yield Finding(source.path, line, "a relative import: name the module from its package's root")
        elif _within(name, "clients"):
            yield Finding(source.path, line, f"{name} would be a second copy of hourbook: import hourbook")
        elif name.split(".")[0] not in OURS:
            continue
        elif rule is None:
            yield Finding(source.path, line, f"{name} is ours, and no import rule knows this file: add one")
        elif any(_within(name, prefix) for prefix in rule.barred) or not any(
            _within(name, prefix) for prefix in rule.allowed
        ):
            allowed = ", ".join(rule.allowed) or "nothing of ours"
            yield Finding(source.path, line, f"{rule.scope} may not import {name}, only {allowed}")


def package_init_findings(source: Source) -> Iterator[Finding]:
    """A package's `__init__` holds its docstring alone, so that importing one part never loads another."""
    if source.path.name != "__init__.py":
        return
    for node in source.tree.body:
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            yield Finding(source.path, node.lineno, "a package's __init__ holds a docstring and nothing else")


def folders_without_init(paths: Iterable[PurePosixPath]) -> list[str]:
    """Folders with Python of ours that an install would leave out, because they are no package."""
    modules = [path for path in paths if path.suffix == ".py" and len(path.parts) > 1]
    packages = {path.parent for path in modules if path.name == "__init__.py"}
    return sorted({str(path.parent) for path in modules} - {str(package) for package in packages})
