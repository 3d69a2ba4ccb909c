"""The protocol between Monarch's provisioner and a Baron's agent: frozen messages, JSON in WebSocket text frames.

The agent only ever connects outward, to Monarch's agents' port:
- `/agent/v1/enroll`: sends Enroll, gets Enrolled or Refused, and the connection ends.
- `/agent/v1/session`: with `Authorization: Bearer <credential>`; sends Hello, then Heartbeats; gets Welcome, then Desired
  lists and Dials. A later session of the same Baron ends the earlier one.
- `/agent/v1/dial`: with `Authorization: Bearer <Dial.token>`; binary frames are the raw bytes of one SSH connection, both ways.
  An empty frame says that its sender has no more to send (the half-close that WebSocket lacks); closing ends both ways.

Everything is declarative and idempotent: Desired is the whole list of leases that should run, Heartbeat the whole list of
what the agent has, each lease by id and generation. Nobody acts on a difference that the next exchange can't repair.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

PROTOCOL: Final = 1
HEARTBEAT_S: Final = 2
"""The agent sends a Heartbeat this often, and at once when a lease of its own changes."""
MAX_MESSAGE_BYTES: Final = 1 << 20
MAX_DIAL_FRAME_BYTES: Final = 1 << 16
MAX_GPUS: Final = 4096
MAX_LEASES: Final = 4096
MEMORY_TOLERANCE_PERCENT: Final = 3
"""What NVML reports varies a little with driver and ECC: a share of the table's memory."""
ENROLL_PATH: Final = "/agent/v1/enroll"
SESSION_PATH: Final = "/agent/v1/session"
DIAL_PATH: Final = "/agent/v1/dial"
BAD_CREDENTIAL: Final = (
    "The credential isn't valid: register this node as a new Baron (POST /v1/barons) and enrol it with that one's token. "
    "GPUs of an old Baron of the same provider pass to it once that is silent and nothing sold on it is left."
)
"""What to do about `bad_credential`: said by Monarch, and by the agent when it is turned away at the door."""


class SandboxState(StrEnum):
    """What the agent says of a lease it has."""

    STARTING = "starting"
    RUNNING = "running"
    FAILED = "failed"
    """It couldn't start, or died; `detail` says why. Wiped already or being wiped."""
    WIPING = "wiping"
    WIPED = "wiped"
    """Nothing of it is left: no process, mount or file. Reported until Monarch names it in `Desired.forget`."""


class _Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """Base of all messages."""


class Model(msgspec.Struct, frozen=True):
    """What NVML says of one SKU: its exact product name and total memory."""

    nvml_name: str
    memory_mib: int


SKUS: Final[dict[str, Model]] = {
    "H100-SXM5-80GB": Model("NVIDIA H100 80GB HBM3", 81_559),
    "H100-PCIE-80GB": Model("NVIDIA H100 PCIe", 81_559),
    "H200-SXM5-141GB": Model("NVIDIA H200", 143_771),
    "A100-SXM4-40GB": Model("NVIDIA A100-SXM4-40GB", 40_960),
    "B200-SXM6-180GB": Model("NVIDIA B200", 183_359),
    "RTX4090-PCIE-24GB": Model("NVIDIA GeForce RTX 4090", 24_564),
    "L40S-PCIE-48GB": Model("NVIDIA L40S", 46_068),
}
"""The table by which both sides verify a SKU; it stands here and nowhere else."""


def sku_of(name: str, memory_mib: int) -> str:
    """The SKU of a GPU by NVML's name and memory, or "" where the table has none."""
    for sku, model in SKUS.items():
        off_mib = abs(memory_mib - model.memory_mib)
        if name == model.nvml_name and off_mib * 100 <= model.memory_mib * MEMORY_TOLERANCE_PERCENT:
            return sku
    return ""


class Gpu(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One GPU as NVML shows it. `sku` is what the agent takes it for, "" when it is none, as when it is cut in slices.

    Monarch counts it only where `sku_of` says the same of its name and memory.
    """

    uuid: str
    index: int
    name: str
    memory_mib: int
    sku: str
    healthy: bool


# agent -> Monarch


class Enroll(_Message, frozen=True, tag="enroll"):
    """Exchange a single-use token for the Baron's credential."""

    protocol: int
    token: str
    agent_version: str


class Hello(_Message, frozen=True, tag="hello"):
    """First message of a session: the inventory. `simulated` when NVML is the stub."""

    protocol: int
    agent_version: str
    simulated: bool
    driver_version: str
    gpus: list[Gpu]


class LeaseReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the agent has of one lease. Whose fault a failure is, Monarch decides.

    host_key: the sandbox's public host key, "ssh-ed25519 AAAA...", once it runs. gpus: UUIDs that it holds, none once wiped.
    """

    lease_id: str
    generation: int
    state: SandboxState
    host_key: str = ""
    detail: str = ""
    gpus: list[str] = []


class Heartbeat(_Message, frozen=True, tag="heartbeat"):
    """Everything the agent has, whole; and the GPUs' health now (uuids that are not healthy)."""

    leases: list[LeaseReport]
    unhealthy_gpus: list[str]


class DialFailed(_Message, frozen=True, tag="dial_failed"):
    """The agent can't open the connection that Dial asked for (the sandbox is gone)."""

    connection_id: str
    detail: str


# Monarch -> agent


class Enrolled(_Message, frozen=True, tag="enrolled"):
    """The Baron's id (`brn_...`) and its credential, said once; the agent keeps it with mode 0600."""

    baron_id: str
    credential: str


class Refused(_Message, frozen=True, tag="refused"):
    """Monarch won't have this agent; `code` is stable, `detail` says what to do. The connection is closed after it.

    Codes: protocol_mismatch, bad_token, bad_credential, simulated_not_allowed, wrong_sku, gpu_elsewhere (another
    provider's), invalid_message, replaced; and gpu_held, which may pass: another Baron of the provider has the GPU still.
    """

    code: str
    detail: str


class Welcome(_Message, frozen=True, tag="welcome"):
    """The session stands. verified_gpus: how many of the inventory were taken for the Baron's SKU."""

    baron_id: str
    verified_gpus: int


class LeaseSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A lease that should run: which GPUs (uuids), whose keys, and until when the agent may keep it without Monarch.

    paid_until_ns: the agent ends it by itself then, if it has lost Monarch; renewed with each Desired.
    """

    lease_id: str
    generation: int
    gpus: list[str]
    authorized_keys: list[str]
    paid_until_ns: int


class Desired(_Message, frozen=True, tag="desired"):
    """All leases that should run on this Baron. What the agent has beyond them it ends and wipes; `forget` names those
    whose WIPED (or FAILED and wiped) report Monarch has on disk: the agent drops its record of them."""

    leases: list[LeaseSpec]
    forget: list[str]


class Dial(_Message, frozen=True, tag="dial"):
    """Somebody knocks at the lease's port: dial back with this single-use token and splice to the sandbox's sshd."""

    connection_id: str
    lease_id: str
    token: str


AgentMessage = Enroll | Hello | Heartbeat | DialFailed
MonarchMessage = Enrolled | Refused | Welcome | Desired | Dial

encode = msgspec.json.Encoder().encode
decode_agent = msgspec.json.Decoder(AgentMessage).decode
decode_monarch = msgspec.json.Decoder(MonarchMessage).decode
