# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What stands in the rows and tables of a shard, in C; `engine.rows`, `engine.open_orders` and
`engine.timers` are the law.

Spot and on-demand orders alone come here, on Barons of the asks' own accounts. An order with rare terms is
told to the law's rooms. It never decides why an order changes, and never speaks to a book.
"""

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from engine.compiled.arithmetic cimport NS_PER_HOUR
from engine.compiled.codes cimport (
    CODE_COVER, CODE_HOLD, KIND_FORWARD, KIND_ONDEMAND, KIND_SPOT, ORIGIN_COVER, ORIGIN_OFFER, SIDE_BUY,
    SIDE_SELL, STATUS_CANCELED, STATUS_EXPIRED, TIMER_LOOK_AHEAD, TIMER_ORDER_EXPIRED,
    TIMER_WINDOW_CLOSED,
)
from engine.compiled.holding cimport change_hold, order_hold
from engine.compiled.order_events cimport AcceptedEvent, AcceptedTerms, write_accepted, write_canceled
from engine.compiled.orders cimport Rare
from engine.compiled.records cimport Account, AskList, Baron, Row, link_ask, note_closed, unlink_ask
from engine.compiled.slots cimport OrderSlot, admit_slot, drop_slot, slot_at
from engine.compiled.state cimport Core, Listed, listed_of, note_baron
from engine.compiled.trade_events cimport write_capacity_changed
from engine.compiled.wire cimport View, view_text
from engine.grid_fast cimport DONE, NO_MEMORY, PAGE_HOURS, RESERVED, Count

from libc.string cimport memset

from engine import cuts, open_orders, rows
from engine.kinds import OrderStatus
from engine.reasons import Reason

cdef enum:
    # A day, and the hour that the day's end may be late by.
    KEPT_H = 25

cdef int REASON_EXPIRED = Reason.EXPIRED
cdef int REASON_WINDOW_CLOSED = Reason.WINDOW_CLOSED

# ---------------------------------------------------------------- who and what


cdef int know(Core state, Baron baron) except -1:
    baron.spot_instrument, baron.ondemand_instrument = state.markets[baron.sku, baron.region]
    baron.own_row = state.rows[baron.provider, baron.baron]
    return 0


cdef int nobody(uint32_t number) except -1:
    raise KeyError(number)


cdef PyObject *bought_row_at(Core state, const OrderSlot *ask) except NULL:
    # It stands in the table for as long as anything of it does.
    row = state.rows[ask.account, ask.baron]
    return <PyObject *>row


# ---------------------------------------------------------------- rows


cdef int64_t deliverable_to_spot(Core state, Baron baron, Row row, int64_t as_of_ns) noexcept:
    cdef int64_t verified = baron.counted() if row is baron.own_row else 0
    return verified + row.grid.least(hour_of(as_of_ns), hour_of(as_of_ns + state.notice_ns) + 1, True)


cdef int64_t spot_free(Core state, Baron baron, Row row) noexcept:
    return deliverable_to_spot(state, baron, row, state.last_ts_ns) - row.spot_gpus


cdef int64_t firm_free(Baron baron, Row row, uint32_t start_h, uint32_t end_h) noexcept:
    return baron.counted() + row.grid.least(start_h, end_h, False)


cdef int add_to_grid(
    Core state, Row row, Count count, uint32_t start_h, uint32_t end_h, int64_t quantity
) except -1:
    cdef int outcome
    # A day later than it may: by then it is known, unless timers are late, that none counts on those hours.
    cdef int64_t over_h = <int64_t>hour_of(state.last_ts_ns) - KEPT_H
    if 0 <= row.grid.first_page < over_h // PAGE_HOURS:
        rows.forget(state, row)
    outcome = row.grid.add(count, start_h, end_h, <int>quantity)
    if outcome == NO_MEMORY:
        raise MemoryError
    if outcome != DONE:
        raise ValueError(f"hours of {row.account} on {row.baron} can't be changed by {quantity}")
    return 0


cdef int stand(Core state, Row row, const OrderSlot *ask, int64_t quantity) except -1:
    cdef uint32_t start_h
    cdef Listed listed
    if ask.kind == KIND_SPOT:
        row.spot_asked_gpus += quantity
        return 0
    start_h = hour_of(state.last_ts_ns)
    if ask.kind == KIND_FORWARD:
        listed = listed_of(state, ask.instrument)
        start_h = start_h if start_h > listed.start_h else listed.start_h
    if start_h < ask.window_end_h and quantity:
        add_to_grid(state, row, RESERVED, start_h, ask.window_end_h, quantity)
    return 0


# ---------------------------------------------------------------- timers and touches


cdef int arm_look_ahead(Core state, Row row) except -1:
    """While anything of a row is spot, it is looked at two minutes before each full hour."""
    cdef bint wanted = row.spot_list.count != 0 or row.spot_gpus > 0
    cdef uint64_t number = <uint64_t>row.account << 32 | row.baron
    cdef int64_t due_ns = 0
    if wanted == (row.look_ahead_ns != 0):
        return 0
    if wanted:
        due_ns = <int64_t>(hour_of(state.last_ts_ns + state.notice_ns) + 1) * NS_PER_HOUR - state.notice_ns
        state.timers.insert(due_ns, TIMER_LOOK_AHEAD, number)
    else:
        state.timers.drop(row.look_ahead_ns, TIMER_LOOK_AHEAD, number)
    row.look_ahead_ns = due_ns
    return 0


cdef int64_t closed_ns(const OrderSlot *ask) noexcept:
    """When less of an on-demand ask's window is left than it sells at least."""
    cdef int64_t least = ask.hours if ask.hours > 1 else 1
    return (<int64_t>ask.window_end_h - least) * NS_PER_HOUR + 1


