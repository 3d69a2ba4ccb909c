# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Orders in C: `engine.orders`, `engine.order_terms`, `engine.matching` and `engine.book_events` are the
law.

Plain are limit orders on spot and on-demand and bids on forwards, entered by the rules, without rare terms
but for client ids, tags, connections and expiries, and cancels on the first two. What isn't, goes back to
the law's rooms before anything has changed. What a book does that isn't plain, the law's rooms are told one
event at a time: both kinds of rooms work on the same state.
"""

from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memcmp, memset

from engine.book_fast cimport FastBook
from engine.compiled.ahead cimport ask_maker, ask_of_maker
from engine.compiled.blake2b cimport DIGEST_BYTES
from engine.compiled.checks cimport best_bid, has_room, is_ask, is_bid, is_plain, way_is_clear
from engine.compiled.client_ids cimport (
    IS_NEW, IS_NOT_PLAIN, IS_REPEATED, Repeat, is_valid, order_named, remember, repeated,
)
from engine.compiled.codes cimport (
    CODE_HOLD, KIND_FORWARD, KIND_ONDEMAND, KIND_SPOT, ORIGIN_CLIENT, ORIGIN_OFFER, POT_AVAILABLE, SIDE_BUY,
    SIDE_SELL, STATUS_FILLED, TIME_DAY, TIME_FOK, TIME_GTC, TIME_IOC,
)
from engine.compiled.commands cimport PlainCommand
from engine.compiled.fills cimport capacity_follows, trade
from engine.compiled.following cimport follow
from engine.compiled.forwards cimport is_own_sale
from engine.compiled.holding cimport change_hold, order_hold
from engine.compiled.order_events cimport write_rejected
from engine.compiled.ordered cimport Pair, PairSet
from engine.compiled.orders cimport Rare
from engine.compiled.records cimport Account, Baron, closed_status
from engine.compiled.slots cimport OrderSlot, index_of, slot_at, take_slot
from engine.compiled.standing cimport account_at, admit, close, forget, hour_of, know
from engine.compiled.state cimport Core, Listed, listed_of, note_book
from engine.compiled.tables cimport find_in
from engine.compiled.wire cimport View, bytes_of, text_of, view_bytes
from engine.fast.core cimport LOST
from engine.fast.records cimport (
    FLAG_POST_ONLY, KIND_ACCEPTED, KIND_CANCELED, KIND_REJECTED, KIND_TRADE, OP_CANCEL, OP_NEW,
    SESSION_CONTINUOUS, CommandRecord, EventRecord, Sink,
)

from engine import book_events, displacement
from engine.reasons import Reason
from engine.records import unpack_events
from engine.state import Broken
from engine.units import NS_PER_DAY as DAY_NS

cdef enum:
    TYPE_SHIFT = 1
    TIME_SHIFT = 3
    SELF_TRADE_SHIFT = 5
    EVENTS_FIRST = 256
    MAKERS_AHEAD = 4
    # A lease is displaced at nine tenths of a bid's limit and below.
    OF_TEN = 9

    # What became of an order that was made: the law's rooms must look at it; it entered; it is refused.
    LEFT_TO_LAW = 0
    ENTERED = 1
    REFUSED = 2

cdef int64_t NS_PER_DAY = DAY_NS
cdef int REQUESTED = Reason.REQUESTED
cdef int ORDER_CLOSED = Reason.ORDER_CLOSED
cdef int UNKNOWN_ORDER = Reason.UNKNOWN_ORDER
cdef int INSUFFICIENT_FUNDS = Reason.INSUFFICIENT_FUNDS
cdef int INSUFFICIENT_CAPACITY = Reason.INSUFFICIENT_CAPACITY
cdef int POST_ONLY_WOULD_TRADE = Reason.POST_ONLY_WOULD_TRADE
cdef int IOC_REMAINDER = Reason.IOC_REMAINDER
cdef bytes NO_FIELD = b""
cdef bytes ORDER_ID = b"order_id"
cdef bytes QUANTITY = b"quantity"
cdef bytes POST_ONLY = b"post_only"

# ---------------------------------------------------------------- the book


cdef int64_t ask_book(Core state, FastBook book, const CommandRecord *command) except -1:
    """Put a command to a book; how many events it wrote, at `state.book_events`."""
    cdef Sink sink
    cdef int64_t waits = 1
    cdef uint64_t count
    cdef int answer
    if state.book_room == 0:
        grow_events(state, EVENTS_FIRST)
    book.enter()
    sink.next, sink.end, sink.command = state.book_events, state.book_events + state.book_room, 0
    answer = book.apply(command, &sink)
    while book.core.pending_count != 0 and answer >= 0:
        count = <uint64_t>(sink.next - state.book_events)
        grow_told(state, book)
        sink.next, sink.end = state.book_events + count, state.book_events + state.book_room
        waits = book.drain(&sink)
        if waits < 0:
            answer = -1
    book.leave()
    if answer < 0:
        raise MemoryError("no memory for this command: nothing was done")
    return sink.next - state.book_events


cdef int grow_told(Core state, FastBook book) except -1:
    """More room for what a book says. Without it a command is told by half: the book answers no more, and
    says why.
    """
    try:
        return grow_events(state, 2 * state.book_room)
    except MemoryError:
        book.core.held |= LOST
        book.leave()
        raise


cdef int grow_events(Core state, uint64_t room) except -1:
    cdef EventRecord *events = <EventRecord *>realloc(state.book_events, room * sizeof(EventRecord))
    if events == NULL:
        raise MemoryError
    state.book_events, state.book_room = events, room
    return 0


cdef int told(
    Core state, Listed listed, int64_t count, uint32_t entering, int64_t hold, bint keeps_remainder
) except -1:
    """Take in what a book did; `entering`: the slot of a new order, and what is to be held for it."""
    cdef const EventRecord *event
    cdef OrderSlot *order
    cdef uint32_t index
    cdef int64_t place
    if count > 1:
        ask_makers(state, count, 0)
    for place in range(count):
        event = &state.book_events[place]
        if event.kind == KIND_ACCEPTED:
            order = slot_at(&state.orders.slots, entering)
            admit(state, <Account>account_at(state, order.account), order, entering, hold)
            if count > 1:
                ask_makers(state, count, 1)
        elif event.kind == KIND_TRADE and is_known(state, listed, event):
            trade(state, listed, event)
        elif event.kind == KIND_CANCELED and listed.kind_code != KIND_FORWARD:
            if keeps_remainder and event.reason == IOC_REMAINDER:
                continue
            index = index_of(&state.orders.slots, event.order_id)
            if index == 0 or slot_at(&state.orders.slots, index).leaves_quantity != event.quantity:
                raise Broken(f"a book cancelled {event.quantity} of {event.order_id}, which leaves other")
            close(state, index, event.reason)
        else:
            (law,) = unpack_events((<const char *>event)[:sizeof(EventRecord)])
            book_events.EFFECTS[law.kind](state, listed.number, law)
    return 0


cdef int ask_makers(Core state, int64_t count, int step) noexcept:
    """What the first makers are is asked for while what came before them is done."""
    cdef int64_t place
    for place in range(count if count < MAKERS_AHEAD else MAKERS_AHEAD):
        if state.book_events[place].kind != KIND_TRADE:
            continue
        if step == 0:
            ask_maker(state, state.book_events[place].order_id)
        else:
            ask_of_maker(state, state.book_events[place].order_id)
    return 0


cdef inline bint is_known(Core state, Listed listed, const EventRecord *event) except -1:
    """Whether a trade is of those that are played here: of forwards, a provider's own sale."""
    cdef OrderSlot *maker
    cdef OrderSlot *taker
    if listed.kind_code != KIND_FORWARD:
        return True
    maker = slot_at(&state.orders.slots, index_of(&state.orders.slots, event.order_id))
    taker = slot_at(&state.orders.slots, index_of(&state.orders.slots, event.other_id))
    return is_own_sale(state, taker, maker) if taker.side == SIDE_BUY else is_own_sale(state, maker, taker)


