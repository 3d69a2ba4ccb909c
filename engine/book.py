"""The order book's protocol: one instrument's matching, whichever half answers (rulebook §5, §6; in detail docs/book.md).

Records go in and records come out (`engine.records`): both halves give the same bytes for the same commands, the same
depth and the same state. A book knows prices, quantities, sessions, eligibility and whose order is whose; it never knows
money, capacity, leases, expiry times or client ids: those are the machine's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum
from operator import index
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from engine.kinds import OrderType, Side, TimeInForce
from engine.records import SelfTrade, Session
from engine.units import PRICE_MAX_TICKS, QUANTITY_MAX

PRICE_MAX_OF_A_BOOK: Final = 2**24 - 1
"""Ticks: the fast book finds a level by 24 bits of its price, and the plain book takes no more, so that both are one."""
LIMIT_MAX: Final = 2**32 - 1
"""The largest number that any limit may be: each is 32 bits of the fast book."""


class BookLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The rulebook's bounds on a book (§2, §6). 0 switches a bound, or the band, off.

    ValueError for one outside 0..LIMIT_MAX, and for a `price_max` above PRICE_MAX_OF_A_BOOK; TypeError for no whole number.
    """

    max_looked: int = 1_024
    """Resting orders that one entering order may look at (in its walk a look at an iceberg's next slice counts again)."""
    max_stops: int = 64
    """Stops that fire after one command."""
    fires: bool = True
    """Whether triggered stops fire by themselves; if not, each waits for its FIRE."""
    max_conditional_account: int = 16
    """Live conditional orders of one account, armed stops included."""
    max_conditional_side: int = 512
    """Conditional orders at rest on a side."""
    display_ratio: int = 64
    """`display_quantity` is at least quantity / this."""
    quantity_max: int = QUANTITY_MAX
    price_max: int = PRICE_MAX_TICKS
    market_protection_ppm: int = 50_000
    band_ppm: int = 300_000
    auction_s: int = 120
    cooldown_s: int = 600
    """No auction by a breach within this time of the end of the last auction."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if not 0 <= index(getattr(self, name)) <= LIMIT_MAX:
                raise ValueError(f"{name}: a limit is a number of 0 to {LIMIT_MAX}, not {getattr(self, name)}")
        if self.price_max > PRICE_MAX_OF_A_BOOK:
            raise ValueError(f"price_max: a book holds prices up to {PRICE_MAX_OF_A_BOOK} ticks, not {self.price_max}")


UNBOUNDED = BookLimits(
    max_looked=0,
    max_stops=0,
    max_conditional_account=0,
    max_conditional_side=0,
    display_ratio=0,
    quantity_max=2**31 - 1,
    band_ppm=0,
)
"""The replay tool's: no bounds, no band."""


class Stop(IntEnum):
    """Why a dry walk ended."""

    DONE = 0
    """Filled, or nothing eligible left inside the limit."""
    SELF_TRADE = 1
    """It met its own account's order, under cancel_newest or cancel_both."""
    WALK_LIMIT = 2
    OUTSIDE_BAND = 3


class Fill(NamedTuple):
    """What a walk takes from one resting order (one slice of an iceberg), at that order's price."""

    order_id: int
    price: int
    quantity: int


class Walk(NamedTuple):
    """What an incoming order would take, in order of execution, and what it leaves."""

    fills: list[Fill]
    leaves: int
    stop: Stop


class Level(NamedTuple):
    """One price of the depth; displayed quantities in GPUs."""

    price: int
    unconditional: int
    conditional: int
    orders: int


class BatchResult(NamedTuple):
    """How far a batch came: whole commands applied, events and deltas written.

    `pending`: events of the last applied command that found no room; the next call writes them before it applies anything.
    """

    consumed: int
    written: int
    deltas: int
    pending: int


class Indicative(NamedTuple):
    """What an auction would clear at now."""

    price: int
    volume: int
    surplus: int
    surplus_side: int


class RestingOrder(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True):
    """An order at rest, or a stop that waits (then `triggered` tells which). Values as normalized at entry."""

    order_id: int
    account: int
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    self_trade: SelfTrade
    post_only: bool
    same_baron: bool
    price: int
    quantity: int
    """Total, what is filled included."""
    leaves: int
    shown: int
    """What the depth counts; equal to leaves unless an iceberg."""
    display_quantity: int
    min_quantity: int
    stop_price: int
    window_end_h: int
    baron: int
    tag: int
    features: int
    hours: int
    lot: int
    min_rating: int
    triggered: bool = False


