"""The project's own text as the tidy rules see it: each file with its path, its text and, for Python, its tree.

It walks the folders that hold our work rather than asking git, so that an unpacked archive is checked as well.
It knows no rule.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]

SERVER = ("engine", "exchange", "settlement", "provisioner")
FOLDERS = (*SERVER, "clients", "bench", "tests", "docs", ".ci")
CODE = (".py", ".pyi", ".pyx", ".pxd", ".c", ".h", ".js", ".css", ".html", ".sql")
TEXT = (*CODE, ".md", ".toml", ".sh", ".txt", ".cfg", ".ini", "")
BUILT = ("__pycache__", "bin", "out", "build", "dist", "vendor")


@dataclasses.dataclass(frozen=True)
class Source:
    """One file: `path` is relative to the root of the checkout."""

    path: PurePosixPath
    text: str

    @functools.cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, filename=str(self.path))

    @property
    def is_python(self) -> bool:
        return self.path.suffix == ".py"

    @property
    def is_cython(self) -> bool:
        return self.path.suffix in (".pyx", ".pxd")

    @property
    def top(self) -> str:
        return self.path.parts[0]

    @property
    def module(self) -> str:
        """The dotted name that the file is imported by; `clients/` is a root of its own."""
        parts = list(self.path.with_suffix("").parts)
        if parts[0] == "clients":
            parts = parts[1:]
        if parts[-1] == "__init__":
            parts.pop()
        return ".".join(parts)


@dataclasses.dataclass(frozen=True, order=True)
class Finding:
    """Where a rule is broken, and what to do about it."""

    path: PurePosixPath
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


def snippet(path: str, text: str) -> Source:
    """A made-up file, for the tests that show that a rule can fail."""
    return Source(PurePosixPath(path), text)


def report(findings: Iterator[Finding]) -> str:
    """The findings as a test's message: empty when there are none."""
    return "\n".join(str(finding) for finding in sorted(findings))


def _paths() -> Iterator[Path]:
    yield from (path for path in ROOT.iterdir() if path.is_file())
    for folder in FOLDERS:
        yield from (path for path in (ROOT / folder).rglob("*") if path.is_file())


def _ours(path: Path) -> bool:
    relative = path.relative_to(ROOT)
    if any(part in BUILT or part.endswith(".egg-info") for part in relative.parts[:-1]):
        return False
    return path.suffix in TEXT


@functools.cache
def all_sources() -> tuple[Source, ...]:
    """Every text of ours. A file that isn't UTF-8 raises UnicodeDecodeError with its path noted."""
    sources = []
    for path in sorted(filter(_ours, _paths())):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            error.add_note(f"in {path.relative_to(ROOT)}: our texts are UTF-8")
            raise
        sources.append(Source(PurePosixPath(path.relative_to(ROOT).as_posix()), text))
    return tuple(sources)


def code_sources() -> list[Source]:
    """Every file of code, of whatever language."""
    return [source for source in all_sources() if source.path.suffix in CODE]


def python_sources() -> list[Source]:
    """Every Python module, setup.py among them."""
    return [source for source in all_sources() if source.is_python]