# ---------------------------------------------------------------- commands


cdef bint place(Core state, const PlainCommand *command) except -1:
    # Counted: an instrument may leave its table.
    cdef Listed listed = listed_of(state, <uint64_t>command.instrument)
    cdef PyObject *account
    cdef PyObject *baron
    if listed is None or not is_plain(state, command):
        return False
    account = find_in(&state.accounts.ring, <uint64_t>command.account)
    if account == NULL:
        return False
    if command.side == SIDE_BUY:
        return place_plain(state, command, listed, <Account>account, None)
    baron = find_in(&state.barons.ring, <uint64_t>command.baron)
    if baron == NULL:
        return False
    if (<Baron>baron).own_row is None:
        know(state, <Baron>baron)
    return place_plain(state, command, listed, <Account>account, <Baron>baron)


cdef bint place_plain(
    Core state, const PlainCommand *command, Listed listed, Account account, Baron baron
) except -1:
    """An order whose fields make sense; `baron`: an ask's."""
    cdef uint8_t digest[DIGEST_BYTES]
    cdef Repeat repeat
    cdef uint32_t index
    cdef int became
    if command.client_order_id.size:
        repeat = repeated(state, account, command, digest)
        if repeat == IS_REPEATED:
            follow(state)
        if repeat != IS_NEW:
            return repeat != IS_NOT_PLAIN
    if account.killed:
        return False
    if listed.kind_code == KIND_FORWARD and (
        command.side != SIDE_BUY or listed.trading_end_ns <= state.last_ts_ns
    ):
        return False
    if account.open_orders >= (account.max_open_orders or state.max_open_orders):
        return False
    if listed.book.core.session != SESSION_CONTINUOUS or listed.book.core.clearing_price != 0:
        return False
    if command.side == SIDE_BUY:
        if not is_bid(state, command, listed.kind_code):
            return False
    elif not is_ask(state, command, listed, baron):
        return False
    index = make_order(state, command, listed, account)
    became = enter(state, command, listed, account, baron, index, digest)
    if became != ENTERED:
        state.made = 0
        state.orders.give(index)
    return became != LEFT_TO_LAW


