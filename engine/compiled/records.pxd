"""The records of a shard as C fields, under the law's names (`engine.state`, `engine.row`): what both kinds of rooms work on.

A field that the law shows as a member of an enumeration has its number here as `..._code`. An order is a slot of 72 bytes,
since a million of them rest; the class `Order` is what Python rooms hold of one. What few orders have stands in `Rare`.
"""

from cpython.object cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from *:
    """
    typedef struct {
        uint64_t order_id;
        union {
            PyObject *delivery;
            struct { uint32_t row_prev, row_next; };
        };
        uint32_t account, instrument;
        int32_t price_ticks, hold_ticks;
        uint32_t quantity, leaves_quantity;
        uint32_t baron, window_end_h;
        uint32_t account_prev, account_next;
        uint32_t rare, behind;
        uint16_t hours, lot;
        uint32_t side : 2, kind : 2, order_type : 3, time_in_force : 3, origin : 3, self_trade : 2, features : 4,
            min_rating : 7, post_only : 1, armed : 1, same_baron : 1, admitted : 1, gone : 1;
    } hourbook_order;
    """
    ctypedef struct OrderSlot "hourbook_order":
        uint64_t order_id
        # A bid's, owned, NULL for none; an ask has its neighbours in its row's list there: indices, 0 for none.
        PyObject *delivery
        uint32_t row_prev
        uint32_t row_next
        uint32_t account
        uint32_t instrument
        int32_t price_ticks
        int32_t hold_ticks
        uint32_t quantity
        uint32_t leaves_quantity
        uint32_t baron
        # A window ends with a full hour.
        uint32_t window_end_h
        # Its neighbours among its account's live orders, in order of entry.
        uint32_t account_prev
        uint32_t account_next
        # Its place among the rare terms, 0 for none; the next slot of its chain, or of the free ones.
        uint32_t rare
        uint32_t behind
        # A bid's term, or the shortest that an ask sells (`min_hours`).
        uint16_t hours
        uint16_t lot
        # Numbers of `engine.kinds`, in a few bits each.
        uint32_t side
        uint32_t kind
        uint32_t order_type
        uint32_t time_in_force
        uint32_t origin
        uint32_t self_trade
        uint32_t features
        uint32_t min_rating
        uint32_t post_only
        uint32_t armed
        uint32_t same_baron
        # In the table of live orders; was in it until this command.
        uint32_t admitted
        uint32_t gone


cdef enum:
    POT_COUNT = 9
    # Slots of a chunk of the pool.
    CHUNK_BITS = 12
    CHUNK = 4096


cdef class Rare:
    """What few orders have."""
    cdef object client_order_id
    cdef object tag
    cdef object quote_set
    cdef int64_t expire_ns
    cdef int64_t connection
    cdef int32_t stop_price_ticks
    cdef uint32_t display_quantity
    cdef uint32_t min_quantity


cdef class Orders:
    """All live orders by id, in slots that never move, and the slots themselves."""
    cdef OrderSlot **chunks
    cdef uint32_t *heads
    cdef uint32_t shift
    cdef uint32_t chunk_count
    # Slots that were ever used (0 is nobody's), the first free one, and those to be freed with the next command.
    cdef uint32_t used
    cdef uint32_t free_slot
    cdef uint32_t live
    cdef uint32_t hashed
    cdef uint32_t gone
    cdef uint32_t gone_capacity
    cdef uint32_t *gone_slots
    cdef list rares
    cdef list free_rares

    cdef OrderSlot *at(self, uint32_t index) noexcept nogil
    # A fresh slot, cleared; its index at `index`. NULL with MemoryError.
    cdef OrderSlot *take(self, uint32_t *index) except NULL
    # The slot of a live order, or NULL.
    cdef OrderSlot *find(self, uint64_t order_id) noexcept nogil
    # The same where it is live, or was until this command; its index, or 0.
    cdef uint32_t index_of(self, uint64_t order_id) noexcept nogil
    # An order is live from now on; it is live no more, and its slot stays as it is until `sweep`.
    cdef int admit(self, uint32_t index) except -1
    cdef void drop(self, OrderSlot *slot, uint32_t index) noexcept
    # Free what went in the last command.
    cdef void sweep(self) noexcept
    cdef Rare rare_of(self, OrderSlot *slot)
    cdef Rare make_rare(self, OrderSlot *slot)
    cdef Order handle(self, uint32_t index)


cdef class Order:
    """What Python rooms hold of an order: its table and slot. Two of one slot are equal, but not one object."""
    cdef Orders table
    cdef OrderSlot *slot
    cdef uint64_t number
    cdef uint32_t index


