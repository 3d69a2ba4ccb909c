"""Real sandboxes for the tests of the agent: the tools, a renter's key, a Baron's home, and a clean end."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provisioner.agent import devices, tools
from provisioner.agent.sandbox import lifecycle
from provisioner.agent.sandbox.lifecycle import Sandbox
from provisioner.agent.sandbox.spec import Limits, SandboxSpec
from provisioner.agent.tools import Tools
from tests.provisioner.agent.gate import Gate
from tests.provisioner.agent.renter import Renter

ROOT = Path(__file__).resolve().parents[3]
# Kept between runs, for what is downloaded into it never changes.
TOOLS_DIR = ROOT / "build" / "tools"
MIB = 1024 * 1024
LIMITS = Limits(memory_bytes=512 * MIB, home_bytes=128 * MIB, tmp_bytes=64 * MIB, shm_bytes=64 * MIB, processes=256)
GPUS = devices.simulated_gpus("H100-SXM5-80GB:8", "tests")


@pytest.fixture(scope="session")
def sandbox_tools() -> Tools:
    return tools.fetch(TOOLS_DIR)


@pytest.fixture(scope="session")
def private_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("renter") / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@pytest.fixture
def spec_of(private_key: Path) -> Callable[..., SandboxSpec]:
    """A spec by lease id and GPU numbers, the renter's key in it."""

    def make(lease_id: str, gpus: tuple[int, ...] = (0,), limits: Limits = LIMITS) -> SandboxSpec:
        public = private_key.with_suffix(".pub").read_text().strip()
        return SandboxSpec(lease_id, 1, (public,), tuple(GPUS[index] for index in gpus), limits, simulated=True)

    return make


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A Baron's home, whose sandboxes are destroyed whatever the test did."""
    path = tmp_path / "baron"
    path.mkdir(mode=0o700)
    yield path
    for directory in lifecycle.survey(path):
        lifecycle.destroy(directory)


@pytest.fixture
def rent(
    home: Path, private_key: Path, sandbox_tools: Tools, spec_of: Callable[..., SandboxSpec], tmp_path: Path
) -> Iterator[Callable[..., Renter]]:
    """Start a sandbox and give its renter."""
    gates: list[Gate] = []

    def start(lease_id: str, gpus: tuple[int, ...] = (0,), limits: Limits = LIMITS) -> Renter:
        return enter(lifecycle.start(home, spec_of(lease_id, gpus, limits), sandbox_tools))

    def enter(sandbox: Sandbox) -> Renter:
        gates.append(Gate(Path(sandbox.directory)))
        return Renter.of(sandbox, gates[-1], private_key, tmp_path)

    yield start
    for gate in gates:
        gate.close()
