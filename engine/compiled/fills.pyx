# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Fills in C; `engine.fills`, `engine.cuts` and `engine.trades` are the law.

GPUs move from ask to lease in the hours of their row, the bid's share of its hold is set aside, and when the
command ends each draft is a lease, or what `forwards` makes of it. It doesn't know how orders met.
"""

from cpython.list cimport PyList_GET_ITEM
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from engine.compiled.agenda cimport agenda_ask
from engine.compiled.ahead cimport ask_place
from engine.compiled.arithmetic cimport NS_PER_HOUR, needed_micros, ondemand_bond_micros
from engine.compiled.codes cimport (
    CODE_BOND, CODE_HOLD, KIND_FORWARD, KIND_ONDEMAND, KIND_SPOT, ORIGIN_OFFER, POT_BOND, POT_HELD, SIDE_BUY,
    LEASE_PROVISIONING, STATUS_FILLED, TIMER_TERM_END,
)
from engine.compiled.forwards cimport settle, take_hours
from engine.compiled.holding cimport change_hold, order_hold
from engine.compiled.lease_events cimport LeaseScheduledEvent, write_lease_scheduled
from engine.compiled.lookups cimport add_lease
from engine.compiled.records cimport Account, Baron, Draft, Lease, Row
from engine.compiled.slots cimport OrderSlot, index_of, slot_at
from engine.compiled.standing cimport (
    account_at, add_to_grid, baron_at, capacity_changed, forget, has_more, hour_after, hour_of, row_at,
    stand,
)
from engine.compiled.state cimport TOUCHED_FEW, Core, Listed, note_row
from engine.compiled.trade_events cimport (
    ObligationOpenedEvent, TradedEvent, write_obligation_opened, write_traded,
)
from engine.compiled.transfers cimport transfer
from engine.compiled.wire cimport view_bytes
from engine.fast.records cimport EVENT_AUCTION, EventRecord
from engine.grid_fast cimport SOLD

from engine import fills, timers, trades
from engine.state import Broken

# All leases of a row are known to it.
cdef uint64_t NO_BOUND = 1 << 62


cdef int trade(Core state, Listed listed, const EventRecord *event) except -1:
    cdef uint32_t maker_index = index_of(&state.orders.slots, event.order_id)
    cdef uint32_t taker_index = index_of(&state.orders.slots, event.other_id)
    cdef OrderSlot *maker = slot_at(&state.orders.slots, maker_index)
    cdef OrderSlot *taker = slot_at(&state.orders.slots, taker_index)
    cdef bint bid_takes = taker.side == SIDE_BUY
    cdef OrderSlot *bid = taker if bid_takes else maker
    cdef OrderSlot *ask = maker if bid_takes else taker
    if not (maker_index and taker_index and maker.admitted and taker.admitted):
        raise KeyError(event.order_id)
    meet(
        state, listed, event, maker, taker, maker_index, taker_index,
        <Account>account_at(state, bid.account), <Account>account_at(state, ask.account),
    )
    settle_order(state, <Account>account_at(state, maker.account), maker, maker_index)
    return settle_order(state, <Account>account_at(state, taker.account), taker, taker_index)


cdef int meet(
    Core state, Listed listed, const EventRecord *event, OrderSlot *maker, OrderSlot *taker,
    uint32_t maker_index, uint32_t taker_index, Account buyer, Account seller
) except -1:
    """What a trade gives to its draft and takes from its orders, and its event."""
    cdef bint auction = event.flags & EVENT_AUCTION != 0
    cdef bint bid_takes = taker.side == SIDE_BUY
    cdef OrderSlot *bid = taker if bid_takes else maker
    cdef OrderSlot *ask = maker if bid_takes else taker
    cdef Draft draft
    cdef TradedEvent traded
    traded.trade_id = <int64_t>state.next_id()
    draft = draft_of(
        state, buyer, bid, ask, maker_index if not bid_takes else taker_index,
        taker_index if not bid_takes else maker_index, event.price, bid_takes and not auction, not bid_takes,
    )
    draft.share_micros += order_hold(state, buyer, bid, bid.leaves_quantity)
    draft.ask_share_micros += order_hold(state, seller, ask, ask.leaves_quantity)
    maker.leaves_quantity -= event.quantity
    taker.leaves_quantity -= event.quantity
    if maker.leaves_quantity != event.leaves or taker.leaves_quantity != event.other_leaves:
        raise Broken(f"the book and the shard differ in what {event.order_id} and {event.other_id} leave")
    # Nothing holds nothing.
    if bid.leaves_quantity:
        draft.share_micros -= order_hold(state, buyer, bid, bid.leaves_quantity)
    if ask.leaves_quantity:
        draft.ask_share_micros -= order_hold(state, seller, ask, ask.leaves_quantity)
    draft.bond_ticks += <int64_t>event.quantity * (ask.price_ticks if auction else event.price)
    draft.quantity += event.quantity
    if ask.origin == ORIGIN_OFFER:
        draft.offer_quantity += event.quantity
    if listed.kind_code == KIND_FORWARD:
        take_hours(state, listed, buyer, bid, ask, event.quantity, event.price)
    else:
        take_gpus(state, bid, ask, event.quantity)
    state.fills_left -= 1
    traded.instrument, traded.price_ticks, traded.quantity = listed.instrument, event.price, event.quantity
    traded.maker_order_id, traded.taker_order_id = <int64_t>event.order_id, <int64_t>event.other_id
    traded.maker_leaves, traded.taker_leaves = maker.leaves_quantity, taker.leaves_quantity
    traded.buyer, traded.seller, traded.baron = bid.account, ask.account, ask.baron
    traded.lease_id, traded.displaced_lease_id = <int64_t>draft.lease_id, 0
    traded.taker_side, traded.auction = taker.side, auction
    return write_traded(&state.events.sink, &traded)


cdef int settle_order(Core state, Account account, OrderSlot *order, uint32_t index) except -1:
    """After a fill: its set of quotes counts it, and it goes when it leaves nothing."""
    if has_more(state, order):
        fills.count_quote(state, state.orders.handle(index))
    if order.leaves_quantity == 0:
        forget(state, account, index, STATUS_FILLED)
    return 0


cdef Draft draft_of(
    Core state, Account buyer, OrderSlot *bid, OrderSlot *ask, uint32_t bid_index, uint32_t ask_index,
    int64_t price_ticks, bint bid_takes, bint ask_takes
):
    cdef Draft draft = state.drafts.find(bid, ask, price_ticks, bid_takes, ask_takes)
    if draft is not None:
        return draft
    draft = state.drafts.begin()
    if bid.kind != KIND_FORWARD:
        draft.obligation_id = state.next_id()
        draft.lease_id = state.next_id()
        # Its places in the tables that it will stand in.
        ask_place(&state.leases.ring, draft.lease_id)
        ask_place(&state.bills.ring, draft.lease_id)
        if bid.hours:
            agenda_ask(
                &state.timers.agenda, state.last_ts_ns + <int64_t>bid.hours * NS_PER_HOUR, TIMER_TERM_END,
                draft.lease_id,
            )
        buyer.leases += 1
    draft.table, draft.bid_slot, draft.ask_slot = state.orders, bid, ask
    draft.bid_index, draft.ask_index = bid_index, ask_index
    draft.price_ticks, draft.bid_takes, draft.ask_takes = price_ticks, bid_takes, ask_takes
    return draft


cdef int take_gpus(Core state, OrderSlot *bid, OrderSlot *ask, int64_t quantity) except -1:
    """To the end of the bid's term, or to nobody's else as long as a spot lease holds them."""
    cdef PyObject *baron = baron_at(state, ask.baron)
    return take_of_row(state, <Baron>baron, <Row>row_at(state, <Baron>baron, ask), bid, ask, quantity)


cdef int take_of_row(
    Core state, Baron baron, Row row, const OrderSlot *bid, const OrderSlot *ask, int64_t quantity
) except -1:
    cdef int64_t now_ns = state.last_ts_ns
    cdef uint32_t start_h, end_h
    stand(state, row, ask, -quantity)
    if ask.kind == KIND_SPOT:
        row.spot_gpus += quantity
    else:
        start_h, end_h = hour_of(now_ns), hour_after(now_ns + <int64_t>bid.hours * NS_PER_HOUR)
        if start_h < end_h:
            add_to_grid(state, row, SOLD, start_h, end_h, quantity)
    if ask.origin == ORIGIN_OFFER:
        row.listings[ask.instrument].offer_leased_gpus += quantity
    baron.leased_gpus += quantity
    note_row(state, row)
    return 0


cdef int capacity_follows(Core state) except -1:
    cdef PyObject *touched[TOUCHED_FEW]
    cdef uint32_t count = state.near_rows.count
    cdef uint32_t place
    if state.far_rows:
        trades.capacity_follows(state)
        return 0
    if count == 0:
        return 0
    # What is touched on the way follows another time.
    memcpy(touched, state.near_rows.items, count * sizeof(PyObject *))
    state.near_rows.count = 0
    for place in range(count):
        capacity_changed(
            state, <Baron>baron_at(state, (<Row>touched[place]).baron), <Row>touched[place]
        )
    return 0


# ---------------------------------------------------------------- leases


cdef int open_leases(Core state) except -1:
    cdef Py_ssize_t place
    cdef Py_ssize_t first = state.drafts.first
    cdef Py_ssize_t last = state.drafts.count
    cdef Draft draft
    state.drafts.first = last
    for place in range(first, last):
        draft = <Draft>PyList_GET_ITEM(state.drafts.pool, place)
        if draft.bid_slot.kind == KIND_FORWARD:
            settle(state, draft)
        elif (<Baron>baron_at(state, draft.ask_slot.baron)).provider != draft.ask_slot.account:
            # Of bought hours: what their holder's own leases leave follows from it.
            trades.open_lease(state, draft)
        else:
            open_lease(
                state, draft, <Account>account_at(state, draft.bid_slot.account),
                <Account>account_at(state, draft.ask_slot.account),
            )
    return 0


cdef int open_lease(Core state, Draft draft, Account renter, Account provider) except -1:
    """The lease of a draft; the prefund out of the bid's share, the rest of that back to available."""
    cdef OrderSlot *bid = draft.bid_slot
    cdef OrderSlot *ask = draft.ask_slot
    cdef bint spot = bid.kind == KIND_SPOT
    cdef int64_t needed
    cdef Lease lease = Lease.__new__(Lease)
    lease.lease_id = draft.lease_id
    lease.renter, lease.provider, lease.baron = bid.account, ask.account, ask.baron
    lease.kind_code, lease.state_code = bid.kind, LEASE_PROVISIONING
    lease.quantity, lease.offer_quantity = draft.quantity, draft.offer_quantity
    lease.price_ticks = draft.price_ticks
    lease.renter_fee_ppm = renter.taker_fee_ppm if draft.bid_takes else renter.maker_fee_ppm
    lease.provider_fee_ppm = provider.taker_fee_ppm if draft.ask_takes else provider.maker_fee_ppm
    needed = needed_micros(draft.price_ticks, draft.quantity, state.prefund_ns, lease.renter_fee_ppm)
    lease.prefund_micros = needed if needed < draft.share_micros else draft.share_micros
    lease.start_ns = state.last_ts_ns
    if bid.hours:
        lease.term_end_ns = lease.start_ns + <int64_t>bid.hours * NS_PER_HOUR
    lease.minimum_s = state.spot_minimum_s if spot else state.ondemand_minimum_s
    lease.auto_extend = draft.auto_extend
    lease.access, lease.detail, lease.delivery = b"", "", b""
    if not spot:
        lease.limit_ticks = draft.limit_ticks if draft.limit_ticks else bid.price_ticks
        if bid.delivery != NULL:
            lease.delivery = <bytes>bid.delivery
        lease.features, lease.min_rating = bid.features, bid.min_rating
        lease.same_baron = bid.same_baron
    begin(state, lease, <Row><PyObject *>(<Baron>baron_at(state, lease.baron)).own_row)
    say_opened(state, bid, draft.obligation_id, lease)
    change_hold(state, renter, lease.prefund_micros - draft.share_micros, bid.order_id, CODE_HOLD)
    return post_bond(state, draft, lease, provider)