cdef class Asks:
    """The asks of a row, oldest first, linked through their slots; a dict of ids to None for Python rooms."""
    cdef Orders table
    cdef uint32_t first
    cdef uint32_t last
    cdef uint32_t count

    cdef void link(self, OrderSlot *slot, uint32_t index) noexcept nogil
    cdef void unlink(self, OrderSlot *slot) noexcept nogil


cdef class Pots:
    """An account's money by Pot: a list of POT_COUNT numbers."""
    cdef int64_t micros[9]


cdef class Account:
    cdef public uint32_t account
    cdef public uint32_t open_orders
    cdef public uint32_t leases
    cdef public uint32_t obligations
    cdef public int64_t maker_fee_ppm
    cdef public int64_t taker_fee_ppm
    cdef public int64_t dead_man_ns
    cdef public int64_t gpus
    cdef public int64_t max_open_orders
    cdef public int64_t max_notional_micros
    cdef public int64_t max_gpus
    cdef public bint killed
    cdef readonly Pots pots
    cdef public tuple offers
    # Dicts, or what stands for them.
    cdef public object client_ids
    cdef public object older_live_ids
    cdef public object closed_orders
    cdef public object wiped_leases
    cdef public dict quote_sets
    # Slots of its live orders, in order of entry; 0 for none.
    cdef uint32_t first_order
    cdef uint32_t last_order


cdef class Baron:
    cdef public uint32_t baron
    cdef public uint32_t provider
    cdef public str sku
    cdef public str region
    cdef public int64_t verified_gpus
    cdef public int64_t leased_gpus
    cdef public int64_t unwiped_gpus
    cdef public int64_t features
    cdef public int64_t rating
    cdef public int64_t heard_ns
    cdef public int64_t offer_due_ns
    cdef public bint simulated
    cdef public bint draining
    cdef uint8_t presence_code

    cdef int64_t counted(self) noexcept nogil


cdef class Row:
    cdef readonly uint32_t account
    cdef readonly uint32_t baron
    cdef readonly object grid
    cdef readonly Asks spot_asks
    cdef readonly Asks firm_asks
    cdef public int64_t spot_asked_gpus
    cdef public int64_t spot_gpus
    cdef public int64_t leaving_gpus
    cdef public int64_t look_ahead_ns
    cdef public dict firm_leases
    cdef public dict listings
    cdef public dict claims
    cdef public object spot_leases


cdef class Lease:
    cdef public uint64_t lease_id
    cdef public uint64_t obligation_id
    cdef public uint64_t waits_for
    cdef public uint64_t promised_to
    cdef public uint32_t renter
    cdef public uint32_t provider
    cdef public uint32_t baron
    cdef public int64_t quantity
    cdef public int64_t offer_quantity
    cdef public int64_t price_ticks
    cdef public int64_t limit_ticks
    cdef public int64_t start_ns
    cdef public int64_t term_end_ns
    cdef public int64_t minimum_s
    cdef public int64_t renter_fee_ppm
    cdef public int64_t provider_fee_ppm
    cdef public int64_t prefund_micros
    cdef public int64_t usage_micros
    cdef public int64_t renter_fee_micros
    cdef public int64_t provider_fee_micros
    cdef public int64_t bond_micros
    cdef public int64_t active_ns
    cdef public int64_t ended_ns
    cdef public int64_t due_ns
    cdef public int64_t ends_ns
    cdef public int64_t auto_due_ns
    cdef public int64_t wipe_due_ns
    cdef public int64_t features
    cdef public int64_t min_rating
    cdef public bint auto_extend
    cdef public bint overdue
    cdef public bint same_baron
    cdef uint8_t kind_code
    cdef uint8_t state_code
    cdef uint8_t reason_code
    cdef public bytes access
    cdef public bytes delivery
    cdef public str detail
    cdef public list prices

    cdef bint is_live(self) noexcept nogil


cdef class Draft:
    """As the law's; an order that a draft names stays where it is until the command is over."""
    cdef Orders table
    cdef OrderSlot *bid_slot
    cdef OrderSlot *ask_slot
    cdef uint32_t bid_index
    cdef uint32_t ask_index
    cdef public uint64_t lease_id
    cdef public uint64_t obligation_id
    cdef public int64_t price_ticks
    cdef public int64_t share_micros
    cdef public int64_t ask_share_micros
    cdef public int64_t bond_ticks
    cdef public int64_t quantity
    cdef public int64_t offer_quantity
    cdef public int64_t limit_ticks
    cdef public bint bid_takes
    cdef public bint ask_takes
    cdef public bint auto_extend
