"""A Baron's home that is enrolled at a scripted Monarch, agents on it, and a clean end whatever a test did."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from provisioner.agent import home as homes
from provisioner.agent import tools
from provisioner.agent.home import Identity
from provisioner.agent.sandbox import lifecycle
from tests.provisioner.agent.conftest import TOOLS_DIR
from tests.provisioner.agent_loop.baron import Renter, Running
from tests.provisioner.agent_loop.monarch import BARON_ID, CREDENTIAL, Monarch

RunBaron = Callable[..., Running]


@pytest.fixture(scope="session", autouse=True)
def _fetched() -> None:
    tools.fetch(TOOLS_DIR)


@pytest.fixture(scope="session")
def renter(tmp_path_factory: pytest.TempPathFactory) -> Renter:
    return Renter(tmp_path_factory.mktemp("renter"))


@pytest.fixture
async def monarch() -> AsyncIterator[Monarch]:
    scripted = Monarch()
    await scripted.start()
    yield scripted
    await scripted.stop()


@pytest.fixture
def home(tmp_path: Path, monarch: Monarch) -> Iterator[Path]:
    """Enrolled; its sandboxes are destroyed at the end."""
    path = tmp_path / "baron"
    path.mkdir(mode=0o700)
    identity = Identity(version=homes.IDENTITY_VERSION, monarch=monarch.url, baron_id=BARON_ID, credential=CREDENTIAL)
    homes.write_identity(path, identity)
    yield path
    for directory in lifecycle.survey(path):
        lifecycle.destroy(directory)


@pytest.fixture
def run_baron(home: Path, tmp_path: Path) -> Iterator[RunBaron]:
    """Start `baron run` on the home; killed at the end at the latest."""
    started: list[Running] = []

    def run(simulate: str = "H100-SXM5-80GB:2") -> Running:
        started.append(Running(home, tmp_path / f"events.{len(started)}", simulate))
        return started[-1]

    yield run
    for one in started:
        if one.alive:
            one.kill()
        print(one.log())
