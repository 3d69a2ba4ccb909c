# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Forwards in C; `engine.forwards`, `engine.obligations` and `engine.settlement_prices` are the law.

A provider's sale of its own hours to somebody else alone is played here: a resale cuts obligations that
there are, and is left to the law's rooms. It knows nothing of how orders met.
"""

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset

from engine.compiled.arithmetic cimport (
    MICROS_PER_TICK, NS_PER_HOUR, fee_micros, forward_bond_micros, usage_micros,
)
from engine.compiled.codes cimport (
    CODE_BOND, CODE_FEE, CODE_HOLD, CODE_PREPAY, POT_BOND, POT_ESCROW, POT_FEES, POT_HELD,
    TIMER_OBLIGATION_START,
)
from engine.compiled.holding cimport change_hold
from engine.compiled.records cimport Account, Baron, Draft, Row
from engine.compiled.slots cimport OrderSlot
from engine.compiled.standing cimport account_of, add_to_grid, baron_of, hour_of, stand
from engine.compiled.state cimport Core, Listed, note_row
from engine.compiled.trade_events cimport ObligationChangedEvent, write_obligation_changed
from engine.compiled.transfers cimport transfer
from engine.grid_fast cimport BOUGHT, SOLD

from engine import delivery, forwards, obligations, rows, settlement_prices
from engine.kinds import ObligationChange
from engine.messages import EXCHANGE_ACCOUNT
from engine.obligation import Conditions, Obligation
from engine.periods import TRADING_ENDS_H

cdef enum:
    DAY_HOURS = 24

cdef int64_t TRADING_ENDS = TRADING_ENDS_H
cdef uint32_t EXCHANGE = EXCHANGE_ACCOUNT
cdef int CHANGE_SOLD = ObligationChange.SOLD


cdef bint is_own_sale(Core state, const OrderSlot *bid, const OrderSlot *ask) except -1:
    cdef Baron baron = baron_of(state, ask.baron)
    return ask.account == baron.provider and bid.account != ask.account


cdef int take_hours(
    Core state, Listed listed, Account buyer, const OrderSlot *bid, OrderSlot *ask, int64_t quantity,
    int64_t price_ticks
) except -1:
    cdef Row row = baron_of(state, ask.baron).own_row
    cdef Row bought = row_of(state, bid.account, ask.baron)
    cdef uint32_t start_h = hour_of(state.last_ts_ns)
    if start_h < listed.start_h:
        start_h = listed.start_h
    stand(state, row, ask, -quantity)
    # Its obligation's from now on, which are counted where they are asked for.
    buyer.gpus -= quantity
    if start_h < listed.end_h:
        add_to_grid(state, row, SOLD, start_h, listed.end_h, quantity)
        add_to_grid(state, bought, BOUGHT, start_h, listed.end_h, quantity)
    note_row(state, row)
    note_row(state, bought)
    if in_closing_half_hour(state.last_ts_ns):
        settlement_prices.count(state, listed.number, price_ticks, quantity)
    return 0


cdef Row row_of(Core state, uint32_t account, uint32_t baron):
    """The row, made when it is first asked for."""
    row = state.rows.get((account, baron))
    return <Row>row if row is not None else <Row?>rows.row_of(state, account, baron)


cdef bint in_closing_half_hour(int64_t now_ns) noexcept:
    """Whether what is traded now counts for a day's settlement price."""
    cdef int64_t hour_ns = NS_PER_HOUR
    cdef int64_t day_ns = DAY_HOURS * hour_ns
    cdef int64_t end_ns = now_ns - now_ns % day_ns + day_ns - TRADING_ENDS * hour_ns
    return end_ns - hour_ns // 2 <= now_ns < end_ns


# ---------------------------------------------------------------- when the command ends


cdef int settle(Core state, Draft draft) except -1:
    cdef OrderSlot *bid = draft.bid_slot
    cdef OrderSlot *ask = draft.ask_slot
    cdef PyObject *found = state.listed.find(bid.instrument)
    cdef Account buyer, seller
    cdef Listed listed
    cdef int64_t hours_ns, notional
    cdef uint64_t number
    if found == NULL or not is_own_sale(state, bid, ask):
        forwards.settle(state, draft)
        return 0
    listed = <Listed>found
    buyer, seller = account_of(state, bid.account), account_of(state, ask.account)
    hours_ns = (<int64_t>listed.end_h - listed.start_h) * NS_PER_HOUR
    notional = usage_micros(1, draft.price_ticks * draft.quantity, hours_ns)
    number = state.next_id()
    transfer(state, buyer, POT_HELD, seller, POT_ESCROW, notional, CODE_PREPAY, number)
    pay_buyers_fee(state, draft, buyer, notional, number)
    return open_sold(state, draft, listed, number, buyer, pay_bond(state, draft, seller, hours_ns, number))


