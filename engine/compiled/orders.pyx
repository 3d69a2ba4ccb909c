# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Live orders in slots: the pool, the hash of their ids, and the faces that Python rooms see
(`engine.state.Order`).

A slot is taken when an order is made, and belongs to that order's one handle until it is admitted. When it
goes, its slot stays readable until the next command begins, since drafts and handles name it. It knows no
rule of the market.
"""

cimport cython
from cpython.object cimport PyObject
from cpython.ref cimport Py_XDECREF, Py_XINCREF
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from engine.compiled.slots cimport (
    OrderSlot, close_slots, free_slot, index_of, open_slots, slot_at, take_slot, unhash_slot,
)

from engine.kinds import Kind, OrderType, Origin, Side, TimeInForce
from engine.records import SelfTrade

cdef enum:
    SELL = 2
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


@cython.final
cdef class Orders:
    def __cinit__(self):
        self.rares = [None]
        self.free_rares = []
        open_slots(&self.slots)

    def __dealloc__(self):
        cdef uint32_t index
        if self.slots.heads == NULL:
            return
        for index in range(1, self.slots.used):
            if slot_at(&self.slots, index).side != SELL:
                Py_XDECREF(slot_at(&self.slots, index).delivery)
        close_slots(&self.slots)

    # ---- what slots own

    cdef void sweep(self) noexcept:
        cdef uint32_t index = self.slots.first_gone
        cdef uint32_t following
        self.slots.first_gone = 0
        while index:
            following = slot_at(&self.slots, index).account_next
            unhash_slot(&self.slots, index)
            self.give(index)
            index = following

    cdef void give(self, uint32_t index) noexcept:
        cdef OrderSlot *slot = slot_at(&self.slots, index)
        cdef uint32_t rare = slot.rare
        cdef PyObject *delivery = slot.delivery if slot.side != SELL else NULL
        free_slot(&self.slots, index)
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

    # ---- for Python rooms: a dict of live orders by id

    cdef Order handle(self, uint32_t index):
        cdef Order order = Order.__new__(Order)
        order.table = self
        order.slot = slot_at(&self.slots, index)
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
        index = index_of(&self.slots, number)
        if index == 0 or not slot_at(&self.slots, index).admitted:
            return default
        return self.handle(index)

    def __getitem__(self, order_id):
        order = self.get(order_id)
        if order is None:
            raise KeyError(order_id)
        return order

    def __contains__(self, order_id):
        return self.get(order_id) is not None

    def __len__(self):
        return self.slots.live

    def values(self):
        """In no order of meaning."""
        cdef uint32_t index
        for index in range(1, self.slots.used):
            if slot_at(&self.slots, index).admitted:
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
        self, *, uint64_t order_id, uint32_t account, uint32_t instrument, kind, side, order_type,
        time_in_force, int32_t price_ticks, uint32_t quantity, uint32_t leaves_quantity, origin,
        bint post_only, str client_order_id, unsigned short hours, uint32_t baron, int64_t window_end_ns,
        bytes delivery, int32_t stop_price_ticks=0, uint32_t display_quantity=0, uint32_t min_quantity=0,
        self_trade=SelfTrade.CANCEL_NEWEST, uint32_t features=0, bint same_baron=False,
        unsigned short lot=0, unsigned short min_hours=0, str tag="", int64_t expire_ns=0,
        bint armed=False, int64_t connection=0, str quote_set="", uint32_t min_rating=0,
        int32_t hold_ticks=0,
    ):
        """An order that is in no table yet, as `engine.state.Order` makes one."""
        cdef uint32_t index
        cdef OrderSlot *slot
        cdef Rare rare
        if window_end_ns % HOUR_NS or features > 15 or min_rating > 127:
            raise ValueError("a window ends with an hour; features and ratings are small numbers")
        slot = take_slot(&self.slots, &index)
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
            client_order_id or tag or quote_set or expire_ns or connection or stop_price_ticks
            or display_quantity or min_quantity
        ):
            rare = self.make_rare(slot)
            rare.client_order_id, rare.tag, rare.quote_set = client_order_id, tag, quote_set
            rare.expire_ns, rare.connection, rare.stop_price_ticks = expire_ns, connection, stop_price_ticks
            rare.display_quantity, rare.min_quantity = display_quantity, min_quantity
        return made

    def copy(self, Order order):
        """The same terms once more, in no table."""
        cdef uint32_t index
        cdef OrderSlot *slot = take_slot(&self.slots, &index)
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
        if self.slot == NULL or self.slot.order_id != self.number:
            return
        if not (self.slot.admitted or self.slot.gone):
            self.table.give(self.index)

    cdef OrderSlot *here(self) except NULL:
        """Its slot; LookupError when it went with an earlier command."""
        if self.slot.order_id != self.number:
            raise LookupError(f"order {self.number} went with an earlier command")
        return self.slot

    def with_terms(self, int32_t price_ticks, uint32_t quantity, uint32_t leaves_quantity):
        """A copy with another price and total."""
        cdef Order made = self.table.copy(self)
        made.slot.price_ticks, made.slot.quantity = price_ticks, quantity
        made.slot.leaves_quantity = leaves_quantity
        return made

    def with_hold(self, int32_t hold_ticks):
        """A copy that is held at another price."""
        cdef Order made = self.table.copy(self)
        made.slot.hold_ticks = hold_ticks
        return made

    def __eq__(self, other):
        return isinstance(other, Order) and (<Order>other).slot == self.slot

    def __hash__(self):
        return <Py_hash_t>(self.number >> 1)

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
