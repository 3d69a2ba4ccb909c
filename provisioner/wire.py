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
ENROLL_PATH: Final = "/agent/v1/enroll"
SESSION_PATH: Final = "/agent/v1/session"
DIAL_PATH: Final = "/agent/v1/dial"


class SandboxState(StrEnum):
    """What the agent says of a lease it has."""

    STARTING = "starting"
    RUNNING = "running"
    FAILED = "failed"
    """It couldn't start, or died; `detail` says why and `fault` whose doing it is. Wiped already or being wiped."""
    WIPING = "wiping"
    WIPED = "wiped"
    """Nothing of it is left: no process, mount or file. Reported until Monarch names it in `Desired.forget`."""


class _Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """Base of all messages."""


class Gpu(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One GPU as NVML shows it. `sku` is what name and memory say it is, "" when they fit no known SKU."""

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
    """What the agent has of one lease. host_key: the sandbox's public host key, "ssh-ed25519 AAAA...", once it runs."""

    lease_id: str
    generation: int
    state: SandboxState
    host_key: str = ""
    detail: str = ""
    renter_fault: bool = False


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

    Codes: protocol_mismatch, bad_token, bad_credential, simulated_not_allowed, wrong_sku, gpu_elsewhere, invalid_message, replaced.
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
