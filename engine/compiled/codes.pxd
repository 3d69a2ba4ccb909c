"""Numbers of the law's vocabularies (`engine.kinds`, `engine.timers`) that compiled rooms name.

A test holds each against the law's member of that name.
"""

cdef enum:
    SIDE_BUY = 1
    SIDE_SELL = 2

    KIND_SPOT = 1
    KIND_ONDEMAND = 2
    KIND_FORWARD = 3

    TYPE_LIMIT = 1

    TIME_GTC = 1
    TIME_IOC = 2
    TIME_FOK = 3
    TIME_GTD = 4
    TIME_DAY = 5

    ORIGIN_CLIENT = 1
    ORIGIN_OFFER = 3
    ORIGIN_COVER = 5

    STATUS_NONE = 0
    STATUS_FILLED = 3
    STATUS_CANCELED = 4
    STATUS_EXPIRED = 5

    LEASE_SCHEDULED = 1
    LEASE_PROVISIONING = 2
    LEASE_ACTIVE = 3
    LEASE_ENDING = 4
    LEASE_ENDED = 5
    LEASE_FAILED = 6

    END_NONE = 0
    END_EXPIRED = 1
    END_PROVIDER_FAILED = 5
    END_UNPAID = 6
    END_QUIT = 7
    END_RENTER_FAILED = 8

    POT_AVAILABLE = 1
    POT_HELD = 2
    POT_ESCROW = 3
    POT_RECEIVABLE = 4
    POT_BOND = 5
    POT_FEES = 6
    POT_CASH = 8

    CODE_HOLD = 3
    CODE_RELEASE = 4
    CODE_PREPAY = 5
    CODE_USAGE = 6
    CODE_REFUND = 7
    CODE_FEE = 8
    CODE_BOND = 10
    CODE_COVER = 12

    TIMER_ORDER_EXPIRED = 1
    TIMER_WINDOW_CLOSED = 2
    TIMER_NOTICE_END = 4
    TIMER_TERM_END = 5
    TIMER_LEASE_HOUR = 6
    TIMER_OBLIGATION_START = 8
    TIMER_DELIVERY_END = 9
    TIMER_WIPE_OVERDUE = 10
    TIMER_MONTH_CLOSE = 11
    TIMER_AUTO_EXTEND = 12
    TIMER_LOOK_AHEAD = 15
