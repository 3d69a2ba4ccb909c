# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The tables of a shard and the scratch of its running command, compiled; `engine.state.State` says what
each is.

What stands here takes the place of the plain state's tables and of what touches them; all else
`engine.compiled.machine` takes from the law's own class. It knows no rule of the market.
"""

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free

from engine.compiled.orders cimport Order
from engine.compiled.ordered cimport TimerSet
from engine.compiled.records cimport Account, AskList, Baron, Drafts, Lease, Row, link_ask
from engine.compiled.slots cimport OrderSlot, admit_slot, drop_slot, find_slot, index_of, slot_at
from engine.compiled.tables cimport IdTable
from engine.compiled.tape cimport EventTape

from engine import state as law
from engine.ids import INDEX_MAX, SEQ_MAX, SHARD_MAX
from engine.messages import EXCHANGE_ACCOUNT

from engine.units import NS_PER_S

cdef enum:
    SPOT = 1
    SELL = 2

cdef int64_t MOST_OF_A_COMMAND = INDEX_MAX
cdef uint64_t LAST_SEQ = SEQ_MAX


cdef class Listed:
    pass


cdef class Core:
    def __init__(self, shard, limits, book_factory, grid_factory, records):
        if not 0 <= shard <= SHARD_MAX:
            raise ValueError("id parts out of range")
        self.shard, self.limits = shard, limits
        self.book_factory, self.grid_factory = book_factory, grid_factory
        self.records = records
        self.next_instrument = 1
        self.orders = records.orders
        self.accounts = IdTable()
        self.accounts[EXCHANGE_ACCOUNT] = self.new_account(EXCHANGE_ACCOUNT, 0, 0)
        self.instruments, self.markets, self.instruments_of = IdTable(), {}, {}
        self.calendars, self.closing_trades = {}, {}
        self.barons, self.barons_of, self.rows, self.rows_of = IdTable(), {}, {}, {}
        self.leases, self.leases_of = IdTable(), LeasesOf(self.barons)
        self.bills, self.paid_of, self.covers = IdTable(), {}, []
        self.obligations, self.obligations_of, self.neighbours, self.handovers = {}, {}, {}, {}
        self.books, self.auction_ends = IdTable(), {}
        self.timers, self.spot_index = TimerSet(), IdTable()
        self.events = EventTape()
        self.yielding, self.waiting, self.shutting, self.expiring = set(), set(), set(), set()
        self.far_barons, self.far_books, self.far_rows = {}, {}, {}
        self.spent_quotes, self.short_rows, self.entering_ticks = {}, {}, {}
        self.drafts = Drafts()
        self.listed = IdTable()
        self.dry_holdings = {}
        self.max_looked, self.cuts_a_command = limits.max_looked, law.CUTS_A_COMMAND
        self.prefund_ns = limits.prefund_s * NS_PER_S
        self.notice_ns, self.wipe_ns = limits.notice_s * NS_PER_S, limits.wipe_s * NS_PER_S
        self.ondemand_bond_ns = limits.ondemand_bond_s * NS_PER_S
        self.spot_minimum_s, self.ondemand_minimum_s = limits.spot_minimum_s, limits.ondemand_minimum_s
        self.max_leases, self.max_open_orders = limits.max_leases, limits.max_open_orders
        self.max_term_hours, self.max_delivery_bytes = limits.max_term_hours, limits.max_delivery_bytes
        self.max_client_ids, self.max_client_id_chars = limits.max_client_ids, limits.max_client_id_chars
        self.max_obligations = limits.max_obligations
        self.forward_bond_ppm = limits.forward_bond_ppm
        self.begin()

    def begin(self):
        """Clear the scratch before a command, and free what went in the last."""
        self.clean()

    cdef int clean(self) except -1:
        if self.orders.slots.first_gone:
            self.orders.sweep()
        self.events.clear()
        self.made = self.leases_passed = 0
        self.near_barons.count = self.near_books.count = self.near_rows.count = 0
        self.fills_left = self.max_looked
        self.cuts_left = self.cuts_a_command
        if (
            dict_size(<PyObject *>self.dry_holdings) | dict_size(<PyObject *>self.far_barons)
            | dict_size(<PyObject *>self.far_books) | dict_size(<PyObject *>self.far_rows)
            | dict_size(<PyObject *>self.spent_quotes) | dict_size(<PyObject *>self.short_rows)
            | dict_size(<PyObject *>self.entering_ticks)
        ):
            self.clean_far()
        if self.drafts.count:
            self.drafts.forget()
        return 0

    cdef int clean_far(self) except -1:
        """The same of what Python rooms filled."""
        self.dry_holdings, self.spent_quotes, self.short_rows, self.entering_ticks = {}, {}, {}, {}
        self.far_barons, self.far_books, self.far_rows = {}, {}, {}
        return 0

    # ---- what was touched

    cdef int tell(self) except -1:
        cdef uint32_t place
        for place in range(self.near_barons.count):
            self.far_barons[(<Baron>self.near_barons.items[place]).baron] = None
        for place in range(self.near_books.count):
            self.far_books[(<Listed>self.near_books.items[place]).number] = None
        for place in range(self.near_rows.count):
            self.far_rows[(<Row>self.near_rows.items[place]).key] = None
        self.near_barons.count = self.near_books.count = self.near_rows.count = 0
        return 0

    @property
    def touched_barons(self):
        self.tell()
        return self.far_barons

    @touched_barons.setter
    def touched_barons(self, dict numbers not None):
        self.near_barons.count = 0
        self.far_barons = numbers

    @property
    def touched_books(self):
        self.tell()
        return self.far_books

    @touched_books.setter
    def touched_books(self, dict numbers not None):
        self.near_books.count = 0
        self.far_books = numbers

    @property
    def touched_rows(self):
        self.tell()
        return self.far_rows

    @touched_rows.setter
    def touched_rows(self, dict keys not None):
        self.near_rows.count = 0
        self.far_rows = keys

    # ---- instruments

    def add_instrument(self, instrument):
        """List an instrument with an empty book."""
        cdef Listed listed = Listed.__new__(Listed)
        law.State.add_instrument(self, instrument)
        listed.number = instrument.instrument
        listed.instrument = listed.number
        listed.kind_code = instrument.kind
        listed.start_h, listed.end_h = instrument.start_h, instrument.end_h
        listed.trading_end_ns = instrument.trading_end_ns
        listed.book = self.books[listed.number]
        self.listed.put(listed.instrument, listed)

    def drop_instrument(self, number):
        """Forget an instrument that has expired."""
        law.State.drop_instrument(self, number)
        self.listed.drop(number)

    def __dealloc__(self):
        free(self.book_events)

    cdef uint64_t next_id(self) except 0:
        cdef uint64_t number
        if not (0 < self.last_seq <= LAST_SEQ and 0 <= self.made <= MOST_OF_A_COMMAND):
            raise ValueError("id parts out of range")
        number = (<uint64_t>self.shard << 56) | (self.last_seq << 16) | <uint64_t>self.made
        self.made += 1
        return number

    def new_id(self):
        """The next id of this command."""
        return self.next_id()

    # ---- leases

    def add_lease(self, Lease lease not None):
        cdef Baron baron = self.barons[lease.baron]
        if baron.leases is None:
            baron.leases = IdTable()
        self.leases.put(lease.lease_id, lease)
        baron.leases.put(lease.lease_id, lease)

    def drop_lease(self, Lease lease not None):
        cdef Baron baron = self.barons[lease.baron]
        del self.leases[lease.lease_id]
        del baron.leases[lease.lease_id]

    # ---- orders

    cdef void join(self, Account account, uint32_t index) noexcept nogil:
        cdef OrderSlot *slot = slot_at(&self.orders.slots, index)
        slot.account_prev, slot.account_next = account.last_order, 0
        if account.last_order:
            slot_at(&self.orders.slots, account.last_order).account_next = index
        else:
            account.first_order = index
        account.last_order = index

    cdef void part(self, Account account, uint32_t index) noexcept nogil:
        cdef OrderSlot *slot = slot_at(&self.orders.slots, index)
        if slot.account_prev:
            slot_at(&self.orders.slots, slot.account_prev).account_next = slot.account_next
        else:
            account.first_order = slot.account_next
        if slot.account_next:
            slot_at(&self.orders.slots, slot.account_next).account_prev = slot.account_prev
        else:
            account.last_order = slot.account_prev
        slot.account_prev = slot.account_next = 0

    def add_order(self, Order order not None):
        """An order is live: the newest of its account."""
        if order.table is not self.orders or order.here().admitted or order.slot.gone:
            raise ValueError(f"order {order.number} can't be admitted")
        if find_slot(&self.orders.slots, order.number) != NULL:
            raise ValueError(f"order {order.number} is live already")
        admit_slot(&self.orders.slots, order.index)
        self.join(<Account?>self.accounts[order.slot.account], order.index)

    def take_asks(self, Row row not None, bint spot, list order_ids not None):
        """Live asks stand in a row that has none yet (`engine.state.State.take_asks`)."""
        cdef AskList *asks = &row.spot_list if spot else &row.firm_list
        cdef OrderSlot *slot
        cdef uint64_t number
        cdef int64_t gpus = 0
        cdef uint32_t index
        for number in order_ids:
            index = index_of(&self.orders.slots, number)
            if index == 0:
                raise KeyError(number)
            slot = slot_at(&self.orders.slots, index)
            if slot.side != SELL or slot.account != row.account or slot.baron != row.baron:
                raise ValueError(f"order {number} doesn't stand in this row")
            if (slot.kind == SPOT) != spot or index == asks.last or slot.row_next:
                raise ValueError(f"order {number} stands among these asks twice, or isn't of their kind")
            link_ask(&self.orders.slots, asks, slot, index)
            gpus += slot.leaves_quantity
        return gpus

    def drop_order(self, Order order not None):
        """An order is live no more; it can be read until the command is over."""
        if order.table is not self.orders or not order.here().admitted:
            raise KeyError(order.number)
        self.part(<Account?>self.accounts[order.slot.account], order.index)
        drop_slot(&self.orders.slots, order.index)

    def orders_by(self, account):
        """An account's live orders, in order of entry."""
        cdef uint32_t index
        cdef list found = []
        owner = self.accounts.get(account)
        index = (<Account?>owner).first_order if owner is not None else 0
        while index:
            found.append(self.orders.handle(index))
            index = slot_at(&self.orders.slots, index).account_next
        return found


cdef class LeasesOf:
    """Leases by Baron, as a dict of dicts of those that have any."""

    def __cinit__(self, IdTable barons not None):
        self.barons = barons

    def get(self, number, default=None):
        cdef Baron baron = self.barons.get(number)
        return default if baron is None or baron.leases is None or not len(baron.leases) else baron.leases

    def __iter__(self):
        return (number for number in self.barons if self.get(number) is not None)

    def __eq__(self, other):
        return {number: dict(self.get(number).items()) for number in self} == other