class BookState(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True):
    """All of a book, in one canonical form: equal books have equal ones, whichever half they are."""

    limits: BookLimits
    session: Session
    last_ts_ns: int
    last_price: int
    """0: never traded."""
    auction_price: int
    """Of the last auction that cleared, while it is the reference; 0 none."""
    auction_end_ns: int
    """When the last auction ended; 0 never."""
    clearing_price: int
    """Of a clearing that isn't finished; 0 none."""
    minutes: tuple[tuple[int, int, int, int], ...]
    """(minute since the epoch, sum of price x quantity in units of 2^64, its remainder, sum of quantity), of the last 60
    minutes as of the last trade. The sum has 128 bits, and no number of the encoding more than 64."""
    barons: tuple[tuple[int, int, int], ...]
    """(baron, rating, features), by baron, those of SET_BARON."""
    bids: tuple[RestingOrder, ...]
    """In priority order."""
    asks: tuple[RestingOrder, ...]
    stops: tuple[RestingOrder, ...]
    """In order of entry."""


class Book(Protocol):
    """One instrument. Not thread-safe: RuntimeError where two threads use one at once."""

    def __init__(self, limits: BookLimits = ...) -> None: ...

    def submit(self, order: Any) -> bytes:
        """Apply one command (a `Command`, or the fast book's `Order`); its event records, `command` 0.

        A value that its field can't hold is a REJECTED with MALFORMED_RECORD, like any other malformed command; a value
        is a whole number if Python can use it as an index. A record of 64 bytes does, too: ValueError for another length
        or a Command of too few or many fields, TypeError for what is neither Command nor buffer.
        """

    def submit_many(self, orders: Iterable[Any]) -> bytes:
        """Apply them in order; all event records, each with the index of its command.

        All are read before the first is applied: an error leaves the book as it was.
        """

    def batch(self, commands: Any, out: Any, deltas: Any = None) -> BatchResult:
        """Apply command records until they, or `out`, are at their end; no Python object is made on the way.

        commands, out, deltas: contiguous buffers; `commands` of whole records (ValueError otherwise), `out` and `deltas`
        writable, their last bytes unused when no record fits. Deltas: each level that changed, once, in order of first
        change since it was last told; what finds no room is told by the next call that gives a buffer.
        """

    def walk(self, order: Any) -> Walk:
        """What a NEW would take if it were entered now as it stands (price 0 of a market order: as reckoned). Changes nothing.

        Its own account's orders count as in earnest: under `decrement` they lessen what it asks of others.
        """

    def protection(self, order: Any) -> int:
        """The protection price of a market order without one; 0 when nothing that it is eligible for is there."""

    def get(self, order_id: int) -> RestingOrder:
        """A live order, armed stops included; KeyError when it isn't there, as for what can't be an id (7.0, a list)."""

    def __contains__(self, order_id: int) -> bool: ...

    def __len__(self) -> int:
        """Live orders, armed stops included."""

    def depth(self, side: Side, max_levels: int) -> list[Level]:
        """The best levels of a side, best first."""

    def resting(self, side: Side, max_orders: int | None = None) -> Iterator[RestingOrder]:
        """The orders at rest of a side, in priority order; all of them, or the first so many."""

    def indicative(self) -> Indicative | None:
        """What an auction would clear at now; None when nothing crosses."""

    def reference(self) -> tuple[int, int]:
        """The reference price as of the last command's time, as (sum of price x quantity, quantity); (0, 0): none."""

    @property
    def session(self) -> Session: ...

    @property
    def last_price(self) -> int: ...

    @property
    def stops_due(self) -> bool:
        """Whether a TICK would do something now: stops wait to fire by themselves, or a clearing isn't finished."""

    @property
    def clearing_price(self) -> int:
        """Of a clearing that isn't finished; 0 none."""

    def next_stop(self) -> int:
        """Id of the first triggered stop in order of entry, in `continuous`; 0 when none may fire now."""

    def state(self) -> BookState:
        """All of it, for snapshots and hashes."""

    def restore(self, state: BookState) -> None:
        """Become what `state` says; for a book that has just been made. Deltas start empty."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(BookState).decode


def encode_state(state: BookState) -> bytes:
    """Its canonical bytes."""
    return _encode(state)


def decode_state(data: bytes) -> BookState:
    """The state of such bytes; msgspec.MsgspecError when they aren't one."""
    return _decode(data)