cdef uint32_t make_order(
    Core state, const PlainCommand *command, Listed listed, Account account
) except 0:
    """The order that a plain command asks for, in no table yet."""
    cdef uint32_t index
    cdef OrderSlot *order = take_slot(&state.orders.slots, &index)
    cdef bytes delivery
    order.order_id = state.next_id()
    order.account, order.instrument = <uint32_t>command.account, listed.instrument
    order.kind, order.side, order.order_type = listed.kind_code, command.side, command.order_type
    order.time_in_force, order.origin = command.time_in_force, ORIGIN_CLIENT
    order.self_trade, order.post_only = command.self_trade, command.post_only
    order.price_ticks = order.hold_ticks = <int>command.price_ticks
    order.quantity = order.leaves_quantity = <uint32_t>command.quantity
    if (
        command.client_order_id.size or command.tag.size or command.connection
        or command.time_in_force > TIME_FOK
    ):
        name(state, command, order)
    if command.side == SIDE_BUY:
        order.hours = <unsigned short>command.hours
        if command.delivery.size == 0:
            return index
        delivery = delivery_of(account, &command.delivery)
        order.delivery = <PyObject *>delivery
        Py_INCREF(delivery)
        return index
    order.baron, order.hours = <uint32_t>command.baron, <unsigned short>command.min_hours
    if listed.kind_code == KIND_ONDEMAND:
        order.window_end_h = hour_of(state.last_ts_ns) + <uint32_t>command.max_hours
        if best_bid(<FastBook><PyObject *>listed.book) > order.price_ticks:
            order.hold_ticks = <int>best_bid(<FastBook><PyObject *>listed.book)
    return index


