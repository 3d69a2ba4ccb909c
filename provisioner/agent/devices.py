"""Which GPUs this node has, read through NVML, and which SKU each one is.

The table of SKUs is the wire's, so that Monarch reads the same. Simulated GPUs come through the same pynvml: our stub library is
loaded first under NVML's soname, and told through one environment variable what to show. Nothing here knows leases.
"""

from __future__ import annotations

import ctypes
import os
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pynvml

from provisioner.agent.errors import AgentError
from provisioner.wire import SKUS, sku_of

STUB_LIBRARY = Path(__file__).parent / "native" / "bin" / "libnvidia-ml.so.1"
STUB_VARIABLE = "HOURBOOK_NVML_STUB"
SIMULATED_GPUS_MAX = 64
MIB = 1024 * 1024

_UUID_SPACE = uuid.UUID("5d0a7f4e-2c39-4a51-9f0e-6b1d83c2e7aa")
# NVML's state belongs to the process: two readers at once would shut it down under each other.
_NVML_LOCK = threading.Lock()


class Gpu(msgspec.Struct, frozen=True):
    """One GPU as NVML shows it. `minor` is the N of /dev/nvidiaN; `sku` is "" where the table has none or it is in slices."""

    index: int
    minor: int
    uuid: str
    name: str
    memory_mib: int
    sku: str
    healthy: bool


class Inventory(msgspec.Struct, frozen=True):
    """All GPUs of this node at one moment. A GPU that NVML has lost isn't among them."""

    gpus: tuple[Gpu, ...]
    driver_version: str
    cuda_version: str
    simulated: bool


def parse_simulate(simulate: str) -> tuple[str, int]:
    """ "H100-SXM5-80GB:8" as (SKU, count). Raises AgentError `bad_simulate`."""
    sku, separator, count = simulate.partition(":")
    if sku not in SKUS or not separator or not count.isascii() or not count.isdigit():
        raise AgentError(
            "bad_simulate",
            f"'{simulate[:80]}' isn't SKU:COUNT",
            f"give one of {', '.join(SKUS)} and a count, as H100-SXM5-80GB:8",
        )
    if not 1 <= int(count[:4]) <= SIMULATED_GPUS_MAX or len(count) > 4:
        raise AgentError("bad_simulate", f"count {count[:8]}", f"simulate 1 to {SIMULATED_GPUS_MAX} GPUs")
    return sku, int(count)


def simulated_gpus(simulate: str, seed: str) -> tuple[Gpu, ...]:
    """The GPUs that `simulate` stands for; the same seed gives the same UUIDs, another seed gives others."""
    sku, count = parse_simulate(simulate)
    model = SKUS[sku]
    return tuple(
        Gpu(
            index=index,
            minor=index,
            uuid=f"GPU-{uuid.uuid5(_UUID_SPACE, f'{seed}/{sku}/{index}')}",
            name=model.nvml_name,
            memory_mib=model.memory_mib,
            sku=sku,
            healthy=True,
        )
        for index in range(count)
    )


def stub_setting(gpus: Sequence[Gpu]) -> str:
    """The value of `HOURBOOK_NVML_STUB` that makes the stub show these GPUs, all of one model, and no other."""
    models = {(gpu.name, gpu.memory_mib) for gpu in gpus}
    if len(models) != 1:
        raise ValueError("the stub shows at least one GPU, all of one model")
    [(name, memory_mib)] = models
    return f"{name}|{memory_mib}|" + ",".join(f"{gpu.minor}:{gpu.uuid}" for gpu in gpus)


def discover(simulate: str | None, seed: str) -> Inventory:
    """Read this node's GPUs through NVML; with `simulate` ("SKU:COUNT") through the stub, with UUIDs made from `seed`.

    A process is either real or simulated, for good: NVML can be loaded once. Blocks for some milliseconds (real
    drivers: up to seconds at first). Raises AgentError `bad_simulate`, `no_stub`, `no_nvml`.
    """
    with _NVML_LOCK:
        expected: tuple[Gpu, ...] | None = None
        if simulate is not None:
            expected = simulated_gpus(simulate, seed)
            _preload_stub(expected)
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            raise AgentError(
                "no_nvml",
                f"NVML doesn't start: {error}",
                "install NVIDIA's driver, or run with --simulate SKU:COUNT",
            ) from error
        try:
            inventory = _read(simulated=simulate is not None)
        except pynvml.NVMLError as error:
            raise AgentError("no_nvml", f"NVML fails: {error}", "look at nvidia-smi and dmesg") from error
        finally:
            pynvml.nvmlShutdown()
    if expected is not None and inventory.gpus != expected:
        raise AgentError(
            "no_stub",
            "a real libnvidia-ml was loaded before the stub",
            "simulate in a fresh process that hasn't used NVML",
        )
    return inventory


def _preload_stub(gpus: Sequence[Gpu]) -> None:
    os.environ[STUB_VARIABLE] = stub_setting(gpus)
    try:
        ctypes.CDLL(str(STUB_LIBRARY), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise AgentError(
            "no_stub", f"the NVML stub doesn't load: {error}", "run make build, or install the package again"
        ) from error


def _read(simulated: bool) -> Inventory:
    gpus = []
    for index in range(pynvml.nvmlDeviceGetCount()):
        try:
            gpus.append(_read_gpu(index))
        except (pynvml.NVMLError_GpuIsLost, pynvml.NVMLError_NoPermission):
            # Gone from the bus, or another container's: neither can be leased, so neither is reported.
            continue
    cuda = pynvml.nvmlSystemGetCudaDriverVersion()
    return Inventory(
        gpus=tuple(gpus),
        driver_version=pynvml.nvmlSystemGetDriverVersion(),
        cuda_version=f"{cuda // 1000}.{cuda % 1000 // 10}",
        simulated=simulated,
    )


def _read_gpu(index: int) -> Gpu:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    name = pynvml.nvmlDeviceGetName(handle)
    memory_mib = int(pynvml.nvmlDeviceGetMemoryInfo(handle).total) // MIB
    return Gpu(
        index=index,
        minor=int(pynvml.nvmlDeviceGetMinorNumber(handle)),
        uuid=pynvml.nvmlDeviceGetUUID(handle),
        name=name,
        memory_mib=memory_mib,
        # A GPU cut into slices by MIG isn't the whole GPU that its SKU promises.
        sku="" if _mig_enabled(handle) else sku_of(name, memory_mib),
        healthy=not _memory_failed(handle),
    )


def _mig_enabled(handle: object) -> bool:
    try:
        current, _ = pynvml.nvmlDeviceGetMigMode(handle)
    except pynvml.NVMLError_NotSupported:
        return False
    return int(current) == 1


def _memory_failed(handle: object) -> bool:
    """True where a row of the GPU's memory is broken and couldn't be remapped; older GPUs can't tell."""
    try:
        _, _, _, failed = pynvml.nvmlDeviceGetRemappedRows(handle)
    except pynvml.NVMLError_NotSupported:
        return False
    return bool(failed)
