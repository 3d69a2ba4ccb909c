"""What a sandbox is asked to be: the lease, its keys, its GPUs and its limits, checked before anything is made.

Nothing here touches the machine, except to read how much memory there is to share out. The image is the host's
own /usr in this stage, so no field names one.
"""

from __future__ import annotations

import os
import re

import msgspec

from provisioner.agent.devices import Gpu
from provisioner.agent.errors import AgentError

LEASE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")
GENERATION_MAX = 2**31 - 1
KEYS_MAX = 32
KEY_BYTES_MAX = 8192
KEY_LINE = re.compile(r"(ssh-[a-z0-9@.-]+|ecdsa-sha2-[a-z0-9-]+|sk-[a-z0-9@.-]+) [A-Za-z0-9+/]+={0,3}( [ -~]*)?")
MIB = 1024 * 1024
# The host keeps a tenth of its memory for itself: the agent, the page cache, the kernel.
HOST_MEMORY_PERCENT = 90
PROCESSES_DEFAULT = 4096
OPEN_FILES_DEFAULT = 65_536
CONNECTIONS_DEFAULT = 96


class Limits(msgspec.Struct, frozen=True):
    """The most that one sandbox may use. Home, /tmp and /dev/shm are in memory, and count in `memory_bytes` too."""

    memory_bytes: int
    home_bytes: int
    tmp_bytes: int
    shm_bytes: int
    processes: int = PROCESSES_DEFAULT
    open_files: int = OPEN_FILES_DEFAULT
    connections: int = CONNECTIONS_DEFAULT


class SandboxSpec(msgspec.Struct, frozen=True):
    """One lease's sandbox. The same lease id and generation always mean the same sandbox."""

    lease_id: str
    generation: int
    authorized_keys: tuple[str, ...]
    gpus: tuple[Gpu, ...]
    limits: Limits
    simulated: bool


def share_limits(leased_gpus: int, node_gpus: int) -> Limits:
    """A lease's part of this host by its part of the node's GPUs: of its memory, at most three quarters hold files.

    Files are in memory: were they allowed all of it, a renter who fills his home could neither log in again to delete
    them nor keep the sandbox's own processes alive.
    """
    if not 0 < leased_gpus <= node_gpus:
        raise ValueError("a lease has at least one GPU and at most the node's")
    host_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    memory_bytes = host_bytes * HOST_MEMORY_PERCENT // 100 * leased_gpus // node_gpus
    return Limits(
        memory_bytes=memory_bytes,
        home_bytes=memory_bytes * 3 // 8,
        tmp_bytes=memory_bytes // 8,
        shm_bytes=memory_bytes // 4,
    )


def check(spec: SandboxSpec) -> None:
    """Refuse what can't be a sandbox. Raises AgentError `bad_spec`."""
    if LEASE_ID.fullmatch(spec.lease_id) is None:
        raise _bad("lease_id", "1 to 60 letters, digits, - and _, a letter or digit first")
    if not 0 <= spec.generation <= GENERATION_MAX:
        raise _bad("generation", f"0 to {GENERATION_MAX}")
    if not 1 <= len(spec.authorized_keys) <= KEYS_MAX:
        raise _bad("authorized_keys", f"1 to {KEYS_MAX} keys")
    for key in spec.authorized_keys:
        if len(key) > KEY_BYTES_MAX or KEY_LINE.fullmatch(key) is None:
            raise _bad("authorized_keys", "one OpenSSH public key a line, without options: 'ssh-ed25519 AAAA... name'")
    if not spec.gpus or len({gpu.minor for gpu in spec.gpus}) != len(spec.gpus):
        raise _bad("gpus", "at least one GPU, none twice")
    limits = spec.limits
    for name in ("memory_bytes", "home_bytes", "tmp_bytes", "shm_bytes"):
        if getattr(limits, name) < MIB:
            raise _bad(name, "at least 1 MiB")
    for name, low, high in (("processes", 16, 2**22), ("open_files", 64, 2**20), ("connections", 1, 1024)):
        if not low <= getattr(limits, name) <= high:
            raise _bad(name, f"{low} to {high}")


def _bad(field: str, wanted: str) -> AgentError:
    return AgentError("bad_spec", f"{field} of the lease can't be used", f"wanted: {wanted}")
