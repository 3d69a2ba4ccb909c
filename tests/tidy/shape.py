"""The shape of a file: its size, its header, its names, and how it treats errors.

It knows how the code is cut, not what it does.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.tidy.sources import SERVER, Finding, Source

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70

_EMPTY_NAMES = re.compile(r"(?:Manager|Helpers?|Utils?|Handler\d+)$")
_EMPTY_MODULES = re.compile(r"(?:^|_)(?:managers?|helpers?|utils?|misc|common)$")
_CYTHON_FUNCTION = re.compile(r"^(\s*)(?:def|cpdef|cdef)\b[^=#\n]*?(\w+)\s*\(")
_CYTHON_MATCHING_LOOP = re.compile(r"^_*match")

_MONEY = re.compile(r"_(?:micros|ticks|ns|ppm)$|(?:^|_)(?:price|amount|balance|notional|fee|quantity|money)(?:_|$)")
# What is sent or kept: mutable ones would change after they were encoded.
_MESSAGE_FILES = re.compile(r"(?:^|/)(?:messages|wire|config|limits|schemas?|interface|ports)\.py$")

AnyFunction = ast.FunctionDef | ast.AsyncFunctionDef


def _functions(source: Source) -> Iterator[AnyFunction]:
    return (node for node in ast.walk(source.tree) if isinstance(node, AnyFunction))


def file_size_findings(source: Source) -> Iterator[Finding]:
    """A file of code ends before its 501st line."""
    lines = len(source.text.splitlines())
    if lines > FILE_LINES_MAX:
        yield Finding(source.path, lines, f"{lines} lines: past {FILE_LINES_MAX} a room wants a door, split it by idea")


def _cython_functions(source: Source) -> Iterator[tuple[str, int, int]]:
    """Name, first line and length of each function, ended by the first text that stands no deeper than its head."""
    lines = source.text.splitlines()
    for start, line in enumerate(lines):
        head = _CYTHON_FUNCTION.match(line)
        if not head:
            continue
        end = start
        for number in range(start + 1, len(lines)):
            text = lines[number]
            if not text.strip():
                continue
            if len(text) - len(text.lstrip()) <= len(head.group(1)) and not text.lstrip().startswith((")", "#")):
                break
            end = number
        yield head.group(2), start + 1, end - start + 1


def function_size_findings(source: Source) -> Iterator[Finding]:
    """A function fits a screen; a matching loop in Cython (`match...`) may be longer."""
    sizes: Iterator[tuple[str, int, int]] = iter(())
    if source.is_python:
        sizes = (
            (function.name, function.lineno, (function.end_lineno or function.lineno) - function.lineno + 1)
            for function in _functions(source)
        )
    elif source.path.suffix == ".pyx":
        sizes = (size for size in _cython_functions(source) if not _CYTHON_MATCHING_LOOP.match(size[0]))
    for name, line, length in sizes:
        if length > FUNCTION_LINES_MAX:
            yield Finding(source.path, line, f"{name} has {length} lines, a screen has {FUNCTION_LINES_MAX}")


def header_findings(source: Source) -> Iterator[Finding]:
    """Every module starts by saying what lives in it."""
    if source.is_python:
        missing = not ast.get_docstring(source.tree)
    elif source.path.suffix == ".pyx":
        text = re.sub(r"\A(?:\s*#.*\n)*\s*", "", source.text)
        missing = not text.startswith(('"""', 'r"""'))
    elif source.path.suffix in (".c", ".h"):
        missing = not source.text.lstrip().startswith(("/*", "//"))
    else:
        return
    if missing:
        yield Finding(source.path, 1, "no header: say what lives here, why, and what it must never know")


def name_findings(source: Source) -> Iterator[Finding]:
    """Names are the field's; a Manager, Helper or Util says nothing."""
    if _EMPTY_MODULES.search(source.path.stem):
        yield Finding(source.path, 1, f"'{source.path.stem}' names no idea: call the room by what lives in it")
    if not source.is_python:
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef) and _EMPTY_NAMES.search(node.name):
            yield Finding(source.path, node.lineno, f"'{node.name}' says nothing: use the field's term")


def bare_except_findings(source: Source) -> Iterator[Finding]:
    """No `except:`, in Cython neither, where ruff doesn't look."""
    if source.is_python:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ExceptHandler) and node.type is None:
                yield Finding(source.path, node.lineno, "a bare except: name what can go wrong here")
    elif source.is_cython:
        for number, line in enumerate(source.text.splitlines(), start=1):
            if re.match(r"\s*except\s*:", line):
                yield Finding(source.path, number, "a bare except: name what can go wrong here")


def _is_float(annotation: ast.expr | None) -> bool:
    return annotation is not None and any(
        isinstance(node, ast.Name) and node.id == "float" for node in ast.walk(annotation)
    )


def float_money_findings(source: Source) -> Iterator[Finding]:
    """Money, prices, quantities and exact time are integers, from the edge inwards."""
    if not source.is_python or source.top not in (*SERVER, "clients"):
        return
    for node in ast.walk(source.tree):
        name = ""
        match node:
            case ast.AnnAssign(target=ast.Name(id=target) | ast.Attribute(attr=target)) if _is_float(node.annotation):
                name = target
            case ast.arg(arg=argument) if _is_float(node.annotation):
                name = argument
            case ast.FunctionDef(name=function) | ast.AsyncFunctionDef(name=function) if _is_float(node.returns):
                name = function
            case ast.Call(func=ast.Name(id="float"), args=[ast.Name(id=argument) | ast.Attribute(attr=argument)]):
                name = argument
            case _:
                continue
        if _MONEY.search(name):
            yield Finding(source.path, node.lineno, f"'{name}' as a float: use integers of its unit, or decimal text")


def frozen_message_findings(source: Source) -> Iterator[Finding]:
    """What travels or is shared is frozen: nobody may change what another holds."""
    if not _MESSAGE_FILES.search(str(source.path)):
        return
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.ClassDef):
            continue
        if not any(ast.unparse(base) in ("Struct", "msgspec.Struct") for base in node.bases):
            continue
        frozen = next((word.value for word in node.keywords if word.arg == "frozen"), None)
        if not (isinstance(frozen, ast.Constant) and frozen.value is True):
            yield Finding(source.path, node.lineno, f"message '{node.name}' isn't frozen: add frozen=True")
