# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Whether orders, leases and bills of a snapshot agree with books, rows and accounts, in C; all else is
`engine.snapshot_checks`, which is the law.

What is refused is refused for good: rooms that are compiled take for granted what stands here. It changes
nothing but accounts' counts, which are what they were in a state that is refused no more.
"""

from cpython.object cimport PyObject
from libc.stdint cimport uint32_t, uint64_t

from engine.compiled.codes cimport KIND_FORWARD, SIDE_BUY, SIDE_SELL
from engine.compiled.dues cimport Bill
from engine.compiled.lookups cimport account_of, baron_of
from engine.compiled.records cimport Account, Lease
from engine.compiled.slots cimport OrderSlot, Slots, slot_at
from engine.compiled.state cimport Core, Listed, listed_of
from engine.fast.core cimport ARMED, RARE, SELLS, BookCore, Node, Terms
from engine.fast.ids cimport find_order, prefetch_head, prefetch_node
from engine.fast.lives cimport price_of
from engine.fast.pool cimport terms_of

from engine import snapshot_checks

cdef enum:
    # Orders that are asked for in their books' tables ahead, and then found there.
    AHEAD = 16
    HALFWAY = 8


def agree(Core state not None):
    """As `engine.snapshot_checks.agree`, of a compiled state."""
    snapshot_checks.agree_few(state)
    said = [
        (account, account.open_orders, account.leases, account.gpus) for account in state.accounts.values()
    ]
    for account, _, _, _ in said:
        account.open_orders = account.leases = account.gpus = 0
    check_orders(state)
    check_leases(state)
    check_bills(state)
    for account, open_orders, leases, gpus in said:
        if (account.open_orders, account.leases, account.gpus) != (open_orders, leases, gpus):
            raise ValueError(f"account {account.account} has other orders and leases than it counts")


cdef int wrong(const OrderSlot *order) except -1:
    raise ValueError(f"order {order.order_id} isn't what its book has")


cdef inline BookCore *book_of(Core state, const OrderSlot *order) noexcept:
    """The book of an order, or NULL."""
    cdef Listed listed = listed_of(state, order.instrument)
    return &listed.book.core if listed is not None else NULL


cdef int ask_ahead(Core state, uint32_t index, bint node) except -1:
    """An order's place in its book's table, or the order there, is on its way when it is asked for."""
    cdef Slots *slots = &state.orders.slots
    cdef BookCore *core
    if index >= slots.used:
        return 0
    core = book_of(state, slot_at(slots, index))
    if core == NULL or core.ids.count == 0:
        return 0
    if node:
        prefetch_node(core, slot_at(slots, index).order_id)
    else:
        prefetch_head(core, slot_at(slots, index).order_id)
    return 0


cdef int check_orders(Core state) except -1:
    """An order is live exactly while its book has it, and an ask while its row has it."""
    cdef Slots *slots = &state.orders.slots
    cdef OrderSlot *order
    cdef Account account
    cdef uint64_t at_rest = 0, asks = 0, listed = 0
    cdef uint32_t index
    for index in range(1, slots.used):
        ask_ahead(state, index + AHEAD, False)
        ask_ahead(state, index + HALFWAY, True)
        order = slot_at(slots, index)
        if not order.admitted:
            continue
        check_order(state, order)
        account = account_of(state, order.account)
        if account is None:
            raise LookupError(f"order {order.order_id} is of nobody")
        account.open_orders += 1
        if order.side == SIDE_BUY:
            account.gpus += order.leaves_quantity
        else:
            asks += 1
    for book in state.books.values():
        at_rest += <uint64_t>len(book)
    for row in state.rows.values():
        listed += <uint64_t>(len(row.spot_asks) + len(row.firm_asks))
    if at_rest != slots.live or asks != listed:
        raise ValueError(f"{slots.live} orders are live, {at_rest} in books; {asks} asks, {listed} in rows")
    return 0


cdef int check_order(Core state, const OrderSlot *order) except -1:
    """One that is live: as its book has it."""
    cdef Listed listed = listed_of(state, order.instrument)
    cdef BookCore *core
    cdef Node *node
    cdef const Terms *terms
    cdef uint32_t index, baron = 0, window_end_h = 0
    if listed is None or listed.kind_code != order.kind:
        return wrong(order)
    core = &listed.book.core
    index = find_order(core, order.order_id)
    if index == 0:
        return wrong(order)
    node = &core.nodes[index]
    if (node.place & SELLS != 0) != (order.side == SIDE_SELL) or (node.place & ARMED != 0) != order.armed:
        return wrong(order)
    if node.account != order.account or node.leaves != order.leaves_quantity:
        return wrong(order)
    if node.place & RARE:
        terms = terms_of(core, index)
        baron, window_end_h = terms.baron, terms.window_end_h
    if baron != order.baron or window_end_h != order.window_end_h:
        return wrong(order)
    return 0 if price_of(core, index) == order.price_ticks else wrong(order)


cdef int check_leases(Core state) except -1:
    cdef uint64_t turn = 0
    cdef PyObject *found = state.leases.walk(&turn)
    cdef Lease lease
    cdef Account renter
    rows = state.rows
    while found != NULL:
        lease = <Lease>found
        renter = account_of(state, lease.renter)
        if renter is None or account_of(state, lease.provider) is None:
            raise LookupError(f"lease {lease.lease_id} is of nobody")
        if baron_of(state, lease.baron) is None or (lease.provider, lease.baron) not in rows:
            raise LookupError(f"lease {lease.lease_id} is of no row")
        if lease.kind_code != KIND_FORWARD:
            renter.leases += 1
            renter.gpus += lease.quantity
        found = state.leases.walk(&turn)
    return 0


cdef int check_bills(Core state) except -1:
    cdef uint64_t turn = 0
    cdef PyObject *found = state.bills.walk(&turn)
    cdef Bill bill
    while found != NULL:
        bill = <Bill>found
        if account_of(state, bill.renter) is None or account_of(state, bill.provider) is None:
            raise LookupError(f"bill {bill.bill_id} is of nobody")
        found = state.bills.walk(&turn)
    return 0
