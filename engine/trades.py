"""Leases out of trades: what the drafts of a command become, and what its trades leave of capacity (rulebook §4, §8, §9).

Fills of one bid on one Baron at one price in one command are one obligation and one lease, whoever met it; capacity
follows at once. It knows nothing of how orders met.
"""

from __future__ import annotations

from engine import cuts, delivery, forwards, leases, money, rows, subleases
from engine.kinds import Kind, Pot, TransferCode
from engine.messages import LeaseScheduled, ObligationOpened
from engine.state import Draft, Lease, Order, State
from engine.units import NS_PER_HOUR, NS_PER_S


def capacity_follows(state: State) -> None:
    """After each command to a book: what was traded cuts what stands on the same GPUs."""
    touched, state.touched_rows = state.touched_rows, {}
    for key in touched:
        row = state.rows[key]
        cuts.changed(state, state.barons[row.baron], row)


def open_leases(state: State) -> None:
    """When the command ends: the leases of all that it traded, and the obligations of forwards."""
    drafts = list(state.drafts.values())
    state.drafts.clear()
    for draft in drafts:
        if draft.bid.kind is Kind.FORWARD:
            forwards.settle(state, draft)
        else:
            open_lease(state, draft)


def open_lease(state: State, draft: Draft) -> None:
    """The obligation and the lease of a draft; the prefund out of the bid's share, the rest of that back to available."""
    bid, limits = draft.bid, state.limits
    renter, provider = state.accounts[bid.account], state.accounts[draft.ask.account]
    renter_fee_ppm = renter.taker_fee_ppm if draft.bid_takes else renter.maker_fee_ppm
    provider_fee_ppm = provider.taker_fee_ppm if draft.ask_takes else provider.maker_fee_ppm
    prefund_ns = limits.prefund_s * NS_PER_S
    needed = money.needed_micros(draft.price_ticks, draft.quantity, prefund_ns, renter_fee_ppm)
    prefund = min(draft.share_micros, needed)
    spot = bid.kind is Kind.SPOT
    start_ns = state.last_ts_ns
    lease = state.records.lease(
        lease_id=draft.lease_id,
        renter=bid.account,
        provider=draft.ask.account,
        baron=draft.ask.baron,
        kind=bid.kind,
        quantity=draft.quantity,
        offer_quantity=draft.offer_quantity,
        price_ticks=draft.price_ticks,
        start_ns=start_ns,
        term_end_ns=start_ns + bid.hours * NS_PER_HOUR if bid.hours else 0,
        minimum_s=limits.spot_minimum_s if spot else limits.ondemand_minimum_s,
        renter_fee_ppm=renter_fee_ppm,
        provider_fee_ppm=provider_fee_ppm,
        prefund_micros=prefund,
        limit_ticks=0 if spot else draft.limit_ticks or bid.price_ticks,
        auto_extend=draft.auto_extend,
        delivery=b"" if spot else bid.delivery,
        features=0 if spot else bid.features,
        min_rating=0 if spot else bid.min_rating,
        same_baron=bid.same_baron and not spot,
    )
    leases.begin(state, lease)
    emit_opened(state, bid, draft.obligation_id, lease)
    money.change_hold(state, bid.account, prefund - draft.share_micros, bid.order_id)
    _post_bond(state, draft, lease)
    if subleases.is_sublease(state, lease):
        delivery.make_room(state, rows.row_of_lease(state, lease), state.last_ts_ns)


def _post_bond(state: State, draft: Draft, lease: Lease) -> None:
    """The seller's bond out of the asks' shares, the rest of them back to available (§9). Shares are rounded one by one."""
    ask, share = draft.ask, draft.ask_share_micros
    if not share:
        return
    lease.bond_micros = min(share, money.ondemand_bond_micros(state, draft.bond_ticks))
    held, bond = (ask.account, Pot.HELD), (ask.account, Pot.BOND)
    money.transfer(state, held, bond, lease.bond_micros, TransferCode.BOND, lease.lease_id)
    money.change_hold(state, ask.account, lease.bond_micros - share, ask.order_id)


def emit_opened(state: State, bid: Order, obligation_id: int, lease: Lease) -> None:
    """Say a lease that a bid opened, and the obligation that it delivers."""
    state.emit(
        ObligationOpened(
            obligation_id=obligation_id,
            lease_id=lease.lease_id,
            provider=lease.provider,
            holder=lease.renter,
            baron=lease.baron,
            instrument=bid.instrument,
            quantity=lease.quantity,
            price_ticks=lease.price_ticks,
            start_ns=lease.start_ns,
            end_ns=lease.term_end_ns,
        )
    )
    state.emit(
        LeaseScheduled(
            lease_id=lease.lease_id,
            obligation_id=obligation_id,
            order_id=bid.order_id,
            renter=lease.renter,
            provider=lease.provider,
            baron=lease.baron,
            instrument=bid.instrument,
            kind=lease.kind,
            quantity=lease.quantity,
            price_ticks=lease.price_ticks,
            start_ns=lease.start_ns,
            term_end_ns=lease.term_end_ns,
            minimum_s=lease.minimum_s,
            renter_fee_ppm=lease.renter_fee_ppm,
            provider_fee_ppm=lease.provider_fee_ppm,
            state=lease.state,
            delivery=bid.delivery,
            limit_ticks=lease.limit_ticks,
            auto_extend=lease.auto_extend,
        )
    )
