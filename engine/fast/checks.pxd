"""What a record must be before the book looks at its orders (docs/book.md, checks 1 and 5 to 13), and the
order in it.
"""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from engine.fast.core cimport (
    BARE, CONDITIONAL, MODE_SHIFT, POSTED, RARE, SELLS, BookCore, Taker, Terms, likely, unlikely,
)
from engine.fast.eligibility cimport is_conditional, is_rare
from engine.fast.records cimport (
    FLAG_POST_ONLY, FLAG_SAME_BARON, GIVEN_ANEW, GIVEN_PRICE, GIVEN_QUANTITY, OP_AMEND, OP_CANCEL, OP_FIRE,
    OP_MASS_CANCEL, OP_MOVE_WINDOW, OP_NEW, OP_REDUCE, OP_SET_BARON, OP_SET_SESSION, REASON_INVALID_ORDER,
    REASON_INVALID_PRICE, REASON_INVALID_QUANTITY, SELF_TRADE_DECREMENT, SESSION_EXPIRED, TIME_GTC,
    TYPE_LIMIT, TYPE_MARKET, TYPE_STOP, TYPE_STOP_LIMIT, CommandRecord,
)

cdef enum:
    TYPE_SHIFT = 1
    TIME_SHIFT = 3
    SELF_TRADE_SHIFT = 5
    TWO_BITS = 3
    SHAPE_UNKNOWN = 0x80
    RATING_MAX = 100


cdef inline bint is_reason(BookCore *core, uint8_t reason) noexcept nogil:
    """Whether a number is in the table of reasons."""
    return (core.reasons[reason >> 6] >> (reason & 63)) & 1


cdef inline bint is_malformed(BookCore *core, const CommandRecord *command) noexcept nogil:
    """Check 1: whether the record means nothing."""
    cdef uint8_t op = command.op
    if command.reserved:
        return True
    if likely(op == OP_NEW):
        return (
            command.order_id == 0 or command.shape & SHAPE_UNKNOWN != 0
            or ((command.shape >> TIME_SHIFT) & TWO_BITS) == TWO_BITS
            or command.flags & ~(FLAG_POST_ONLY | FLAG_SAME_BARON) != 0
        )
    if op == OP_CANCEL or op == OP_REDUCE:
        return command.order_id == 0 or not is_reason(core, command.reason)
    if op == OP_AMEND:
        return command.order_id == 0 or command.flags & ~(GIVEN_PRICE | GIVEN_QUANTITY | GIVEN_ANEW) != 0
    if op == OP_MOVE_WINDOW or op == OP_FIRE:
        return command.order_id == 0
    if op == OP_MASS_CANCEL:
        return command.flags == 0 or command.flags > 3 or not is_reason(core, command.reason)
    if op == OP_SET_SESSION:
        return command.shape == 0 or command.shape > SESSION_EXPIRED or not is_reason(core, command.reason)
    if op == OP_SET_BARON:
        return command.baron == 0 or command.min_rating > RATING_MAX
    return op == 0 or op > OP_FIRE


cdef inline bint shows_enough(BookCore *core, uint32_t display, uint32_t quantity) noexcept nogil:
    """Whether an iceberg shows enough of its quantity: refills are bounded that way (rulebook section 2)."""
    return display == 0 or core.limits.display_ratio == 0 or (
        <uint64_t>display * core.limits.display_ratio >= quantity
    )


cdef inline bint _is_price(BookCore *core, int32_t price, int32_t least) noexcept nogil:
    return least <= price <= core.limits.price_max


