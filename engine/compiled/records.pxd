"""The records of a shard as C fields, under the law's names (`engine.state`, `engine.row`): what both kinds
of rooms work on.

A field that the law shows as a member of an enumeration has its number here as `..._code`. Orders are
`engine.compiled.orders`.
"""

from libc.stdint cimport UINT32_MAX, int64_t, uint8_t, uint32_t, uint64_t

from engine.compiled.ordered cimport PairSet
from engine.compiled.orders cimport Orders
from engine.compiled.remembered cimport RememberedIds
from engine.compiled.slots cimport OrderSlot, Slots, slot_at
from engine.compiled.tables cimport IdMemory, IdTable
from engine.grid_fast cimport FastGrid

cdef enum:
    POT_COUNT = 9
    # So many of an account's closed orders stand in itself, before its memory takes them in together.
    CLOSED_FEW = 15


cdef struct AskList:
    # Slots of asks, oldest first, linked through themselves; 0 for none.
    uint32_t first
    uint32_t last
    uint32_t count


cdef inline void link_ask(const Slots *slots, AskList *asks, OrderSlot *slot, uint32_t index) noexcept nogil:
    """The newest."""
    slot.row_prev, slot.row_next = asks.last, 0
    if asks.last:
        slot_at(slots, asks.last).row_next = index
    else:
        asks.first = index
    asks.last = index
    asks.count += 1


cdef inline void unlink_ask(const Slots *slots, AskList *asks, OrderSlot *slot) noexcept nogil:
    if slot.row_prev:
        slot_at(slots, slot.row_prev).row_next = slot.row_next
    else:
        asks.first = slot.row_next
    if slot.row_next:
        slot_at(slots, slot.row_next).row_prev = slot.row_prev
    else:
        asks.last = slot.row_prev
    slot.row_prev = slot.row_next = 0
    asks.count -= 1


cdef class Asks:
    """The asks of a row, of spot or firm, oldest first; a dict of ids to None for Python rooms."""
    cdef Row row
    cdef bint spot

    cdef AskList *here(self) noexcept


cdef class Account:
    # What every order touches comes first, so that it is read at once.
    cdef public uint32_t account
    cdef public uint32_t open_orders
    # Slots of its live orders, in order of entry; 0 for none.
    cdef uint32_t first_order
    cdef uint32_t last_order
    cdef public uint32_t leases
    cdef public bint killed
    # Of the newest closed orders, which `note_closed` and `take_closed_in` alone change: of how many at most
    # one is remembered, how many stand here, and how each ended. Python rooms see all as `closed_orders`, and
    # ask for it anew whenever they look: what closes later isn't in it.
    cdef uint32_t closed_most
    cdef uint8_t closed_count
    cdef uint8_t closed_statuses[15]
    # What its last bid said where to deliver.
    cdef bytes last_delivery
    cdef public int64_t max_open_orders
    cdef public int64_t max_notional_micros
    cdef public int64_t max_gpus
    cdef public int64_t gpus
    cdef public int64_t maker_fee_ppm
    cdef public int64_t taker_fee_ppm
    # Its money by Pot; Python rooms see them as `pots`.
    cdef int64_t micros[9]
    cdef uint64_t closed_ids[15]
    cdef IdMemory closed_before
    cdef readonly IdMemory wiped_leases
    cdef public uint32_t obligations
    cdef public int64_t dead_man_ns
    cdef public tuple offers
    cdef readonly RememberedIds client_ids
    cdef readonly RememberedIds older_live_ids
    cdef public dict quote_sets


cdef inline int take_closed_in(Account account) except -1:
    """What stands in the account goes to its memory, all of it or nothing."""
    if account.closed_count == 0:
        return 0
    if not account.closed_before.remember_many(
        account.closed_ids, account.closed_statuses, account.closed_count, account.closed_most
    ):
        raise MemoryError("no memory for closed orders")
    account.closed_count = 0
    return 0