cdef int name(Core state, const PlainCommand *command, OrderSlot *order) except -1:
    """What an order is known by to its account, and when it goes by itself."""
    cdef Rare rare = state.orders.make_rare(order)
    if command.client_order_id.size:
        rare.client_order_id = text_of(&command.client_order_id)
    if command.tag.size:
        rare.tag = text_of(&command.tag)
    rare.connection, rare.expire_ns = command.connection, command.expire_ns
    if command.time_in_force == TIME_DAY:
        rare.expire_ns = (state.last_ts_ns // NS_PER_DAY + 1) * NS_PER_DAY
    return 0


cdef bytes delivery_of(Account account, const View *given):
    """Where to deliver, as one object for all orders of an account that follow each other and say the
    same.
    """
    cdef View last
    if account.last_delivery is not None:
        view_bytes(&last, account.last_delivery)
        if last.size == given.size and memcmp(last.data, given.data, given.size) == 0:
            return account.last_delivery
    account.last_delivery = bytes_of(given)
    return account.last_delivery


cdef int enter(
    Core state, const PlainCommand *command, Listed listed, Account account, Baron baron, uint32_t index,
    const uint8_t *digest
) except -1:
    """Check capacity, money and bounds, put the order to its book, and take in what follows."""
    cdef OrderSlot *order = slot_at(&state.orders.slots, index)
    cdef int64_t available = account.micros[<int>POT_AVAILABLE]
    cdef bint displaces
    cdef CommandRecord record
    cdef int64_t needed, count
    if baron is not None and not has_room(state, baron, order):
        return refuse(state, command, INSUFFICIENT_CAPACITY, QUANTITY, 0, 0)
    if account.max_gpus or account.max_notional_micros:
        return LEFT_TO_LAW
    needed = order_hold(state, account, order, order.leaves_quantity)
    if needed > available:
        return refuse(state, command, INSUFFICIENT_FUNDS, NO_FIELD, needed, available)
    new_record(state, order, &record)
    if not way_is_clear(state, account, <FastBook><PyObject *>listed.book, order, &record):
        return LEFT_TO_LAW
    count = ask_book(state, <FastBook><PyObject *>listed.book, &record)
    if count and state.book_events[0].kind == KIND_REJECTED:
        return refuse_by_book(state, command, state.book_events[0].reason)
    displaces = (
        order.kind == KIND_SPOT and order.side == SIDE_BUY and order.time_in_force != TIME_FOK
        and not order.post_only
    )
    told(state, listed, count, index, needed, displaces)
    note_book(state, listed)
    if displaces and order.admitted:
        displace(state, listed, account, order, index)
    capacity_follows(state)
    rests(state, account, order)
    if command.client_order_id.size:
        remember(state, account, &command.client_order_id, digest, order.order_id)
    follow(state)
    return ENTERED


cdef int refuse(
    Core state, const PlainCommand *command, int reason, bytes name, int64_t needed, int64_t available
) except -1:
    """Say that an order is refused; nothing has changed."""
    cdef View field
    view_bytes(&field, name)
    write_rejected(
        &state.events.sink, command.account, <uint8_t>reason, &field, &command.client_order_id, 0, 0, needed,
        available
    )
    return REFUSED


cdef int refuse_by_book(Core state, const PlainCommand *command, int reason) except -1:
    return refuse(state, command, reason, POST_ONLY if reason == POST_ONLY_WOULD_TRADE else NO_FIELD, 0, 0)


cdef int new_record(Core state, const OrderSlot *order, CommandRecord *command) noexcept:
    """The order as it enters its book (`engine.book_orders.new`): what lasts is one to it."""
    cdef uint32_t time_in_force = order.time_in_force if order.time_in_force <= TIME_FOK else TIME_GTC
    memset(command, 0, sizeof(CommandRecord))
    command.op, command.order_id, command.ts_ns = OP_NEW, order.order_id, state.last_ts_ns
    command.account, command.price, command.quantity = order.account, order.price_ticks, order.leaves_quantity
    command.shape = <uint8_t>(
        (order.side == SIDE_SELL) | (order.order_type - 1) << TYPE_SHIFT
        | (time_in_force - 1) << TIME_SHIFT | order.self_trade << SELF_TRADE_SHIFT
    )
    command.flags = FLAG_POST_ONLY if order.post_only else 0
    command.window_end_h, command.baron = order.window_end_h, order.baron
    # A spot bid's term is no condition.
    if order.side == SIDE_SELL or order.kind == KIND_ONDEMAND:
        command.hours = order.hours
    return 0


cdef int displace(Core state, Listed listed, Account account, OrderSlot *bid, uint32_t index) except -1:
    """What its walk left takes running leases that pay much less; where there are any, the law's room
    does it.
    """
    cdef Pair first
    cdef PyObject *cheapest = find_in(&state.spot_index.ring, listed.instrument)
    if cheapest != NULL and (<PairSet>cheapest).first(&first):
        if first.first * 10 <= <int64_t>bid.price_ticks * OF_TEN:
            displacement.follow(state, state.orders.handle(index))
            return 0
    if bid.leaves_quantity == 0:
        forget(state, account, index, STATUS_FILLED)
    elif bid.time_in_force == TIME_IOC:
        close(state, index, IOC_REMAINDER)
    return 0


cdef int rests(Core state, Account account, OrderSlot *order) except -1:
    """It has been through its walk: what an ask holds comes down to its limit."""
    cdef int64_t before
    if order.hold_ticks == order.price_ticks or not order.admitted:
        return 0
    before = order_hold(state, account, order, order.leaves_quantity)
    order.hold_ticks = order.price_ticks
    return change_hold(
        state, account, order_hold(state, account, order, order.leaves_quantity) - before, order.order_id,
        CODE_HOLD
    )


cdef bint cancel(Core state, const PlainCommand *command) except -1:
    cdef PyObject *account = find_in(&state.accounts.ring, <uint64_t>command.account)
    cdef Listed listed
    cdef OrderSlot *order
    cdef CommandRecord record
    cdef uint64_t number = <uint64_t>command.order_id
    cdef uint32_t index
    if account == NULL or command.order_id < 0 or command.account <= 0:
        return False
    if not is_valid(state, &command.client_order_id):
        return False
    if number == 0:
        number = order_named(<Account>account, &command.client_order_id)
    index = index_of(&state.orders.slots, number)
    if index == 0:
        return refuse_gone(state, <Account>account, command, number)
    order = slot_at(&state.orders.slots, index)
    if order.account != command.account:
        return refuse_gone(state, None, command, number)
    listed = listed_of(state, order.instrument)
    if not order.admitted or order.origin == ORIGIN_OFFER:
        return False
    if listed is None or order.kind > KIND_ONDEMAND:
        return False
    memset(&record, 0, sizeof(record))
    record.op, record.order_id, record.ts_ns = OP_CANCEL, order.order_id, state.last_ts_ns
    record.reason = REQUESTED
    told(state, listed, ask_book(state, <FastBook><PyObject *>listed.book, &record), 0, 0, False)
    note_book(state, listed)
    follow(state)
    return True


cdef bint refuse_gone(
    Core state, Account account, const PlainCommand *command, uint64_t number
) except -1:
    """Say how an order ended, where its account remembers it; else that there is none."""
    cdef int status = -1 if account is None else closed_status(account, number)
    cdef int reason = ORDER_CLOSED
    cdef View field
    if status < 0:
        number, status, reason = 0, 0, UNKNOWN_ORDER
    view_bytes(&field, ORDER_ID)
    write_rejected(
        &state.events.sink, command.account, <uint8_t>reason, &field, &command.client_order_id,
        <int64_t>number, <uint8_t>status, 0, 0
    )
    return True
