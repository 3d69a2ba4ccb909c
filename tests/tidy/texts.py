"""What must not stand in any text of ours: work left open, paths of one machine, sleeps and empty assertions in tests.

It reads words and a few forms of the syntax tree; it knows nothing of the folders' jobs.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.tidy.sources import ROOT, Finding, Source

_UNFINISHED = re.compile(
    r"\b(?:TODO|FIXME|XXX|HACK)\b|\bNotImplementedError\b|\braise NotImplemented\b|\bpass\s*#\s*(?:stub|later)",
)
_MACHINE_PATHS = re.compile(r"(?<![\w.*])(?:/Users/\w|/home/(?!gpu\b|lease\b)\w+/|/root/(?:\.\w|\w+/))")
# Folders that every system has: a checkout may lie in them, and texts may name them.
_COMMON = ("/", "/home", "/opt", "/root", "/srv", "/tmp", "/usr/src", "/var/tmp")
_SKIPS = re.compile(
    r"\bmark\.(?:skip|skipif|xfail)\b|\bpytest\.(?:skip|xfail|importorskip)\b|\bSkipTest\b|\bunittest\.skip"
)
_UNRELEASED = re.compile(r"^## \[Unreleased\]\s*$(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)

# The one place that may sleep, since everything else waits through it.
_MAY_SLEEP = "tests/waiting.py"


def _speaks_of_rules(source: Source) -> bool:
    """The rules' own files name what they forbid."""
    return source.path.parts[:2] == ("tests", "tidy")


def _lines_with(source: Source, pattern: re.Pattern[str], what: str) -> Iterator[Finding]:
    for number, line in enumerate(source.text.splitlines(), start=1):
        found = pattern.search(line)
        if found:
            yield Finding(source.path, number, f"'{found.group(0)}': {what}")


def unfinished_findings(source: Source) -> Iterator[Finding]:
    """Nothing is left for later: not by a word, not by a body of three dots."""
    if _speaks_of_rules(source):
        return
    yield from _lines_with(source, _UNFINISHED, "finish it, or refuse what isn't there yet")
    if source.is_python:
        yield from _hollow_functions(source)


def _hollow_functions(source: Source) -> Iterator[Finding]:
    promises: set[ast.AST] = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in node.bases):
            promises.update(ast.walk(node))
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node in promises:
            continue
        marks = " ".join(ast.unparse(mark) for mark in node.decorator_list)
        body = [part for part in node.body if not _is_docstring(part)]
        hollow = bool(body) and all(_is_dots(part) for part in body)
        if hollow and "overload" not in marks and "abstractmethod" not in marks:
            yield Finding(source.path, node.lineno, f"{node.name} has no body: finish it, or take it out")


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_dots(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and node.value.value is ...


def machine_path_findings(source: Source) -> Iterator[Finding]:
    """No path of the machine that it was written on, nor of the one that runs this."""
    if _speaks_of_rules(source):
        return
    what = "a path of one machine: derive it, or take it from the configuration"
    yield from _lines_with(source, _MACHINE_PATHS, what)
    if len(ROOT.parts) > 2:
        yield from _lines_with(source, re.compile(re.escape(str(ROOT)) + r"\b"), what)
    if str(ROOT.parent) not in _COMMON:
        yield from _lines_with(source, re.compile(rf"(?<![\w.*]){re.escape(str(ROOT.parent))}/"), what)


def sleep_findings(source: Source) -> Iterator[Finding]:
    """A test waits for an event with a limit; sleeping is hoping."""
    if source.top != "tests" or not source.is_python or str(source.path) == _MAY_SLEEP:
        return
    looped: set[ast.AST] = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.While | ast.For | ast.AsyncFor):
            looped.update(ast.walk(node))
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom) and node.module in ("time", "asyncio"):
            if any(alias.name == "sleep" for alias in node.names):
                yield Finding(source.path, node.lineno, "sleep in a test: use tests.waiting.wait_until")
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            for_luck = called == "asyncio.sleep" and node not in looped and not _is_zero(node)
            if called == "time.sleep" or for_luck:
                yield Finding(source.path, node.lineno, f"{called} in a test: use tests.waiting.wait_until")


def _is_zero(call: ast.Call) -> bool:
    """`asyncio.sleep(0)` only lets the others run."""
    return bool(call.args) and isinstance(call.args[0], ast.Constant) and call.args[0].value == 0


def empty_test_findings(source: Source) -> Iterator[Finding]:
    """No test is skipped, expected to fail, or unable to."""
    if source.top != "tests" or not source.is_python or _speaks_of_rules(source):
        return
    if str(source.path) != "tests/conftest.py":
        yield from _lines_with(source, _SKIPS, "run it or take it out: a test that isn't run says nothing")
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Assert):
            always = isinstance(node.test, ast.Constant) and bool(node.test.value)
            if always or (isinstance(node.test, ast.Tuple) and node.test.elts):
                yield Finding(source.path, node.lineno, "an assertion that can't fail")


def changelog_findings(source: Source) -> Iterator[Finding]:
    """CHANGELOG.md has an Unreleased section with something in it."""
    if str(source.path) != "CHANGELOG.md":
        return
    section = _UNRELEASED.search(source.text)
    if section is None:
        yield Finding(source.path, 1, "no '## [Unreleased]' section: what a user will notice goes there")
    elif not re.search(r"^- \S", section.group(1), re.MULTILINE):
        yield Finding(source.path, 1, "the Unreleased section says nothing")