cdef int capacity_changed(Core state, Baron baron, Row row) except -1:
    write_capacity_changed(
        &state.events.sink, baron.baron, baron.verified_gpus, baron.leased_gpus, baron.simulated
    )
    note_baron(state, baron)
    return settle(state, baron, row)


cdef int settle(Core state, Baron baron, Row row) except -1:
    cdef int64_t free
    free = spot_free(state, baron, row)
    if free < 0:
        state.short_rows[row.key] = None
        free = 0
    if row.spot_asked_gpus > free:
        cuts.cut_spot(state, row, free)
    return arm_look_ahead(state, row)


# ---------------------------------------------------------------- live orders


cdef inline AskList *asks_of(Row row, const OrderSlot *ask) noexcept:
    return &row.spot_list if ask.kind == KIND_SPOT else &row.firm_list


cdef int admit(Core state, Account account, OrderSlot *order, uint32_t index, int64_t hold) except -1:
    cdef uint8_t code = CODE_COVER if order.origin == ORIGIN_COVER else CODE_HOLD
    admit_slot(&state.orders.slots, index)
    state.join(account, index)
    account.open_orders += 1
    say_accepted(state, order)
    if order.rare and state.orders.rare_of(order).expire_ns:
        state.timers.insert(state.orders.rare_of(order).expire_ns, TIMER_ORDER_EXPIRED, order.order_id)
    change_hold(state, account, hold, order.order_id, code)
    if order.side == SIDE_BUY:
        account.gpus += order.leaves_quantity
        return 0
    return admit_ask(state, <Row>row_at(state, <Baron>baron_at(state, order.baron), order), order, index)


cdef int admit_ask(Core state, Row row, OrderSlot *order, uint32_t index) except -1:
    """It stands in its row, and its timers are set."""
    link_ask(&state.orders.slots, asks_of(row, order), order, index)
    stand(state, row, order, order.leaves_quantity)
    arm_look_ahead(state, row)
    if order.kind == KIND_ONDEMAND:
        state.timers.insert(closed_ns(order), TIMER_WINDOW_CLOSED, order.order_id)
    return 0


cdef int say_accepted(Core state, OrderSlot *order) except -1:
    cdef AcceptedEvent event
    cdef AcceptedTerms terms
    cdef bint sells = order.side == SIDE_SELL
    cdef Rare rare
    memset(&event, 0, sizeof(event))
    event.order_id, event.account, event.instrument = order.order_id, order.account, order.instrument
    event.price_ticks, event.quantity = order.price_ticks, order.quantity
    event.baron, event.window_end_ns = order.baron, <int64_t>order.window_end_h * NS_PER_HOUR
    event.side, event.order_type = order.side, order.order_type
    event.time_in_force, event.origin = order.time_in_force, order.origin
    event.post_only = order.post_only
    if not sells:
        event.hours = order.hours
    if (
        (sells and order.hours) or order.lot or order.self_trade or order.features or order.min_rating
        or order.same_baron or order.rare
    ):
        memset(&terms, 0, sizeof(terms))
        if order.rare:
            rare = state.orders.rare_of(order)
            view_text(&event.client_order_id, rare.client_order_id)
            view_text(&terms.tag, rare.tag)
            terms.expire_ns = rare.expire_ns
        terms.min_hours = order.hours if sells else 0
        terms.lot, terms.self_trade = order.lot, order.self_trade
        terms.features, terms.min_rating = order.features, order.min_rating
        terms.same_baron = order.same_baron
        event.terms = &terms
    return write_accepted(&state.events.sink, &event)


