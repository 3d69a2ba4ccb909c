"""Commands that enter the engine and events that leave it: the frozen types that every part shares.

Commands are what anybody may ask of the machine; the sequencer stamps each with `seq` and `ts_ns` and the command log
carries them. Events are everything that happened; settlement, provisioner, read models and market data live from them
alone. Units are in the names: ticks, micros, ns, ppm. Ids are numbers here (`engine.ids` has their text). A field that
doesn't apply is 0 or empty. New fields are appended with a default, and tags are never used again, so that old logs
stay readable.
"""

from __future__ import annotations

import msgspec

from engine.kinds import (
    EndReason,
    Fault,
    Kind,
    LeaseState,
    OrderStatus,
    OrderType,
    Origin,
    Pot,
    Side,
    TimeInForce,
    TransferCode,
)
from engine.reasons import Reason

EXCHANGE_ACCOUNT = 0
"""The exchange's own account: pots FEES, INSURANCE and CASH."""


class _Command(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Base of all commands."""


class _Event(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Base of all events."""


# ---------------------------------------------------------------- commands


class OpenAccount(_Command, frozen=True, tag=1):
    """Open an account that the registry numbered. Repeating it with the same content is answered with the same event."""

    account: int
    maker_fee_ppm: int
    taker_fee_ppm: int


class Deposit(_Command, frozen=True, tag=2):
    """Money in, from `cash` to the account's `available`; `client_id` makes a repeat harmless (Duplicate)."""

    account: int
    amount_micros: int
    client_id: str


class Withdraw(_Command, frozen=True, tag=3):
    """Money out, from `available` to `cash`."""

    account: int
    amount_micros: int
    client_id: str


class ListMarket(_Command, frozen=True, tag=4):
    """List a SKU in a region: one market, with its spot and its on-demand instrument (§3)."""

    sku: str
    region: str


class RegisterBaron(_Command, frozen=True, tag=5):
    """Register a Baron that the registry numbered, with no capacity yet, in one market. Idempotent like OpenAccount."""

    baron: int
    provider: int
    sku: str
    region: str


class SetCapacity(_Command, frozen=True, tag=6):
    """The number of GPUs verified on a Baron; a smaller one cuts its asks, newest first (§4). From the provisioner."""

    baron: int
    gpus: int
    simulated: bool


class Offer(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A provider's standing offer (§4): `gpus` counts what is leased under it; `max_hours` is 0 for spot."""

    baron: int
    instrument: int
    price_ticks: int
    gpus: int
    max_hours: int


class SetOffers(_Command, frozen=True, tag=7):
    """The whole list of offers that should stand for an account; what isn't named is removed, leases stay."""

    account: int
    offers: tuple[Offer, ...]


class PlaceOrder(_Command, frozen=True, tag=8):
    """An order (§5).

    price_ticks: the limit; of a market order its protection, 0 for the default of 5 %.
    hours: bids only; on-demand: guaranteed term (1 or more); spot: upper limit of the lease, 0 for none.
    baron, max_hours: asks only; max_hours (2 to 744) on-demand only, 0 for spot.
    delivery: bids only; opaque to the engine, at most 8 KiB, echoed into the events of its leases; never empty.
    """

    account: int
    instrument: int
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    price_ticks: int
    quantity: int
    post_only: bool = False
    client_order_id: str = ""
    hours: int = 0
    baron: int = 0
    max_hours: int = 0
    delivery: bytes = b""


class CancelOrder(_Command, frozen=True, tag=9):
    """Cancel by `order_id`, or by `client_order_id` when that is 0."""

    account: int
    order_id: int = 0
    client_order_id: str = ""


class AmendOrder(_Command, frozen=True, tag=10):
    """Change price or total quantity (what is filled included); 0 leaves it as it is. Atomic; the id stays (§5)."""

    account: int
    order_id: int = 0
    client_order_id: str = ""
    price_ticks: int = 0
    quantity: int = 0


class Rent(_Command, frozen=True, tag=11):
    """Quote the instruments (one kind) and enter one fok at the cheapest, all in one command; never rests.

    The cheapest is the lowest cost of the whole quantity, then the instrument named first. max_price_ticks 0: the
    protection of a market order (5 % through the best eligible price). Ends in Accepted (origin RENTAL), or Rejected.
    """

    account: int
    instruments: tuple[int, ...]
    quantity: int
    hours: int
    max_price_ticks: int
    delivery: bytes
    client_order_id: str = ""


class EndLease(_Command, frozen=True, tag=12):
    """The renter quits (reason QUIT); the minimum of its kind is charged."""

    account: int
    lease_id: int


class LeaseActive(_Command, frozen=True, tag=13):
    """The sandbox takes SSH. `access` is opaque (how to reach it), at most 8 KiB. From the provisioner."""

    lease_id: int
    access: bytes


class LeaseFailed(_Command, frozen=True, tag=14):
    """The lease can't go on. `as_of_ns` (start..now) is where its charge stops: the last heartbeat, for a silent Baron."""

    lease_id: int
    fault: Fault
    as_of_ns: int
    detail: str


class LeaseWiped(_Command, frozen=True, tag=15):
    """The GPUs of an ended or failed lease are wiped, and free again."""

    lease_id: int


class Tick(_Command, frozen=True, tag=16):
    """Time passes: fires at most 1,024 due timers, in order, each as of its due time (§2)."""


Command = (
    OpenAccount
    | Deposit
    | Withdraw
    | ListMarket
    | RegisterBaron
    | SetCapacity
    | SetOffers
    | PlaceOrder
    | CancelOrder
    | AmendOrder
    | Rent
    | EndLease
    | LeaseActive
    | LeaseFailed
    | LeaseWiped
    | Tick
)

# ---------------------------------------------------------------- events


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

    price_ticks: limit, or the protection that was reckoned. window_end_ns: end of an on-demand ask's fixed hours.
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


class Rejected(_Event, frozen=True, tag=7):
    """Nothing changed. `field` names the command's field where one is at fault.

    For a cancel or amend of what isn't live: `order_id` and `order_status`, its final state (NONE: unknown).
    """

    account: int
    reason: Reason
    field: str = ""
    client_order_id: str = ""
    order_id: int = 0
    order_status: OrderStatus = OrderStatus.NONE


class Duplicate(_Event, frozen=True, tag=8):
    """A client id came again with the same content: the first result stands. `order_id` is 0 for a deposit or withdrawal."""

    account: int
    client_order_id: str
    first_seq: int
    order_id: int


class Traded(_Event, frozen=True, tag=9):
    """A fill: the taker's order against one resting order, at the resting order's price (§6)."""

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


class Amended(_Event, frozen=True, tag=10):
    """An order changed: by its owner (REQUESTED), or cut, or its offer or window moved (CAPACITY_CUT, OFFER_CHANGED, WINDOW_MOVED).

    With `kept_priority` false it left its level and entered anew at the back, before any Traded of this command.
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


class LeaseChanged(_Event, frozen=True, tag=14):
    """A lease's new state, whole; an active one says it again at each full hour of use, when its charge was posted.

    active_ns, ended_ns: 0 until so. charged_micros: usage posted, fees not counted.
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


class Transfer(_Event, frozen=True, tag=15):
    """Money moved: `amount_micros` (more than 0) out of the debit pot into the credit pot. All pots always sum to zero.

    ref: the order or lease it belongs to; 0 for a deposit or withdrawal.
    """

    debit_account: int
    debit_pot: Pot
    credit_account: int
    credit_pot: Pot
    amount_micros: int
    code: TransferCode
    ref: int


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
)


class Reply(msgspec.Struct, frozen=True):
    """What the sequencer answers, once the command is durable: its place, its time, and all that it caused, in order.

    A refused command has Rejected as its first event, and no other.
    """

    seq: int
    ts_ns: int
    events: tuple[Event, ...]
