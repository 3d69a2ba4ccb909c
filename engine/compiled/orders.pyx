# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Live orders in slots: the pool, the hash of their ids, and the faces that Python rooms see (`engine.state.Order`).

A slot is taken when an order is made, and belongs to that order's one handle until it is admitted. When it goes, its slot
stays readable until the next command begins, since drafts and handles name it. It knows no rule of the market.
"""

cimport cython
from cpython.object cimport PyObject
from cpython.ref cimport Py_XDECREF, Py_XINCREF
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memset

from engine.kinds import Kind, OrderType, Origin, Side, TimeInForce
from engine.records import SelfTrade

cdef enum:
    SELL = 2
    FIRST_BITS = 10
    HOUR_NS = 3600000000000

cdef tuple SIDES = (None, *Side)
cdef tuple KINDS = (None, *Kind)
cdef tuple TYPES = (None, *OrderType)
cdef tuple TIMES = (None, *TimeInForce)
cdef tuple ORIGINS = (None, *Origin)
cdef tuple SELF_TRADES = tuple(SelfTrade)
cdef tuple LASTING = (TimeInForce.GTC, TimeInForce.GTD, TimeInForce.DAY)


@cython.final
@cython.no_gc
cdef class Rare:
    def __cinit__(self):
        self.client_order_id = self.tag = self.quote_set = ""

    cdef Rare copy(self):
        cdef Rare made = Rare.__new__(Rare)
        made.client_order_id, made.tag, made.quote_set = self.client_order_id, self.tag, self.quote_set
        made.expire_ns, made.connection = self.expire_ns, self.connection
        made.stop_price_ticks = self.stop_price_ticks
        made.display_quantity, made.min_quantity = self.display_quantity, self.min_quantity
        return made


cdef inline uint32_t hash_of(uint64_t order_id) noexcept nogil:
    """32 bits of an id, well mixed by the golden ratio's multiple."""
    return <uint32_t>(((order_id ^ (order_id >> 32)) * <uint64_t>0x9E3779B97F4A7C15) >> 32)


