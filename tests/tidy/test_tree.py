"""Every rule of the house, on every file of the house."""

from __future__ import annotations

import itertools
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator

import pytest

from tests.tidy import dependencies, imports, purity, shape, texts
from tests.tidy.sources import ROOT, Finding, Source, all_sources, code_sources, python_sources, report

Rule = Callable[[Source], Iterator[Finding]]
Files = Callable[[], Iterable[Source]]


def _python_and_cython() -> list[Source]:
    return [source for source in code_sources() if source.is_python or source.is_cython]


RULES: dict[str, tuple[Rule, Files]] = {
    "imports": (imports.import_findings, _python_and_cython),
    "dependencies": (dependencies.dependency_findings, python_sources),
    "package_init": (imports.package_init_findings, python_sources),
    "purity": (purity.purity_findings, code_sources),
    "file_size": (shape.file_size_findings, code_sources),
    "function_size": (shape.function_size_findings, code_sources),
    "header": (shape.header_findings, code_sources),
    "names": (shape.name_findings, code_sources),
    "bare_except": (shape.bare_except_findings, code_sources),
    "float_money": (shape.float_money_findings, python_sources),
    "frozen_messages": (shape.frozen_message_findings, python_sources),
    "unfinished": (texts.unfinished_findings, code_sources),
    "machine_paths": (texts.machine_path_findings, all_sources),
    "sleeps": (texts.sleep_findings, python_sources),
    "empty_tests": (texts.empty_test_findings, python_sources),
    "changelog": (texts.changelog_findings, all_sources),
}


@pytest.mark.parametrize("name", RULES)
def test_rule_holds_everywhere(name: str) -> None:
    rule, files = RULES[name]
    findings = report(itertools.chain.from_iterable(rule(source) for source in files()))
    assert findings == "", f"\n{findings}"


def test_every_folder_of_python_is_a_package() -> None:
    assert imports.folders_without_init(source.path for source in all_sources()) == []


def test_distributions_agree() -> None:
    """The two are released together: one version, one license, one floor of Python."""
    server, client = (
        tomllib.loads((ROOT / path).read_text(encoding="utf-8"))["project"]
        for path in ("pyproject.toml", "clients/pyproject.toml")
    )
    for field in ("version", "license", "requires-python"):
        assert server[field] == client[field], field


def test_each_section_that_is_quoted_stands_in_the_rulebook() -> None:
    """Whoever reads "(rulebook §8)", in the API documents too, finds it; once, and in order."""
    sections = re.findall(r"^## §(\d+) ", (ROOT / "docs" / "market.md").read_text(), re.MULTILINE)
    assert sections == [str(number) for number in range(1, len(sections) + 1)]
    quoted = {
        (section, str(source.path))
        for source in all_sources()
        for section in re.findall(r"(?<!RFC 4253 )§(\d+)", source.text)
    }
    assert len(quoted) > 100, "the walk sees what is quoted"
    assert {quote for quote in quoted if quote[0] not in sections} == set()
    for name in ("openapi.json", "asyncapi.json"):
        described = json.loads((ROOT / "docs" / name).read_text())["info"]["description"]
        assert "is section §8 of docs/market.md" in described, name


def test_walk_sees_the_house() -> None:
    """A walk that finds nothing would make every rule above pass."""
    seen = {str(source.path) for source in all_sources()}
    assert {
        "setup.py",
        "Makefile",
        ".ci/run",
        "CHANGELOG.md",
        "engine/messages.py",
        "exchange/log/interface.py",
        "provisioner/agent/native/init.c",
        "clients/hourbook/__init__.py",
        "tests/tidy/test_tree.py",
    } <= seen
    assert not any(path.startswith((".venv", "build/", ".demo")) for path in seen)


@pytest.mark.parametrize(
    "name", ["README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", ".ci/run", "docs/decisions"]
)
def test_house_has(name: str) -> None:
    assert (ROOT / name).exists()
