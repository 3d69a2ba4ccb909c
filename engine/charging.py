"""What a lease costs, what of it is posted, and what is held for what comes (rulebook §2, §7, §8, §9).

Usage and fees are cumulative (due so far less posted so far), out of a prefund that each full hour of use fills up again;
so a charge can never exceed what is held for it. It knows neither why a lease ends nor who waits for its GPUs.
"""

from __future__ import annotations

from bisect import bisect_right

from engine import bills, money
from engine.kinds import EndReason, Pot, TransferCode
from engine.state import Broken, Lease, State
from engine.units import NS_PER_HOUR, NS_PER_S, fee_micros, tick_ns, usage_micros


def usage(lease: Lease, from_ns: int, until_ns: int) -> int:
    """What the use from one time to another costs at the prices of that time, in micro-dollars, rounded down once."""
    return usage_micros(1, lease.quantity, tick_ns(lease.price_ticks, lease.prices, from_ns, until_ns))


def ended_usage(lease: Lease, ended_ns: int) -> int:
    """What a lease owes in all that ends now for the reason that it has."""
    from_ns = lease.active_ns or ended_ns
    return usage(lease, from_ns, from_ns + _charged_ns(lease, from_ns, ended_ns))


def _charged_ns(lease: Lease, from_ns: int, ended_ns: int) -> int:
    """How much time a lease that ends now is charged for (§7, §8)."""
    elapsed_ns = ended_ns - from_ns
    if lease.reason is EndReason.PROVIDER_FAILED:
        return elapsed_ns if elapsed_ns >= NS_PER_HOUR else 0
    if lease.reason in (EndReason.QUIT, EndReason.RENTER_FAILED):
        minimum_ns = lease.minimum_s * NS_PER_S
        if lease.term_end_ns:
            minimum_ns = min(minimum_ns, lease.term_end_ns - from_ns)
        return max(elapsed_ns, minimum_ns)
    return elapsed_ns


def posted_ns(lease: Lease) -> int:
    """Up to when an active lease's use is posted, and since when its prefund covers it: its last full hour of use."""
    return lease.active_ns + (lease.due_ns - 1 - lease.active_ns) // NS_PER_HOUR * NS_PER_HOUR


def filled_up(state: State, lease: Lease, at_ns: int) -> bool:
    """Fill the prefund up to what the time that it covers will cost; False, and nothing moved, when the renter can't."""
    missing = missing_micros(state, lease, at_ns)
    renter = lease.renter
    if missing > state.accounts[renter].pots[Pot.AVAILABLE]:
        return False
    if missing > 0:
        money.transfer(state, (renter, Pot.AVAILABLE), (renter, Pot.HELD), missing, TransferCode.PREPAY, lease.lease_id)
        lease.prefund_micros += missing
    return True


def affordable_ns(lease: Lease, now_ns: int, most_ns: int) -> int:
    """How long from now a lease may run on what was paid for it, at most so long."""
    paid = lease.usage_micros + lease.renter_fee_micros + lease.prefund_micros
    from_ns = lease.active_ns or now_ns

    def cost(duration_ns: int) -> int:
        due = usage(lease, from_ns, max(from_ns, now_ns + duration_ns))
        return due + fee_micros(due, lease.renter_fee_ppm)

    return most_ns if cost(most_ns) <= paid else bisect_right(range(most_ns), paid, key=cost) - 1


def missing_micros(state: State, lease: Lease, at_ns: int) -> int:
    """What a prefund lacks of the cost of the time that it covers from at_ns on, at most to the end of the term."""
    until_ns = at_ns + state.limits.prefund_s * NS_PER_S
    if lease.term_end_ns:
        until_ns = min(until_ns, lease.term_end_ns)
    ticks = tick_ns(lease.price_ticks, lease.prices, at_ns, until_ns)
    covered = lease.prefund_micros + _posted_since(lease, at_ns)
    return money.needed_micros(1, lease.quantity, ticks, lease.renter_fee_ppm) - covered


def _posted_since(lease: Lease, at_ns: int) -> int:
    """What is posted of the time after a full hour of use: something where a month ended in it."""
    if not lease.active_ns:
        return 0
    due = usage(lease, lease.active_ns, at_ns)
    return lease.usage_micros + lease.renter_fee_micros - due - fee_micros(due, lease.renter_fee_ppm)


def post(state: State, lease: Lease, usage_due_micros: int) -> None:
    """Bring what is posted to what is due in all: usage to the provider, each side's fee to the exchange; or refund.

    No more is refunded than this month's charge: what a month's close paid out stays paid (§9).
    """
    usage_due_micros = max(usage_due_micros, lease.usage_micros - bills.refundable_micros(state, lease.lease_id))
    more = usage_due_micros - lease.usage_micros
    renter_fee = fee_micros(usage_due_micros, lease.renter_fee_ppm) - lease.renter_fee_micros
    provider_fee = fee_micros(usage_due_micros, lease.provider_fee_ppm) - lease.provider_fee_micros
    ref = lease.lease_id
    held, receivable = (lease.renter, Pot.HELD), (lease.provider, Pot.RECEIVABLE)
    if more >= 0:
        money.transfer(state, held, receivable, more, TransferCode.USAGE, ref)
        money.transfer(state, held, money.FEES, renter_fee, TransferCode.FEE, ref)
        money.transfer(state, receivable, money.FEES, provider_fee, TransferCode.FEE, ref)
        lease.prefund_micros -= more + renter_fee
    else:
        available = (lease.renter, Pot.AVAILABLE)
        # Fees first: the provider gets its own back before it gives back what they were taken from.
        money.transfer(state, money.FEES, receivable, -provider_fee, TransferCode.REFUND, ref)
        money.transfer(state, money.FEES, available, -renter_fee, TransferCode.REFUND, ref)
        money.transfer(state, receivable, available, -more, TransferCode.REFUND, ref)
    if lease.prefund_micros < 0:
        raise Broken(f"lease {ref} was charged {-lease.prefund_micros} more than is held for it")
    if more:
        bill = bills.of(state, lease.lease_id, lease.renter, lease.provider, state.last_ts_ns)
        bills.posted(bill, more, provider_fee)
    lease.usage_micros = usage_due_micros
    lease.renter_fee_micros += renter_fee
    lease.provider_fee_micros += provider_fee
