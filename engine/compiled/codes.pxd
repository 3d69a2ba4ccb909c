"""Numbers of the market's closed vocabularies (`engine.kinds`, `engine.timers`), as far as C rooms name
them.
"""


cpdef enum Kinds:
    KIND_SPOT = 1
    KIND_ONDEMAND = 2
    KIND_FORWARD = 3


cpdef enum Sides:
    SIDE_BUY = 1
    SIDE_SELL = 2


cpdef enum OrderTypes:
    TYPE_LIMIT = 1
    TYPE_MARKET = 2


cpdef enum Times:
    TIME_GTC = 1
    TIME_IOC = 2
    TIME_FOK = 3


cpdef enum Origins:
    ORIGIN_CLIENT = 1
    ORIGIN_OFFER = 3
    ORIGIN_COVER = 5


cpdef enum Statuses:
    STATUS_FILLED = 3
    STATUS_CANCELED = 4
    STATUS_EXPIRED = 5


cpdef enum LeaseStates:
    STATE_PROVISIONING = 2


cpdef enum PotCodes:
    POT_AVAILABLE = 1
    POT_HELD = 2
    POT_ESCROW = 3
    POT_BOND = 5
    POT_FEES = 6
    POT_CASH = 8


cpdef enum TransferCodes:
    CODE_HOLD = 3
    CODE_RELEASE = 4
    CODE_PREPAY = 5
    CODE_FEE = 8
    CODE_BOND = 10
    CODE_COVER = 12


cpdef enum TimerKinds:
    TIMER_WINDOW_CLOSED = 2
    TIMER_TERM_END = 5
    TIMER_OBLIGATION_START = 8
    TIMER_LOOK_AHEAD = 15
