"""What commands to come will touch, asked for before their turn; each step needs what the one before did.

A step only reads what is there now, and nothing is decided by it: where a command in between changes the
tables, one asks for the wrong memory, and no more. What never leaves its table (accounts, Barons, rows) is
looked for once, and known to the steps that follow.
"""

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from engine.compiled.agenda cimport agenda_ask
from engine.compiled.codes cimport (
    KIND_ONDEMAND, KIND_SPOT, SIDE_SELL, TIME_FOK, TIME_IOC, TIMER_LEASE_HOUR, TIMER_MONTH_CLOSE,
    TIMER_WINDOW_CLOSED, TIMER_WIPE_OVERDUE,
)
from engine.compiled.commands cimport (
    CANCEL_ORDER, END_LEASE, LEASE_ACTIVE, LEASE_WIPED, PLACE_ORDER, PlainCommand,
)
from engine.compiled.months cimport month_end_ns
from engine.compiled.records cimport CLOSED_FEW, Account, Baron, Lease, Row
from engine.compiled.rings cimport AT_ONCE, Ring, home_of
from engine.compiled.slots cimport OrderSlot, Slots, index_of, slot_at
from engine.compiled.state cimport Core, Listed
from engine.compiled.tables cimport ById, find_in
from engine.fast.core cimport prefetch
from engine.fast.ids cimport chain_of, prefetch_head, prefetch_node
from engine.fast.lives cimport prefetch_around
from engine.grid_fast cimport PAGE_HOURS, PAGES_MAX, Page, left_at

cdef enum:
    # Steps from a command's reading to its turn.
    STEPS = 6
    LINE_BYTES = 64
    DAY_LINES = 4
    HOUR_NS = 3600000000000
    LEASE_LINES = 5


cdef struct Coming:
    PlainCommand command
    uint8_t tag
    # What it was found to touch: borrowed, or NULL; and the slot of an order that goes.
    PyObject *account
    PyObject *baron
    PyObject *row
    uint32_t index


cdef inline uint64_t hour_of(int64_t ts_ns) noexcept nogil:
    return <uint64_t>ts_ns // HOUR_NS


cdef inline void two_lines(const void *address) noexcept nogil:
    prefetch(address)
    prefetch(<const char *>address + LINE_BYTES)


cdef inline void lines(const void *address, uint32_t count) noexcept nogil:
    cdef uint32_t line
    for line in range(count):
        prefetch(<const char *>address + line * LINE_BYTES)


# ---------------------------------------------------------------- tables


cdef inline void ask_place(const Ring *ring, uint64_t key) noexcept nogil:
    """Where a search for a key begins."""
    if ring.places != NULL:
        prefetch(&ring.places[home_of(ring, key)])
    elif ring.count:
        prefetch(ring.keys)


cdef inline void ask_key(const Ring *ring, uint64_t key) noexcept nogil:
    """The key that is at home here, which most likely is the one, and its value."""
    cdef uint64_t place
    if ring.places == NULL:
        return
    place = ring.places[home_of(ring, key)]
    if place:
        prefetch(&ring.keys[place - 1])
        prefetch(&ring.values[(place - 1) * ring.value_size])


cdef inline void ask_table(ById table) noexcept:
    """What a table says of itself, however it lies in its lines."""
    if table is not None:
        prefetch(&table.ring)
        prefetch(&table.changes)


cdef inline void ask_end(const Ring *ring, uint64_t key) noexcept nogil:
    """Where a key would be entered."""
    cdef uint64_t slot
    if ring.slots:
        slot = ring.tail & (ring.slots - 1)
        prefetch(&ring.keys[slot])
        prefetch(&ring.values[slot * ring.value_size])
    if ring.indexed == AT_ONCE and ring.places != NULL:
        prefetch(&ring.places[home_of(ring, key)])


# ---------------------------------------------------------------- orders


cdef inline void ask_neighbour(const Slots *slots, uint32_t index) noexcept nogil:
    """Of a slot, where its neighbours in its account's list stand."""
    if index:
        prefetch(&slot_at(slots, index).account_next)


cdef inline void ask_row_neighbour(const Slots *slots, uint32_t index) noexcept nogil:
    if index:
        prefetch(&slot_at(slots, index).row_next)


# ---------------------------------------------------------------- accounts, Barons and rows


cdef inline PyObject *ask_account(Core core, int64_t number) noexcept:
    """What stands in an account itself."""
    cdef PyObject *account = find_in(&core.accounts.ring, <uint64_t>number)
    if account != NULL:
        two_lines(account)
        prefetch(&(<Account>account).micros[1])
    return account


cdef inline void ask_closed(PyObject *account) noexcept:
    """Where it would note that an order closed; what takes in those before, where there is no room for it."""
    if account == NULL:
        return
    if (<Account>account).closed_count < CLOSED_FEW:
        prefetch(&(<Account>account).closed_ids[(<Account>account).closed_count])
        return
    two_lines((<Account>account).closed_ids)
    ask_table((<Account>account).closed_before)


cdef inline PyObject *ask_baron(Core core, int64_t number) noexcept:
    cdef PyObject *baron = find_in(&core.barons.ring, <uint64_t>number)
    if baron != NULL:
        two_lines(baron)
    return baron


