# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The records of a shard that aren't orders, compiled: `engine.state` and `engine.row` say what each field
means.

Each is made with the law's own arguments, and its fields are read and written by the law's names; a test
holds the names and first values of both against each other. It knows no rule of the market.
"""

cimport cython
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport _Py_REFCNT
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from engine.compiled.ordered cimport PairSet
from engine.compiled.orders cimport Order, Orders
from engine.compiled.slots cimport OrderSlot, Slots, index_of, slot_at
from engine.compiled.tables cimport IdMemory
from engine.grid_fast cimport FastGrid

from engine.kinds import EndReason, Kind, LeaseState, OrderStatus, Presence
from engine.reasons import Reason
from engine.units import RATING_NEW

cdef tuple KINDS = (None, *Kind)
cdef tuple LEASE_STATES = (None, *LeaseState)
cdef tuple END_REASONS = tuple(EndReason)
cdef tuple ORDER_STATUSES = tuple(OrderStatus)
# Of what is remembered as a set: its one member.
cdef tuple KNOWN = (None,)
cdef tuple PRESENCES = (None, *Presence)

cdef enum:
    SELL = 2
    STATE_ENDED = 5
    STATE_FAILED = 6
    PRESENCE_REPORTING = 1
    # So many stay for later commands.
    DRAFTS_KEPT = 64


@cython.final
@cython.no_gc
cdef class Asks:
    """The asks of a row, oldest first; a dict of their ids to None for Python rooms."""

    def __cinit__(self, Row row not None, bint spot):
        self.row, self.spot = row, spot

    cdef AskList *here(self) noexcept:
        return &self.row.spot_list if self.spot else &self.row.firm_list

    def __setitem__(self, uint64_t order_id, _):
        cdef Slots *slots = &self.row.orders.slots
        cdef uint32_t index = index_of(slots, order_id)
        if index == 0:
            raise KeyError(order_id)
        if slot_at(slots, index).side != SELL:
            # Where an ask has its links, a bid has where to deliver.
            raise ValueError(f"order {order_id} is no ask")
        if index != self.here().last and not slot_at(slots, index).row_next:
            link_ask(slots, self.here(), slot_at(slots, index), index)

    def __delitem__(self, uint64_t order_id):
        cdef Slots *slots = &self.row.orders.slots
        cdef uint32_t index = index_of(slots, order_id)
        if index == 0 or (index != self.here().first and not slot_at(slots, index).row_prev):
            raise KeyError(order_id)
        if slot_at(slots, index).side != SELL:
            raise KeyError(order_id)
        unlink_ask(slots, self.here(), slot_at(slots, index))

    def update(self, order_ids):
        for order_id in order_ids:
            self[order_id] = None

    def __len__(self):
        return self.here().count

    def __iter__(self):
        cdef uint32_t index = self.here().first
        while index:
            yield slot_at(&self.row.orders.slots, index).order_id
            index = slot_at(&self.row.orders.slots, index).row_next

    def __reversed__(self):
        cdef uint32_t index = self.here().last
        while index:
            yield slot_at(&self.row.orders.slots, index).order_id
            index = slot_at(&self.row.orders.slots, index).row_prev

    def __repr__(self):
        return repr(dict.fromkeys(self))


@cython.final
@cython.no_gc
cdef class Pots:
    """An account's money by Pot, as a list."""

    def __cinit__(self, Account owner not None):
        self.owner = owner

    def __getitem__(self, Py_ssize_t pot):
        if not 0 <= pot < POT_COUNT:
            raise IndexError(pot)
        return self.owner.micros[pot]

    def __setitem__(self, Py_ssize_t pot, int64_t micros):
        if not 0 <= pot < POT_COUNT:
            raise IndexError(pot)
        self.owner.micros[pot] = micros

    def __len__(self):
        return POT_COUNT

    def __repr__(self):
        return repr(list(self))


