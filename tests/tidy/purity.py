"""The engine's purity: the same commands give the same events on every machine, today and in ten years.

Modules are allowed by list, because a clock or a socket has more names than anyone thinks of. Python is read by its
syntax tree, Cython by its tokens. It knows nothing of the market.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator

from tests.tidy.sources import Finding, Source

# The command-line tool reads files and prints; nothing imports it.
EXEMPT = ("engine/replay.py",)

MODULES = frozenset(
    "__future__ abc array bisect collections contextlib csv dataclasses enum functools hashlib heapq itertools operator re struct "
    "types typing typing_extensions zlib "
    "msgspec sortedcontainers "
    "cython libc.limits libc.stdint libc.stdlib libc.string cpython engine".split()
)

# The calendar is reckoning; what asks for today isn't (ASKING).
NAMES_OF = {"datetime": frozenset({"date", "timedelta"})}
ASKING = frozenset({"today", "now", "utcnow", "fromtimestamp"})

# Input and output, time and chance, and what differs from one process to the next: id() and hash() of a text.
NAMES = frozenset(
    "open print input breakpoint eval exec __import__ globals float complex double hash id rand srand random "
    "perf_counter monotonic time_ns getenv environ urandom".split()
)

_NAMES_WHY = {"float": "a float", "double": "a float", "complex": "a float"}
_FLOAT_TEXT = re.compile(r"^(?!0[xX])[0-9_]*(?:\.[0-9_]*(?:[eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+)[jJ]?$|[jJ]$")
_CYTHON_MODULE = re.compile(r"^\s*(?:from\s+([\w.]+)\s+c?import\b|c?import\s+([\w.]+))")


def _module_allowed(name: str) -> bool:
    parts = name.split(".")
    return any(".".join(parts[:end]) in MODULES for end in range(1, len(parts) + 1))


def _name_finding(source: Source, line: int, name: str) -> Finding:
    why = _NAMES_WHY.get(name, "the world outside, or a value that differs between processes")
    return Finding(source.path, line, f"'{name}' has no place in the engine: {why}")


def _python_findings(source: Source) -> Iterator[Finding]:
    for node in ast.walk(source.tree):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    if not _module_allowed(alias.name):
                        yield Finding(source.path, node.lineno, f"module {alias.name} isn't on the engine's list")
            case ast.ImportFrom(module=str(module), names=names) if {each.name for each in names} <= NAMES_OF.get(
                module, frozenset()
            ):
                continue
            case ast.Attribute(attr=name) if name in ASKING:
                yield Finding(source.path, node.lineno, f"'{name}' asks for the time: it comes with the command")
            case ast.ImportFrom(module=module) if not _module_allowed(module or ""):
                yield Finding(source.path, node.lineno, f"module {module} isn't on the engine's list")
            case ast.Name(id=name) if name in NAMES:
                yield _name_finding(source, node.lineno, name)
            case ast.Constant(value=float() | complex()):
                yield Finding(source.path, node.lineno, "a float literal: the engine counts in integers")
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                yield Finding(source.path, node.lineno, "'/' makes a float: divide with '//' and say how it rounds")
            case ast.AsyncFunctionDef() | ast.Await() | ast.AsyncFor() | ast.AsyncWith():
                yield Finding(source.path, node.lineno, "the engine waits for nothing: no async")
            case _:
                continue


def _cython_findings(source: Source) -> Iterator[Finding]:
    for number, line in enumerate(source.text.splitlines(), start=1):
        found = _CYTHON_MODULE.match(line)
        if found and not _module_allowed(found.group(1) or found.group(2)):
            yield Finding(source.path, number, f"module {found.group(1) or found.group(2)} isn't on the engine's list")
    tokens = list(tokenize.generate_tokens(io.StringIO(source.text).readline))
    for before, token, after in zip([tokens[0], *tokens], tokens, [*tokens[1:], tokens[-1]], strict=False):
        line_number = token.start[0]
        called = after.string == "(" or token.string in _NAMES_WHY
        if token.type == tokenize.NAME and token.string in NAMES and called and before.string != ".":
            yield _name_finding(source, line_number, token.string)
        elif token.type == tokenize.NAME and token.string in ("async", "await"):
            yield Finding(source.path, line_number, "the engine waits for nothing: no async")
        elif token.type == tokenize.NUMBER and _FLOAT_TEXT.search(token.string):
            yield Finding(source.path, line_number, "a float literal: the engine counts in integers")
        elif token.string in ("/", "/=") and after.string not in (",", ")"):
            yield Finding(source.path, line_number, "'/' makes a float: divide with '//' and say how it rounds")


def purity_findings(source: Source) -> Iterator[Finding]:
    """What makes a module of the engine depend on more than its arguments."""
    if source.top != "engine" or str(source.path) in EXEMPT:
        return
    if source.is_python:
        yield from _python_findings(source)
    elif source.is_cython:
        yield from _cython_findings(source)
