"""This node: its GPUs as NVML shows them now, and what a lease's sandbox is on it.

It must never know Monarch, or what becomes of a sandbox.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from provisioner import wire
from provisioner.agent import devices
from provisioner.agent.devices import Inventory
from provisioner.agent.errors import AgentError
from provisioner.agent.events import EventLog
from provisioner.agent.journal import Entry
from provisioner.agent.leases import Leases
from provisioner.agent.sandbox.spec import SandboxSpec, share_limits

LOOK_S = 10.0
"""NVML is asked this often: on a node without persistence, starting it takes seconds."""
FAILURES_MAX = 3
"""NVML may fail this often in a row before every GPU counts as unhealthy: one hiccup must not end all leases."""


def to_wire(gpu: devices.Gpu, *, healthy: bool) -> wire.Gpu:
    """A GPU as Monarch is told of it."""
    return wire.Gpu(
        uuid=gpu.uuid,
        index=gpu.index,
        name=gpu.name,
        memory_mib=gpu.memory_mib,
        sku=gpu.sku,
        healthy=healthy,
    )


class Node:
    """The GPUs found when the agent started, and the health of each since. A GPU added later waits for the next start."""

    def __init__(self, discover: Callable[[], Inventory], log: EventLog) -> None:
        """Read the GPUs with `discover`, which may block for seconds. Raises what that raises: AgentError `no_nvml`, ..."""
        self._log = log
        self._discover = discover
        self.inventory = discover()
        self._unhealthy = self._sick(self.inventory)
        self._failures = 0

    def unhealthy(self) -> list[str]:
        """UUIDs of the GPUs that don't work, or are gone, now."""
        return sorted(self._unhealthy)

    def spec_of(self, entry: Entry) -> SandboxSpec:
        """The sandbox that the lease means here. Raises AgentError `no_gpu`."""
        by_uuid = {gpu.uuid: gpu for gpu in self.inventory.gpus}
        missing = [uuid for uuid in entry.gpus if uuid not in by_uuid]
        if missing:
            raise AgentError(
                "no_gpu", f"GPU {missing[0][:80]} isn't on this node", "look at nvidia-smi, and start again"
            )
        return SandboxSpec(
            lease_id=entry.lease_id,
            generation=entry.generation,
            authorized_keys=entry.authorized_keys,
            gpus=tuple(by_uuid[uuid] for uuid in entry.gpus),
            limits=share_limits(len(entry.gpus), len(by_uuid)),
            simulated=self.inventory.simulated,
        )

    async def watch(self, leases: Leases, changed: Callable[[], None]) -> None:
        """Look at the GPUs' health again and again, in `leases`' threads, and call `changed` when it has."""
        while True:
            await asyncio.sleep(LOOK_S)
            if await leases.in_thread(self.look):
                changed()

    def look(self) -> bool:
        """Look at the GPUs' health once; whether it has changed. Blocks for up to seconds."""
        before = self._unhealthy
        try:
            self._unhealthy = self._sick(self._discover())
            self._failures = 0
        except AgentError as error:
            self._failures += 1
            self._log.say("gpus_unseen", f"{error} ({self._failures} of {FAILURES_MAX} before all count as lost)")
            if self._failures >= FAILURES_MAX:
                self._unhealthy = frozenset(gpu.uuid for gpu in self.inventory.gpus)
        if self._unhealthy != before:
            self._log.say("gpus_changed", f"unhealthy GPUs: {', '.join(self.unhealthy()) or 'none'}")
        return self._unhealthy != before

    def _sick(self, now: Inventory) -> frozenset[str]:
        well = {gpu.uuid for gpu in now.gpus if gpu.healthy}
        return frozenset(gpu.uuid for gpu in self.inventory.gpus if gpu.uuid not in well)