@cython.final
@cython.no_gc
cdef class Account:
    def __init__(
        self, *, uint32_t account, int64_t maker_fee_ppm, int64_t taker_fee_ppm, pots, uint32_t open_orders=0,
        uint32_t leases=0, tuple offers=(), client_ids=None, older_live_ids=None, closed_orders=None,
        wiped_leases=None, quote_sets=None, int64_t dead_man_ns=0, int64_t gpus=0, int64_t max_open_orders=0,
        int64_t max_notional_micros=0, int64_t max_gpus=0, bint killed=False, uint32_t obligations=0,
    ):
        self.account, self.open_orders = account, open_orders
        self.leases, self.obligations = leases, obligations
        self.maker_fee_ppm, self.taker_fee_ppm = maker_fee_ppm, taker_fee_ppm
        if len(pots) != POT_COUNT:
            raise ValueError(f"an account has {POT_COUNT} pots")
        for place in range(POT_COUNT):
            self.micros[place] = pots[place]
        self.offers = offers
        self.client_ids = RememberedIds(client_ids or ())
        self.older_live_ids = RememberedIds(older_live_ids or ())
        self.closed_before = IdMemory(ORDER_STATUSES, closed_orders or ())
        self.closed_count = 0
        self.wiped_leases = IdMemory(KNOWN, wiped_leases or ())
        self.quote_sets = {} if quote_sets is None else quote_sets
        self.dead_man_ns, self.gpus, self.killed = dead_man_ns, gpus, killed
        self.max_open_orders, self.max_gpus = max_open_orders, max_gpus
        self.max_notional_micros = max_notional_micros

    @property
    def pots(self):
        return Pots(self)

    @property
    def closed_orders(self):
        return closed_orders_of(self)


@cython.final
@cython.no_gc
cdef class Baron:
    def __init__(
        self, *, uint32_t baron, uint32_t provider, str sku, str region, int64_t verified_gpus=0,
        int64_t leased_gpus=0, int64_t unwiped_gpus=0, bint simulated=False, int64_t features=0,
        int64_t rating=RATING_NEW, presence=Presence.REPORTING, bint draining=False, int64_t heard_ns=0,
        int64_t offer_due_ns=0,
    ):
        self.baron, self.provider, self.sku, self.region = baron, provider, sku, region
        self.verified_gpus, self.leased_gpus, self.unwiped_gpus = verified_gpus, leased_gpus, unwiped_gpus
        self.simulated, self.draining, self.presence_code = simulated, draining, presence
        self.features, self.rating = features, rating
        self.heard_ns, self.offer_due_ns = heard_ns, offer_due_ns

    cdef int64_t counted(self) noexcept nogil:
        """What it can deliver in any hour."""
        cdef int64_t left = self.verified_gpus - self.unwiped_gpus
        return left if left > 0 else 0

    @property
    def counted_gpus(self):
        return self.counted()

    @property
    def presence(self):
        return PRESENCES[self.presence_code]

    @presence.setter
    def presence(self, uint8_t code):
        self.presence_code = code

    @property
    def shut(self):
        """Why it sells nothing more; NONE: it does."""
        if self.presence_code != PRESENCE_REPORTING:
            return Reason.BARON_QUIET
        return Reason.BARON_DRAINED if self.draining else Reason.NONE


@cython.final
@cython.no_gc
cdef class Row:
    def __init__(self, uint32_t account, uint32_t baron, FastGrid grid not None, Orders orders not None):
        self.account, self.baron, self.grid = account, baron, grid
        self.key = (account, baron)
        self.orders = orders
        self.firm_leases = IdMemory(KNOWN)
        self.claims = {}
        self.spot_leases = PairSet()

    @property
    def listings(self):
        return {} if self.listed is None else self.listed

    @listings.setter
    def listings(self, dict listings not None):
        self.listed = listings if listings else None

    @property
    def spot_asks(self):
        return Asks(self, True)

    @property
    def firm_asks(self):
        return Asks(self, False)