cdef inline PyObject *ask_row(PyObject *baron) noexcept:
    """A Baron's own row, if it was looked for before."""
    cdef PyObject *row
    if baron == NULL or (<Baron>baron).own_row is None:
        return NULL
    row = <PyObject *>(<Baron>baron).own_row
    two_lines(row)
    return row


cdef inline void ask_of_row(Core core, PyObject *row, bint spot) noexcept:
    """What the row keeps beside itself."""
    if row != NULL:
        prefetch(&(<Row>row).grid.first_page)
        if not spot:
            prefetch(&(<Row>row).grid.slots[hour_of(core.last_ts_ns) // PAGE_HOURS % PAGES_MAX])


cdef inline void ask_hours(Core core, PyObject *row, bint spot) noexcept:
    """For firm asks a day of its hours from now on, and the ask behind which a new one stands."""
    cdef uint64_t now_h = hour_of(core.last_ts_ns)
    cdef const Page *page
    if row == NULL:
        return
    if not spot:
        page = (<Row>row).grid.slots[now_h // PAGE_HOURS % PAGES_MAX]
        if page != NULL:
            prefetch(page)
            lines(left_at(page, now_h % PAGE_HOURS), DAY_LINES)
    ask_row_neighbour(
        &core.orders.slots, (<Row>row).spot_list.last if spot else (<Row>row).firm_list.last
    )


# ---------------------------------------------------------------- steps


cdef inline void look_ahead(Core core, uint64_t seq, Coming *coming, uint32_t step) noexcept:
    """What a command needs that is so many steps from its turn."""
    if coming.tag == PLACE_ORDER:
        _for_place(core, seq, coming, step)
    elif coming.tag == CANCEL_ORDER:
        _for_cancel(core, coming, step)
    elif coming.tag == END_LEASE or coming.tag == LEASE_WIPED or coming.tag == LEASE_ACTIVE:
        _for_lease(core, coming, step)
        if coming.tag == LEASE_ACTIVE and step == 2:
            _ask_running(core, &coming.command)


cdef inline void _for_place(Core core, uint64_t seq, Coming *coming, uint32_t step) noexcept:
    cdef Slots *slots = &core.orders.slots
    cdef PyObject *listed
    # The first id that it will make.
    cdef uint64_t order_id = <uint64_t>core.shard << 56 | seq << 16
    cdef bint sells = coming.command.side == SIDE_SELL
    # Most likely it is closed before its command is over.
    cdef bint passes = coming.command.time_in_force in (TIME_IOC, TIME_FOK)
    if step == 5:
        coming.account = ask_account(core, coming.command.account)
        coming.baron = ask_baron(core, coming.command.baron) if sells else NULL
        prefetch(&slots.heads[chain_of(order_id, slots.shift)])
        return
    listed = find_in(&core.listed.ring, <uint64_t>coming.command.instrument)
    if listed == NULL:
        return
    if step == 4:
        prefetch_head(&(<Listed>listed).book.core, order_id)
        coming.row = ask_row(coming.baron)
        if coming.account != NULL:
            ask_neighbour(slots, (<Account>coming.account).last_order)
            prefetch(<void *>(<Account>coming.account).last_delivery)
            if passes:
                ask_closed(coming.account)
    elif step == 3:
        ask_of_row(core, coming.row, (<Listed>listed).kind_code == KIND_SPOT)
    elif step == 2:
        ask_hours(core, coming.row, (<Listed>listed).kind_code == KIND_SPOT)
    elif step == 1 and sells and (<Listed>listed).kind_code == KIND_ONDEMAND:
        _ask_window(
            core, hour_of(coming.command.ts_ns) + <uint64_t>coming.command.max_hours,
            coming.command.min_hours, order_id,
        )


cdef inline void _for_cancel(Core core, Coming *coming, uint32_t step) noexcept:
    """A live order: its slot, its neighbours, its place in its book, and who is behind it."""
    cdef Slots *slots = &core.orders.slots
    cdef uint64_t order_id = <uint64_t>coming.command.order_id
    if step == 6:
        coming.account = ask_account(core, coming.command.account)
        coming.baron = coming.row = NULL
        prefetch(&slots.heads[chain_of(order_id, slots.shift)])
    elif step == 5:
        coming.index = slots.heads[chain_of(order_id, slots.shift)]
        ask_closed(coming.account)
        if coming.index:
            two_lines(slot_at(slots, coming.index))
    elif step == 4:
        coming.index = index_of(slots, order_id)
        if coming.index:
            coming.baron = ask_around(core, slot_at(slots, coming.index))
    elif coming.index:
        _for_order(core, coming, slot_at(slots, coming.index), step)


cdef inline PyObject *ask_around(Core core, const OrderSlot *slot) noexcept:
    """A live order's neighbours and its place in its book; its Baron, if it is an ask."""
    cdef PyObject *listed = find_in(&core.listed.ring, slot.instrument)
    ask_neighbour(&core.orders.slots, slot.account_prev)
    ask_neighbour(&core.orders.slots, slot.account_next)
    if listed != NULL:
        prefetch_head(&(<Listed>listed).book.core, slot.order_id)
    if slot.side != SIDE_SELL:
        if slot.delivery != NULL:
            prefetch(slot.delivery)
        return NULL
    ask_row_neighbour(&core.orders.slots, slot.row_prev)
    ask_row_neighbour(&core.orders.slots, slot.row_next)
    return ask_baron(core, slot.baron)


cdef inline void _for_order(Core core, Coming *coming, const OrderSlot *slot, uint32_t step) noexcept:
    cdef PyObject *listed = find_in(&core.listed.ring, slot.instrument)
    if step == 3:
        if listed != NULL:
            prefetch_node(&(<Listed>listed).book.core, slot.order_id)
        coming.row = ask_row(coming.baron)
    elif step == 2:
        if listed != NULL:
            prefetch_around(&(<Listed>listed).book.core, slot.order_id)
        ask_of_row(core, coming.row, slot.kind == KIND_SPOT)
    else:
        ask_hours(core, coming.row, slot.kind == KIND_SPOT)
        if slot.side == SIDE_SELL and slot.kind == KIND_ONDEMAND:
            _ask_window(core, slot.window_end_h, slot.hours, slot.order_id)


cdef inline void _ask_window(Core core, uint64_t end_h, int64_t least_h, uint64_t order_id) noexcept:
    """Where the timer stands, or would, of an on-demand ask whose window closes."""
    cdef uint64_t least = <uint64_t>least_h if least_h > 1 else 1
    agenda_ask(&core.timers.agenda, <int64_t>((end_h - least) * HOUR_NS + 1), TIMER_WINDOW_CLOSED, order_id)


cdef inline void _ask_running(Core core, const PlainCommand *command) noexcept:
    """Where a lease that runs from now on gets its bill, and the timers of its first hour and month."""
    cdef uint64_t lease_id = <uint64_t>command.lease_id
    ask_end(&core.bills.ring, lease_id)
    agenda_ask(&core.timers.agenda, command.ts_ns + HOUR_NS, TIMER_LEASE_HOUR, lease_id)
    agenda_ask(&core.timers.agenda, month_end_ns(command.ts_ns), TIMER_MONTH_CLOSE, lease_id)


cdef inline void _for_lease(Core core, Coming *coming, uint32_t step) noexcept:
    """A lease, its bill, and who provides it."""
    cdef uint64_t lease_id = <uint64_t>coming.command.lease_id
    cdef PyObject *lease
    cdef PyObject *bill
    if step == 6:
        coming.account = coming.baron = coming.row = NULL
        ask_place(&core.leases.ring, lease_id)
        ask_place(&core.bills.ring, lease_id)
        return
    if step == 5:
        ask_key(&core.leases.ring, lease_id)
        ask_key(&core.bills.ring, lease_id)
        return
    if step < 3:
        _for_ended(core, coming, lease_id, step)
        return
    lease = find_in(&core.leases.ring, lease_id)
    if lease == NULL:
        return
    if step == 4:
        lines(lease, LEASE_LINES)
        bill = find_in(&core.bills.ring, lease_id)
        if bill != NULL:
            two_lines(bill)
    elif step == 3:
        coming.account = ask_account(core, (<Lease>lease).renter)
        ask_account(core, (<Lease>lease).provider)
        if coming.tag == LEASE_WIPED:
            agenda_ask(&core.timers.agenda, (<Lease>lease).wipe_due_ns, TIMER_WIPE_OVERDUE, lease_id)
        coming.baron = ask_baron(core, (<Lease>lease).baron)


cdef inline void _for_ended(Core core, Coming *coming, uint64_t lease_id, uint32_t step) noexcept:
    """What knows a lease beside the table of all, and who will remember it."""
    if coming.baron == NULL or coming.account == NULL:
        return
    if step == 2:
        coming.row = ask_row(coming.baron)
        ask_table((<Account>coming.account).wiped_leases)
        ask_table((<Baron>coming.baron).leases)
        return
    ask_of_row(core, coming.row, True)
    ask_end(&(<Account>coming.account).wiped_leases.ring, lease_id)
    if (<Baron>coming.baron).leases is not None:
        ask_place(&(<Baron>coming.baron).leases.ring, lease_id)


# ---------------------------------------------------------------- within a command


cdef inline void ask_maker(Core core, uint64_t order_id) noexcept:
    """An order that its book says was met: who is behind it, and what they remember comes after."""
    cdef Slots *slots = &core.orders.slots
    cdef uint32_t index = index_of(slots, order_id)
    if index:
        ask_account(core, slot_at(slots, index).account)
        ask_around(core, slot_at(slots, index))


cdef inline void ask_of_maker(Core core, uint64_t order_id) noexcept:
    cdef Slots *slots = &core.orders.slots
    cdef uint32_t index = index_of(slots, order_id)
    cdef OrderSlot *slot
    if index == 0:
        return
    slot = slot_at(slots, index)
    ask_closed(find_in(&core.accounts.ring, slot.account))
    if slot.side == SIDE_SELL:
        ask_row(find_in(&core.barons.ring, slot.baron))
