"""Trades on forwards: what changes hands in hours, obligations and money (rulebook §4, §8, §9).

A provider's sale pays the buyer's notional into escrow and makes an obligation; a holder's sale moves obligations that
there are, and pays the seller at once. Hours change hands at each fill, obligations and money when the command ends. It
knows nothing of how orders met, and leases begin elsewhere (`engine.delivery`).
"""

from __future__ import annotations

from engine import delivery, money, obligations, rows
from engine.kinds import Pot, TransferCode
from engine.obligation import Conditions, Obligation, Part
from engine.state import Draft, Instrument, Order, State
from engine.units import NS_PER_HOUR, fee_micros, usage_micros


def take_hours(state: State, bid: Order, ask: Order, quantity: int) -> None:
    """A fill's hours: off the ask, which reserved them, out of its row and into the buyer's (§4). Nothing is checked."""
    listed = state.instruments[ask.instrument]
    row = rows.row_of_ask(state, ask)
    rows.stand(state, ask, -quantity)
    provider = state.barons[ask.baron].provider
    if ask.account == provider:
        rows.add_sold(state, row, listed.start_h, listed.end_h, quantity)
    else:
        rows.add_bought(state, row, listed.start_h, listed.end_h, -quantity)
    # Its obligation's from now on, which are counted where they are asked for.
    state.accounts[bid.account].gpus -= quantity
    buyers = rows.row_of(state, bid.account, ask.baron)
    if bid.account == provider:
        # It owes itself nothing: these hours are free again.
        rows.add_sold(state, buyers, listed.start_h, listed.end_h, -quantity)
    else:
        rows.add_bought(state, buyers, listed.start_h, listed.end_h, quantity)
    state.touched_rows[row.account, row.baron] = None
    state.touched_rows[buyers.account, buyers.baron] = None


def settle(state: State, draft: Draft) -> None:
    """When the command ends: the money of a draft's fills, and its obligation, or those that moved."""
    listed = state.instruments[draft.bid.instrument]
    notional = _notional(listed, draft.price_ticks * draft.quantity)
    if state.barons[draft.ask.baron].provider == draft.ask.account:
        _sell(state, draft, listed, notional)
    else:
        _resell(state, draft, listed, notional)


def _notional(listed: Instrument, ticks: int) -> int:
    """Micro-dollars of a whole period, of GPUs whose prices sum up to so much."""
    return usage_micros(1, ticks, listed.hours * NS_PER_HOUR)


def _sell(state: State, draft: Draft, listed: Instrument, notional: int) -> None:
    """A provider sells its own hours: notional into escrow, bond and both fees, and an obligation."""
    buyer, seller = draft.bid.account, draft.ask.account
    made = Obligation(
        obligation_id=state.new_id(),
        provider=seller,
        holder=buyer,
        baron=draft.ask.baron,
        instrument=listed.instrument,
        quantity=draft.quantity,
        start_h=listed.start_h,
        end_h=listed.end_h,
        price_ticks=draft.price_ticks,
        bond_micros=0,
        delivery=draft.bid.delivery,
        conditions=_conditions(draft.bid),
    )
    ref = made.obligation_id
    money.transfer(state, (buyer, Pot.HELD), (seller, Pot.ESCROW), notional, TransferCode.PREPAY, ref)
    _pay_buyers_fee(state, draft, notional, ref)
    # Bond and fee are reckoned at what they were held at, and shares of a hold are rounded one by one.
    reckoned = _notional(listed, draft.bond_ticks)
    share = draft.ask_share_micros
    fee = min(share, fee_micros(reckoned, _fee_ppm(state, seller, takes=draft.ask_takes)))
    made.bond_micros = min(share - fee, money.forward_bond_micros(state, reckoned))
    held = (seller, Pot.HELD)
    money.transfer(state, held, money.FEES, fee, TransferCode.FEE, ref)
    money.transfer(state, held, (seller, Pot.BOND), made.bond_micros, TransferCode.BOND, ref)
    money.change_hold(state, seller, fee + made.bond_micros - share, draft.ask.order_id)
    delivery.terms_follow(state, [obligations.open_sold(state, made)])


def _resell(state: State, draft: Draft, listed: Instrument, notional: int) -> None:
    """A holder sells hours that it bought: the notional is its own at once, less its fee; its obligations move."""
    buyer, seller = draft.bid.account, draft.ask.account
    sold = Part(listed.start_h, listed.end_h, draft.quantity)
    planned = obligations.plan(state, seller, draft.ask.baron, sold)
    moved = obligations.move(state, planned, buyer, listed.instrument, draft.bid.delivery, _conditions(draft.bid))
    # What its provider bought is over, and has its old name alone.
    ref = next((each.obligation_id for each in moved if each.holder == buyer), planned[0][0].obligation_id)
    available = (seller, Pot.AVAILABLE)
    money.transfer(state, (buyer, Pot.HELD), available, notional, TransferCode.PREPAY, ref)
    fee = fee_micros(notional, _fee_ppm(state, seller, takes=draft.ask_takes))
    money.transfer(state, available, money.FEES, fee, TransferCode.FEE, ref)
    _pay_buyers_fee(state, draft, notional, ref)
    delivery.terms_follow(state, moved)


def _conditions(bid: Order) -> Conditions:
    return Conditions(bid.features, bid.min_rating, bid.same_baron)


def _pay_buyers_fee(state: State, draft: Draft, notional: int, ref: int) -> None:
    """The buyer's fee out of its bid's share, at most what is left of it, and the rest back to available."""
    buyer, left = draft.bid.account, draft.share_micros - notional
    fee = min(left, fee_micros(notional, _fee_ppm(state, buyer, takes=draft.bid_takes)))
    money.transfer(state, (buyer, Pot.HELD), money.FEES, fee, TransferCode.FEE, ref)
    money.change_hold(state, buyer, fee - left, draft.bid.order_id)


def _fee_ppm(state: State, number: int, *, takes: bool) -> int:
    account = state.accounts[number]
    return account.taker_fee_ppm if takes else account.maker_fee_ppm
