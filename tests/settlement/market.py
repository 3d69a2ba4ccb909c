"""A real machine with a small market, whose events go into a real ledger: what proofs are tried on."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from engine.book_plain import PlainBook
from engine.kinds import Fault, LeaseState
from engine.limits import Limits
from engine.machine import Machine
from engine.messages import (
    Command,
    Deposit,
    EndLease,
    Event,
    ExtendLease,
    LeaseActive,
    LeaseChanged,
    LeaseFailed,
    LeaseScheduled,
    LeaseWiped,
    ListMarket,
    Offer,
    OpenAccount,
    RaisePrice,
    RegisterBaron,
    Rejected,
    Rent,
    Reply,
    SetCapacity,
    SetOffers,
    Tick,
)
from settlement.ledger import Settlement
from settlement.verify import EngineState, Proof, ledger_moment
from tests.settlement.made import START_NS

PROVIDERS: Final = (1, 2)
RENTERS: Final = (3, 4)
SPOT: Final = 1
ONDEMAND: Final = 2


class Market:
    """Two providers with a Baron each, and two renters, one of them short of money; both sides pay odd fees."""

    def __init__(self, path: Path, max_timers: int = 1_024) -> None:
        self.machine = Machine(0, Limits(max_timers=max_timers), PlainBook)
        self.ledger = Settlement.open(path)
        self.path = path
        self.now_ns = START_NS
        self.leases: dict[int, LeaseScheduled] = {}
        self.states: dict[int, LeaseChanged] = {}
        self._waiting: list[Reply] = []
        self.enter(ListMarket(sku="H100-SXM5-80GB", region="us-east"))
        for account in (*PROVIDERS, *RENTERS):
            self.enter(OpenAccount(account=account, maker_fee_ppm=1_337, taker_fee_ppm=5_003))
        for provider in PROVIDERS:
            # For the bonds of what they offer.
            self.enter(
                Deposit(account=provider, amount_micros=1_000 * 10**6, client_id="opening"),
                RegisterBaron(baron=provider, provider=provider, sku="H100-SXM5-80GB", region="us-east"),
                SetCapacity(baron=provider, gpus=8, simulated=False),
            )
            offers = (
                Offer(baron=provider, instrument=SPOT, price_ticks=9_973 + provider, gpus=8, max_hours=0),
                Offer(baron=provider, instrument=ONDEMAND, price_ticks=20_011 + provider, gpus=8, max_hours=100),
            )
            self.enter(SetOffers(account=provider, offers=offers))
        for renter, dollars in zip(RENTERS, (10_000, 100), strict=True):
            self.enter(Deposit(account=renter, amount_micros=dollars * 10**6, client_id="opening"))

    def enter(self, *commands: Command) -> list[Event]:
        """Apply commands now, each refused or not; their events go into the ledger with the next `post`."""
        events: list[Event] = []
        for command in commands:
            made = self.machine.apply(self.machine.last_seq + 1, self.now_ns, command)
            for event in made:
                if isinstance(event, LeaseScheduled):
                    self.leases[event.lease_id] = event
                elif isinstance(event, LeaseChanged):
                    self.states[event.lease_id] = event
            self._waiting.append(Reply(self.machine.last_seq, self.now_ns, tuple(made)))
            events += made
        return events

    def reprice(self, price_ticks: int) -> None:
        """The first provider's on-demand offer at another price."""
        offer = Offer(baron=1, instrument=ONDEMAND, price_ticks=price_ticks, gpus=8, max_hours=100)
        spot = Offer(baron=1, instrument=SPOT, price_ticks=9_974, gpus=8, max_hours=0)
        self.enter(SetOffers(account=1, offers=(spot, offer)))

    def rent(self, renter: int, instrument: int, quantity: int, hours: int, *, auto_extend: bool = False) -> list[int]:
        """Lease ids of a rental; none when it was refused."""
        events = self.enter(
            Rent(
                account=renter,
                instruments=(instrument,),
                quantity=quantity,
                hours=hours,
                max_price_ticks=25_000 if instrument == ONDEMAND else 0,
                delivery=b"key",
                auto_extend=auto_extend,
            )
        )
        return [event.lease_id for event in events if isinstance(event, LeaseScheduled)]

    def activate(self, *leases: int) -> None:
        for lease in leases:
            self.enter(LeaseActive(lease_id=lease, access=b""))

    def quit(self, lease: int) -> None:
        self.enter(EndLease(account=self.leases[lease].renter, lease_id=lease))

    def raise_price(self, lease: int, price_ticks: int) -> list[Event]:
        return self.enter(RaisePrice(account=self.leases[lease].renter, lease_id=lease, price_ticks=price_ticks))

    def extend(self, lease: int, hours: int) -> list[Event]:
        return self.enter(ExtendLease(account=self.leases[lease].renter, lease_id=lease, hours=hours))

    def fail(self, lease: int, fault: Fault, ago_ns: int = 0) -> None:
        as_of_ns = max(self.leases[lease].start_ns, self.now_ns - ago_ns)
        self.enter(LeaseFailed(lease_id=lease, fault=fault, as_of_ns=as_of_ns, detail=""))

    def wipe(self, lease: int) -> None:
        self.enter(LeaseWiped(lease_id=lease))

    def pass_time(self, duration_ns: int, ticks: int | None = None) -> None:
        """Let time pass, and Ticks come until nothing is due; or only so many of them."""
        self.now_ns += duration_ns
        while ticks != 0 and (due_ns := self.machine.next_due_ns()) is not None and due_ns <= self.now_ns:
            self.enter(Tick())
            ticks = None if ticks is None else ticks - 1
        if ticks is None:
            # The machine's time is the last command's: a proof must see that it has passed.
            self.enter(Tick())

    def live(self) -> list[int]:
        """Leases that haven't ended."""
        over = (LeaseState.ENDED, LeaseState.FAILED)
        return [lease for lease in self.leases if lease not in self.states or self.states[lease].state not in over]

    def unwiped(self) -> list[int]:
        live = set(self.live())
        return [lease for lease in self.leases if lease not in live and not self.states[lease].wiped]

    def engine(self) -> EngineState:
        """The engine as it is now."""
        return EngineState(
            seq=self.machine.last_seq,
            ts_ns=self.machine.last_ts_ns,
            next_due_ns=self.machine.next_due_ns(),
            balances=list(self.machine.balances()),
        )

    def post(self) -> None:
        """Bring the ledger to the last command."""
        self.ledger.apply(self._waiting)
        self._waiting.clear()

    def prove(self) -> Proof:
        self.post()
        with ledger_moment(self.path) as moment:
            return moment.prove(self.engine())

    def close(self) -> None:
        self.ledger.close()


def refused(events: list[Event]) -> bool:
    return any(isinstance(event, Rejected) for event in events)
