"""Each rule shown to fail: the file that breaks it, and one beside it that doesn't."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

import pytest

from tests.tidy import dependencies, imports, purity, shape, texts
from tests.tidy.sources import ROOT, Finding, Source, snippet

Rule = Callable[[Source], Iterator[Finding]]

LONG_FILE = "x = 1\n" * (shape.FILE_LINES_MAX + 1)
LONG_FUNCTION = "def walk():\n" + "    x = 1\n" * shape.FUNCTION_LINES_MAX
SCREEN_FUNCTION = "def walk():\n" + "    x = 1\n" * (shape.FUNCTION_LINES_MAX - 1)
LONG_CYTHON = "cdef void {name}(\n    int x,\n) noexcept nogil:\n" + "    x += 1\n" * shape.FUNCTION_LINES_MAX

# (rule, path, text) that the rule must report.
BROKEN: list[tuple[Rule, str, str]] = [
    (imports.import_findings, "engine/a.py", "import exchange.log\n"),
    (imports.import_findings, "engine/a.py", "from exchange import log\n"),
    (imports.import_findings, "engine/a.py", "import engine.replay\n"),
    (imports.import_findings, "engine/a.py", "def f():\n    import settlement\n"),
    (imports.import_findings, "engine/a.pyx", "cimport exchange.log\n"),
    (imports.import_findings, "engine/a.pyx", "from exchange.log cimport thing\n"),
    (imports.import_findings, "engine/a.pyx", "from exchange import (log)\n"),
    (imports.import_findings, "exchange/gateway/a.py", "import settlement.ledger\n"),
    (imports.import_findings, "exchange/gateway/a.py", "from exchange.monarch.config import Config\n"),
    (imports.import_findings, "exchange/gateway/a.py", "from provisioner import wire\n"),
    (imports.import_findings, "exchange/log/a.py", "import exchange.gateway\n"),
    (imports.import_findings, "exchange/monarch/a.py", "import hourbook\n"),
    (imports.import_findings, "exchange/monarch/a.py", "import bench.jobs\n"),
    (imports.import_findings, "settlement/a.py", "from engine.machine import Machine\n"),
    (imports.import_findings, "settlement/a.py", "from engine import machine\n"),
    (imports.import_findings, "settlement/a.py", "import exchange.gateway\n"),
    (imports.import_findings, "settlement/a.py", "import provisioner.wire\n"),
    (imports.import_findings, "provisioner/a.py", "from engine.book import Book\n"),
    (imports.import_findings, "provisioner/a.py", "from provisioner.agent import devices\n"),
    (imports.import_findings, "provisioner/wire.py", "import engine.messages\n"),
    (imports.import_findings, "provisioner/agent/a.py", "from engine.messages import Command\n"),
    (imports.import_findings, "provisioner/agent/a.py", "from provisioner.gate import Gate\n"),
    (imports.import_findings, "provisioner/agent/a.py", "import importlib\nimportlib.import_module('engine.ids')\n"),
    (imports.import_findings, "clients/hourbook/a.py", "from engine.units import parse_price\n"),
    (imports.import_findings, "clients/hourbook/a.py", "import hourbook.x\nimport exchange\n"),
    (imports.import_findings, "tests/e2e/a.py", "from clients.hourbook import cli\n"),
    (imports.import_findings, "bench/a.py", "import tests.waiting\n"),
    (imports.import_findings, "bench/a.py", "import clients.hourbook\n"),
    (imports.import_findings, "exchange/a.py", "from . import log\n"),
    (imports.import_findings, "setup.py", "import engine\n"),
    (imports.import_findings, "stray/a.py", "import engine\n"),
    (dependencies.dependency_findings, "provisioner/agent/a.py", "import fastapi\n"),
    (dependencies.dependency_findings, "provisioner/wire.py", "from sqlalchemy import select\n"),
    (dependencies.dependency_findings, "exchange/a.py", "import httpx\n"),
    (dependencies.dependency_findings, "clients/hourbook/a.py", "import sortedcontainers\n"),
    (imports.package_init_findings, "engine/__init__.py", '"""Doc."""\nfrom engine.machine import Machine\n'),
    (imports.package_init_findings, "clients/hourbook/__init__.py", '"""Doc."""\n__version__ = "1"\n'),
    (purity.purity_findings, "engine/a.py", "import time\n"),
    (purity.purity_findings, "engine/a.py", "from asyncio import Queue\n"),
    (purity.purity_findings, "engine/a.py", "import os.path\n"),
    (purity.purity_findings, "engine/a.py", "import random\n"),
    (purity.purity_findings, "engine/a.py", "import decimal\n"),
    (purity.purity_findings, "engine/a.py", "import datetime\n"),
    (purity.purity_findings, "engine/a.py", "from datetime import date, datetime\n"),
    (purity.purity_findings, "engine/a.py", "from datetime import date\n\nstart = date.today()\n"),
    (purity.purity_findings, "engine/a.py", "RATE = 0.5\n"),
    (purity.purity_findings, "engine/a.py", "half = total / 2\n"),
    (purity.purity_findings, "engine/a.py", "total /= 2\n"),
    (purity.purity_findings, "engine/a.py", "def f(price: float) -> int:\n    return 1\n"),
    (purity.purity_findings, "engine/a.py", "open('x')\n"),
    (purity.purity_findings, "engine/a.py", "print('x')\n"),
    (purity.purity_findings, "engine/a.py", "bucket = hash(name)\n"),
    (purity.purity_findings, "engine/a.py", "async def f():\n    return 1\n"),
    (purity.purity_findings, "engine/deep/a.py", "import socket\n"),
    (purity.purity_findings, "engine/a.pyx", "from libc.time cimport time\n"),
    (purity.purity_findings, "engine/a.pyx", "cimport numpy\n"),
    (purity.purity_findings, "engine/a.pyx", "cdef double price\n"),
    (purity.purity_findings, "engine/a.pyx", "cdef int x = 1 / 2\n"),
    (purity.purity_findings, "engine/a.pyx", "x = 1e3\n"),
    (purity.purity_findings, "engine/a.pyx", "x = .5\n"),
    (purity.purity_findings, "engine/a.pyx", "x = rand()\n"),
    (purity.purity_findings, "engine/a.pyx", "async def f():\n    pass\n"),
    (shape.file_size_findings, "engine/a.py", LONG_FILE),
    (shape.file_size_findings, "provisioner/agent/native/a.c", LONG_FILE),
    (shape.function_size_findings, "engine/a.py", LONG_FUNCTION),
    (shape.function_size_findings, "tests/a.py", "class A:\n" + textwrap.indent(LONG_FUNCTION, "    ")),
    (shape.function_size_findings, "engine/a.pyx", LONG_CYTHON.format(name="walk")),
    (shape.header_findings, "engine/a.py", "x = 1\n"),
    (shape.header_findings, "engine/a.pyx", "# cython: language_level=3\ncimport cython\n"),
    (shape.header_findings, "provisioner/agent/native/a.c", "#include <stdio.h>\n"),
    (shape.name_findings, "exchange/a.py", "class LeaseManager:\n    x = 1\n"),
    (shape.name_findings, "exchange/utils.py", "x = 1\n"),
    (shape.bare_except_findings, "exchange/a.py", "try:\n    f()\nexcept:\n    g()\n"),
    (shape.bare_except_findings, "engine/a.pyx", "try:\n    f()\nexcept :\n    g()\n"),
    (shape.float_money_findings, "exchange/a.py", "def f(price: float) -> None:\n    g(price)\n"),
    (shape.float_money_findings, "settlement/a.py", "amount_micros: float | None = None\n"),
    (shape.float_money_findings, "clients/hourbook/a.py", "def balance() -> float:\n    return g()\n"),
    (shape.float_money_findings, "exchange/a.py", "x = float(order.price_ticks)\n"),
    (shape.frozen_message_findings, "engine/messages.py", "class A(msgspec.Struct):\n    x: int\n"),
    (shape.frozen_message_findings, "provisioner/wire.py", "class A(Struct, frozen=False):\n    x: int\n"),
    (texts.unfinished_findings, "exchange/a.py", "x = 1  # TODO: more\n"),
    (texts.unfinished_findings, "exchange/a.py", "raise NotImplementedError\n"),
    (texts.unfinished_findings, "provisioner/agent/native/a.c", "/* FIXME */\n"),
    (texts.unfinished_findings, "exchange/a.py", "def f():\n    pass  # stub\n"),
    (texts.unfinished_findings, "exchange/a.py", 'def f() -> int:\n    """Doc."""\n    ...\n'),
    (texts.machine_path_findings, "docs/a.md", f"look into {ROOT}\n"),
    (texts.machine_path_findings, "Makefile", "PY := /home/anna/bin/python\n"),
    (texts.machine_path_findings, "docs/a.md", "it is /root/.pyenv/bin/python\n"),
    (texts.machine_path_findings, "exchange/a.py", f"HOME = '{ROOT}/data'\n"),
    (texts.sleep_findings, "tests/a.py", "import time\ntime.sleep(1)\n"),
    (texts.sleep_findings, "tests/a.py", "from time import sleep\n"),
    (texts.sleep_findings, "tests/a.py", "async def f():\n    await asyncio.sleep(0.1)\n"),
    (texts.empty_test_findings, "tests/a.py", "def test_a():\n    assert True\n"),
    (texts.empty_test_findings, "tests/a.py", "def test_a():\n    assert (x == 1, 'why')\n"),
    (texts.empty_test_findings, "tests/a.py", "@pytest.mark.skipif(x, reason='')\ndef test_a():\n    f()\n"),
    (texts.empty_test_findings, "tests/a.py", "x = pytest.importorskip('x')\n"),
    (texts.changelog_findings, "CHANGELOG.md", "# Changelog\n\n## [0.1.0]\n\n- A.\n"),
    (texts.changelog_findings, "CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n\n## [0.1.0]\n\n- A.\n"),
]

# (rule, path, text) that the rule must let pass.
SOUND: list[tuple[Rule, str, str]] = [
    (imports.import_findings, "engine/a.py", "import msgspec\nfrom engine.kinds import Side\n"),
    (imports.import_findings, "engine/a.pyx", "from libc.stdint cimport int64_t\nfrom engine.kinds import Side\n"),
    (imports.import_findings, "exchange/monarch/a.py", "import settlement.ledger\nimport provisioner.gate\n"),
    (imports.import_findings, "settlement/a.py", "from engine.messages import Event\nimport exchange.log.interface\n"),
    (imports.import_findings, "provisioner/agent/a.py", "from provisioner.wire import Hello\n"),
    (imports.import_findings, "tests/e2e/a.py", "import hourbook\nfrom tests.waiting import wait_until\n"),
    (dependencies.dependency_findings, "provisioner/agent/a.py", "import os\nimport pynvml\nimport websockets\n"),
    (dependencies.dependency_findings, "exchange/a.py", "import starlette.requests\nimport apsw\n"),
    (dependencies.dependency_findings, "clients/hourbook/a.py", "import httpx\nimport hourbook.x\n"),
    (imports.package_init_findings, "engine/__init__.py", '"""Doc."""\n'),
    (purity.purity_findings, "engine/a.py", "half = total // 2\n\ndef f(x: int, /) -> int:\n    return x\n"),
    (purity.purity_findings, "engine/a.pyx", "# 0.5 / 2\ncdef f(int x, /):\n    return 0xE1 // x  # open()\n"),
    (purity.purity_findings, "engine/a.py", "from datetime import date, timedelta\n"),
    (purity.purity_findings, "engine/replay.py", "import time\nprint(0.5)\n"),
    (purity.purity_findings, "exchange/a.py", "import time\n"),
    (shape.file_size_findings, "engine/a.py", "x = 1\n" * shape.FILE_LINES_MAX),
    (shape.function_size_findings, "engine/a.py", SCREEN_FUNCTION),
    (shape.function_size_findings, "engine/a.pyx", LONG_CYTHON.format(name="match_bid")),
    (shape.header_findings, "engine/a.pyx", '# cython: language_level=3\n"""A book."""\n'),
    (shape.name_findings, "exchange/leases.py", "class Leases:\n    x = 1\n"),
    (shape.float_money_findings, "exchange/a.py", "timeout_s: float = 1.0\n"),
    (shape.frozen_message_findings, "engine/messages.py", "class A(msgspec.Struct, frozen=True):\n    x: int\n"),
    (texts.unfinished_findings, "exchange/a.py", "class A(Protocol):\n    def f(self) -> int: ...\n"),
    (texts.machine_path_findings, "provisioner/agent/a.py", "HOME = '/home/gpu/'\nBARRED = '/proc/1/root/etc/'\n"),
    (texts.sleep_findings, "tests/a.py", "async def f():\n    await asyncio.sleep(0)\n"),
    (texts.sleep_findings, "exchange/a.py", "import time\ntime.sleep(1)\n"),
    (texts.empty_test_findings, "tests/a.py", "def test_a():\n    assert x == 1, 'why'\n"),
    (texts.changelog_findings, "CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n\n- A.\n"),
]


def _name(case: object) -> str:
    return getattr(case, "__name__", "") or str(case)[:60]


@pytest.mark.parametrize(("rule", "path", "text"), BROKEN, ids=_name)
def test_rule_reports(rule: Rule, path: str, text: str) -> None:
    findings = list(rule(snippet(path, text)))
    assert findings
    assert all(finding.line >= 1 and finding.what for finding in findings)


@pytest.mark.parametrize(("rule", "path", "text"), SOUND, ids=_name)
def test_rule_lets_pass(rule: Rule, path: str, text: str) -> None:
    assert list(rule(snippet(path, text))) == []


def test_every_rule_is_shown_to_fail() -> None:
    rules = {
        value
        for module in (dependencies, imports, purity, shape, texts)
        for name, value in vars(module).items()
        if name.endswith("_findings") and not name.startswith("_")
    }
    assert rules == {rule for rule, _, _ in BROKEN}


def test_folder_without_init_is_found() -> None:
    paths = [PurePosixPath(path) for path in ("setup.py", "a/__init__.py", "a/x.py", "a/b/y.py", "docs/z.md")]
    assert imports.folders_without_init(paths) == ["a/b"]


def test_findings_name_file_and_line() -> None:
    finding = next(imports.import_findings(snippet("engine/a.py", "x = 1\nimport exchange\n")))
    assert str(finding).startswith("engine/a.py:2: ")
