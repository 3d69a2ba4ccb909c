"""Live orders: slots of 72 bytes that never move, a hash of their ids, and the faces that Python rooms see of them.

A million orders rest, so one is no object: the class `Order` is what Python rooms hold of a slot while they look at it.
A field that the law shows as a member of an enumeration has its number here. What few orders have stands in `Rare`.
"""

from cpython.object cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint16_t, uint32_t, uint64_t

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

    cdef Rare copy(self)


cdef class Orders:
    """All live orders by id, in slots that never move, and the slots themselves."""
    cdef OrderSlot **chunks
    cdef uint32_t *heads
    cdef uint32_t shift
    cdef uint32_t chunk_count
    # Slots that were ever used (0 is nobody's), the first free one, live orders, those and what went in this command,
    # and the first of what went, linked by `account_next`.
    cdef uint32_t used
    cdef uint32_t free_slot
    cdef uint32_t live
    cdef uint32_t hashed
    cdef uint32_t first_gone
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
    cdef void drop(self, uint32_t index) noexcept nogil
    # Free what went in the last command.
    cdef void sweep(self) noexcept
    cdef void give(self, OrderSlot *slot, uint32_t index) noexcept
    # Its rare terms, or None; the same, made if there are none.
    cdef Rare rare_of(self, OrderSlot *slot)
    cdef Rare make_rare(self, OrderSlot *slot)
    cdef int put_rare(self, OrderSlot *slot, Rare rare) except -1
    cdef int grow_pool(self) except -1
    cdef int grow_table(self) except -1
    cdef Order handle(self, uint32_t index)


cdef class Order:
    """What Python rooms hold of an order: its table and slot. Two of one slot are equal, and not one object."""
    cdef Orders table
    cdef OrderSlot *slot
    cdef uint64_t number
    cdef uint32_t index

    cdef OrderSlot *here(self) except NULL