cdef inline uint8_t _rare_refusal(BookCore *core, const CommandRecord *command) noexcept nogil:
    """Checks 6 to 13 of an order that is more than a limit; 0 when it passes."""
    cdef uint8_t order_type = ((command.shape >> TYPE_SHIFT) & TWO_BITS) + 1
    cdef uint8_t time_in_force = ((command.shape >> TIME_SHIFT) & TWO_BITS) + 1
    cdef bint sells = command.shape & 1
    cdef bint stops = order_type == TYPE_STOP or order_type == TYPE_STOP_LIMIT
    cdef bint limited = order_type == TYPE_LIMIT or order_type == TYPE_STOP_LIMIT or (
        order_type == TYPE_STOP and not sells
    )
    cdef bint same_baron = command.flags & FLAG_SAME_BARON != 0
    cdef uint32_t most = command.quantity
    if not _is_price(core, command.price, limited):
        return REASON_INVALID_PRICE
    if stops and not _is_price(core, command.stop_price, 1):
        return REASON_INVALID_PRICE
    if command.stop_price != 0 and not stops:
        return REASON_INVALID_ORDER
    if order_type == TYPE_MARKET and time_in_force == TIME_GTC:
        return REASON_INVALID_ORDER
    if command.flags & FLAG_POST_ONLY and (order_type != TYPE_LIMIT or time_in_force != TIME_GTC):
        return REASON_INVALID_ORDER
    if not shows_enough(core, command.display_quantity, command.quantity):
        return REASON_INVALID_QUANTITY
    if command.display_quantity != 0 and command.display_quantity < most:
        most = command.display_quantity
    if command.min_quantity > most:
        return REASON_INVALID_QUANTITY
    if sells:
        if command.features or command.min_rating or same_baron:
            return REASON_INVALID_ORDER
    elif command.baron or command.lot or command.window_end_h:
        return REASON_INVALID_ORDER
    if command.min_rating > RATING_MAX or (same_baron and command.display_quantity):
        return REASON_INVALID_ORDER
    if command.lot > 1 and (command.quantity % command.lot or command.display_quantity % command.lot):
        return REASON_INVALID_QUANTITY
    if ((command.shape >> SELF_TRADE_SHIFT) & TWO_BITS) == SELF_TRADE_DECREMENT and (
        command.lot > 1 or command.min_quantity > 1 or same_baron
    ):
        return REASON_INVALID_ORDER
    return 0


cdef inline void _read_terms(const CommandRecord *command, Taker *taker) noexcept nogil:
    """What is rare about the order, normalized: a minimum, a lot or a term of 1 asks for nothing."""
    cdef Terms *terms = &taker.terms
    memset(terms, 0, sizeof(Terms))
    terms.display = command.display_quantity
    terms.shown = command.quantity
    terms.min_quantity = 0 if command.min_quantity == 1 else command.min_quantity
    terms.price = command.price
    terms.stop_price = command.stop_price
    terms.window_end_h = command.window_end_h
    terms.baron = command.baron
    terms.tag = command.tag
    terms.features = command.features
    terms.hours = 0 if command.hours == 1 else command.hours
    terms.lot = 0 if command.lot == 1 else command.lot
    terms.min_rating = command.min_rating
    terms.order_type = taker.order_type
    terms.time_in_force = taker.time_in_force
    terms.same_baron = command.flags & FLAG_SAME_BARON != 0
    if is_conditional(terms):
        taker.flags |= CONDITIONAL | RARE
    elif is_rare(terms) or taker.order_type == TYPE_STOP or taker.order_type == TYPE_STOP_LIMIT:
        taker.flags |= RARE


cdef inline bint says_more(const CommandRecord *command) noexcept nogil:
    """Whether a NEW record is more than a limit order."""
    return (
        command.display_quantity | command.min_quantity | <uint32_t>command.stop_price | command.window_end_h
        | command.baron | command.tag | command.features | command.hours | command.lot | command.min_rating
        | (command.shape & (TWO_BITS << TYPE_SHIFT)) | (command.flags & FLAG_SAME_BARON)
    ) != 0


cdef inline void read_order(const CommandRecord *command, Taker *taker) noexcept nogil:
    """The order of a NEW record that isn't malformed."""
    cdef uint32_t shape = command.shape
    taker.order_id = command.order_id
    taker.account = command.account
    taker.quantity = command.quantity
    taker.leaves = command.quantity
    taker.node = 0
    taker.price = command.price
    taker.mode = (shape >> SELF_TRADE_SHIFT) & TWO_BITS
    taker.sells = shape & 1
    taker.order_type = ((shape >> TYPE_SHIFT) & TWO_BITS) + 1
    taker.time_in_force = ((shape >> TIME_SHIFT) & TWO_BITS) + 1
    taker.flags = (
        (shape & 1) * SELLS | (command.flags & FLAG_POST_ONLY) * POSTED | <uint32_t>taker.mode << MODE_SHIFT
    )
    if not BARE and unlikely(says_more(command)):
        _read_terms(command, taker)


cdef inline uint8_t new_refusal(BookCore *core, const CommandRecord *command) noexcept nogil:
    """Checks 5 to 13 of a NEW record; 0 when it passes."""
    cdef uint32_t shape = command.shape
    if command.quantity == 0 or command.quantity > core.limits.quantity_max:
        return REASON_INVALID_QUANTITY
    if unlikely(says_more(command)):
        return REASON_INVALID_ORDER if BARE else _rare_refusal(core, command)
    if not _is_price(core, command.price, 1):
        return REASON_INVALID_PRICE
    if command.flags & FLAG_POST_ONLY and shape & (TWO_BITS << TIME_SHIFT):
        return REASON_INVALID_ORDER
    return 0
