"""What the provisioner keeps of a Baron and of a lease: the rows of its store, frozen.

What the log says and what only this side knows (GPUs, port, host key) stand side by side. It knows no SQL and no rule.
"""

from __future__ import annotations

import msgspec

from engine.kinds import LeaseState, Presence

LIVE_STATES = frozenset({LeaseState.PROVISIONING, LeaseState.ACTIVE, LeaseState.ENDING})
"""The lease should run."""
OVER_STATES = frozenset({LeaseState.ENDED, LeaseState.FAILED})


class BaronRow(msgspec.Struct, frozen=True, kw_only=True):
    """registered, verified_gpus, simulated, presence: the log's word. inventory: uuids of its SKU, as its agent last said.

    last_heartbeat_ns is up to `flush_s` old on disk. sold_until_ns: when the last hour is over that was sold of it ahead,
    delivered or failed; 0: none was.
    """

    baron: int
    registered: bool = False
    verified_gpus: int = 0
    simulated: bool = False
    inventory: tuple[str, ...] = ()
    inventory_simulated: bool = False
    last_heartbeat_ns: int = 0
    presence: Presence = Presence.REPORTING
    sold_until_ns: int = 0


class LeaseRow(msgspec.Struct, frozen=True, kw_only=True):
    """A lease that isn't wiped yet. term_end_ns 0: no end; ends_ns: when its notice is over, 0: it has none.

    provisioning_ns: when it was scheduled no more; 0: it never was, and is provisioned from its start on.

    gpus: uuids, empty until they are assigned; written before the agent hears of the lease. None: an earlier database,
    that is lost, may have assigned some, and the agent hasn't said which. port 0: none at the gate.
    """

    lease_id: int
    baron: int
    generation: int
    quantity: int
    ssh_keys: tuple[str, ...]
    start_ns: int
    term_end_ns: int
    state: LeaseState
    active_ns: int = 0
    gpus: tuple[str, ...] | None = ()
    host_key: str = ""
    port: int = 0
    ends_ns: int = 0
    provisioning_ns: int = 0

    @property
    def kept_gpus(self) -> tuple[str, ...]:
        """Those of its GPUs that it is to have; any more it had before it shrank, and has until its agent runs it without."""
        return (self.gpus or ())[: self.quantity]

    @property
    def live(self) -> bool:
        return self.state in LIVE_STATES

    @property
    def over(self) -> bool:
        return self.state in OVER_STATES

    @property
    def used(self) -> bool:
        """It is charged: its agent must vouch for it."""
        return self.state in (LeaseState.ACTIVE, LeaseState.ENDING) and self.active_ns > 0

    @property
    def given_up(self) -> bool:
        """It had notice before it ran: nobody waits for it any more, and its end comes by itself."""
        return self.state is LeaseState.ENDING and self.active_ns == 0


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch of the log changed: Barons to look at again, leases that should be reachable, and those that ended."""

    barons: frozenset[int] = frozenset()
    opened: frozenset[int] = frozenset()
    ended: frozenset[int] = frozenset()
