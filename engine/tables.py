"""The records of a shard's tables: accounts, Barons, instruments, orders and leases, as commands make and change them.

They are plain mutable structs, so that the snapshot can carry them as they are. A record knows no other, and no rule of the
market but what follows from its own fields.
"""

from __future__ import annotations

import msgspec

from engine.kinds import (
    EndReason,
    Kind,
    LeaseState,
    OrderStatus,
    OrderType,
    Origin,
    Presence,
    Side,
    TimeInForce,
)
from engine.messages import Offer
from engine.periods import trading_end_ns
from engine.reasons import Reason
from engine.records import SelfTrade
from engine.units import RATING_NEW


class _Record(msgspec.Struct, array_like=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the rows that commands change."""


class Remembered(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True):
    """What a client id stood for: a digest of the command's content, its seq, and the order that came of it (or 0)."""

    digest: bytes
    seq: int
    order_id: int


class QuoteSet(_Record):
    """What is counted of a set of quotes while one of its orders is live; these carry its name (§5)."""

    max_fills: int
    fills: int = 0
    orders: int = 0
    """Its live orders."""


class Account(_Record):
    """One account. `pots` holds micro-dollars by Pot; the dicts forget their oldest beyond `Limits.max_client_ids`."""

    account: int
    maker_fee_ppm: int
    taker_fee_ppm: int
    pots: list[int]
    open_orders: int = 0
    leases: int = 0
    """Leases, as renter, that aren't wiped yet, but of forwards: those are bounded as obligations are."""
    offers: tuple[Offer, ...] = ()
    client_ids: dict[str, Remembered] = {}
    older_live_ids: dict[str, Remembered] = {}
    """Client ids older than those above whose order is still live."""
    closed_orders: dict[int, OrderStatus] = {}
    wiped_leases: dict[int, None] = {}
    quote_sets: dict[str, QuoteSet] = {}
    dead_man_ns: int = 0
    """When all of its orders are cancelled, if nothing is heard before; 0: never."""
    gpus: int = 0
    """What its open bids leave, and the GPUs of its leases, as renter, that aren't wiped yet."""
    max_open_orders: int = 0
    """Its own limits, set by an operator; 0: the shard's bound on open orders, none on the others."""
    max_notional_micros: int = 0
    max_gpus: int = 0
    killed: bool = False
    obligations: int = 0
    """Forwards' obligations that it holds."""


class Instrument(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True):
    """What is listed; a forward's delivery is [start_h, end_h), and `period` ends its symbol, after `fwd-` (§3)."""

    instrument: int
    sku: str
    region: str
    kind: Kind
    start_h: int = 0
    end_h: int = 0
    period: str = ""

    @property
    def hours(self) -> int:
        """How long a forward delivers."""
        return self.end_h - self.start_h

    @property
    def trading_end_ns(self) -> int:
        """When trading in a forward ends; of no meaning for the others."""
        return trading_end_ns(self.start_h)


class Calendar(_Record):
    """When the forwards of one market change next (§3)."""

    market: int
    """Its spot instrument's number: markets come in order of listing."""
    due_ns: int
    priced: bool = False
    """That day's settlement prices are said, and what expires had more orders than one firing cancels."""


class ClosingTrades(_Record):
    """What was traded in one forward in the last half-hour of a day's trading, for its settlement price (§11).

    The sum of price x quantity is in units of 2^64 and a remainder: no number of the encoding has more than 64 bits.
    """

    instrument: int
    day_end_ns: int
    value_high: int = 0
    value_low: int = 0
    quantity: int = 0


class Baron(_Record):
    """One Baron. `leased_gpus` counts leases of every kind and seller, from fill to wipe."""

    baron: int
    provider: int
    sku: str
    region: str
    verified_gpus: int = 0
    leased_gpus: int = 0
    unwiped_gpus: int = 0
    """GPUs of leases that ended so long ago that they count as verified no more until they are wiped."""
    simulated: bool = False
    features: int = 0
    rating: int = RATING_NEW
    presence: Presence = Presence.REPORTING
    draining: bool = False
    heard_ns: int = 0
    """When a lost Baron was heard of last."""
    offer_due_ns: int = 0

    @property
    def counted_gpus(self) -> int:
        """What it can deliver in any hour: its provider's row's `verified` (§4)."""
        return max(0, self.verified_gpus - self.unwiped_gpus)

    @property
    def shut(self) -> Reason:
        """Why it sells nothing more; NONE: it does (§4)."""
        if self.presence is not Presence.REPORTING:
            return Reason.BARON_QUIET
        return Reason.BARON_DRAINED if self.draining else Reason.NONE


class Order(_Record):
    """A live order. `quantity` is the total, what is filled included; `baron` and `window_end_ns` are an ask's.

    What of it rests and in which place is its book's to know; this is what the shard knows beyond that, and the terms.
    """

    order_id: int
    account: int
    instrument: int
    kind: Kind
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    price_ticks: int
    quantity: int
    leaves_quantity: int
    origin: Origin
    post_only: bool
    client_order_id: str
    hours: int
    baron: int
    window_end_ns: int
    delivery: bytes
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
    """A stop that waits for its trigger."""
    connection: int = 0
    quote_set: str = ""
    min_rating: int = 0
    hold_ticks: int = 0
    """An ask's: the price at which its bond and fee are held; at rest its limit (§9)."""

    def with_terms(self, price_ticks: int, quantity: int, leaves_quantity: int) -> Order:
        """A copy with another price and total."""
        return msgspec.structs.replace(
            self, price_ticks=price_ticks, quantity=quantity, leaves_quantity=leaves_quantity
        )

    def with_hold(self, hold_ticks: int) -> Order:
        """A copy that is held at another price."""
        return msgspec.structs.replace(self, hold_ticks=hold_ticks)

    @property
    def may_rest(self) -> bool:
        return self.time_in_force in (TimeInForce.GTC, TimeInForce.GTD, TimeInForce.DAY)

    @property
    def filled(self) -> int:
        return self.quantity - self.leaves_quantity


class Draft(msgspec.Struct):
    """A lease that the fills of one bid on one Baron at one price are adding up to."""

    lease_id: int
    obligation_id: int
    bid: Order
    ask: Order
    price_ticks: int
    bid_takes: bool
    ask_takes: bool
    share_micros: int = 0
    """What of the bid's hold was for it."""
    ask_share_micros: int = 0
    """What of the asks' holds was for it."""
    bond_ticks: int = 0
    """Sum of price times GPUs at the prices at which bond and held fee are reckoned: in an auction each ask's limit."""
    quantity: int = 0
    offer_quantity: int = 0
    limit_ticks: int = 0
    """A rental's own maximum price; 0: the bid's limit."""
    auto_extend: bool = False


class Lease(_Record):
    """A lease from its fill until it is wiped. `*_micros` are what was posted, but for the prefund, which is still held."""

    lease_id: int
    renter: int
    provider: int
    baron: int
    kind: Kind
    quantity: int
    offer_quantity: int
    """How many of its GPUs came of an offer's asks."""
    price_ticks: int
    start_ns: int
    term_end_ns: int
    minimum_s: int
    renter_fee_ppm: int
    provider_fee_ppm: int
    prefund_micros: int
    state: LeaseState = LeaseState.PROVISIONING
    reason: EndReason = EndReason.NONE
    active_ns: int = 0
    ended_ns: int = 0
    due_ns: int = 0
    """Its next timer: a full hour of use, or the end of its term; 0 for none."""
    usage_micros: int = 0
    renter_fee_micros: int = 0
    provider_fee_micros: int = 0
    access: bytes = b""
    detail: str = ""
    ends_ns: int = 0
    """When its notice is over; 0: it has none."""
    prices: list[tuple[int, int]] = []
    """(from_ns, price_ticks) where the price changed, in order, the first from its fill on; empty: `price_ticks` always."""
    limit_ticks: int = 0
    """The most at which it is extended."""
    auto_extend: bool = False
    auto_due_ns: int = 0
    """When it extends itself next; 0: it doesn't."""
    wipe_due_ns: int = 0
    """When it has waited too long for its wipe; 0: it isn't over, or it has."""
    overdue: bool = False
    """It ended, wasn't wiped in time, and gave its hours back before its wipe (§4)."""
    returned: bool = False
    """Its seller had bought its hours, and they failed with it: they are that seller's no more (§8)."""
    waits_for: int = 0
    """A newcomer's: the displaced lease whose wipe it waits for; 0: none (§7)."""
    promised_to: int = 0
    """A displaced lease's: the newcomer that gets its GPUs; 0: nobody (§7)."""
    bond_micros: int = 0
    """What its seller has in bond for it (§9)."""
    obligation_id: int = 0
    """Forwards: the obligation that it delivers (§8)."""
    delivery: bytes = b""
    """On-demand's, with the conditions below: what a cover of it would ask for (§8)."""
    features: int = 0
    min_rating: int = 0
    same_baron: bool = False

    def with_prices(self, price_ticks: int, prices: list[tuple[int, int]], term_end_ns: int) -> Lease:
        """A copy at another price, or to another end."""
        return msgspec.structs.replace(self, price_ticks=price_ticks, prices=prices, term_end_ns=term_end_ns)

    @property
    def live(self) -> bool:
        return self.state not in (LeaseState.ENDED, LeaseState.FAILED)
