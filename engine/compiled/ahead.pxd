"""What commands to come will touch, asked for before their turn; each step needs what the one before did.

A step only reads what is there now, and nothing is decided by it: where a command in between changes the
tables, one asks for the wrong memory, and no more. What never leaves its table (accounts, Barons, rows) is
looked for once, and known to the steps that follow.
"""

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from engine.compiled.agenda cimport Agenda, agenda_ask
from engine.compiled.codes cimport (
    KIND_ONDEMAND, KIND_SPOT, SIDE_SELL, TIME_FOK, TIME_IOC, TIMER_LEASE_HOUR, TIMER_MONTH_CLOSE,
    TIMER_TERM_END, TIMER_WINDOW_CLOSED, TIMER_WIPE_OVERDUE,
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
    # So many commands are read and looked at together: what they need has room in the nearest caches.
    CHUNK = 32
    STEPS = 7
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
    PyObject *listed
    PyObject *lease
    uint32_t index


cdef struct Ahead:
    Coming coming[32]
    # Places of the plain ones, by kind.
    uint8_t orders[32]
    uint8_t cancels[32]
    uint8_t leases[32]
    uint32_t order_count
    uint32_t cancel_count
    uint32_t lease_count


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


cdef inline void ask_near(const Ring *ring, int64_t number) noexcept nogil:
    """Where a table of small numbers has one."""
    if <uint64_t>number < ring.near_size:
        prefetch(&ring.near[number])


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


cdef inline void ask_of_row(Core core, PyObject *row) noexcept:
    """What the row keeps beside itself."""
    if row != NULL:
        prefetch(&(<Row>row).grid.first_page)
        prefetch(&(<Row>row).grid.slots[hour_of(core.last_ts_ns) // PAGE_HOURS % PAGES_MAX])


cdef inline void ask_hours(Core core, PyObject *row, bint spot) noexcept:
    """Its hours from now on, a day of them for firm asks, and the ask behind which a new one stands."""
    cdef uint64_t now_h = hour_of(core.last_ts_ns)
    cdef const Page *page
    if row == NULL:
        return
    page = (<Row>row).grid.slots[now_h // PAGE_HOURS % PAGES_MAX]
    # Of spot the grid mostly knows the answer.
    if page != NULL and (not spot or (<Row>row).grid.kept_end_h == 0):
        prefetch(page)
        lines(left_at(page, now_h % PAGE_HOURS), 1 if spot else DAY_LINES)
    ask_row_neighbour(
        &core.orders.slots, (<Row>row).spot_list.last if spot else (<Row>row).firm_list.last
    )


# ---------------------------------------------------------------- steps


cdef inline void sort_in(Core core, Ahead *ahead, uint32_t place) noexcept:
    """A command that was read, to those of its kind; what isn't plain is nowhere."""
    cdef const PlainCommand *command = &ahead.coming[place].command
    cdef uint8_t tag = ahead.coming[place].tag
    if tag == PLACE_ORDER:
        ask_near(&core.accounts.ring, command.account)
        if command.side == SIDE_SELL:
            ask_near(&core.barons.ring, command.baron)
        ahead.orders[ahead.order_count] = <uint8_t>place
        ahead.order_count += 1
    elif tag == CANCEL_ORDER:
        ask_near(&core.accounts.ring, command.account)
        ahead.cancels[ahead.cancel_count] = <uint8_t>place
        ahead.cancel_count += 1
    elif tag == END_LEASE or tag == LEASE_WIPED or tag == LEASE_ACTIVE:
        ahead.leases[ahead.lease_count] = <uint8_t>place
        ahead.lease_count += 1


cdef inline void look_ahead(Core core, uint64_t seq, Ahead *ahead) noexcept:
    """What the commands that were read and sorted in need; the first of them has this number.

    Kind by kind and step by step: what one step asks for is there when the next one reads it.
    """
    cdef uint32_t step, nth
    for step in range(1, STEPS + 1):
        for nth in range(ahead.lease_count):
            _for_lease(core, &ahead.coming[ahead.leases[nth]], step)
        if step < STEPS:
            for nth in range(ahead.cancel_count):
                _for_cancel(core, &ahead.coming[ahead.cancels[nth]], step)
        if step < STEPS - 1:
            for nth in range(ahead.order_count):
                _for_order(core, seq + ahead.orders[nth], &ahead.coming[ahead.orders[nth]], step)


cdef inline void _for_order(Core core, uint64_t seq, Coming *coming, uint32_t step) noexcept:
    """A new order: its places in the tables, its account, its book, and an ask's row and hours."""
    cdef Slots *slots = &core.orders.slots
    # The first id that it will make.
    cdef uint64_t order_id = <uint64_t>core.shard << 56 | seq << 16
    cdef bint sells = coming.command.side == SIDE_SELL
    if step == 1:
        coming.account = ask_account(core, coming.command.account)
        coming.baron = ask_baron(core, coming.command.baron) if sells else NULL
        coming.listed = find_in(&core.listed.ring, <uint64_t>coming.command.instrument)
        prefetch(&slots.heads[chain_of(order_id, slots.shift)])
        return
    if coming.listed == NULL:
        return
    if step == 2:
        prefetch_head(&(<Listed>coming.listed).book.core, order_id)
        coming.row = ask_row(coming.baron)
        if coming.account != NULL:
            ask_neighbour(slots, (<Account>coming.account).last_order)
            prefetch(<void *>(<Account>coming.account).last_delivery)
            # Most likely it is closed before its command is over.
            if coming.command.time_in_force in (TIME_IOC, TIME_FOK):
                ask_closed(coming.account)
    elif step == 3:
        prefetch_node(&(<Listed>coming.listed).book.core, order_id)
        ask_of_row(core, coming.row)
    elif step == 4:
        ask_hours(core, coming.row, (<Listed>coming.listed).kind_code == KIND_SPOT)
    elif sells and (<Listed>coming.listed).kind_code == KIND_ONDEMAND:
        _ask_window(
            core, hour_of(coming.command.ts_ns) + <uint64_t>coming.command.max_hours,
            coming.command.min_hours, order_id,
        )


cdef inline void _for_cancel(Core core, Coming *coming, uint32_t step) noexcept:
    """A live order: its slot, its neighbours, its place in its book, and who is behind it."""
    cdef Slots *slots = &core.orders.slots
    cdef uint64_t order_id = <uint64_t>coming.command.order_id
    if step == 1:
        coming.account = ask_account(core, coming.command.account)
        prefetch(&slots.heads[chain_of(order_id, slots.shift)])
    elif step == 2:
        coming.index = slots.heads[chain_of(order_id, slots.shift)]
        ask_closed(coming.account)
        if coming.index:
            two_lines(slot_at(slots, coming.index))
    elif step == 3:
        coming.index = index_of(slots, order_id)
        coming.baron = coming.listed = NULL
        if coming.index:
            coming.listed = find_in(&core.listed.ring, slot_at(slots, coming.index).instrument)
            coming.baron = ask_around(core, coming.listed, slot_at(slots, coming.index))
    elif coming.index and coming.listed != NULL:
        _for_live(core, coming, slot_at(slots, coming.index), step)


cdef inline PyObject *ask_around(Core core, PyObject *listed, const OrderSlot *slot) noexcept:
    """A live order's neighbours and its place in its book; its Baron, if it is an ask."""
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


cdef inline void _for_live(Core core, Coming *coming, const OrderSlot *slot, uint32_t step) noexcept:
    if step == 4:
        prefetch_node(&(<Listed>coming.listed).book.core, slot.order_id)
        coming.row = ask_row(coming.baron)
    elif step == 5:
        prefetch_around(&(<Listed>coming.listed).book.core, slot.order_id)
        ask_of_row(core, coming.row)
    elif slot.side == SIDE_SELL:
        ask_hours(core, coming.row, slot.kind == KIND_SPOT)
        if slot.kind == KIND_ONDEMAND:
            _ask_window(core, slot.window_end_h, slot.hours, slot.order_id)


cdef inline void _ask_window(Core core, uint64_t end_h, int64_t least_h, uint64_t order_id) noexcept:
    """Where the timer stands, or would, of an on-demand ask whose window closes."""
    cdef uint64_t least = <uint64_t>least_h if least_h > 1 else 1
    agenda_ask(&core.timers.agenda, <int64_t>((end_h - least) * HOUR_NS + 1), TIMER_WINDOW_CLOSED, order_id)


cdef inline void _for_lease(Core core, Coming *coming, uint32_t step) noexcept:
    """A lease, its bill, and who provides it."""
    cdef uint64_t lease_id = <uint64_t>coming.command.lease_id
    cdef PyObject *bill
    if step == 1:
        ask_place(&core.leases.ring, lease_id)
        ask_place(&core.bills.ring, lease_id)
    elif step == 2:
        ask_key(&core.leases.ring, lease_id)
        ask_key(&core.bills.ring, lease_id)
    elif step == 3:
        coming.baron = coming.row = NULL
        coming.lease = find_in(&core.leases.ring, lease_id)
        if coming.lease != NULL:
            lines(coming.lease, LEASE_LINES)
            bill = find_in(&core.bills.ring, lease_id)
            if bill != NULL:
                two_lines(bill)
        if coming.tag == LEASE_ACTIVE:
            _ask_running(core, &coming.command)
    elif coming.lease != NULL:
        _for_known(core, coming, <Lease>coming.lease, step)


cdef inline void _ask_running(Core core, const PlainCommand *command) noexcept:
    """Where a lease that runs from now on gets its bill, and the timers of its first hour and month."""
    cdef uint64_t lease_id = <uint64_t>command.lease_id
    ask_end(&core.bills.ring, lease_id)
    agenda_ask(&core.timers.agenda, command.ts_ns + HOUR_NS, TIMER_LEASE_HOUR, lease_id)
    agenda_ask(&core.timers.agenda, month_end_ns(command.ts_ns), TIMER_MONTH_CLOSE, lease_id)


cdef inline void _for_known(Core core, Coming *coming, Lease lease, uint32_t step) noexcept:
    """Who rents and provides it, what knows it beside the table of all, its timers and its hours."""
    cdef bint spot = lease.kind_code == KIND_SPOT
    if step == 4:
        coming.account = ask_account(core, lease.renter)
        ask_account(core, lease.provider)
        if coming.tag == LEASE_WIPED and coming.account != NULL:
            # Beside it stands what remembers them.
            prefetch(&(<Account>coming.account).obligations)
        coming.baron = ask_baron(core, lease.baron)
        _ask_timers(core, coming, lease)
    elif coming.baron == NULL or coming.account == NULL:
        return
    elif step == 5:
        coming.row = ask_row(coming.baron)
        if coming.tag == LEASE_WIPED:
            ask_table((<Account>coming.account).wiped_leases)
            ask_table((<Baron>coming.baron).leases)
    elif step == 6:
        ask_of_row(core, coming.row)
        if coming.tag == LEASE_WIPED:
            ask_end(&(<Account>coming.account).wiped_leases.ring, lease.lease_id)
            if (<Baron>coming.baron).leases is not None:
                ask_place(&(<Baron>coming.baron).leases.ring, lease.lease_id)
    elif coming.tag == LEASE_WIPED:
        ask_hours(core, coming.row, spot)


cdef inline void _ask_timers(Core core, const Coming *coming, Lease lease) noexcept:
    """The timer that it has, and the one that it gets."""
    cdef Agenda *agenda = &core.timers.agenda
    if coming.tag == LEASE_WIPED:
        agenda_ask(agenda, lease.wipe_due_ns, TIMER_WIPE_OVERDUE, lease.lease_id)
        return
    if lease.due_ns:
        agenda_ask(
            agenda, lease.due_ns,
            TIMER_TERM_END if lease.due_ns == lease.term_end_ns else TIMER_LEASE_HOUR, lease.lease_id,
        )
    if coming.tag == END_LEASE:
        agenda_ask(agenda, coming.command.ts_ns + core.wipe_ns, TIMER_WIPE_OVERDUE, lease.lease_id)


# ---------------------------------------------------------------- within a command


cdef inline void ask_maker(Core core, uint64_t order_id) noexcept:
    """An order that its book says was met: who is behind it, and what they remember comes after."""
    cdef Slots *slots = &core.orders.slots
    cdef uint32_t index = index_of(slots, order_id)
    if index:
        ask_account(core, slot_at(slots, index).account)
        ask_around(core, find_in(&core.listed.ring, slot_at(slots, index).instrument), slot_at(slots, index))


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