@cython.final
@cython.no_gc
@cython.freelist(256)
cdef class Lease:
    def __init__(
        self, *, uint64_t lease_id, uint32_t renter, uint32_t provider, uint32_t baron, uint8_t kind,
        int64_t quantity, int64_t offer_quantity, int64_t price_ticks, int64_t start_ns, int64_t term_end_ns,
        int64_t minimum_s, int64_t renter_fee_ppm, int64_t provider_fee_ppm, int64_t prefund_micros,
        uint8_t state=LeaseState.PROVISIONING, uint8_t reason=EndReason.NONE, int64_t active_ns=0,
        int64_t ended_ns=0, int64_t due_ns=0, int64_t usage_micros=0, int64_t renter_fee_micros=0,
        int64_t provider_fee_micros=0, bytes access=b"", str detail="", int64_t ends_ns=0, prices=None,
        int64_t limit_ticks=0, bint auto_extend=False, int64_t auto_due_ns=0, int64_t wipe_due_ns=0,
        bint overdue=False, bint returned=False, uint64_t waits_for=0, uint64_t promised_to=0,
        int64_t bond_micros=0, uint64_t obligation_id=0, bytes delivery=b"", int64_t features=0,
        int64_t min_rating=0, bint same_baron=False,
    ):
        self.lease_id, self.obligation_id = lease_id, obligation_id
        self.renter, self.provider, self.baron, self.kind_code = renter, provider, baron, kind
        self.quantity, self.offer_quantity, self.price_ticks = quantity, offer_quantity, price_ticks
        self.start_ns, self.term_end_ns, self.minimum_s = start_ns, term_end_ns, minimum_s
        self.renter_fee_ppm, self.provider_fee_ppm = renter_fee_ppm, provider_fee_ppm
        self.prefund_micros, self.bond_micros = prefund_micros, bond_micros
        self.state_code, self.reason_code = state, reason
        self.active_ns, self.ended_ns, self.due_ns, self.ends_ns = active_ns, ended_ns, due_ns, ends_ns
        self.usage_micros = usage_micros
        self.renter_fee_micros, self.provider_fee_micros = renter_fee_micros, provider_fee_micros
        self.access, self.detail, self.delivery = access, detail, delivery
        self.priced = prices
        self.limit_ticks, self.auto_extend, self.auto_due_ns = limit_ticks, auto_extend, auto_due_ns
        self.wipe_due_ns, self.overdue, self.returned = wipe_due_ns, overdue, returned
        self.waits_for, self.promised_to = waits_for, promised_to
        self.features, self.min_rating, self.same_baron = features, min_rating, same_baron

    def with_prices(self, int64_t price_ticks, list prices not None, int64_t term_end_ns):
        """A copy at another price, or to another end."""
        cdef Lease made = Lease.__new__(Lease)
        made.priced = prices
        made.lease_id, made.obligation_id = self.lease_id, self.obligation_id
        made.renter, made.provider, made.baron = self.renter, self.provider, self.baron
        made.kind_code = self.kind_code
        made.quantity, made.offer_quantity, made.price_ticks = self.quantity, self.offer_quantity, price_ticks
        made.start_ns, made.term_end_ns, made.minimum_s = self.start_ns, term_end_ns, self.minimum_s
        made.renter_fee_ppm, made.provider_fee_ppm = self.renter_fee_ppm, self.provider_fee_ppm
        made.prefund_micros, made.bond_micros = self.prefund_micros, self.bond_micros
        made.state_code, made.reason_code = self.state_code, self.reason_code
        made.active_ns, made.ended_ns, made.due_ns, made.ends_ns = (
            self.active_ns, self.ended_ns, self.due_ns, self.ends_ns
        )
        made.usage_micros = self.usage_micros
        made.renter_fee_micros, made.provider_fee_micros = self.renter_fee_micros, self.provider_fee_micros
        made.access, made.detail, made.delivery = self.access, self.detail, self.delivery
        made.limit_ticks, made.auto_extend = self.limit_ticks, self.auto_extend
        made.auto_due_ns = self.auto_due_ns
        made.wipe_due_ns, made.overdue = self.wipe_due_ns, self.overdue
        made.returned = self.returned
        made.waits_for, made.promised_to = self.waits_for, self.promised_to
        made.features, made.min_rating, made.same_baron = self.features, self.min_rating, self.same_baron
        return made

    cdef bint is_live(self) noexcept nogil:
        return self.state_code != STATE_ENDED and self.state_code != STATE_FAILED

    @property
    def live(self):
        return self.is_live()

    @property
    def prices(self):
        if self.priced is None:
            self.priced = []
        return self.priced

    @prices.setter
    def prices(self, list prices not None):
        self.priced = prices

    @property
    def kind(self):
        return KINDS[self.kind_code]

    @property
    def state(self):
        return LEASE_STATES[self.state_code]

    @state.setter
    def state(self, uint8_t code):
        self.state_code = code

    @property
    def reason(self):
        return END_REASONS[self.reason_code]

    @reason.setter
    def reason(self, uint8_t code):
        self.reason_code = code


