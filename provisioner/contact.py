"""What is known of a Baron's agent while Monarch listens: its last words and when they came. In memory only.

Clocks are arguments. It decides nothing: `provisioner.desired` reads the view that is made here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

import msgspec

from provisioner.admission import Beat, Inventory
from provisioner.desired import AgentView, Gap, Vouch
from provisioner.records import BaronRow
from provisioner.settings import Timings, to_ns
from provisioner.wire import LeaseReport, SandboxState

MAX_GAPS: Final = 8
"""Gaps of a lease that wait to be reported; of more the oldest are forgotten."""


class Instant(msgspec.Struct, frozen=True):
    """Now, on both clocks: the wall's for what is charged, the steady one for what is waited."""

    wall_ns: int
    steady_ns: int


class Contact:
    """One Baron's agent. Times before `listening` don't count as silence (§4)."""

    def __init__(self, row: BaronRow, listening: Instant, silence_s: float = Timings().silence_s) -> None:
        self._listening = listening
        self._silence_ns = to_ns(silence_s)
        self._inventory: tuple[str, ...] | None = row.inventory or None
        self._simulated = row.inventory_simulated
        self._unhealthy: frozenset[str] = frozenset()
        self._reports: dict[int, LeaseReport] | None = None
        self._spoke_at: Instant | None = None
        self._vouched: dict[int, Instant] = {}
        self._gaps: dict[int, deque[Gap]] = {}
        self._left_out: dict[int, int] = {}

    def arrive(self, inventory: Inventory, now: Instant) -> None:
        """A session began: what an earlier one reported is void until the new one's first heartbeat."""
        self._inventory = inventory.uuids
        self._simulated = inventory.simulated
        self._unhealthy = inventory.unhealthy
        self._reports = None
        self._left_out = {}
        self._spoke_at = now

    def beat(self, beat: Beat, now: Instant) -> None:
        self._reports = beat.reports
        self._unhealthy = beat.unhealthy
        self._spoke_at = now
        running = {lease_id for lease_id, report in beat.reports.items() if report.state is SandboxState.RUNNING}
        for lease_id in running:
            before = self._vouched.get(lease_id, now)
            if now.steady_ns - before.steady_ns >= self._silence_ns:
                self._gaps.setdefault(lease_id, deque(maxlen=MAX_GAPS)).append(Gap(before.wall_ns, now.wall_ns))
            self._vouched[lease_id] = now

    def leave(self) -> None:
        """The session ended: its reports are history."""
        self._reports = None
        self._left_out = {}

    def sent(self, over: Iterable[int], now: Instant) -> None:
        """A Desired went out that leaves out these leases, which are over; forget what is known of any other."""
        self._left_out = {lease_id: self._left_out.get(lease_id, now.steady_ns) for lease_id in over}

    def keep(self, lease_ids: Iterable[int]) -> None:
        """These leases aren't wiped yet; of all others nothing needs to be known."""
        known = set(lease_ids)
        self._vouched = {lease_id: at for lease_id, at in self._vouched.items() if lease_id in known}
        self._gaps = {lease_id: gaps for lease_id, gaps in self._gaps.items() if lease_id in known and gaps}

    def reported(self, lease_id: int, gap: Gap) -> None:
        """The engine has heard of a gap."""
        if gap in self._gaps.get(lease_id, ()):
            self._gaps[lease_id].remove(gap)

    @property
    def heard(self) -> bool:
        """The session that stands has sent a heartbeat: its agent has adopted what it had, and may be told what to run."""
        return self._reports is not None

    @property
    def last_heartbeat_ns(self) -> int:
        """On the wall's clock; 0 when the agent hasn't spoken since Monarch listens."""
        return self._spoke_at.wall_ns if self._spoke_at else 0

    def silent_ns(self, now: Instant) -> int:
        return now.steady_ns - (self._spoke_at or self._listening).steady_ns

    def view(self, now: Instant) -> AgentView:
        return AgentView(
            inventory=self._inventory,
            simulated=self._simulated,
            unhealthy=self._unhealthy,
            reports=self._reports,
            spoke=self._spoke_at is not None,
            silent_ns=self.silent_ns(now),
            listening_ns=now.steady_ns - self._listening.steady_ns,
            vouched={
                lease_id: Vouch(at.wall_ns, now.steady_ns - at.steady_ns) for lease_id, at in self._vouched.items()
            },
            gaps={lease_id: tuple(gaps) for lease_id, gaps in self._gaps.items()},
            absent_ns={lease_id: now.steady_ns - since_ns for lease_id, since_ns in self._left_out.items()},
        )
