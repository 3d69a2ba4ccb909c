"""Cover: what a provider failed to deliver is bought elsewhere, for its holder and from its holder's own funds (rulebook §8).

Here it is only said what is to be bought and at what price; `engine.covering` enters it when the command ends. Nothing of it
costs the holder more than what failed would have: the limit is the old price and what the bond gave back.
"""

from __future__ import annotations

from engine.dues import Cover
from engine.kinds import Kind
from engine.obligation import Obligation
from engine.state import Lease, State
from engine.units import MICROS_PER_TICK, NS_PER_HOUR, NS_PER_S, PRICE_MAX_TICKS, S_PER_HOUR


def of_lease(state: State, lease: Lease, bond_micros: int) -> None:
    """Cover an on-demand lease that its provider has just failed; bond_micros: what its renter was given of the bond.

    One under notice would have ended anyway: nothing was owed beyond that.
    """
    if lease.kind is not Kind.ONDEMAND or lease.ends_ns:
        return
    baron = state.barons[lease.baron]
    _, ondemand = state.markets[baron.sku, baron.region]
    hours = hours_left(state, lease.term_end_ns)
    enter(
        state,
        Cover(
            account=lease.renter,
            instrument=ondemand,
            quantity=lease.quantity,
            hours=hours,
            price_ticks=limit_ticks(lease.price_ticks, bond_micros, lease.quantity, hours),
            # Who sold it may not be who owns the Baron: neither is to gain by the failure.
            providers=sorted({lease.provider, baron.provider}),
            delivery=lease.delivery,
            features=lease.features,
            min_rating=lease.min_rating,
            same_baron=lease.same_baron,
            limit_ticks=lease.limit_ticks,
            auto_extend=lease.auto_extend,
        ),
    )


def of_obligation(state: State, obligation: Obligation, bond_micros: int) -> None:
    """Cover an obligation that its provider has just failed; bond_micros: what its holder was given of the bond.

    Without a word from its holder where to deliver there is nothing to buy.
    """
    if not obligation.delivery:
        return
    baron, asked = state.barons[obligation.baron], obligation.conditions
    _, ondemand = state.markets[baron.sku, baron.region]
    hours_owed = obligation.end_h - obligation.start_h
    enter(
        state,
        Cover(
            account=obligation.holder,
            instrument=ondemand,
            quantity=obligation.quantity,
            hours=hours_left(state, obligation.end_h * NS_PER_HOUR),
            price_ticks=limit_ticks(obligation.price_ticks, bond_micros, obligation.quantity, hours_owed),
            providers=[obligation.provider],
            delivery=obligation.delivery,
            features=asked.features,
            min_rating=asked.min_rating,
            same_baron=asked.same_baron,
            limit_ticks=0,
            auto_extend=False,
        ),
    )


def enter(state: State, cover: Cover) -> None:
    """Have a cover enter when the command ends; none where no hours are left."""
    if cover.hours > 0:
        state.covers.append(cover)


def hours_left(state: State, end_ns: int) -> int:
    """The hours from now to a time, a begun one whole, at most the longest term; of less than a second none."""
    left_s = max(0, end_ns - state.last_ts_ns) // NS_PER_S
    return min(-(-left_s // S_PER_HOUR), state.limits.max_term_hours)


def limit_ticks(price_ticks: int, bond_micros: int, quantity: int, hours: int) -> int:
    """The price of what failed, and what its bond adds to each GPU-hour left."""
    gpu_hours = max(1, quantity * hours)
    return min(price_ticks + bond_micros // (MICROS_PER_TICK * gpu_hours), PRICE_MAX_TICKS)
