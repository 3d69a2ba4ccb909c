"""What commands to come will touch, asked for before their turn; each step needs what the one before did.

A step only reads what is there now, and nothing is decided by it: where a command in between changes the
tables, one asks for the wrong memory, and no more.
"""

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from engine.compiled.codes cimport KIND_SPOT, SIDE_SELL
from engine.compiled.commands cimport CANCEL_ORDER, END_LEASE, LEASE_WIPED, PLACE_ORDER, PlainCommand
from engine.compiled.records cimport Account, Baron, Lease, Row
from engine.compiled.rings cimport Ring, home_of
from engine.compiled.slots cimport OrderSlot, Slots, hash_of, index_of, slot_at
from engine.compiled.state cimport Core, Listed
from engine.compiled.tables cimport find_in
from engine.fast.core cimport prefetch
from engine.fast.ids cimport prefetch_head, prefetch_node
from engine.grid_fast cimport PAGE_HOURS, PAGES_MAX, Page, row_of

cdef enum:
    # Steps from a command's reading to its turn.
    STEPS = 7
    LINE_BYTES = 64
    LINE_HOURS = 16
    HOUR_NS = 3600000000000
    # Of each record, how far what is used of it reaches.
    ACCOUNT_BYTES = 120
    BARON_BYTES = 96
    ROW_BYTES = 96
    LEASE_BYTES = 304
    BILL_BYTES = 112
    MEMORY_BYTES = 112


cdef inline void lines(const void *address, size_t size) noexcept nogil:
    cdef size_t at = 0
    while at < size:
        prefetch(<const char *>address + at)
        at += LINE_BYTES
    prefetch(<const char *>address + size - 1)


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


cdef inline void ask_end(const Ring *ring, uint64_t key) noexcept nogil:
    """Where a key would be entered."""
    cdef uint64_t slot
    if ring.slots:
        slot = ring.tail & (ring.slots - 1)
        prefetch(&ring.keys[slot])
        prefetch(&ring.values[slot * ring.value_size])
    if ring.places != NULL:
        prefetch(&ring.places[home_of(ring, key)])


cdef inline void ask_slot(const Slots *slots, uint32_t index) noexcept nogil:
    if index:
        lines(slot_at(slots, index), sizeof(OrderSlot))


cdef inline void ask_neighbour(const Slots *slots, uint32_t index) noexcept nogil:
    """Of a slot, where its neighbours in its account's list stand."""
    if index:
        prefetch(&slot_at(slots, index).account_next)


cdef inline void ask_row_neighbour(const Slots *slots, uint32_t index) noexcept nogil:
    if index:
        prefetch(&slot_at(slots, index).row_next)


# ---------------------------------------------------------------- accounts


cdef inline void ask_account(Core core, int64_t number) noexcept:
    """What stands in an account itself."""
    cdef PyObject *account = find_in(&core.accounts.ring, <uint64_t>number)
    if account != NULL:
        lines(account, ACCOUNT_BYTES)


cdef inline void ask_of_account(Core core, int64_t number) noexcept:
    """What an account keeps beside itself."""
    cdef PyObject *account = find_in(&core.accounts.ring, <uint64_t>number)
    if account != NULL:
        ask_neighbour(&core.orders.slots, (<Account>account).last_order)
        prefetch(<void *>(<Account>account).last_delivery)


cdef inline void ask_memory(Core core, int64_t number) noexcept:
    """What it knows of its closed orders."""
    cdef PyObject *account = find_in(&core.accounts.ring, <uint64_t>number)
    if account != NULL:
        lines(<void *>(<Account>account).closed_orders, MEMORY_BYTES)


cdef inline void ask_closed(Core core, int64_t number, uint64_t order_id) noexcept:
    """Where its account would remember an order."""
    cdef PyObject *account = find_in(&core.accounts.ring, <uint64_t>number)
    if account != NULL:
        ask_end(&(<Account>account).closed_orders.ring, order_id)


# ---------------------------------------------------------------- Barons and rows


cdef inline void ask_baron(Core core, int64_t number) noexcept:
    cdef PyObject *baron = find_in(&core.barons.ring, <uint64_t>number)
    if baron != NULL:
        lines(baron, BARON_BYTES)


cdef inline void ask_row(Core core, int64_t number) noexcept:
    """A Baron's own row, if it was looked for before."""
    cdef PyObject *baron = find_in(&core.barons.ring, <uint64_t>number)
    if baron != NULL and (<Baron>baron).own_row is not None:
        lines(<void *>(<Baron>baron).own_row, ROW_BYTES)