@cython.final
@cython.no_gc
cdef class Drafts:
    def __cinit__(self):
        self.pool = []

    cdef int forget(self) except -1:
        self.first = self.count = 0
        if len(self.pool) > DRAFTS_KEPT:
            del self.pool[DRAFTS_KEPT:]
        return 0

    cdef Draft begin(self):
        cdef PyObject *pooled
        cdef Draft draft
        if self.count < PyList_GET_SIZE(self.pool):
            pooled = PyList_GET_ITEM(self.pool, self.count)
            # Whoever has kept one keeps it as it is.
            if _Py_REFCNT(pooled) == 1:
                self.count += 1
                (<Draft>pooled).empty()
                return <Draft>pooled
        draft = Draft.__new__(Draft)
        self.add(draft)
        return draft

    cdef int add(self, Draft draft) except -1:
        if self.count < len(self.pool):
            self.pool[self.count] = draft
        else:
            self.pool.append(draft)
        self.count += 1
        return 0

    cdef Draft find(
        self, const OrderSlot *bid, const OrderSlot *ask, int64_t price_ticks, bint bid_takes, bint ask_takes
    ):
        """The draft of a bid, a seller, its Baron, a price, and who took; None: there is none."""
        cdef Py_ssize_t place
        cdef Draft draft
        for place in range(self.first, self.count):
            draft = <Draft>PyList_GET_ITEM(self.pool, place)
            if (
                draft.bid_slot == bid and draft.price_ticks == price_ticks
                and draft.ask_slot.account == ask.account and draft.ask_slot.baron == ask.baron
                and draft.bid_takes == bid_takes and draft.ask_takes == ask_takes
            ):
                return draft
        return None

    def get(self, key):
        cdef Draft draft
        for draft in self.values():
            if (
                draft.bid_slot.order_id, draft.ask_slot.account, draft.ask_slot.baron, draft.price_ticks,
                draft.bid_takes, draft.ask_takes,
            ) == key:
                return draft
        return None

    def __setitem__(self, key, Draft draft not None):
        if self.get(key) is not None:
            raise KeyError(key)
        self.add(draft)

    def values(self):
        return self.pool[self.first:self.count]

    def clear(self):
        """There are none any more; those that there were stay as they are until the command is over."""
        self.first = self.count

    def __iter__(self):
        return iter(self.values())

    def __len__(self):
        return self.count - self.first


@cython.final
@cython.no_gc
cdef class Draft:
    def __init__(
        self, uint64_t lease_id, uint64_t obligation_id, Order bid not None, Order ask not None,
        int64_t price_ticks, bint bid_takes, bint ask_takes,
    ):
        self.table = bid.table
        self.bid_slot, self.bid_index = bid.slot, bid.index
        self.ask_slot, self.ask_index = ask.slot, ask.index
        self.lease_id, self.obligation_id, self.price_ticks = lease_id, obligation_id, price_ticks
        self.bid_takes, self.ask_takes = bid_takes, ask_takes

    cdef void empty(self) noexcept:
        """As one that is made."""
        self.lease_id = self.obligation_id = 0
        self.share_micros = self.ask_share_micros = self.bond_ticks = 0
        self.quantity = self.offer_quantity = self.limit_ticks = 0
        self.auto_extend = False

    @property
    def bid(self):
        return self.table.handle(self.bid_index)

    @property
    def ask(self):
        return self.table.handle(self.ask_index)
