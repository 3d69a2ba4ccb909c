"""What stands on disk about a sandbox, so that an agent that was killed can adopt it or remove it.

One JSON file in the lease's directory, replaced whole and made durable before a process starts and again when it
runs. It must never hold a secret: keys lie beside it, readable by the lease's uid alone.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import msgspec

from provisioner.agent.errors import AgentError
from provisioner.agent.sandbox.processes import ProcessId
from provisioner.agent.sandbox.spec import Limits

RECORD_NAME = "sandbox.json"
RECORD_VERSION = 1
RECORD_BYTES_MAX = 65_536

Phase = Literal["starting", "running", "ending"]


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sandbox's life so far. `instance` stands on its processes' command lines, whatever was written since."""

    version: int
    lease_id: str
    generation: int
    instance: str
    phase: Phase
    boot_id: str
    host_uid: int
    private_uid: bool
    cgroups: tuple[str, ...]
    unenforced: tuple[str, ...]
    gpu_uuids: tuple[str, ...]
    limits: Limits
    simulated: bool
    host_key: str
    init: ProcessId | None = None
    launcher: ProcessId | None = None


def write(directory: Path, record: Record) -> None:
    """Replace the record, durably: when this returns, a crash of the machine leaves the new one."""
    partial = directory / f".{RECORD_NAME}.partial"
    with partial.open("wb") as file:
        file.write(msgspec.json.encode(record))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(directory / RECORD_NAME)
    sync(directory)


def read(directory: Path) -> Record | None:
    """The record, or None where none was ever written. Raises AgentError `bad_record`."""
    try:
        with (directory / RECORD_NAME).open("rb") as file:
            data = file.read(RECORD_BYTES_MAX)
    except FileNotFoundError:
        return None
    try:
        record = msgspec.json.decode(data, type=Record)
    except msgspec.DecodeError as error:
        raise AgentError(
            "bad_record",
            f"{directory / RECORD_NAME} can't be read: {error}",
            "end the lease's processes by hand and remove its directory",
        ) from error
    if record.version != RECORD_VERSION:
        raise AgentError(
            "bad_record",
            f"{directory / RECORD_NAME} has version {record.version}",
            f"use the release that wrote it; this one knows version {RECORD_VERSION}",
        )
    return record


def sync(directory: Path) -> None:
    """Make the directory's entries durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
