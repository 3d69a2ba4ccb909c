"""Events that leave the engine: everything that happened, as frozen types.

Settlement, provisioner, read models and market data live from them alone. Units are in the names: ticks, micros, ns, ppm.
A field that doesn't apply is 0 or empty. New fields are appended with a default, and tags are never used again, so that
old logs stay readable.
"""

from __future__ import annotations

import msgspec

from engine.commands import Offer
from engine.kinds import (
    EndReason,
    Kind,
    LeaseState,
    ObligationChange,
    OrderStatus,
    OrderType,
    Origin,
    Pot,
    Presence,
    Side,
    TimeInForce,
    TransferCode,
)
from engine.reasons import Reason
from engine.records import SelfTrade, Session


class _Event(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Base of all events."""


class AccountOpened(_Event, frozen=True, tag=1):
    account: int
    maker_fee_ppm: int
    taker_fee_ppm: int


class MarketListed(_Event, frozen=True, tag=2):
    """A market and its two instruments; instrument numbers count up from 1 in order of listing."""

    sku: str
    region: str
    spot_instrument: int
    ondemand_instrument: int


class BaronRegistered(_Event, frozen=True, tag=3):
    """Its rating is `engine.units.RATING_NEW` until a BaronRating says another."""

    baron: int
    provider: int
    sku: str
    region: str


class CapacityChanged(_Event, frozen=True, tag=4):
    """After any change: GPUs verified on the Baron, and GPUs held by leases from fill to wipe."""

    baron: int
    verified_gpus: int
    leased_gpus: int
    simulated: bool


class OffersSet(_Event, frozen=True, tag=5):
    """The account's standing offers, whole, as accepted."""

    account: int
    offers: tuple[Offer, ...]


class Accepted(_Event, frozen=True, tag=6):
    """An order was taken in. It rests with what its Traded events leave, unless a Canceled follows in the same command.

    price_ticks: limit, or the protection that was reckoned (a stop's own, or 0 until its Triggered). window_end_ns: end of
    an on-demand ask's fixed hours. armed: a stop that waits for its trigger, in no depth. quote_set: its set's name.
    """

    order_id: int
    account: int
    instrument: int
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    price_ticks: int
    quantity: int
    origin: Origin
    post_only: bool
    client_order_id: str
    hours: int
    baron: int
    window_end_ns: int
    stop_price_ticks: int = 0
    display_quantity: int = 0
    min_quantity: int = 0
    self_trade: SelfTrade = SelfTrade.CANCEL_NEWEST
    features: int = 0
    same_baron: bool = False
    lot: int = 0
    min_hours: int = 0
    tag: str = ""
    expire_ns: int = 0
    armed: bool = False
    quote_set: str = ""
    min_rating: int = 0


class Rejected(_Event, frozen=True, tag=7):
    """Nothing changed. `field` names the command's field where one is at fault; `*_micros`: of INSUFFICIENT_FUNDS.

    For a cancel or amend of what isn't live: `order_id`, `order_status` (NONE: unknown)."""

    account: int
    reason: Reason
    field: str = ""
    client_order_id: str = ""
    order_id: int = 0
    order_status: OrderStatus = OrderStatus.NONE
    needed_micros: int = 0
    available_micros: int = 0


class Duplicate(_Event, frozen=True, tag=8):
    """A client id came again with the same content: the first result stands. `order_id` is 0 for a deposit or withdrawal."""

    account: int
    client_order_id: str
    first_seq: int
    order_id: int


class Traded(_Event, frozen=True, tag=9):
    """A fill: the taker's order against one resting order, at the resting order's price (§6).

    auction: both rested, and the price is the auction's; the ask stands as maker, the bid as taker, and both pay as makers.
    displaced_lease_id: the spot lease that the bid displaced at its own limit; there is no ask then, and the maker's fields
    are 0 but its account and Baron (§7).
    """

    trade_id: int
    instrument: int
    price_ticks: int
    quantity: int
    maker_order_id: int
    taker_order_id: int
    maker_leaves: int
    taker_leaves: int
    taker_side: Side
    buyer: int
    seller: int
    baron: int
    lease_id: int
    auction: bool = False
    displaced_lease_id: int = 0


class Amended(_Event, frozen=True, tag=10):
    """An order changed: by its owner (REQUESTED), by its owner's other order (SELF_TRADE, with `decrement`), or cut, or its
    offer or window moved (CAPACITY_CUT, OFFER_CHANGED, WINDOW_MOVED).

    With `kept_priority` false it left its level and entered anew at the back, before any Traded of this command. An iceberg
    that kept its priority shows what it showed, at most what it leaves.
    """

    order_id: int
    account: int
    instrument: int
    price_ticks: int
    quantity: int
    leaves_quantity: int
    kept_priority: bool
    window_end_ns: int
    reason: Reason
    expire_ns: int = 0


class Canceled(_Event, frozen=True, tag=11):
    """An order is closed with `quantity` GPUs unfilled."""

    order_id: int
    account: int
    instrument: int
    quantity: int
    reason: Reason


class ObligationOpened(_Event, frozen=True, tag=12):
    """Baron of provider delivers `quantity` GPUs to holder in [start_ns, end_ns); end 0: open (§8)."""

    obligation_id: int
    lease_id: int
    provider: int
    holder: int
    baron: int
    instrument: int
    quantity: int
    price_ticks: int
    start_ns: int
    end_ns: int


class LeaseScheduled(_Event, frozen=True, tag=13):
    """A lease came to be, with all the provisioner needs: what is delivered, where, and the buyer's delivery blob.

    `state` is PROVISIONING when delivery starts at once. term_end_ns 0: no end. minimum_s: what a quitter pays.
    limit_ticks: the most at which an on-demand lease is extended; auto_extend: it does so by itself.
    """

    lease_id: int
    obligation_id: int
    order_id: int
    renter: int
    provider: int
    baron: int
    instrument: int
    kind: Kind
    quantity: int
    price_ticks: int
    start_ns: int
    term_end_ns: int
    minimum_s: int
    renter_fee_ppm: int
    provider_fee_ppm: int
    state: LeaseState
    delivery: bytes
    limit_ticks: int = 0
    auto_extend: bool = False


class LeaseChanged(_Event, frozen=True, tag=14):
    """A lease's new state, whole; an active one says it again at each full hour of use, when its charge was posted.

    active_ns, ended_ns: 0 until so. charged_micros: usage posted, fees not counted. ends_ns: when its notice is over (ENDING
    and after, with the notice's reason), 0 where it had none. overdue: it is over, has waited too long for its wipe, and gave
    its hours back; its GPUs count as verified no more until it is wiped (§4). delivery: said once, when a forward's lease that
    was scheduled without has it and is PROVISIONING. quantity: its GPUs now; a forward's lease has fewer than before when its
    holder sold some of them (§8). 0: an old log doesn't say it.
    """

    lease_id: int
    renter: int
    provider: int
    baron: int
    state: LeaseState
    reason: EndReason
    active_ns: int
    ended_ns: int
    charged_micros: int
    wiped: bool
    access: bytes
    detail: str
    ends_ns: int = 0
    auto_extend: bool = False
    overdue: bool = False
    delivery: bytes = b""
    quantity: int = 0


class Transfer(_Event, frozen=True, tag=15):
    """Money moved, more than 0, and all pots always sum to zero; ref: the order or lease it is of, 0: deposit, withdrawal."""

    debit_account: int
    debit_pot: Pot
    credit_account: int
    credit_pot: Pot
    amount_micros: int
    code: TransferCode
    ref: int


class BaronFeatures(_Event, frozen=True, tag=16):
    """The features of a Baron, whole."""

    baron: int
    features: int


class InstrumentSession(_Event, frozen=True, tag=17):
    """An instrument's session is now this one (§6); until_ns: when an auction by a breach ends, else 0.

    reason: OUTSIDE_BAND for such an auction, else NONE. reference_ticks: the reference price, rounded down; 0: none.
    """

    instrument: int
    session: Session
    reason: Reason
    reference_ticks: int
    until_ns: int


class AuctionCleared(_Event, frozen=True, tag=18):
    """An auction's result, before its trades: price, volume, and the surplus with its side (None: no surplus)."""

    instrument: int
    price_ticks: int
    quantity: int
    surplus_quantity: int
    surplus_side: Side | None


class Triggered(_Event, frozen=True, tag=19):
    """An armed stop enters the book now, at this limit or protection, with what it leaves."""

    order_id: int
    account: int
    instrument: int
    price_ticks: int
    leaves_quantity: int


class Refilled(_Event, frozen=True, tag=20):
    """An iceberg showed its last GPU and shows `quantity` anew, at the back of its level."""

    order_id: int
    account: int
    instrument: int
    price_ticks: int
    quantity: int
    leaves_quantity: int


class AllCanceled(_Event, frozen=True, tag=21):
    """A mass cancel's end: how many orders went, each with its Canceled before this."""

    account: int
    orders: int
    reason: Reason


class CancelAllAfterSet(_Event, frozen=True, tag=22):
    """The dead-man switch is set to `due_ns`; 0: it is off."""

    account: int
    due_ns: int


class QuotesSet(_Event, frozen=True, tag=23):
    """A set of quotes as accepted, after what went of the old one: its orders' ids, in the order of the command."""

    account: int
    name: str
    order_ids: tuple[int, ...]
    max_fills: int


class BaronRating(_Event, frozen=True, tag=24):
    """A Baron's rating, 0 to 100 (§10)."""

    baron: int
    rating: int


class AccountLimitsSet(_Event, frozen=True, tag=25):
    """An account's limits and kill switch, whole; 0: the shard's bound on open orders, none on the others (§2)."""

    account: int
    max_open_orders: int
    max_notional_micros: int
    max_gpus: int
    killed: bool


class LeasePriced(_Event, frozen=True, tag=26):
    """From `from_ns` on a lease pays this price, and its term ends at `term_end_ns` (0: no end). Its state hasn't changed."""

    lease_id: int
    price_ticks: int
    from_ns: int
    term_end_ns: int


class BaronPresence(_Event, frozen=True, tag=27):
    """Whether a Baron is heard of, and whether its provider takes it out of the market (§4)."""

    baron: int
    presence: Presence
    draining: bool


class InstrumentListed(_Event, frozen=True, tag=28):
    """A forward of a listed market: delivery in the hours [start_h, end_h) since the epoch, symbol `fwd-` and `period` (§3).

    Its trading ends an hour before; it is gone with its InstrumentSession `expired`, and its number isn't used again.
    """

    instrument: int
    sku: str
    region: str
    kind: Kind
    period: str
    start_h: int
    end_h: int


class SettlementPrice(_Event, frozen=True, tag=29):
    """A forward's daily settlement price (§11) of the day that is so many days after the epoch.

    quantity: GPUs traded in the half-hour that it was weighed over; 0: it is the middle of the book, or the last price.
    """

    instrument: int
    price_ticks: int
    day: int
    quantity: int


class ObligationChanged(_Event, frozen=True, tag=30):
    """A forward's obligation as it is now, whole: the Baron of provider owes holder `quantity` GPUs in [start_h, end_h) (§8).

    Hours are full hours since the epoch; those that were paid are no part of it. escrow_micros, bond_micros: left for them.
    live: it is not over; what is over says what it was, with nothing left in escrow or bond. other_id: the obligation that it
    was cut from, or is part of now; else 0. addressed: its holder has said where to deliver.
    """

    obligation_id: int
    provider: int
    holder: int
    baron: int
    instrument: int
    quantity: int
    start_h: int
    end_h: int
    price_ticks: int
    escrow_micros: int
    bond_micros: int
    lease_id: int
    addressed: bool
    live: bool
    change: ObligationChange
    other_id: int = 0


class OutageNoted(_Event, frozen=True, tag=32):
    """What of [from_ns, to_ns) lies in the lease's running month counts as outage: `out_ns` is all of that month's (§9)."""

    lease_id: int
    from_ns: int
    to_ns: int
    out_ns: int


class BillClosed(_Event, frozen=True, tag=33):
    """A lease's month is closed (§9): what it charged, how long it ran and was out, and where its receivable went.

    lease_id: the lease's, or that of an obligation, for hours that no lease delivered. from_ns: since when it ran in it; 0: not at
    all. credit_micros: to the renter, `bond_micros` of it from the seller's bond. paid_micros: to the provider. over: it has
    ended, and this was its last month.
    """

    lease_id: int
    renter: int
    provider: int
    month_end_ns: int
    charge_micros: int
    from_ns: int
    run_ns: int
    out_ns: int
    credit_micros: int
    paid_micros: int
    over: bool
    bond_micros: int = 0


Event = (
    AccountOpened
    | MarketListed
    | BaronRegistered
    | CapacityChanged
    | OffersSet
    | Accepted
    | Rejected
    | Duplicate
    | Traded
    | Amended
    | Canceled
    | ObligationOpened
    | LeaseScheduled
    | LeaseChanged
    | Transfer
    | BaronFeatures
    | InstrumentSession
    | AuctionCleared
    | Triggered
    | Refilled
    | AllCanceled
    | CancelAllAfterSet
    | QuotesSet
    | BaronRating
    | AccountLimitsSet
    | LeasePriced
    | BaronPresence
    | InstrumentListed
    | SettlementPrice
    | ObligationChanged
    | OutageNoted
    | BillClosed
)
