"""What the provisioner needs from the rest of Monarch, passed in by the composition root.

It may not import the exchange's registry or sequencer: it holds these protocols instead.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

import msgspec

from engine.messages import Command, Reply


class BaronIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """A Baron as the registry knows it. `baron` and `provider` are numbers (`engine.ids`)."""

    baron: int
    provider: int
    sku: str
    region: str


class HeldGpu(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU that is another Baron's, and whose that Baron is."""

    uuid: str
    baron: int
    provider: int


class BaronDirectory(Protocol):
    """The registry's word on Barons. All methods may block on SQL briefly and are awaited off the event loop."""

    async def enroll(self, token: str) -> tuple[BaronIdentity, str] | None:
        """Use up a single-use token: the Baron and its new credential, said once; None when the token isn't valid now."""

    async def authenticate(self, credential: str) -> BaronIdentity | None:
        """The Baron of a credential, or None."""

    async def claim_gpus(self, baron: int, uuids: list[str], vacated: Collection[int] = ()) -> list[HeldGpu]:
        """Record that these GPUs are the Baron's; returns those that belong to another Baron (nothing is recorded then).

        GPUs of Barons in `vacated` pass to it, where its provider is theirs.
        """


class Delivery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `delivery` blob that rides along with a bid, as JSON: written by the gateway, read by the provisioner."""

    ssh_keys: list[str]


class Access(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `access` blob of LeaseActive, as JSON: written by the provisioner, read by the gateway for `lease.ssh`."""

    host: str
    port: int
    user: str
    host_key: str


class Submit(Protocol):
    """The sequencer's door (the same shape as `exchange.sequencer.interface.Submit`)."""

    async def __call__(self, command: Command) -> Reply: ...