cdef inline void ask_of_row(Core core, int64_t number, bint spot) noexcept:
    """What the row keeps beside itself."""
    cdef PyObject *baron = find_in(&core.barons.ring, <uint64_t>number)
    cdef PyObject *found
    if baron == NULL or (<Baron>baron).own_row is None:
        return
    found = <PyObject *>(<Baron>baron).own_row
    prefetch(&(<Row>found).grid.first_page)
    prefetch(&(<Row>found).grid.slots[hour_page(core)])
    prefetch(<void *>(<Row>found).spot_asks if spot else <void *>(<Row>found).firm_asks)


cdef inline uint32_t hour_page(Core core) noexcept:
    return <uint32_t>(core.last_ts_ns // HOUR_NS // PAGE_HOURS % PAGES_MAX)


cdef inline void ask_hours(Core core, int64_t number, bint spot) noexcept:
    """Its hours from now on, for firm asks a day of them, and the ask behind which a new one stands."""
    cdef PyObject *baron = find_in(&core.barons.ring, <uint64_t>number)
    cdef PyObject *found
    cdef const Page *page
    cdef int64_t hour = core.last_ts_ns // HOUR_NS % PAGE_HOURS
    cdef int count
    if baron == NULL or (<Baron>baron).own_row is None:
        return
    found = <PyObject *>(<Baron>baron).own_row
    page = (<Row>found).grid.slots[hour_page(core)]
    if page != NULL:
        prefetch(page)
        for count in range(2 if spot else 3):
            prefetch(row_of(page, count) + hour)
            if not spot:
                prefetch(row_of(page, count) + hour + LINE_HOURS)
    ask_row_neighbour(
        &core.orders.slots, (<Row>found).spot_asks.last if spot else (<Row>found).firm_asks.last
    )


# ---------------------------------------------------------------- steps


cdef inline void look_ahead(
    Core core, uint64_t seq, uint8_t tag, const PlainCommand *command, uint32_t step
) noexcept:
    """What a command needs that is so many steps from its turn."""
    if tag == PLACE_ORDER:
        _for_place(core, seq, command, step)
    elif tag == CANCEL_ORDER:
        _for_cancel(core, command, step)
    elif tag == END_LEASE or tag == LEASE_WIPED:
        _for_lease(core, <uint64_t>command.lease_id, step)


cdef inline void _for_place(Core core, uint64_t seq, const PlainCommand *command, uint32_t step) noexcept:
    cdef Slots *slots = &core.orders.slots
    cdef PyObject *listed
    # The first id that it will make.
    cdef uint64_t order_id = <uint64_t>core.shard << 56 | seq << 16
    if step == 5:
        ask_account(core, command.account)
        if command.side == SIDE_SELL:
            ask_baron(core, command.baron)
        return
    listed = find_in(&core.listed.ring, <uint64_t>command.instrument)
    if listed == NULL:
        return
    if step == 4:
        ask_of_account(core, command.account)
        prefetch(&slots.heads[hash_of(order_id) >> slots.shift])
        prefetch_head(&(<Listed>listed).book.core, order_id)
        if command.side == SIDE_SELL:
            ask_row(core, command.baron)
    elif step == 3:
        ask_memory(core, command.account)
        if command.side == SIDE_SELL:
            ask_of_row(core, command.baron, (<Listed>listed).kind_code == KIND_SPOT)
    elif step == 2:
        ask_closed(core, command.account, order_id)
        if command.side == SIDE_SELL:
            ask_hours(core, command.baron, (<Listed>listed).kind_code == KIND_SPOT)


cdef inline void _for_cancel(Core core, const PlainCommand *command, uint32_t step) noexcept:
    """A live order: its slot, its neighbours, its place in its book, and who is behind it."""
    cdef Slots *slots = &core.orders.slots
    cdef uint64_t order_id = <uint64_t>command.order_id
    cdef uint32_t index
    if step == 7:
        prefetch(&slots.heads[hash_of(order_id) >> slots.shift])
        ask_account(core, command.account)
        return
    if step >= 5:
        # Of two in one chain the second, which is near when the order is looked for.
        index = slots.heads[hash_of(order_id) >> slots.shift]
        if step == 6:
            ask_slot(slots, index)
            ask_memory(core, command.account)
        elif index and slot_at(slots, index).order_id != order_id:
            ask_slot(slots, slot_at(slots, index).behind)
        return
    if step == 4:
        ask_closed(core, command.account, order_id)
    index = index_of(slots, order_id)
    if index:
        _for_order(core, slot_at(slots, index), step)


cdef inline void _for_order(Core core, const OrderSlot *slot, uint32_t step) noexcept:
    cdef Slots *slots = &core.orders.slots
    cdef PyObject *listed = find_in(&core.listed.ring, slot.instrument)
    if listed != NULL and step == 4:
        prefetch_head(&(<Listed>listed).book.core, slot.order_id)
    elif listed != NULL and step == 3:
        prefetch_node(&(<Listed>listed).book.core, slot.order_id)
    if step == 4:
        ask_neighbour(slots, slot.account_prev)
        ask_neighbour(slots, slot.account_next)
    if slot.side != SIDE_SELL:
        return
    if step == 4:
        ask_row_neighbour(slots, slot.row_prev)
        ask_row_neighbour(slots, slot.row_next)
        ask_baron(core, slot.baron)
    elif step == 3:
        ask_row(core, slot.baron)
    elif step == 2:
        ask_of_row(core, slot.baron, slot.kind == KIND_SPOT)
    else:
        ask_hours(core, slot.baron, slot.kind == KIND_SPOT)


cdef inline void _for_lease(Core core, uint64_t lease_id, uint32_t step) noexcept:
    """A lease, its bill, and who provides it."""
    cdef PyObject *lease
    cdef PyObject *bill
    if step == 6:
        ask_place(&core.leases.ring, lease_id)
        ask_place(&core.bills.ring, lease_id)
        return
    if step == 5:
        ask_key(&core.leases.ring, lease_id)
        ask_key(&core.bills.ring, lease_id)
        return
    lease = find_in(&core.leases.ring, lease_id)
    if lease == NULL:
        return
    if step == 4:
        lines(lease, LEASE_BYTES)
        bill = find_in(&core.bills.ring, lease_id)
        if bill != NULL:
            lines(bill, BILL_BYTES)
    elif step == 3:
        ask_account(core, (<Lease>lease).renter)
        ask_account(core, (<Lease>lease).provider)
        ask_baron(core, (<Lease>lease).baron)
    elif step == 2:
        ask_row(core, (<Lease>lease).baron)
        ask_memories(core, <Lease>lease)
    elif step == 1:
        ask_of_row(core, (<Lease>lease).baron, (<Lease>lease).kind_code == KIND_SPOT)
        ask_forgotten(core, <Lease>lease)


cdef inline void ask_memories(Core core, Lease lease) noexcept:
    """What knows a lease beside the table of all, and who will remember it."""
    cdef PyObject *renter = find_in(&core.accounts.ring, lease.renter)
    cdef PyObject *baron = find_in(&core.barons.ring, lease.baron)
    if renter != NULL:
        lines(<void *>(<Account>renter).wiped_leases, MEMORY_BYTES)
    if baron != NULL:
        lines(<void *>(<Baron>baron).leases, MEMORY_BYTES)


cdef inline void ask_forgotten(Core core, Lease lease) noexcept:
    cdef PyObject *renter = find_in(&core.accounts.ring, lease.renter)
    cdef PyObject *baron = find_in(&core.barons.ring, lease.baron)
    if renter != NULL:
        ask_end(&(<Account>renter).wiped_leases.ring, lease.lease_id)
    if baron != NULL and (<Baron>baron).leases is not None:
        ask_place(&(<Baron>baron).leases.ring, lease.lease_id)


# ---------------------------------------------------------------- within a command


cdef inline void ask_maker(Core core, uint64_t order_id) noexcept:
    """An order that its book says was met: who is behind it, and what they remember comes after."""
    cdef Slots *slots = &core.orders.slots
    cdef uint32_t index = index_of(slots, order_id)
    cdef OrderSlot *slot
    if index == 0:
        return
    slot = slot_at(slots, index)
    ask_account(core, slot.account)
    _for_order(core, slot, 4)


cdef inline void ask_close(Core core, uint64_t order_id) noexcept:
    """Where a maker's account would remember it, should it be filled."""
    cdef Slots *slots = &core.orders.slots
    cdef uint32_t index = index_of(slots, order_id)
    if index:
        ask_closed(core, slot_at(slots, index).account, order_id)


cdef inline void ask_of_maker(Core core, uint64_t order_id) noexcept:
    cdef Slots *slots = &core.orders.slots
    cdef uint32_t index = index_of(slots, order_id)
    cdef OrderSlot *slot
    if index == 0:
        return
    slot = slot_at(slots, index)
    ask_memory(core, slot.account)
    if slot.side == SIDE_SELL:
        ask_row(core, slot.baron)