@cython.final
cdef class Orders:
    def __cinit__(self):
        self.rares = [None]
        self.free_rares = []
        # Slot 0 is nobody's.
        self.used = 1
        self.shift = 32 - FIRST_BITS
        self.heads = <uint32_t *>calloc(<size_t>1 << FIRST_BITS, sizeof(uint32_t))
        if self.heads == NULL:
            raise MemoryError

    def __dealloc__(self):
        cdef uint32_t index
        cdef OrderSlot *slot
        for index in range(1, self.used):
            slot = self.at(index)
            if slot.side != SELL:
                Py_XDECREF(slot.delivery)
        for index in range(self.chunk_count):
            free(self.chunks[index])
        free(self.chunks)
        free(self.heads)

    # ---- the pool

    cdef OrderSlot *at(self, uint32_t index) noexcept nogil:
        return &self.chunks[index >> CHUNK_BITS][index & (CHUNK - 1)]

    cdef int grow_pool(self) except -1:
        """One more chunk; those there are stay where they are."""
        cdef OrderSlot **chunks
        cdef OrderSlot *chunk
        if self.chunk_count >= (<uint32_t>1 << (32 - CHUNK_BITS)) - 1:
            raise MemoryError
        chunks = <OrderSlot **>realloc(self.chunks, (self.chunk_count + 1) * sizeof(OrderSlot *))
        if chunks == NULL:
            raise MemoryError
        self.chunks = chunks
        chunk = <OrderSlot *>calloc(CHUNK, sizeof(OrderSlot))
        if chunk == NULL:
            raise MemoryError
        chunks[self.chunk_count] = chunk
        self.chunk_count += 1
        return 0

    cdef OrderSlot *take(self, uint32_t *index) except NULL:
        cdef OrderSlot *slot
        if self.free_slot:
            index[0] = self.free_slot
            slot = self.at(self.free_slot)
            self.free_slot = slot.behind
        else:
            if self.used >> CHUNK_BITS >= self.chunk_count:
                self.grow_pool()
            index[0] = self.used
            slot = self.at(self.used)
            self.used += 1
        memset(slot, 0, sizeof(OrderSlot))
        return slot

    cdef void give(self, OrderSlot *slot, uint32_t index) noexcept:
        """A slot is free again; it is in no table."""
        cdef uint32_t rare = slot.rare
        cdef PyObject *delivery = slot.delivery if slot.side != SELL else NULL
        memset(slot, 0, sizeof(OrderSlot))
        slot.behind = self.free_slot
        self.free_slot = index
        Py_XDECREF(delivery)
        if rare:
            self.rares[rare] = None
            self.free_rares.append(rare)

    cdef Rare rare_of(self, OrderSlot *slot):
        """Its rare terms, or None."""
        return <Rare>self.rares[slot.rare] if slot.rare else None

    cdef int put_rare(self, OrderSlot *slot, Rare rare) except -1:
        if self.free_rares:
            slot.rare = self.free_rares.pop()
            self.rares[slot.rare] = rare
        else:
            self.rares.append(rare)
            slot.rare = <uint32_t>(len(self.rares) - 1)
        return 0

    cdef Rare make_rare(self, OrderSlot *slot):
        """Its rare terms, made if there are none."""
        cdef Rare rare
        if not slot.rare:
            rare = Rare.__new__(Rare)
            self.put_rare(slot, rare)
        return <Rare>self.rares[slot.rare]

    # ---- the table

    cdef uint32_t index_of(self, uint64_t order_id) noexcept nogil:
        cdef uint32_t index = self.heads[hash_of(order_id) >> self.shift]
        while index and self.at(index).order_id != order_id:
            index = self.at(index).behind
        return index

    cdef OrderSlot *find(self, uint64_t order_id) noexcept nogil:
        cdef uint32_t index = self.index_of(order_id)
        if index == 0 or not self.at(index).admitted:
            return NULL
        return self.at(index)

    cdef int grow_table(self) except -1:
        cdef uint32_t bits = 33 - self.shift
        cdef uint32_t *heads = <uint32_t *>calloc(<size_t>1 << bits, sizeof(uint32_t))
        cdef uint32_t *old = self.heads
        cdef uint32_t chain, index, following
        cdef uint32_t *head
        if heads == NULL:
            raise MemoryError
        for chain in range(<uint32_t>1 << (bits - 1)):
            index = old[chain]
            while index:
                following = self.at(index).behind
                head = &heads[hash_of(self.at(index).order_id) >> (32 - bits)]
                self.at(index).behind = head[0]
                head[0] = index
                index = following
        self.heads = heads
        self.shift = 32 - bits
        free(old)
        return 0

    cdef int admit(self, uint32_t index) except -1:
        cdef OrderSlot *slot = self.at(index)
        cdef uint32_t *head
        if self.hashed >> (32 - self.shift) and self.shift > 2:
            self.grow_table()
        head = &self.heads[hash_of(slot.order_id) >> self.shift]
        slot.behind = head[0]
        head[0] = index
        slot.admitted = 1
        self.hashed += 1
        self.live += 1
        return 0

    cdef void drop(self, uint32_t index) noexcept nogil:
        cdef OrderSlot *slot = self.at(index)
        slot.admitted = 0
        slot.gone = 1
        slot.account_next = self.first_gone
        self.first_gone = index
        self.live -= 1

    cdef void sweep(self) noexcept:
        cdef uint32_t index = self.first_gone
        cdef uint32_t following
        cdef uint32_t *link
        self.first_gone = 0
        while index:
            following = self.at(index).account_next
            link = &self.heads[hash_of(self.at(index).order_id) >> self.shift]
            while link[0] != index:
                link = &self.at(link[0]).behind
            link[0] = self.at(index).behind
            self.hashed -= 1
            self.give(self.at(index), index)
            index = following

    # ---- for Python rooms: a dict of live orders by id

    cdef Order handle(self, uint32_t index):
        cdef Order order = Order.__new__(Order)
        order.table = self
        order.slot = self.at(index)
        order.number = order.slot.order_id
        order.index = index
        return order

    def get(self, order_id, default=None):
        cdef uint64_t number
        cdef uint32_t index
        try:
            number = order_id
        except OverflowError:
            # No order has such an id.
            return default
        index = self.index_of(number)
        return self.handle(index) if index and self.at(index).admitted else default

    def __getitem__(self, order_id):
        order = self.get(order_id)
        if order is None:
            raise KeyError(order_id)
        return order

    def __contains__(self, order_id):
        return self.get(order_id) is not None

    def __len__(self):
        return self.live

    def values(self):
        """In no order of meaning."""
        cdef uint32_t index
        for index in range(1, self.used):
            if self.at(index).admitted:
                yield self.handle(index)

    def items(self):
        for order in self.values():
            yield order.order_id, order

    def keys(self):
        for order in self.values():
            yield order.order_id

    def __iter__(self):
        return self.keys()

    def __repr__(self):
        return repr(dict(sorted(self.items())))

    # ---- making orders

    def make(
        self, *, uint64_t order_id, uint32_t account, uint32_t instrument, kind, side, order_type, time_in_force,
        int32_t price_ticks, uint32_t quantity, uint32_t leaves_quantity, origin, bint post_only, str client_order_id,
        unsigned short hours, uint32_t baron, int64_t window_end_ns, bytes delivery, int32_t stop_price_ticks=0,
        uint32_t display_quantity=0, uint32_t min_quantity=0, self_trade=SelfTrade.CANCEL_NEWEST, uint32_t features=0,
        bint same_baron=False, unsigned short lot=0, unsigned short min_hours=0, str tag="", int64_t expire_ns=0,
        bint armed=False, int64_t connection=0, str quote_set="", uint32_t min_rating=0, int32_t hold_ticks=0,
    ):
        """An order that is in no table yet, as `engine.state.Order` makes one."""
        cdef uint32_t index
        cdef OrderSlot *slot
        cdef Rare rare
        if window_end_ns % HOUR_NS or features > 15 or min_rating > 127:
            raise ValueError("a window ends with an hour; features and ratings are small numbers")
        slot = self.take(&index)
        slot.order_id, slot.account, slot.instrument = order_id, account, instrument
        slot.kind, slot.side, slot.order_type = kind, side, order_type
        slot.time_in_force, slot.origin, slot.self_trade = time_in_force, origin, self_trade
        slot.price_ticks, slot.hold_ticks = price_ticks, hold_ticks
        slot.quantity, slot.leaves_quantity = quantity, leaves_quantity
        slot.baron, slot.window_end_h = baron, <uint32_t>(window_end_ns // HOUR_NS)
        slot.lot, slot.features, slot.min_rating = lot, features, min_rating
        slot.post_only, slot.same_baron, slot.armed = post_only, same_baron, armed
        if slot.side == SELL:
            slot.hours = min_hours
        else:
            slot.hours = hours
            if delivery:
                slot.delivery = <PyObject *>delivery
                Py_XINCREF(slot.delivery)
        made = self.handle(index)
        if (
            client_order_id or tag or quote_set or expire_ns or connection or stop_price_ticks or display_quantity
            or min_quantity
        ):
            rare = self.make_rare(slot)
            rare.client_order_id, rare.tag, rare.quote_set = client_order_id, tag, quote_set
            rare.expire_ns, rare.connection, rare.stop_price_ticks = expire_ns, connection, stop_price_ticks
            rare.display_quantity, rare.min_quantity = display_quantity, min_quantity
        return made

    def copy(self, Order order):
        """The same terms once more, in no table."""
        cdef uint32_t index
        cdef OrderSlot *slot = self.take(&index)
        slot[0] = order.here()[0]
        slot.account_prev = slot.account_next = slot.behind = slot.rare = 0
        slot.admitted = slot.gone = 0
        if slot.side == SELL:
            slot.row_prev = slot.row_next = 0
        else:
            Py_XINCREF(slot.delivery)
        made = self.handle(index)
        if order.slot.rare:
            self.put_rare(slot, (<Rare>self.rares[order.slot.rare]).copy())
        return made


@cython.final
@cython.no_gc
@cython.freelist(256)
cdef class Order:
    """An order, under the names of `engine.state.Order`."""

    def __dealloc__(self):
        # One that was never admitted is nobody's but its handle's.
        if self.slot != NULL and self.slot.order_id == self.number and not (self.slot.admitted or self.slot.gone):
            self.table.give(self.slot, self.index)

    cdef OrderSlot *here(self) except NULL:
        """Its slot; LookupError when it went with an earlier command."""
        if self.slot.order_id != self.number:
            raise LookupError(f"order {self.number} went with an earlier command")
        return self.slot

    def with_terms(self, int32_t price_ticks, uint32_t quantity, uint32_t leaves_quantity):
        """A copy with another price and total."""
        cdef Order made = self.table.copy(self)
        made.slot.price_ticks, made.slot.quantity, made.slot.leaves_quantity = price_ticks, quantity, leaves_quantity
        return made

    def with_hold(self, int32_t hold_ticks):
        """A copy that is held at another price."""
        cdef Order made = self.table.copy(self)
        made.slot.hold_ticks = hold_ticks
        return made

    def __eq__(self, other):
        return isinstance(other, Order) and (<Order>other).slot == self.slot

    def __hash__(self):
        return hash(self.number)

    def __repr__(self):
        return f"<order {self.number}>"

    @property
    def order_id(self):
        return self.here().order_id

    @property
    def account(self):
        return self.here().account

    @property
    def instrument(self):
        return self.here().instrument

    @property
    def price_ticks(self):
        return self.here().price_ticks

    @price_ticks.setter
    def price_ticks(self, int32_t value):
        self.here().price_ticks = value

    @property
    def hold_ticks(self):
        return self.here().hold_ticks

    @hold_ticks.setter
    def hold_ticks(self, int32_t value):
        self.here().hold_ticks = value

    @property
    def quantity(self):
        return self.here().quantity

    @quantity.setter
    def quantity(self, uint32_t value):
        self.here().quantity = value

    @property
    def leaves_quantity(self):
        return self.here().leaves_quantity

    @leaves_quantity.setter
    def leaves_quantity(self, uint32_t value):
        self.here().leaves_quantity = value

    @property
    def baron(self):
        return self.here().baron

    @property
    def lot(self):
        return self.here().lot

    @property
    def features(self):
        return self.here().features

    @property
    def min_rating(self):
        return self.here().min_rating

    @property
    def kind(self):
        return KINDS[self.here().kind]

    @property
    def side(self):
        return SIDES[self.here().side]

    @property
    def order_type(self):
        return TYPES[self.here().order_type]

    @property
    def time_in_force(self):
        return TIMES[self.here().time_in_force]

    @property
    def origin(self):
        return ORIGINS[self.here().origin]

    @property
    def self_trade(self):
        return SELF_TRADES[self.here().self_trade]

    @property
    def post_only(self):
        return self.here().post_only != 0

    @property
    def same_baron(self):
        return self.here().same_baron != 0

    @property
    def armed(self):
        return self.here().armed != 0

    @armed.setter
    def armed(self, bint value):
        self.here().armed = value

    @property
    def hours(self):
        return 0 if self.here().side == SELL else self.slot.hours

    @property
    def min_hours(self):
        return self.here().hours if self.slot.side == SELL else 0

    @property
    def window_end_ns(self):
        return <int64_t>self.here().window_end_h * HOUR_NS

    @window_end_ns.setter
    def window_end_ns(self, int64_t value):
        if value % HOUR_NS:
            raise ValueError("a window ends with an hour")
        self.here().window_end_h = <uint32_t>(value // HOUR_NS)

    @property
    def delivery(self):
        if self.here().side == SELL or self.slot.delivery == NULL:
            return b""
        return <object>self.slot.delivery

    @delivery.setter
    def delivery(self, bytes value not None):
        cdef PyObject *before = self.here().delivery
        if self.slot.side == SELL:
            raise ValueError("an ask delivers nowhere")
        self.slot.delivery = <PyObject *>value if value else NULL
        Py_XINCREF(self.slot.delivery)
        Py_XDECREF(before)

    @property
    def client_order_id(self):
        return self.table.rare_of(self.slot).client_order_id if self.here().rare else ""

    @client_order_id.setter
    def client_order_id(self, str value not None):
        if value or self.here().rare:
            self.table.make_rare(self.here()).client_order_id = value

    @property
    def tag(self):
        return self.table.rare_of(self.slot).tag if self.here().rare else ""

    @property
    def quote_set(self):
        return self.table.rare_of(self.slot).quote_set if self.here().rare else ""

    @property
    def expire_ns(self):
        return self.table.rare_of(self.slot).expire_ns if self.here().rare else 0

    @expire_ns.setter
    def expire_ns(self, int64_t value):
        if value or self.here().rare:
            self.table.make_rare(self.here()).expire_ns = value

    @property
    def connection(self):
        return self.table.rare_of(self.slot).connection if self.here().rare else 0

    @connection.setter
    def connection(self, int64_t value):
        if value or self.here().rare:
            self.table.make_rare(self.here()).connection = value

    @property
    def stop_price_ticks(self):
        return self.table.rare_of(self.slot).stop_price_ticks if self.here().rare else 0

    @property
    def display_quantity(self):
        return self.table.rare_of(self.slot).display_quantity if self.here().rare else 0

    @property
    def min_quantity(self):
        return self.table.rare_of(self.slot).min_quantity if self.here().rare else 0

    @property
    def may_rest(self):
        return TIMES[self.here().time_in_force] in LASTING

    @property
    def filled(self):
        return <int64_t>self.here().quantity - self.slot.leaves_quantity
