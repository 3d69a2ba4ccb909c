"""The records of `engine.records` as C structs, and the numbers in them; the tests hold both equal.

Packed, because a caller's buffer may stand at any address; no field needs padding.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef packed struct CommandRecord:
    uint64_t order_id
    int64_t ts_ns
    uint32_t account
    int32_t price
    uint32_t quantity
    uint32_t display_quantity
    uint32_t min_quantity
    int32_t stop_price
    uint32_t window_end_h
    uint32_t baron
    uint32_t tag
    uint16_t features
    uint16_t hours
    uint16_t lot
    uint8_t min_rating
    uint8_t reason
    uint8_t op
    uint8_t shape
    uint8_t flags
    uint8_t reserved


cdef packed struct EventRecord:
    uint64_t order_id
    uint64_t other_id
    uint32_t command
    int32_t price
    uint32_t quantity
    uint32_t leaves
    uint32_t other_leaves
    uint8_t kind
    uint8_t side
    uint8_t reason
    uint8_t flags


cdef packed struct DeltaRecord:
    uint64_t unconditional
    uint64_t conditional
    int32_t price
    uint32_t orders
    uint32_t command
    uint8_t side
    uint8_t reserved[3]


cdef struct Sink:
    # Where a command's events go: from `next` up to `end`; then into the book's own buffer (`pending`).
    EventRecord *next
    EventRecord *end
    # What the events say as the index of their command.
    uint32_t command


cdef enum:
    BUY = 1
    SELL = 2

    OP_NEW = 1
    OP_CANCEL = 2
    OP_AMEND = 3
    OP_REDUCE = 4
    OP_MOVE_WINDOW = 5
    OP_MASS_CANCEL = 6
    OP_SET_BARON = 7
    OP_SET_SESSION = 8
    OP_TICK = 9
    OP_FIRE = 10

    TYPE_LIMIT = 1
    TYPE_MARKET = 2
    TYPE_STOP = 3
    TYPE_STOP_LIMIT = 4

    TIME_GTC = 1
    TIME_IOC = 2
    TIME_FOK = 3

    SESSION_PRE_OPEN = 1
    SESSION_AUCTION = 2
    SESSION_CONTINUOUS = 3
    SESSION_HALTED = 4
    SESSION_EXPIRED = 5

    SELF_TRADE_CANCEL_NEWEST = 0
    SELF_TRADE_CANCEL_OLDEST = 1
    SELF_TRADE_CANCEL_BOTH = 2
    SELF_TRADE_DECREMENT = 3

    FLAG_POST_ONLY = 1
    FLAG_SAME_BARON = 2

    GIVEN_PRICE = 1
    GIVEN_QUANTITY = 2
    GIVEN_ANEW = 4

    KIND_ACCEPTED = 1
    KIND_REJECTED = 2
    KIND_TRADE = 3
    KIND_CANCELED = 4
    KIND_AMENDED = 5
    KIND_TRIGGERED = 6
    KIND_REFILLED = 7
    KIND_SESSION = 8
    KIND_CLEARED = 9

    EVENT_KEPT_PRIORITY = 1
    EVENT_ARMED = 2
    EVENT_AUCTION = 4

    STOP_DONE = 0
    STOP_SELF_TRADE = 1
    STOP_WALK_LIMIT = 2
    STOP_OUTSIDE_BAND = 3

    REASON_NONE = 0
    REASON_INVALID_PRICE = 40
    REASON_INVALID_QUANTITY = 41
    REASON_INVALID_ORDER = 43
    REASON_POST_ONLY_WOULD_TRADE = 44
    REASON_NO_LIQUIDITY = 45
    REASON_FOK_KILLED = 46
    REASON_SELF_TRADE = 47
    REASON_WALK_LIMIT = 48
    REASON_UNKNOWN_ORDER = 52
    REASON_NOTHING_TO_AMEND = 54
    REASON_DUPLICATE_ORDER_ID = 60
    REASON_MALFORMED_RECORD = 61
    REASON_SESSION_CLOSED = 62
    REASON_TOO_MANY_CONDITIONAL = 63
    REASON_CONDITIONAL_LIMIT = 80
    REASON_OUTSIDE_BAND = 81
    REASON_INSTRUMENT_EXPIRED = 82
    REASON_MASS_CANCELED = 84
    REASON_REQUESTED = 90
    REASON_IOC_REMAINDER = 91
    REASON_MARKET_REMAINDER = 92
    REASON_WINDOW_MOVED = 96
    REASON_TIME_WENT_BACK = 99
