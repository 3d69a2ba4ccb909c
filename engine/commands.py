"""Commands that enter the engine: what anybody may ask of the machine, as frozen types.

The sequencer stamps each with `seq` and `ts_ns` and the command log carries them. Units are in the names: ticks, micros,
ns, ppm. Ids are numbers here (`engine.ids` has their text). A field that doesn't apply is 0 or empty. New fields are
appended with a default, and tags are never used again, so that old logs stay readable.
"""

from __future__ import annotations

import msgspec

from engine.kinds import Fault, Kind, OrderType, Presence, Side, TimeInForce
from engine.records import SelfTrade, Session


class _Command(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Base of all commands."""


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
    """A provider's standing offer (§4): `gpus` counts what is leased under it; `max_hours` and `min_hours` are 0 for spot.

    lot: a fill is a multiple of it (8: whole nodes); 0 and 1 ask for nothing, min_hours likewise.
    """

    baron: int
    instrument: int
    price_ticks: int
    gpus: int
    max_hours: int
    lot: int = 0
    min_hours: int = 0


class SetOffers(_Command, frozen=True, tag=7):
    """The whole list of offers that should stand for an account; what isn't named is removed, leases stay."""

    account: int
    offers: tuple[Offer, ...]


class PlaceOrder(_Command, frozen=True, tag=8):
    """An order (§5).

    price_ticks: the limit; of a market order or a stop its protection, 0 for the default of 5 % (never a stop buy's).
    hours: bids only; on-demand: guaranteed term (1 or more); spot: upper limit of the lease, 0 for none.
    baron, max_hours: asks only; max_hours (2 to 744) on-demand only, 0 for spot.
    delivery: bids only; opaque to the engine, at most 8 KiB, echoed into the events of its leases; never empty.
    features (bits of `engine.kinds.Feature`), same_baron, min_rating (0 to 100, the Baron's): bids only.
    lot, min_hours: asks only, min_hours on-demand only.
    display_quantity: what an iceberg shows, 0 for all. min_quantity: of every fill. expire_ns: gtd only.
    tag: a mass cancel's handle, of a client id's form. connection: whose loss cancels it, 0 for none.
    reduce_only: asks only; of hours that were bought, never of the account's own Baron. A forward has no hours and
    max_hours; its bid's delivery may be empty, and said later (SetDelivery).
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
    connection: int = 0
    min_rating: int = 0
    reduce_only: bool = False


class CancelOrder(_Command, frozen=True, tag=9):
    """Cancel by `order_id`, or by `client_order_id` when that is 0."""

    account: int
    order_id: int = 0
    client_order_id: str = ""


class AmendOrder(_Command, frozen=True, tag=10):
    """Change price, total quantity (what is filled included) or a gtd order's expiry; 0 leaves it as it is. Atomic (§5)."""

    account: int
    order_id: int = 0
    client_order_id: str = ""
    price_ticks: int = 0
    quantity: int = 0
    expire_ns: int = 0


class Rent(_Command, frozen=True, tag=11):
    """Quote the instruments (one kind) and enter one fok at the cheapest, all in one command; never rests.

    The cheapest is the lowest cost of the whole quantity, then the instrument named first. max_price_ticks 0: the
    protection of a market order (5 % through the best eligible price). Ends in Accepted (origin RENTAL), or Rejected.
    auto_extend: the leases extend themselves by an hour at a time; on-demand only. max_price_ticks bounds extensions, too.
    """

    account: int
    instruments: tuple[int, ...]
    quantity: int
    hours: int
    max_price_ticks: int
    delivery: bytes
    client_order_id: str = ""
    features: int = 0
    same_baron: bool = False
    min_rating: int = 0
    auto_extend: bool = False


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
    """Time passes: fires at most 1,024 due timers, in order, each as of its due time (§2); stops and auctions go on."""


class SetFeatures(_Command, frozen=True, tag=17):
    """From now on a Baron has these features, bits of `engine.kinds.Feature` (§5). From the provisioner or an operator."""

    baron: int
    features: int


class SetSession(_Command, frozen=True, tag=18):
    """Bring an instrument to a session (§6), to CONTINUOUS by way of the auction's clearing. From an operator."""

    instrument: int
    session: Session


class CancelAll(_Command, frozen=True, tag=19):
    """Mass cancel: the account's orders that fit all that is given; 0, None and empty fit all. Offers' orders stay (§5)."""

    account: int
    instrument: int = 0
    side: Side | None = None
    tag: str = ""
    connection: int = 0


class CancelAllAfter(_Command, frozen=True, tag=20):
    """The dead-man switch: cancel all of the account in `after_ns` unless this comes again; 0 switches it off (§5)."""

    account: int
    after_ns: int


class Quote(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """One side of a set of quotes: a gtc limit order; fields as in PlaceOrder."""

    instrument: int
    side: Side
    price_ticks: int
    quantity: int
    baron: int = 0
    max_hours: int = 0
    hours: int = 0
    delivery: bytes = b""


class SetQuotes(_Command, frozen=True, tag=21):
    """Replace a named set of quotes, whole: what is live of the old one goes, these enter in order (§5).

    All are checked first; refused, nothing changes. max_fills: after so many fills what is left of it goes; 0: never.
    """

    account: int
    name: str
    quotes: tuple[Quote, ...]
    max_fills: int = 0
    connection: int = 0


class KeepOrders(_Command, frozen=True, tag=22):
    """A connection ends in order: the account's orders that came by it stay, and no later loss cancels them (§5)."""

    account: int
    connection: int


class SetRating(_Command, frozen=True, tag=23):
    """From now on a Baron has this rating, 0 to 100 (§10). From the provisioner or an operator."""

    baron: int
    rating: int


class SetAccountLimits(_Command, frozen=True, tag=24):
    """Bound what an account may have open (§2, docs/machine.md); None leaves a term as it is, 0 takes it away.

    killed: its kill switch. On, all of its orders go, those of offers too, and nothing of it enters. From an operator.
    """

    account: int
    max_open_orders: int | None = None
    max_notional_micros: int | None = None
    max_gpus: int | None = None
    killed: bool | None = None


class RaisePrice(_Command, frozen=True, tag=25):
    """The renter of a spot lease pays this price from now on, which must be higher than what it pays (§7)."""

    account: int
    lease_id: int
    price_ticks: int


class ExtendLease(_Command, frozen=True, tag=26):
    """The renter buys `hours` more of an on-demand lease, at most 10 minutes before its term's end, of the Baron's offer (§8)."""

    account: int
    lease_id: int
    hours: int


class SetAutoExtend(_Command, frozen=True, tag=27):
    """Whether an on-demand lease extends itself by an hour, 10 minutes before its term's end, while it can (§8)."""

    account: int
    lease_id: int
    auto_extend: bool


class SetPresence(_Command, frozen=True, tag=28):
    """Whether a Baron is heard of; quiet, its asks go; lost, its leases fail as of `as_of_ns` (§4). From the provisioner.

    as_of_ns: LOST only, when it was heard of last; 0 otherwise.
    """

    baron: int
    presence: Presence
    as_of_ns: int = 0


class SetDrain(_Command, frozen=True, tag=29):
    """The provider takes a Baron out of the market, or back into it: asks go, spot has notice, firm leases run out (§4)."""

    account: int
    baron: int
    draining: bool


class SetDelivery(_Command, frozen=True, tag=30):
    """The holder of a forward's obligation says where to deliver: opaque, at most 8 KiB, never empty (§8)."""

    account: int
    obligation_id: int
    delivery: bytes


class ReportOutage(_Command, frozen=True, tag=33):
    """A lease that runs, or ran in this month, couldn't be used in [from_ns, to_ns), up to now; counted once (§9).

    From the provisioner or an operator.
    """

    lease_id: int
    from_ns: int
    to_ns: int


class ReleaseLease(_Command, frozen=True, tag=37):
    """A holder gives GPUs of a running reservation back to the market: reduce_only asks of its own on the hours left (§8).

    kind: a spot ask, an on-demand ask to the end of its hours, or an ask in each of the listed forwards that lie whole in
    them, the longest first. Until a fill its lease runs on.
    """

    account: int
    lease_id: int
    kind: Kind
    quantity: int
    price_ticks: int
    client_order_id: str


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
    | SetFeatures
    | SetSession
    | CancelAll
    | CancelAllAfter
    | SetQuotes
    | KeepOrders
    | SetRating
    | SetAccountLimits
    | RaisePrice
    | ExtendLease
    | SetAutoExtend
    | SetPresence
    | SetDrain
    | SetDelivery
    | ReportOutage
    | ReleaseLease
)
