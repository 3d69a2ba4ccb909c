"""The engine's table of reasons: why a command was rejected, an order cancelled or amended.

The number goes into the log, the name in lower case is the code at every door (REST, WebSocket, SDK), and the advice is
what the error tells its reader to do. The gateway adds its own codes (authentication, syntax, limits) beside these.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Reason(IntEnum):
    NONE = 0
    # accounts and money
    UNKNOWN_ACCOUNT = 1
    INSUFFICIENT_FUNDS = 2
    INVALID_AMOUNT = 3
    ACCOUNT_EXISTS = 4
    INVALID_LIMITS = 5
    GPU_LIMIT = 6
    NOTIONAL_LIMIT = 7
    ACCOUNT_KILLED = 8
    # listing
    UNKNOWN_INSTRUMENT = 10
    MARKET_EXISTS = 11
    INVALID_MARKET = 12
    # Barons and capacity
    UNKNOWN_BARON = 20
    NOT_YOUR_BARON = 21
    WRONG_MARKET = 22
    INSUFFICIENT_CAPACITY = 23
    BARON_EXISTS = 24
    INVALID_CAPACITY = 25
    INVALID_OFFER = 26
    TOO_MANY_OFFERS = 27
    INVALID_RATING = 28
    BARON_QUIET = 29
    BARON_DRAINED = 30
    INVALID_PRESENCE = 31
    # orders
    INVALID_PRICE = 40
    INVALID_QUANTITY = 41
    INVALID_HOURS = 42
    INVALID_ORDER = 43
    POST_ONLY_WOULD_TRADE = 44
    NO_LIQUIDITY = 45
    FOK_KILLED = 46
    SELF_TRADE = 47
    WALK_LIMIT = 48
    TOO_MANY_ORDERS = 49
    TOO_MANY_LEASES = 50
    DUPLICATE_CLIENT_ORDER_ID = 51
    UNKNOWN_ORDER = 52
    ORDER_CLOSED = 53
    NOTHING_TO_AMEND = 54
    NO_SSH_KEY = 55
    INVALID_DELIVERY = 56
    OFFER_ORDER = 57
    PRICE_ABOVE_MAXIMUM = 58
    # the book's records and sessions
    DUPLICATE_ORDER_ID = 60
    MALFORMED_RECORD = 61
    SESSION_CLOSED = 62
    TOO_MANY_CONDITIONAL = 63
    INVALID_EXPIRY = 64
    INVALID_QUOTES = 65
    INVALID_FEATURES = 66
    # leases
    UNKNOWN_LEASE = 70
    LEASE_ENDED = 71
    LEASE_NOT_PROVISIONING = 72
    LEASE_NOT_ENDED = 73
    INVALID_LEASE_REPORT = 74
    LEASE_UNDER_NOTICE = 75
    PRICE_NOT_HIGHER = 76
    NOT_SPOT = 77
    TOO_MANY_RAISES = 78
    NOT_ONDEMAND = 79
    TOO_EARLY_TO_EXTEND = 100
    CANNOT_EXTEND = 101
    INVALID_OUTAGE = 102
    LEASE_SCHEDULED = 110
    # obligations
    TOO_MANY_OBLIGATIONS = 120
    REDUCE_ONLY = 121
    UNKNOWN_OBLIGATION = 122
    NO_LEASE_NOW = 123
    NOT_RESERVED = 124
    NO_WHOLE_PERIOD = 125
    # why an order was cancelled or amended, by itself no error
    CONDITIONAL_LIMIT = 80
    OUTSIDE_BAND = 81
    INSTRUMENT_EXPIRED = 82
    EXPIRED = 83
    MASS_CANCELED = 84
    QUOTE_REPLACED = 85
    MAX_FILLS = 86
    DISCONNECTED = 87
    DEAD_MAN = 88
    REQUESTED = 90
    IOC_REMAINDER = 91
    MARKET_REMAINDER = 92
    CAPACITY_CUT = 93
    OFFER_CHANGED = 94
    WINDOW_CLOSED = 95
    WINDOW_MOVED = 96
    # the sequence itself
    TIME_TOO_LATE = 98
    TIME_WENT_BACK = 99


ADVICE: Final[dict[Reason, str]] = {
    Reason.UNKNOWN_ACCOUNT: "Open the account first.",
    Reason.INSUFFICIENT_FUNDS: "Deposit more, cancel open orders, or take fewer GPUs or a lower price. "
    "A bid holds its cost, an on-demand or forward ask its bond: an hour, or 10 % of the notional.",
    Reason.INVALID_AMOUNT: "Give a positive amount of at most 100000000000 dollars.",
    Reason.ACCOUNT_EXISTS: "Use it, or open one under another number.",
    Reason.INVALID_LIMITS: "Give a limit inside its bounds, or null for the exchange's own bound alone.",
    Reason.GPU_LIMIT: "Cancel bids, end leases, or ask for fewer GPUs; an operator sets the account's limit (GET /v1/limits).",
    Reason.NOTIONAL_LIMIT: "Cancel orders, end leases, or bid for less; an operator sets the account's limit (GET /v1/limits).",
    Reason.ACCOUNT_KILLED: "An operator has stopped the account: cancel, end leases, and ask the exchange's administration.",
    Reason.UNKNOWN_INSTRUMENT: "Take a symbol from GET /v1/instruments.",
    Reason.MARKET_EXISTS: "Use its instruments.",
    Reason.INVALID_MARKET: "Give a SKU and a region of letters, digits and hyphens.",
    Reason.UNKNOWN_BARON: "Take a Baron from GET /v1/barons.",
    Reason.NOT_YOUR_BARON: "Name a Baron of your own account, from GET /v1/barons; "
    "or one whose hours you bought, from GET /v1/positions.",
    Reason.WRONG_MARKET: "The Baron's SKU and region must be the instrument's.",
    Reason.INSUFFICIENT_CAPACITY: "Offer no more GPUs than are verified and free on the Baron in each hour that the ask is for; "
    "of bought hours, no more than you hold (GET /v1/positions) and don't offer already.",
    Reason.BARON_EXISTS: "Use it, or register another under another number.",
    Reason.INVALID_CAPACITY: "Give from 0 to 100000 GPUs.",
    Reason.INVALID_OFFER: "An offer names your Baron, an instrument of its market once, a price and 1 to 100000 GPUs.",
    Reason.TOO_MANY_OFFERS: "Send fewer offers in one list.",
    Reason.INVALID_RATING: "Give a rating from 0 to 100.",
    Reason.BARON_QUIET: "The exchange hasn't heard of the Baron for a minute: see to its agent, and try again.",
    Reason.BARON_DRAINED: "Its provider has taken it out of the market (POST /v1/barons/{id}/drain lets it back in): wait, "
    "or sell on another.",
    Reason.INVALID_PRESENCE: "Say when a lost Baron was heard of last, no later than now, and nothing of any other.",
    Reason.INVALID_PRICE: "Give a price from 0.0001 to 1000.0000 on the grid of 0.0001.",
    Reason.INVALID_QUANTITY: "Give from 1 to 100000 GPUs.",
    Reason.INVALID_HOURS: "Give whole hours inside the limits of the instrument's kind; "
    "a forward has none, for its period is its hours.",
    Reason.INVALID_ORDER: "Leave out the fields that this side, type or kind of order doesn't have.",
    Reason.POST_ONLY_WOULD_TRADE: "Price the order so that it doesn't cross the book.",
    Reason.NO_LIQUIDITY: "Nobody offers that now; rest a limit order, or try other regions, hours or fewer GPUs.",
    Reason.FOK_KILLED: "The whole quantity is not there at your price; ask for less, pay more, or rest a limit order.",
    Reason.SELF_TRADE: "The order would trade with your own; cancel that one first.",
    Reason.WALK_LIMIT: "As many resting orders were looked at as one command may; send the rest again, or before an auction at a "
    "price that crosses fewer.",
    Reason.TOO_MANY_ORDERS: "Cancel open orders before placing more.",
    Reason.TOO_MANY_LEASES: "End leases before opening more.",
    Reason.DUPLICATE_CLIENT_ORDER_ID: "Use a new client id: this one was used with other content.",
    Reason.UNKNOWN_ORDER: "Take the id from your own orders.",
    Reason.ORDER_CLOSED: "Nothing of it is left to change; its final state is given as order_status.",
    Reason.NOTHING_TO_AMEND: "Give a price, a quantity or an expiry that differs from the order's.",
    Reason.NO_SSH_KEY: "Add an SSH key to the account, or give one with the rental.",
    Reason.INVALID_DELIVERY: "Keep the delivery data under 8 KiB.",
    Reason.OFFER_ORDER: "The order belongs to an offer; change it through PUT /v1/asks.",
    Reason.PRICE_ABOVE_MAXIMUM: "The best price is above your maximum; raise max_price or wait.",
    Reason.DUPLICATE_ORDER_ID: "The id is a live order's; number orders anew.",
    Reason.MALFORMED_RECORD: "Write the record as docs/book.md lays it out.",
    Reason.SESSION_CLOSED: "GET /v1/instruments says what session it is; wait for one that takes this, as continuous does.",
    Reason.TOO_MANY_CONDITIONAL: "Cancel a conditional order of this instrument first: an account has 16.",
    Reason.INVALID_EXPIRY: "Give a time that is still to come.",
    Reason.INVALID_QUOTES: "Give the set a name of letters, digits, `_` and `-`, and at most 256 quotes.",
    Reason.INVALID_FEATURES: "Name features from the list that the documentation gives.",
    Reason.OUTSIDE_BAND: "A trade would print more than 30 % from the reference price; wait, or price the order inside the band.",
    Reason.INSTRUMENT_EXPIRED: "Trading in it has ended; GET /v1/instruments says what is listed.",
    Reason.UNKNOWN_LEASE: "Take the id from your own leases.",
    Reason.LEASE_ENDED: "Nothing of it can be ended, changed or released any more; GET /v1/leases?open=true has those that live.",
    Reason.LEASE_NOT_PROVISIONING: "Only a lease that is being provisioned can become active.",
    Reason.LEASE_NOT_ENDED: "Only a lease that has ended can be wiped.",
    Reason.INVALID_LEASE_REPORT: "Report a time from the lease's start to now, and at most 8 KiB of access data.",
    Reason.LEASE_UNDER_NOTICE: "The lease has notice and ends; rent another.",
    Reason.PRICE_NOT_HIGHER: "Give a price above the one that the lease pays.",
    Reason.NOT_SPOT: "Only a spot lease's price can be raised.",
    Reason.TOO_MANY_RAISES: "The price was raised as often as it may be; rent another lease, and end this one.",
    Reason.NOT_ONDEMAND: "Only an on-demand lease is extended: a spot lease runs on by itself.",
    Reason.TOO_EARLY_TO_EXTEND: "Extend from ten minutes before the end of the term, or let the lease extend itself.",
    Reason.CANNOT_EXTEND: "The lease's Baron offers no such hours now; rent on another before the term ends.",
    Reason.TOO_MANY_OBLIGATIONS: "Sell hours that you bought before buying more: an account holds at most 4096 obligations.",
    Reason.REDUCE_ONLY: "Leave out reduce_only: this is your own Baron, and its hours weren't bought.",
    Reason.UNKNOWN_OBLIGATION: "Take the id from your own obligations; one that was paid in full or sold is over.",
    Reason.NOT_RESERVED: "Only hours that were bought forward are released: end another lease with DELETE.",
    Reason.NO_WHOLE_PERIOD: "No listed forward lies whole in the hours that are left: release them on spot or on-demand.",
    Reason.NO_LEASE_NOW: "A lease delivers it already, or its last one isn't wiped yet: end that one, or wait.",
    Reason.INVALID_OUTAGE: "Report a time of this month in which the lease ran, up to now.",
    Reason.LEASE_SCHEDULED: "The lease waits for its GPUs, and nobody can displace it before it is active: raise its price then.",
    Reason.TIME_TOO_LATE: "Set the exchange's clock: it is beyond the year 2116.",
    Reason.TIME_WENT_BACK: "Commands carry times that never decrease.",
}