cdef bint has_more(Core state, OrderSlot *order) except -1:
    """Whether an order has rare terms beyond those that are known here: its client id, tag, expiry and
    connection.
    """
    cdef Rare rare
    if not order.rare:
        return False
    rare = state.orders.rare_of(order)
    return (
        rare.stop_price_ticks or rare.display_quantity or rare.min_quantity or len(<str>rare.quote_set) != 0
    )


cdef int let_go(Core state, Account account, OrderSlot *order) except -1:
    """An order with a client id or an expiry is live no more (`client_ids.closed`)."""
    cdef Rare rare = state.orders.rare_of(order)
    cdef View client_id
    if account.older_live_ids.count:
        view_text(&client_id, rare.client_order_id)
        account.older_live_ids.drop(&client_id)
    if rare.expire_ns:
        state.timers.drop(rare.expire_ns, TIMER_ORDER_EXPIRED, order.order_id)
    return 0


cdef int close(Core state, uint32_t index, uint8_t reason) except -1:
    """What a live order leaves is cancelled; it is in the book no more."""
    cdef OrderSlot *order = slot_at(&state.orders.slots, index)
    cdef bint expired = reason == REASON_EXPIRED or reason == REASON_WINDOW_CLOSED
    if has_more(state, order):
        open_orders.close(state, state.orders.handle(index), Reason(reason))
        return 0
    close_plain(state, <Account>account_at(state, order.account), order, reason)
    return forget(
        state, <Account>account_at(state, order.account), index,
        STATUS_EXPIRED if expired else STATUS_CANCELED,
    )


cdef int close_plain(Core state, Account account, OrderSlot *order, uint8_t reason) except -1:
    """What it leaves is said, and its hours and its hold are free."""
    cdef int64_t before = order.leaves_quantity
    cdef int64_t freed
    write_canceled(&state.events.sink, order.order_id, order.account, order.instrument, before, reason)
    freed = order_hold(state, account, order, before)
    if order.side == SIDE_SELL:
        stand(state, <Row>row_at(state, <Baron>baron_at(state, order.baron), order), order, -before)
    else:
        account.gpus -= before
    order.leaves_quantity = 0
    return change_hold(state, account, -freed, order.order_id, CODE_HOLD)


cdef int forget(Core state, Account account, uint32_t index, uint8_t status) except -1:
    """Drop an order that leaves nothing from the tables; its final state is remembered for a while."""
    cdef OrderSlot *order = slot_at(&state.orders.slots, index)
    cdef PyObject *baron = NULL
    cdef PyObject *row = NULL
    if has_more(state, order):
        open_orders.forget(state, state.orders.handle(index), OrderStatus(status))
        return 0
    if order.side == SIDE_SELL:
        # First, for a slot that went has its links no more.
        baron = baron_at(state, order.baron)
        row = row_at(state, <Baron>baron, order)
        unlink_ask(&state.orders.slots, asks_of(<Row>row, order), order)
    state.part(account, index)
    drop_slot(&state.orders.slots, index)
    account.open_orders -= 1
    note_closed(account, order.order_id, status, <uint64_t>state.max_client_ids)
    if order.rare:
        let_go(state, account, order)
    return ask_left(state, <Baron>baron, <Row>row, order) if baron != NULL else 0


cdef int ask_left(Core state, Baron baron, Row row, const OrderSlot *order) except -1:
    """What follows for its row and its Baron."""
    if order.kind == KIND_ONDEMAND:
        state.timers.drop(closed_ns(order), TIMER_WINDOW_CLOSED, order.order_id)
    if order.origin == ORIGIN_OFFER:
        row.listings[order.instrument].offer_order_id = 0
    arm_look_ahead(state, row)
    return note_baron(state, baron)
