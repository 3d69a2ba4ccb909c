"""GPUs as NVML shows them, through the real pynvml; each discovery in a process of its own, as the agent's is."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec
import pytest

from provisioner.agent import devices
from provisioner.agent.devices import Inventory
from provisioner.agent.errors import AgentError
from provisioner.wire import SKUS
from tests.provisioner.agent.conftest import ROOT

DISCOVER = """
import sys, msgspec
from provisioner.agent.devices import discover
from provisioner.agent.errors import AgentError
try:
    print(msgspec.json.encode(discover(sys.argv[1] or None, sys.argv[2])).decode())
except AgentError as error:
    print(error.code)
"""


def python(script: str, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def discover(simulate: str, seed: str) -> Inventory:
    return msgspec.json.decode(python(DISCOVER, simulate, seed), type=Inventory)


@pytest.mark.parametrize("sku", SKUS)
def test_each_sku_is_read_back_from_nvml(sku: str) -> None:
    inventory = discover(f"{sku}:3", "baron")
    assert inventory.simulated
    assert [(gpu.sku, gpu.index, gpu.minor, gpu.healthy) for gpu in inventory.gpus] == [
        (sku, index, index, True) for index in range(3)
    ]
    assert {(gpu.name, gpu.memory_mib) for gpu in inventory.gpus} == {(SKUS[sku].nvml_name, SKUS[sku].memory_mib)}
    assert inventory.driver_version.count(".") == 2
    assert inventory.cuda_version == "12.4"


def test_uuids_are_stable_by_seed_and_never_shared() -> None:
    first, again, other = (discover("H100-SXM5-80GB:8", seed) for seed in ("one", "one", "two"))
    assert first == again
    uuids = {gpu.uuid for inventory in (first, other) for gpu in inventory.gpus}
    assert len(uuids) == 16
    assert all(uuid.startswith("GPU-") and len(uuid) == 40 for uuid in uuids)


def test_discovering_again_in_one_process_gives_the_same() -> None:
    script = "from provisioner.agent.devices import discover as d; print(d('L40S-PCIE-48GB:2','x') == d('L40S-PCIE-48GB:2','x'))"
    assert python(script) == "True"


def test_a_node_without_a_driver_says_so_or_shows_its_gpus() -> None:
    said = python(DISCOVER, "", "baron")
    assert said == "no_nvml" or not msgspec.json.decode(said, type=Inventory).simulated


@pytest.mark.parametrize(
    "text",
    [
        *("", "H100", "H100-SXM5-80GB", "H100-SXM5-80GB:", "H100-SXM5-80GB:0", "H100-SXM5-80GB:-1"),
        *("H100-SXM5-80GB:65", "H100-SXM5-80GB:8:8", "H100-SXM5-80GB:٣", "H100-SXM5-80GB:99999999999"),
        *("MI300X-OAM-192GB:8", "x" * 500),
    ],
)
def test_a_bad_simulation_is_refused(text: str) -> None:
    with pytest.raises(AgentError) as refused:
        devices.parse_simulate(text)
    assert refused.value.code == "bad_simulate"
    assert len(str(refused.value)) < 400


STUB = """
import ctypes, sys
import pynvml as n
ctypes.CDLL(sys.argv[1], mode=ctypes.RTLD_GLOBAL)
try:
    n.nvmlInit()
except n.NVMLError as error:
    print(type(error).__name__)
    sys.exit()
gpu = n.nvmlDeviceGetHandleByUUID("GPU-b")
print(n.nvmlDeviceGetCount(), n.nvmlDeviceGetIndex(gpu), n.nvmlDeviceGetMinorNumber(gpu))
print(n.nvmlDeviceGetMemoryInfo(gpu).total >> 20, n.nvmlDeviceGetMemoryInfo(gpu, n.nvmlMemory_v2).free >> 20)
print(n.nvmlDeviceGetTemperature(gpu, 0), n.nvmlDeviceGetTemperatureV(gpu, 0))
print(n.nvmlDeviceGetUtilizationRates(gpu).gpu, n.nvmlDeviceGetEccMode(gpu))
print(n.nvmlDeviceGetTotalEccErrors(gpu, 1, 0))
print(n.nvmlDeviceGetPciInfo(gpu).busId, n.nvmlDeviceGetComputeRunningProcesses(gpu))
print(n.nvmlSystemGetCudaDriverVersion(), n.nvmlSystemGetCudaDriverVersion_v2(), n.nvmlSystemGetNVMLVersion())
for call, argument in (
    (n.nvmlDeviceGetHandleByUUID, "GPU-c"),
    (n.nvmlDeviceGetHandleByIndex, 2),
    (n.nvmlDeviceGetFanSpeed, gpu),
):
    try:
        call(argument)
    except n.NVMLError as error:
        print(type(error).__name__)
"""


def test_the_stub_answers_pynvml() -> None:
    said = python(STUB, str(devices.STUB_LIBRARY), HOURBOOK_NVML_STUB="Some GPU|1000|0:GPU-a,7:GPU-b")
    assert said.splitlines() == [
        "2 1 7",
        "1000 1000",
        "30 30",
        "0 [1, 1]",
        "0",
        "00000000:08:00.0 []",
        "12040 12040 12.550.90.07",
        "NVMLError_NotFound",
        "NVMLError_InvalidArgument",
        "NVMLError_FunctionNotFound",
    ]


@pytest.mark.parametrize(
    "setting",
    [
        *("", "x", "x|1", "x|y|0:u", "x||0:u", "x|1|u", "x|1|0:", "x|1|a:u"),
        *("x" * 200 + "|1|0:u", "x|1|0:" + "u" * 200, "x" * 100_000),
        "x|1|" + ",".join(f"{n}:u{n}" for n in range(65)),
    ],
)
def test_the_stub_refuses_a_malformed_setting(setting: str) -> None:
    assert python(STUB, str(devices.STUB_LIBRARY), HOURBOOK_NVML_STUB=setting) == "NVMLError_DriverNotLoaded"
