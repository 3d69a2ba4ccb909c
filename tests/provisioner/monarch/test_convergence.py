"""Whatever order log, agent, crashes and lost messages come in: once it is quiet, log and agent agree.

The real machine and the real store are driven by hand, one step at a time, with an agent that is a table of sandboxes.
After every step the laws hold; after a while without disturbance every lease runs or is gone without a trace.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.halves import compiled_half
from engine.ids import format_id, parse_id
from engine.kinds import Kind, LeaseState, Presence, Side
from engine.limits import Limits
from engine.messages import (
    Command,
    Deposit,
    EndLease,
    LeaseActive,
    LeaseChanged,
    LeaseScheduled,
    ListMarket,
    Offer,
    OpenAccount,
    RegisterBaron,
    Rent,
    Reply,
    SetDrain,
    SetOffers,
    Tick,
)
from engine.units import NS_PER_S
from provisioner.admission import Beat, Inventory
from provisioner.contact import Contact, Instant
from provisioner.desired import Plan, reconcile
from provisioner.ports import Access, Delivery
from provisioner.records import BaronRow, LeaseRow
from provisioner.settings import Timings
from provisioner.store import Store
from provisioner.wire import LeaseReport, LeaseSpec, SandboxState

UUIDS = ("GPU-a", "GPU-b", "GPU-c", "GPU-d")
DELIVERY = msgspec.json.encode(Delivery(ssh_keys=["ssh-ed25519 A"]))
SPOT, ONDEMAND = 1, 2
NAMES = {LeaseState.ENDED, LeaseState.FAILED}


class Sandboxes:
    """The agent: carries out the last list it was sent, one step of each sandbox at a time."""

    def __init__(self) -> None:
        self.uuids: tuple[str, ...] = UUIDS
        self.reports: dict[str, LeaseReport] = {}
        self.gpus: dict[str, tuple[str, ...]] = {}
        self.wanted: tuple[LeaseSpec, ...] | None = None
        self.started = 0

    def step(self) -> None:
        if self.wanted is None:
            return
        wanted = {spec.lease_id: spec for spec in self.wanted}
        for lease_id, spec in wanted.items():
            report = self.reports.get(lease_id)
            if report is not None and report.generation < spec.generation:
                if report.state is SandboxState.WIPED:
                    del self.reports[lease_id]
                else:
                    self._set(lease_id, SandboxState.WIPING)
        before = list(self.reports.items())
        # New ones first: a GPU that is given away too early is then still in use.
        for lease_id, spec in wanted.items():
            if lease_id not in self.reports:
                self._start(spec)
        for lease_id, report in before:
            if lease_id not in wanted or report.state is SandboxState.WIPING:
                wiped = report.state is not SandboxState.RUNNING
                self._set(lease_id, SandboxState.WIPED if wiped else SandboxState.WIPING)
                if wiped:
                    self.gpus.pop(lease_id, None)
            elif report.state is SandboxState.STARTING:
                self._set(lease_id, SandboxState.RUNNING)

    def _start(self, spec: LeaseSpec) -> None:
        in_use = {uuid for gpus in self.gpus.values() for uuid in gpus}
        assert in_use.isdisjoint(spec.gpus), "a GPU was given to two sandboxes"
        self.started += 1
        self.gpus[spec.lease_id] = tuple(spec.gpus)
        self.reports[spec.lease_id] = LeaseReport(
            lease_id=spec.lease_id,
            generation=spec.generation,
            state=SandboxState.STARTING,
            host_key=f"ssh-ed25519 {self.started:08d}",
            gpus=list(spec.gpus),
        )

    def _set(self, lease_id: str, state: SandboxState) -> None:
        known = self.reports[lease_id]
        gpus = [] if state is SandboxState.WIPED else known.gpus
        self.reports[lease_id] = msgspec.structs.replace(known, state=state, gpus=gpus)

    def disturb(self, pick: int, state: SandboxState) -> None:
        """Something happens to a running sandbox that nobody asked for."""
        running = [one for one, report in self.reports.items() if report.state is SandboxState.RUNNING]
        if running:
            self._set(running[pick % len(running)], state)

    def forget(self, lease_ids: tuple[str, ...]) -> None:
        for lease_id in lease_ids:
            self.reports.pop(lease_id, None)


class Convergence(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name, "provisioner.db")
        self.store = Store.open(self.path)
        self.machine = compiled_half().machine(0, Limits())
        self.log: list[Reply] = []
        self.leases: dict[int, LeaseScheduled | LeaseChanged] = {}
        self.kinds: dict[int, Kind] = {}
        self.now_ns = 1_700_000_000 * NS_PER_S
        self.seq = 0
        self.agent = Sandboxes()
        self.online = False
        self.busy = False
        self.contact = Contact(BaronRow(baron=1), self.instant())

    def instant(self) -> Instant:
        return Instant(self.now_ns, self.now_ns)

    def submit(self, command: Command) -> Reply:
        self.tick()
        return self._apply(command)

    def tick(self) -> None:
        """What is due happens, as the sequencer sees to."""
        while (due_ns := self.machine.next_due_ns()) is not None and due_ns <= self.now_ns:
            self._apply(Tick())

    def _apply(self, command: Command) -> Reply:
        self.seq += 1
        events = tuple(self.machine.apply(self.seq, self.now_ns, command))
        reply = Reply(self.seq, self.now_ns, events)
        self.log.append(reply)
        self.leases |= {one.lease_id: one for one in events if isinstance(one, LeaseScheduled | LeaseChanged)}
        self.kinds |= {one.lease_id: one.kind for one in events if isinstance(one, LeaseScheduled)}
        return reply

    @initialize()
    def open_market(self) -> None:
        for account in (1, 2):
            self.submit(OpenAccount(account=account, maker_fee_ppm=0, taker_fee_ppm=0))
        for account in (1, 2):
            self.submit(Deposit(account=account, amount_micros=10**12, client_id="first"))
        self.submit(ListMarket(sku="A", region="b"))
        self.submit(RegisterBaron(baron=1, provider=2, sku="A", region="b"))
        offers = (
            Offer(baron=1, instrument=SPOT, price_ticks=1, gpus=2, max_hours=0),
            Offer(baron=1, instrument=ONDEMAND, price_ticks=1, gpus=4, max_hours=40),
        )
        self.submit(SetOffers(account=2, offers=offers))
        self.connect()
        self.round(2)

    # ------------------------------------------------------------ what may happen

    @rule(count=st.integers(1, 3))
    def round(self, count: int, each_s: int = 2) -> None:
        """All goes well for a moment."""
        for _ in range(count):
            self.now_ns += each_s * NS_PER_S
            self.tick()
            self.heartbeat()
            self.follow(10**6)
            self.look()
            self.agent.step()

    @rule(gpus=st.integers(1, 2), instrument=st.sampled_from([SPOT, ONDEMAND]))
    def rent(self, gpus: int, instrument: int) -> None:
        self.submit(
            Rent(account=1, instruments=(instrument,), quantity=gpus, hours=30, max_price_ticks=0, delivery=DELIVERY)
        )

    @rule(pick=st.integers(0, 9))
    def end(self, pick: int) -> None:
        live = [one for one, last in self.leases.items() if last.state not in NAMES]
        if live:
            self.submit(EndLease(account=1, lease_id=live[pick % len(live)]))

    @rule(draining=st.booleans())
    def drain(self, draining: bool) -> None:
        self.submit(SetDrain(account=2, baron=1, draining=draining))

    @rule(count=st.integers(1, 3))
    def follow(self, count: int) -> None:
        """The log reaches the provisioner, a part at a time; a part of it twice."""
        behind = [reply for reply in self.log if reply.seq > self.store.position][:count]
        again = [reply for reply in self.log if reply.seq == self.store.position]
        self.store.apply(again + behind)

    @precondition(lambda self: not self.online)
    @rule()
    def connect(self) -> None:
        self.online = True
        self.agent.wanted = None
        inventory = Inventory(uuids=tuple(sorted(self.agent.uuids)), unhealthy=frozenset(), simulated=False)
        self.store.save_inventory(1, inventory.uuids, inventory.simulated)
        self.contact.arrive(inventory, self.instant())

    @rule()
    def disconnect(self) -> None:
        self.online = False
        self.contact.leave()

    @rule(lose_sandboxes=st.booleans(), gone=st.sets(st.sampled_from(UUIDS), max_size=2))
    def agent_dies(self, lose_sandboxes: bool, gone: set[str]) -> None:
        self.disconnect()
        self.agent.uuids = tuple(uuid for uuid in UUIDS if uuid not in gone)
        if lose_sandboxes:
            self.agent.reports.clear()
            self.agent.gpus.clear()

    @rule()
    def monarch_dies(self) -> None:
        self.disconnect()
        self.store.close()
        self.store = Store.open(self.path)
        (*_, row) = [BaronRow(baron=1), *self.store.barons()]
        self.contact = Contact(row, self.instant())

    @rule()
    def monarch_loses_its_database(self) -> None:
        self.disconnect()
        self.store.close()
        for file in Path(self.folder.name).iterdir():
            file.unlink()
        self.store = Store.open(self.path)
        self.store.expect(self.seq)
        self.store.apply(self.log)
        self.contact = Contact(BaronRow(baron=1), self.instant())

    @rule(busy=st.booleans())
    def exchange_is_busy(self, busy: bool) -> None:
        self.busy = busy

    @rule(pick=st.integers(0, 9), state=st.sampled_from([SandboxState.FAILED, SandboxState.WIPING]))
    def sandbox_ends(self, pick: int, state: SandboxState) -> None:
        """It breaks, or the agent ends it by itself."""
        self.agent.disturb(pick, state)

    @rule(seconds=st.sampled_from([1, 20, 70, 700]))
    def wait(self, seconds: int) -> None:
        self.now_ns += seconds * NS_PER_S

    @rule()
    def agent_works(self) -> None:
        self.agent.step()

    @rule()
    def heartbeat(self) -> None:
        if self.online:
            reports = {parse_id("lse", one): report for one, report in self.agent.reports.items()}
            self.contact.beat(Beat(reports=reports, unhealthy=frozenset()), self.instant())
            self.store.save_heartbeats({1: self.now_ns})

    @rule(delivered=st.sampled_from([True, True, True, False]))
    def look(self, delivered: bool = True) -> None:
        """Reconcile once; the list may get lost with the connection."""
        now = self.instant()
        view = self.contact.view(now)

        def decide(row: BaronRow, leases: list[LeaseRow]) -> Plan:
            return reconcile(row, leases, view, Timings(), now.wall_ns)

        plan = self.store.plan(1, decide)
        self.contact.keep(plan.known)
        if self.online and self.contact.heard:
            if not delivered:
                self.disconnect()
            else:
                self.agent.wanted = plan.specs
                self.agent.forget(plan.forget)
                self.contact.sent(plan.over, now)
        if self.busy:
            return
        for command in plan.commands:
            self.submit(command)
        for lease in plan.running:
            access = Access(host="h", port=lease.lease_id % 60_000 + 1, user="gpu", host_key=lease.host_key)
            self.submit(LeaseActive(lease_id=lease.lease_id, access=msgspec.json.encode(access)))

    # ------------------------------------------------------------ the laws

    @invariant()
    def no_gpu_is_in_two_leases(self) -> None:
        assigned = [uuid for lease in self.store.leases(1) for uuid in lease.gpus or ()]
        assert len(assigned) == len(set(assigned))

    @invariant()
    def a_lease_with_gpus_has_as_many_as_were_bought(self) -> None:
        assert all(len(lease.gpus or ()) in (0, lease.quantity) for lease in self.store.leases(1))

    def teardown(self) -> None:
        try:
            self.converge()
        finally:
            self.store.close()
            self.folder.cleanup()

    def converge(self) -> None:
        """Let it be quiet for a while, with a healthy agent; then everything must be in order."""
        if self.seq == 0:
            return
        self.busy = False
        self.drain(False)
        self.connect()
        self.round(20)
        # Long enough for a notice to be over, and never silent for long.
        self.round(4, each_s=45)
        self.round(20)
        assert all(row.gpus is not None and set(row.gpus) <= set(self.agent.uuids) for row in self.store.leases(1))
        self.agent.uuids = UUIDS
        self.connect()
        self.round(20)
        running = {one for one, report in self.agent.reports.items() if report.state is SandboxState.RUNNING}
        unwiped = {one for one, last in self.leases.items() if not (isinstance(last, LeaseChanged) and last.wiped)}
        assert all(self.leases[one].state is LeaseState.ACTIVE for one in unwiped)
        assert running == self.agent.reports.keys() == {format_id("lse", one) for one in unwiped}
        assert {row.lease_id: row.state for row in self.store.leases(1)} == dict.fromkeys(unwiped, LeaseState.ACTIVE)
        assert {format_id("lse", row.lease_id): row.gpus for row in self.store.leases(1)} == self.agent.gpus
        for lease_id in unwiped:
            last = self.leases[lease_id]
            assert isinstance(last, LeaseChanged)
            told = msgspec.json.decode(last.access, type=Access)
            assert told.host_key == self.agent.reports[format_id("lse", lease_id)].host_key
        (baron,) = self.store.barons()
        assert (baron.verified_gpus, baron.presence) == (len(UUIDS), Presence.REPORTING)
        leased = {
            kind: sum(len(self.agent.gpus[format_id("lse", one)]) for one in unwiped if self.kinds[one] is kind)
            for kind in Kind
        }
        firm_free = len(UUIDS) - leased[Kind.ONDEMAND]
        assert self.free(ONDEMAND) == firm_free
        assert self.free(SPOT) == max(0, min(2 - leased[Kind.SPOT], firm_free - leased[Kind.SPOT]))

    def free(self, instrument: int) -> int:
        return sum(level.unconditional for level in self.machine.depth(instrument, Side.SELL, 9))


Convergence.TestCase.settings = settings(max_examples=100, stateful_step_count=30)
TestConvergence = Convergence.TestCase