cdef inline int note_closed(Account account, uint64_t order_id, uint8_t status, uint64_t most) except -1:
    """How an order ended that was live; of more than so many the oldest is forgotten."""
    cdef uint32_t bound = <uint32_t>most if most < UINT32_MAX else UINT32_MAX
    if account.closed_count == CLOSED_FEW or account.closed_most != bound:
        take_closed_in(account)
        account.closed_most = bound
    account.closed_ids[account.closed_count] = order_id
    account.closed_statuses[account.closed_count] = status
    account.closed_count += 1
    return 0


cdef inline int closed_status(Account account, uint64_t order_id) except -2:
    """How an order ended, by its number; -1: it isn't remembered."""
    cdef uint8_t place
    if account.closed_before.ring.count + account.closed_count > account.closed_most:
        # The oldest is to be forgotten first.
        take_closed_in(account)
    for place in range(account.closed_count):
        if account.closed_ids[place] == order_id:
            return account.closed_statuses[place]
    return account.closed_before.find(order_id)


cdef inline IdMemory closed_orders_of(Account account):
    """All that it remembers of closed orders, up to now."""
    take_closed_in(account)
    return account.closed_before


cdef class Pots:
    """An account's money by Pot: a list of POT_COUNT numbers to Python rooms."""
    cdef Account owner


cdef class Row:
    # What every ask touches comes first, as with accounts.
    cdef readonly uint32_t account
    cdef readonly uint32_t baron
    cdef readonly FastGrid grid
    cdef AskList spot_list
    cdef AskList firm_list
    cdef public int64_t spot_asked_gpus
    cdef public int64_t spot_gpus
    cdef public int64_t look_ahead_ns
    cdef Orders orders
    # Its offers by instrument, which Python rooms see as `listings`; None for none.
    cdef dict listed
    cdef public int64_t firm_gpus
    cdef public int64_t own_gpus
    cdef public int64_t leaving_gpus
    cdef readonly IdMemory firm_leases
    cdef readonly PairSet spot_leases
    cdef public dict claims
    # (account, baron)
    cdef readonly tuple key


cdef class Baron:
    cdef public uint32_t baron
    cdef public uint32_t provider
    cdef public int64_t verified_gpus
    cdef public int64_t leased_gpus
    cdef public int64_t unwiped_gpus
    cdef public bint simulated
    cdef public bint draining
    cdef uint8_t presence_code
    # What Cython rooms know it by, filled in when one first asks (`engine.compiled.standing`): its
    # provider's row, and the instruments of its market.
    cdef uint32_t spot_instrument
    cdef uint32_t ondemand_instrument
    cdef Row own_row
    # Leases of its GPUs, by id; none before the first.
    cdef IdTable leases
    cdef public str sku
    cdef public str region
    cdef public int64_t features
    cdef public int64_t rating
    cdef public int64_t heard_ns
    cdef public int64_t offer_due_ns

    cdef int64_t counted(self) noexcept nogil


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
    cdef public bint returned
    cdef public bint same_baron
    cdef uint8_t kind_code
    cdef uint8_t state_code
    cdef uint8_t reason_code
    cdef public bytes access
    cdef public bytes delivery
    cdef public str detail
    # Its prices, where it had several; none before anybody asks.
    cdef list priced

    cdef bint is_live(self) noexcept nogil


cdef class Draft


cdef class Drafts:
    """A command's drafts in the order in which they began; for Python rooms a dict by the law's keys."""
    # Theirs are those from `first` to `count`. Those before are leases already, those behind were drafts of
    # commands before and begin anew.
    cdef list pool
    cdef Py_ssize_t first
    cdef Py_ssize_t count

    # Before a command.
    cdef int forget(self) except -1
    # The next, with what it is to be told yet: its orders, price, ids, and who took.
    cdef Draft begin(self)
    cdef int add(self, Draft draft) except -1
    cdef Draft find(
        self, const OrderSlot *bid, const OrderSlot *ask, int64_t price_ticks, bint bid_takes, bint ask_takes
    )


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

    cdef void empty(self) noexcept
