"""The end of a random life: nobody trades any more, what runs is reported on, and its terms and its money run out.

Nobody ends a lease here. A provisioner's reports, the clock and empty pockets do, so that a lease that reaches no end by itself
is found.
"""

from __future__ import annotations

from typing import Final

from engine.kinds import Fault, LeaseState, Pot, Presence
from engine.messages import (
    CancelAll,
    CancelAllAfter,
    LeaseActive,
    LeaseFailed,
    LeaseWiped,
    SetDrain,
    SetOffers,
    SetPresence,
    SetSession,
    Tick,
    Withdraw,
)
from engine.records import Session
from tests.engine.shard import (
    ALICE,
    BARON,
    BOB,
    ELSEWHERE_ONDEMAND,
    ELSEWHERE_SPOT,
    FAR_BARON,
    HOUR,
    ONDEMAND,
    OTHER_BARON,
    PAT,
    QUINN,
    SECOND_BARON,
    SPOT,
    Shard,
)

PEOPLE: Final = (ALICE, BOB, PAT, QUINN)
LATE_NS: Final = 5 * HOUR
"""The provisioner comes by so often, and timers are so late: a life of days is over in a dozen rounds."""
ROUNDS: Final = 60
FAILS_EACH: Final = 3
"""Of so many leases that it is to start, a provisioner hears nothing of one, and gives it up."""


def wind_down(shard: Shard) -> None:
    """Everybody stops trading, and each lease comes to its end; nothing may be held, leased, open or due afterwards."""
    _nobody_trades(shard)
    leases, obligations = shard.machine.state.leases, shard.machine.state.obligations
    for _ in range(ROUNDS):
        _catch_up(shard)
        if not leases and not obligations:
            break
        _report(shard)
        _take_money_out(shard)
        shard.wait(LATE_NS, tick=False)
    unended = {number: lease.state for number, lease in leases.items() if lease.live}
    assert not unended, f"leases that reach no end: {unended}"
    for seen in shard.auditor.leases.values():
        assert seen.last is not None and seen.last.state in (LeaseState.ENDED, LeaseState.FAILED), seen.scheduled
        assert seen.last.wiped, "what is over was wiped"
    assert not obligations, "what was sold ahead is delivered, or failed"


def _nobody_trades(shard: Shard) -> None:
    """Orders and offers go, auctions end, and the Barons are heard of and go on."""
    for provider in (PAT, QUINN):
        shard.do(SetOffers(account=provider, offers=()))
    for account in PEOPLE:
        shard.do(CancelAll(account=account))
        shard.do(CancelAllAfter(account=account, after_ns=0))
    auctions = {*shard.machine.state.auction_ends} - {SPOT, ONDEMAND, ELSEWHERE_SPOT, ELSEWHERE_ONDEMAND}
    for instrument in (SPOT, ONDEMAND, ELSEWHERE_SPOT, ELSEWHERE_ONDEMAND, *sorted(auctions)):
        shard.do(SetSession(instrument=instrument, session=Session.CONTINUOUS))
    for provider, baron in ((PAT, BARON), (PAT, SECOND_BARON), (QUINN, OTHER_BARON), (PAT, FAR_BARON)):
        shard.do(SetPresence(baron=baron, presence=Presence.REPORTING))
        shard.do(SetDrain(account=provider, baron=baron, draining=False))


def _catch_up(shard: Shard) -> None:
    while shard.due():
        shard.do(Tick())


def _report(shard: Shard) -> None:
    """What a provisioner says: these run, these were given up, these are wiped. A newcomer that waits isn't started yet."""
    leases = shard.machine.state.leases
    for place, lease_id in enumerate(sorted(leases)):
        # A failure or a wipe may take others with it.
        lease = leases.get(lease_id)
        if lease is not None and lease.state is LeaseState.PROVISIONING and place % FAILS_EACH:
            shard.do(LeaseActive(lease_id=lease_id, access=b"port"))
        elif lease is not None and lease.state is LeaseState.PROVISIONING:
            why = "it was not ready in 600 s"
            shard.do(LeaseFailed(lease_id=lease_id, fault=Fault.PROVIDER, as_of_ns=shard.now_ns, detail=why))
        if lease_id in leases and not leases[lease_id].live:
            shard.do(LeaseWiped(lease_id=lease_id))


def _take_money_out(shard: Shard) -> None:
    """What can't be topped up ends: leases without a term run no longer than what was paid in."""
    for account in PEOPLE:
        if available := shard.auditor.pots[account, Pot.AVAILABLE]:
            shard.do(Withdraw(account=account, amount_micros=available, client_id=""))
