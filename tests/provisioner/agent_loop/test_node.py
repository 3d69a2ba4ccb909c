"""Which GPUs count as sick, and what a lease means on this node."""

from __future__ import annotations

import io
from collections.abc import Callable

import msgspec
import pytest

from provisioner.agent import devices
from provisioner.agent.devices import Inventory
from provisioner.agent.errors import AgentError
from provisioner.agent.events import EventLog
from provisioner.agent.journal import Entry, Phase
from provisioner.agent.node import FAILURES_MAX, Node

GPUS = devices.simulated_gpus("H100-SXM5-80GB:4", "node")
ALL = Inventory(gpus=GPUS, driver_version="1", cuda_version="1", simulated=True)


def seen(*moments: Inventory | AgentError) -> Callable[[], Inventory]:
    """NVML as it is seen at one look after the other."""
    coming = iter(moments)

    def discover() -> Inventory:
        moment = next(coming)
        if isinstance(moment, AgentError):
            raise moment
        return moment

    return discover


def without(*gone: int) -> Inventory:
    return msgspec.structs.replace(ALL, gpus=tuple(gpu for gpu in GPUS if gpu.index not in gone))


def sick(*indexes: int) -> Inventory:
    gpus = tuple(msgspec.structs.replace(gpu, healthy=gpu.index not in indexes) for gpu in GPUS)
    return msgspec.structs.replace(ALL, gpus=gpus)


def node(*moments: Inventory | AgentError) -> Node:
    return Node(seen(*moments), EventLog(io.StringIO(), as_json=True))


def test_a_gpu_that_is_sick_or_gone_is_unhealthy_until_it_is_back() -> None:
    one = node(ALL, without(2), sick(1), ALL, ALL)
    assert one.unhealthy() == []
    for changed, unhealthy in ((True, [2]), (True, [1]), (True, []), (False, [])):
        assert one.look() is changed
        assert one.unhealthy() == [GPUS[index].uuid for index in unhealthy]


def test_one_that_is_sick_at_the_start_is_said() -> None:
    assert node(sick(0)).unhealthy() == [GPUS[0].uuid]


def test_nvml_may_fail_a_few_times_before_all_count_as_lost() -> None:
    failure = AgentError("no_nvml", "NVML fails", "look at nvidia-smi")
    one = node(ALL, *[failure] * FAILURES_MAX, ALL)
    for _ in range(FAILURES_MAX - 1):
        assert not one.look()
    assert one.look()
    assert one.unhealthy() == sorted(gpu.uuid for gpu in GPUS)
    assert one.look() and one.unhealthy() == []


def test_a_lease_gets_its_gpus_and_its_part_of_the_host() -> None:
    entry = Entry(lease_id="lse_1", generation=1, phase=Phase.STARTING, gpus=(GPUS[3].uuid, GPUS[1].uuid))
    spec = node(ALL).spec_of(entry)
    assert [gpu.index for gpu in spec.gpus] == [3, 1] and spec.simulated
    whole = node(ALL).spec_of(msgspec.structs.replace(entry, gpus=tuple(gpu.uuid for gpu in GPUS)))
    assert spec.limits.memory_bytes == whole.limits.memory_bytes // 2
    with pytest.raises(AgentError) as missing:
        node(ALL).spec_of(msgspec.structs.replace(entry, gpus=("GPU-elsewhere",)))
    assert missing.value.code == "no_gpu"
