"""An obligation's hours as they pass: paid one by one, or refunded because they weren't delivered (rulebook §8, §9).

An hour is delivered unless its provider fails in it; what is left in escrow and bond belongs to the hours left, so no more
can ever be paid out than was paid in. It knows no orders, and of leases only their bills.
"""

from __future__ import annotations

from engine import bills, money, obligations, rows, timers
from engine.kinds import ObligationChange, Pot, TransferCode
from engine.obligation import Obligation
from engine.state import State
from engine.units import MICROS_PER_TICK, NS_PER_HOUR


def begin(state: State, obligation: Obligation) -> None:
    """Its first hour has begun: the next timer is that hour's end."""
    timers.arm_obligation(state, obligation, (obligation.start_h + 1) * NS_PER_HOUR)


def pay(state: State, obligation: Obligation) -> bool:
    """An hour of it is over, and delivered: its pay, and its part of the bond. False when that was the last."""
    provider, bond_ref = obligation.provider, obligation.obligation_id
    bond_micros = obligation.bond_micros // (obligation.end_h - obligation.start_h)
    pay_micros = obligation.price_ticks * MICROS_PER_TICK * obligation.quantity
    bill = bills.of_hour(state, obligation)
    ref = bill.bill_id
    money.transfer(state, (provider, Pot.ESCROW), (provider, Pot.RECEIVABLE), pay_micros, TransferCode.USAGE, ref)
    money.transfer(state, (provider, Pot.BOND), (provider, Pot.AVAILABLE), bond_micros, TransferCode.RELEASE, bond_ref)
    bills.delivered(state, bill, obligation, pay_micros)
    obligation.bond_micros -= bond_micros
    with obligations.changing(state, obligation, (obligation.start_h + 2) * NS_PER_HOUR):
        obligation.start_h += 1
    if obligation.start_h == obligation.end_h:
        obligations.drop(state, obligation, ObligationChange.DELIVERED)
        return False
    obligations.say(state, obligation, ObligationChange.PAID)
    return True


def fail(state: State, obligation: Obligation) -> int:
    """The provider doesn't deliver, from the first hour that isn't paid on: all that is left of it is its holder's.

    The hours stay sold in the provider's row until they pass (§4). The refunded bond, in micro-dollars.
    """
    provider, ref = obligation.provider, obligation.obligation_id
    available, bond_micros = (obligation.holder, Pot.AVAILABLE), obligation.bond_micros
    money.transfer(state, (provider, Pot.ESCROW), available, obligation.escrow_micros, TransferCode.REFUND, ref)
    money.transfer(state, (provider, Pot.BOND), available, bond_micros, TransferCode.PENALTY, ref)
    row = rows.row_of(state, obligation.holder, obligation.baron)
    start_h, end_h = obligation.start_h, obligation.end_h
    rows.add_bought(state, row, start_h, end_h, -obligation.quantity, since_h=start_h)
    state.touched_rows[row.account, row.baron] = None
    obligations.drop(state, obligation, ObligationChange.FAILED)
    return bond_micros
