# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Whether an order is plain and may enter; `engine.order_terms` and `engine.matching` are the law.

Nothing is changed here, and what isn't known to be allowed isn't refused either: the law's rooms look at it.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset

from engine.book_fast cimport FastBook
from engine.compiled.client_ids cimport is_valid
from engine.compiled.codes cimport (
    KIND_FORWARD, KIND_SPOT, SIDE_BUY, TIME_FOK, TIME_GTD, TIME_IOC, TYPE_LIMIT,
)
from engine.compiled.commands cimport PlainCommand
from engine.compiled.forwards cimport is_own_sale
from engine.compiled.records cimport Account, Baron
from engine.compiled.slots cimport OrderSlot, index_of, slot_at
from engine.compiled.standing cimport account_of, firm_free, hour_of, spot_free
from engine.compiled.state cimport Core, Listed
from engine.fast.core cimport NO_KEY, Fills, Ladder
from engine.fast.levels cimport price_of_key
from engine.fast.questions cimport walk_dry
from engine.fast.records cimport CommandRecord

from engine.units import PRICE_MAX_TICKS, QUANTITY_MAX

cdef enum:
    WINDOW_LEAST_H = 2

cdef int64_t PRICE_MOST = PRICE_MAX_TICKS
cdef int64_t QUANTITY_MOST = QUANTITY_MAX


cdef bint is_plain(Core state, const PlainCommand *command) noexcept nogil:
    """Whether an order has nothing rare, and the values of its fields make sense."""
    cdef bint lasts = command.time_in_force not in (TIME_IOC, TIME_FOK)
    cdef int64_t expires_after_ns = state.last_ts_ns if command.time_in_force == TIME_GTD else -1
    return (
        command.order_type == TYPE_LIMIT and is_valid(state, &command.tag) and command.connection >= 0
        and command.expire_ns > expires_after_ns and (command.expire_ns == 0) == (expires_after_ns < 0)
        and command.stop_price_ticks == 0 and command.display_quantity == 0
        and command.min_quantity == 0 and command.lot == 0 and command.features == 0
        and command.min_rating == 0 and not command.same_baron and not command.reduce_only
        and 0 < command.quantity <= QUANTITY_MOST and 0 < command.price_ticks <= PRICE_MOST
        and (not command.post_only or lasts)
        and command.instrument > 0 and command.account > 0
    )


cdef bint is_bid(Core state, const PlainCommand *command, uint8_t kind) noexcept nogil:
    """Whether a plain order's fields are a bid's; on a forward, who buys may say later where to deliver."""
    cdef int64_t least = 0 if kind == KIND_SPOT else 1
    if kind == KIND_FORWARD:
        return (
            command.baron == 0 and command.max_hours == 0 and command.min_hours == 0 and command.hours == 0
            and <int64_t>command.delivery.size <= state.max_delivery_bytes
        )
    return (
        command.baron == 0 and command.max_hours == 0 and command.min_hours == 0
        and least <= command.hours <= state.max_term_hours and command.hours <= 0xFFFF
        and 0 < <int64_t>command.delivery.size <= state.max_delivery_bytes
    )


cdef bint is_ask(Core state, const PlainCommand *command, Listed listed, Baron baron) noexcept:
    """Whether a plain order's fields are an ask's, on its account's own Baron, which is open."""
    cdef bint fits = command.hours == 0 and command.delivery.size == 0 and baron.provider == command.account
    if not fits or baron.presence_code != 1 or baron.draining:
        return False
    if listed.kind_code == KIND_SPOT:
        fits = baron.spot_instrument == listed.instrument
        return fits and command.max_hours == 0 and command.min_hours == 0
    return (
        baron.ondemand_instrument == listed.instrument
        and WINDOW_LEAST_H <= command.max_hours <= state.max_term_hours
        and 0 <= command.min_hours < command.max_hours and command.min_hours <= 0xFFFF
    )


cdef bint has_room(Core state, Baron baron, const OrderSlot *ask) noexcept:
    """Whether an ask finds its GPUs free."""
    cdef uint32_t start_h = hour_of(state.last_ts_ns)
    if ask.kind == KIND_SPOT:
        return ask.leaves_quantity <= spot_free(state, baron, baron.own_row) - baron.own_row.spot_asked_gpus
    return start_h < ask.window_end_h and (
        ask.leaves_quantity <= firm_free(baron, baron.own_row, start_h, ask.window_end_h)
    )


cdef int64_t best_bid(FastBook book) noexcept nogil:
    """The best price on the bids' side; 0: there is none."""
    cdef Ladder *bids = &book.core.sides[0]
    return 0 if bids.best_key == NO_KEY else price_of_key(bids, bids.best_key)


cdef bint way_is_clear(
    Core state, Account account, FastBook book, const OrderSlot *order, const CommandRecord *command
) except -1:
    """Whether no bound on leases or fills is in the order's way, so that it may simply enter
    (`matching.clear_way`).
    """
    cdef Fills fills
    cdef uint32_t leaves, index
    cdef uint64_t place
    cdef bint clear = True
    cdef Account bidder
    cdef int stop
    if order.post_only:
        return True
    if order.kind == KIND_FORWARD:
        return forwards_way_is_clear(state, account, book, order, command)
    if order.side == SIDE_BUY:
        return account.leases + state.max_looked <= state.max_leases
    if best_bid(book) < order.price_ticks:
        return True
    memset(&fills, 0, sizeof(fills))
    stop = walk_dry(&book.core, command, &fills, &leaves)
    if stop < 0 or <int64_t>fills.count > state.fills_left:
        clear = False
    elif not (order.time_in_force == TIME_FOK and leaves):
        for place in range(fills.count):
            index = index_of(&state.orders.slots, fills.order_ids[place])
            bidder = account_of(state, slot_at(&state.orders.slots, index).account)
            if bidder.leases + <int64_t>fills.count > state.max_leases:
                clear = False
                break
    free(fills.order_ids)
    free(fills.prices)
    free(fills.quantities)
    return clear


cdef bint forwards_way_is_clear(
    Core state, Account account, FastBook book, const OrderSlot *bid, const CommandRecord *command
) except -1:
    """The same of a forward's bid: whether all that it meets are providers' own hours, and its account may
    have so many obligations more.
    """
    cdef Fills fills
    cdef uint32_t leaves, index
    cdef uint64_t place
    cdef bint clear
    memset(&fills, 0, sizeof(fills))
    clear = walk_dry(&book.core, command, &fills, &leaves) >= 0 and <int64_t>fills.count <= state.fills_left
    clear = clear and account.obligations + <int64_t>fills.count <= state.max_obligations
    if clear and not (bid.time_in_force == TIME_FOK and leaves):
        for place in range(fills.count):
            index = index_of(&state.orders.slots, fills.order_ids[place])
            if not is_own_sale(state, bid, slot_at(&state.orders.slots, index)):
                clear = False
                break
    free(fills.order_ids)
    free(fills.prices)
    free(fills.quantities)
    return clear
