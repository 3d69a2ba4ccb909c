"""What an agent says, checked before anybody believes it: decoding, inventory, reports. Pure functions.

A refusal is the wire's own Refused, with a stable code and what to do. It knows no connection and keeps nothing.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from engine.ids import parse_id
from engine.limits import Limits
from provisioner.ports import BaronIdentity
from provisioner.settings import MAX_HOST_KEY_CHARS, MAX_UUID_CHARS
from provisioner.wire import (
    MAX_GPUS,
    MAX_LEASES,
    PROTOCOL,
    AgentMessage,
    Heartbeat,
    Hello,
    LeaseReport,
    Refused,
    decode_agent,
    sku_of,
)

GENERATION_MAX: Final = 2**31 - 1

_UUID = re.compile(rf"[A-Za-z0-9_:.-]{{1,{MAX_UUID_CHARS}}}\Z", re.ASCII)
_HOST_KEY = re.compile(r"ssh-ed25519 [A-Za-z0-9+/]+={0,2}\Z", re.ASCII)
_DETAIL_CHARS = Limits().max_detail_chars


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """The GPUs of a Hello that are of the Baron's SKU."""

    uuids: tuple[str, ...]
    unhealthy: frozenset[str]
    simulated: bool


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """A Heartbeat by lease number; details are cut to what the log takes."""

    reports: dict[int, LeaseReport]
    unhealthy: frozenset[str]


def decode(frame: str | bytes) -> AgentMessage | Refused:
    """A message from one frame; Refused `invalid_message` for anything else."""
    if not isinstance(frame, str):
        return _invalid("a binary frame: messages are JSON in text frames")
    try:
        message: AgentMessage = decode_agent(frame)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        return _invalid(str(error))
    return message


def check_protocol(protocol: int) -> Refused | None:
    if protocol == PROTOCOL:
        return None
    return Refused(
        code="protocol_mismatch", detail=f"This Monarch speaks protocol {PROTOCOL}: install the agent of its version."
    )


def admit(hello: Hello, identity: BaronIdentity, *, allow_simulated: bool) -> Inventory | Refused:
    """The GPUs that count for the Baron (§4): of its SKU by NVML's name and memory, and by the agent's own word."""
    if (mismatch := check_protocol(hello.protocol)) is not None:
        return mismatch
    if hello.simulated and not allow_simulated:
        return Refused(
            code="simulated_not_allowed",
            detail="This Monarch takes real GPUs only: start it with --allow-simulated, or run the agent without --simulate.",
        )
    if len(hello.gpus) > MAX_GPUS:
        return _invalid(f"more than {MAX_GPUS} GPUs")
    if not _are_uuids([gpu.uuid for gpu in hello.gpus]):
        return _invalid("GPU uuids are distinct, and of letters, digits and hyphens")
    fitting = [gpu for gpu in hello.gpus if gpu.sku == identity.sku == sku_of(gpu.name, gpu.memory_mib)]
    if hello.gpus and not fitting:
        return Refused(
            code="wrong_sku",
            detail=f"None of the GPUs is a {identity.sku} by NVML's name and memory, and the Baron was registered as one: "
            "register another Baron, of the SKU that they are.",
        )
    return Inventory(
        uuids=tuple(sorted(gpu.uuid for gpu in fitting)),
        unhealthy=frozenset(gpu.uuid for gpu in fitting if not gpu.healthy),
        simulated=hello.simulated,
    )


def inspect(heartbeat: Heartbeat) -> Beat | Refused:
    """A heartbeat's reports by lease; Refused when an id, a key, a GPU or a number can't be."""
    if len(heartbeat.leases) > MAX_LEASES or len(heartbeat.unhealthy_gpus) > MAX_GPUS:
        return _invalid(f"more than {MAX_LEASES} leases or {MAX_GPUS} GPUs")
    reports: dict[int, LeaseReport] = {}
    for report in heartbeat.leases:
        try:
            lease_id = parse_id("lse", report.lease_id)
        except ValueError as error:
            return _invalid(f"lease_id: {error}")
        if lease_id in reports or not 0 <= report.generation <= GENERATION_MAX:
            return _invalid("each lease is reported once, with its generation")
        # It is shown to renters as a line of known_hosts: one key, and nothing that could be read as another line.
        if report.host_key and (len(report.host_key) > MAX_HOST_KEY_CHARS or not _HOST_KEY.match(report.host_key)):
            return _invalid("host_key: 'ssh-ed25519' and the key in base 64")
        if not _are_uuids(report.gpus):
            return _invalid("gpus: distinct uuids")
        reports[lease_id] = msgspec.structs.replace(report, detail=_printable(report.detail))
    return Beat(reports=reports, unhealthy=frozenset(heartbeat.unhealthy_gpus))


def _are_uuids(uuids: list[str]) -> bool:
    return len(uuids) <= MAX_GPUS and len(set(uuids)) == len(uuids) and all(_UUID.match(uuid) for uuid in uuids)


def _printable(detail: str) -> str:
    return "".join(char if char.isprintable() else " " for char in detail[:_DETAIL_CHARS])


def _invalid(what: str) -> Refused:
    return Refused(code="invalid_message", detail=what[:_DETAIL_CHARS])