cdef int pay_buyers_fee(Core state, Draft draft, Account buyer, int64_t notional, uint64_t ref) except -1:
    """Out of its bid's share, at most what is left of it, and the rest back to available."""
    cdef int64_t left = draft.share_micros - notional
    cdef int64_t fee = fee_micros(notional, buyer.taker_fee_ppm if draft.bid_takes else buyer.maker_fee_ppm)
    fee = fee if fee < left else left
    transfer(state, buyer, POT_HELD, account_of(state, EXCHANGE), POT_FEES, fee, CODE_FEE, ref)
    return change_hold(state, buyer, fee - left, draft.bid_slot.order_id, CODE_HOLD)


cdef int64_t pay_bond(
    Core state, Draft draft, Account seller, int64_t hours_ns, uint64_t ref
) except? -1:
    """The seller's fee and its bond, reckoned at what they were held at; the bond."""
    cdef int64_t reckoned = usage_micros(1, draft.bond_ticks, hours_ns)
    cdef int64_t share = draft.ask_share_micros
    cdef int64_t fee = fee_micros(reckoned, seller.taker_fee_ppm if draft.ask_takes else seller.maker_fee_ppm)
    cdef int64_t bond = forward_bond_micros(reckoned, state.forward_bond_ppm)
    fee = fee if fee < share else share
    bond = bond if bond < share - fee else share - fee
    transfer(state, seller, POT_HELD, account_of(state, EXCHANGE), POT_FEES, fee, CODE_FEE, ref)
    transfer(state, seller, POT_HELD, seller, POT_BOND, bond, CODE_BOND, ref)
    change_hold(state, seller, fee + bond - share, draft.ask_slot.order_id, CODE_HOLD)
    return bond


cdef int open_sold(
    Core state, Draft draft, Listed listed, uint64_t number, Account holder, int64_t bond_micros
) except -1:
    """The obligation of a sale, joined with its equal neighbours where it has any."""
    cdef OrderSlot *bid = draft.bid_slot
    cdef int64_t due_ns = listed.start_h * NS_PER_HOUR
    cdef bytes address = <bytes>bid.delivery if bid.delivery != NULL else b""
    made = Obligation(
        obligation_id=number, provider=draft.ask_slot.account, holder=bid.account, baron=draft.ask_slot.baron,
        instrument=listed.instrument, quantity=draft.quantity, start_h=listed.start_h, end_h=listed.end_h,
        price_ticks=draft.price_ticks, bond_micros=bond_micros, delivery=address,
        conditions=Conditions(bid.features, bid.min_rating, bid.same_baron != 0), due_ns=due_ns,
    )
    obligations.index(state, made)
    holder.obligations += 1
    state.timers.insert(due_ns, TIMER_OBLIGATION_START, number)
    say_sold(state, draft, listed, number, bond_micros, len(address) != 0)
    if obligations.has_neighbour(state, made):
        delivery.terms_follow(state, obligations.join(state, [made]))
    return 0


cdef int say_sold(
    Core state, Draft draft, Listed listed, uint64_t number, int64_t bond_micros, bint addressed
) except -1:
    cdef ObligationChangedEvent event
    cdef int64_t gpu_hours = draft.quantity * (<int64_t>listed.end_h - listed.start_h)
    memset(&event, 0, sizeof(event))
    event.obligation_id = <int64_t>number
    event.provider, event.holder = draft.ask_slot.account, draft.bid_slot.account
    event.baron, event.instrument = draft.ask_slot.baron, listed.instrument
    event.quantity, event.price_ticks = draft.quantity, draft.price_ticks
    event.start_h, event.end_h = listed.start_h, listed.end_h
    event.escrow_micros, event.bond_micros = draft.price_ticks * MICROS_PER_TICK * gpu_hours, bond_micros
    event.change, event.addressed, event.live = CHANGE_SOLD, addressed, True
    return write_obligation_changed(&state.events.sink, &event)