cdef int begin(Core state, Lease lease, Row row) except -1:
    """Take a lease in: its row, its timer, and when it extends itself."""
    add_lease(state, lease)
    if lease.kind_code == KIND_ONDEMAND:
        row.firm_leases.remember_new(lease.lease_id, 0, NO_BOUND)
        row.firm_gpus += lease.quantity
    else:
        row.spot_leases.insert(lease.price_ticks, -<int64_t>lease.lease_id)
    if lease.term_end_ns:
        lease.due_ns = lease.term_end_ns
        state.timers.insert(lease.due_ns, TIMER_TERM_END, lease.lease_id)
    if lease.auto_extend:
        timers.arm_auto_extend(state, lease)
    return 0


cdef int say_opened(Core state, const OrderSlot *bid, uint64_t obligation_id, Lease lease) except -1:
    cdef ObligationOpenedEvent opened
    cdef LeaseScheduledEvent scheduled
    opened.obligation_id, opened.lease_id = <int64_t>obligation_id, <int64_t>lease.lease_id
    opened.provider, opened.holder, opened.baron = lease.provider, lease.renter, lease.baron
    opened.instrument, opened.quantity, opened.price_ticks = bid.instrument, lease.quantity, lease.price_ticks
    opened.start_ns, opened.end_ns = lease.start_ns, lease.term_end_ns
    write_obligation_opened(&state.events.sink, &opened)
    memset(&scheduled, 0, sizeof(scheduled))
    scheduled.lease_id, scheduled.obligation_id = <int64_t>lease.lease_id, <int64_t>obligation_id
    scheduled.order_id = <int64_t>bid.order_id
    scheduled.renter, scheduled.provider, scheduled.baron = lease.renter, lease.provider, lease.baron
    scheduled.instrument, scheduled.quantity = bid.instrument, lease.quantity
    scheduled.price_ticks, scheduled.limit_ticks = lease.price_ticks, lease.limit_ticks
    scheduled.start_ns, scheduled.term_end_ns = lease.start_ns, lease.term_end_ns
    scheduled.minimum_s = lease.minimum_s
    scheduled.renter_fee_ppm, scheduled.provider_fee_ppm = lease.renter_fee_ppm, lease.provider_fee_ppm
    scheduled.kind, scheduled.state = lease.kind_code, lease.state_code
    scheduled.auto_extend = lease.auto_extend
    if bid.delivery != NULL:
        view_bytes(&scheduled.delivery, <bytes>bid.delivery)
    return write_lease_scheduled(&state.events.sink, &scheduled)


cdef int post_bond(Core state, Draft draft, Lease lease, Account provider) except -1:
    """The seller's bond out of the asks' shares, the rest of them back to available. Shares are rounded
    one by one.
    """
    cdef int64_t share = draft.ask_share_micros
    cdef int64_t bond
    if not share:
        return 0
    bond = ondemand_bond_micros(draft.bond_ticks, state.ondemand_bond_ns)
    lease.bond_micros = bond if bond < share else share
    transfer(
        state, provider, POT_HELD, provider, POT_BOND, lease.bond_micros, CODE_BOND, lease.lease_id
    )
    return change_hold(
        state, provider, lease.bond_micros - share, draft.ask_slot.order_id, CODE_HOLD
    )
