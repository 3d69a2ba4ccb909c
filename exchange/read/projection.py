"""What an event does to the rows of the read side: the one reading of the event log, for the database and for memory.

`project` walks the events of one command through a `Store`, which may be SQL or dictionaries, and says what changed. It
never decides anything about the market: every number in a row was in an event. An event about a row that the store
doesn't have means that a part of the log was missed, and stops the reader (ReadError).
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from engine.kinds import LeaseState, OrderStatus
from engine.messages import (
    Accepted,
    AccountLimitsSet,
    Amended,
    AuctionCleared,
    BaronFeatures,
    BaronPresence,
    BaronRating,
    BaronRegistered,
    Canceled,
    CapacityChanged,
    Event,
    InstrumentListed,
    InstrumentSession,
    LeaseChanged,
    LeasePriced,
    LeaseScheduled,
    MarketListed,
    ObligationChanged,
    Offer,
    OffersSet,
    Refilled,
    Reply,
    SettlementPrice,
    Traded,
    Triggered,
)
from exchange.read import rows
from exchange.read.interface import (
    AccountLimitsRow,
    BaronRow,
    InstrumentRow,
    LeaseRow,
    ObligationRow,
    OrderRow,
    TradeRow,
)

LIVE_STATUSES = frozenset({OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED})
ENDED_STATES = frozenset({LeaseState.ENDED, LeaseState.FAILED})

OrderEvent = Accepted | Traded | Triggered | Amended | Canceled
"""Events that an order's owner is told of; that an iceberg refilled shows in the depth alone."""

LeaseEvent = LeaseScheduled | LeaseChanged | LeasePriced


class ReadError(Exception):
    """The read side can't go on; the message says why and what to do."""


class Store(Protocol):
    """Where the rows are. A `save` replaces the row of the same id."""

    def order(self, order_id: int) -> OrderRow | None: ...

    def save_order(self, row: OrderRow) -> None: ...

    def lease(self, lease_id: int) -> LeaseRow | None: ...

    def save_lease(self, row: LeaseRow) -> None: ...

    def save_obligation(self, row: ObligationRow) -> None: ...

    def baron(self, baron: int) -> BaronRow | None: ...

    def save_baron(self, row: BaronRow) -> None: ...

    def listed(self, instrument: int) -> InstrumentRow | None: ...

    def instruments_of(self, sku: str, region: str) -> list[InstrumentRow]:
        """What is listed of a market."""

    def save_instrument(self, row: InstrumentRow) -> None: ...

    def save_trade(self, row: TradeRow) -> None: ...

    def save_offers(self, account: int, offers: tuple[Offer, ...]) -> None: ...

    def save_account_limits(self, row: AccountLimitsRow) -> None: ...


class OrderChange(msgspec.Struct, frozen=True):
    """One event's mark on one order: the row before (None: it is new) and after. `index` is the event's in its command."""

    index: int
    event: OrderEvent
    before: OrderRow | None
    row: OrderRow


class LeaseChange(msgspec.Struct, frozen=True):
    """A lease is new (`event` LeaseScheduled), or has another state or price."""

    index: int
    event: LeaseEvent
    row: LeaseRow


class Changes(msgspec.Struct, frozen=True):
    """All that one command did to orders, trades, leases and instruments, in the order of its events."""

    seq: int
    ts_ns: int
    orders: list[OrderChange]
    trades: list[TradeRow]
    leases: list[LeaseChange]
    instruments: list[InstrumentRow]


def project(reply: Reply, store: Store) -> Changes:
    """Take one command's events into the store; ReadError when a row is missing that an earlier event made."""
    changes = Changes(reply.seq, reply.ts_ns, [], [], [], [])
    for index, event in enumerate(reply.events):
        if isinstance(event, OrderEvent):
            _project_order(changes, index, event, store)
        elif isinstance(event, Refilled):
            store.save_order(rows.refilled(_order(store, reply.seq, event.order_id), event))
        elif isinstance(event, LeaseEvent):
            _project_lease(changes, index, event, store)
        else:
            _project_listing(changes, event, store)
    return changes


def is_live(row: OrderRow) -> bool:
    """Whether the order is open: it rests, waits for its trigger, or may still trade in its command."""
    return row.status in LIVE_STATUSES


def rests(row: OrderRow) -> bool:
    """Whether the order is in the depth, once its command is over."""
    return is_live(row) and not row.armed


def is_open(row: LeaseRow) -> bool:
    """Whether the lease still runs or is about to; a failed or ended one is not open, wiped or not."""
    return row.state not in ENDED_STATES


def _project_order(changes: Changes, index: int, event: OrderEvent, store: Store) -> None:
    seq, ts_ns = changes.seq, changes.ts_ns
    made: list[tuple[OrderRow | None, OrderRow]]
    if isinstance(event, Accepted):
        made = [(None, rows.accepted(event, seq, ts_ns))]
    elif isinstance(event, Traded):
        # Who displaced a lease met no order.
        ids = [event.taker_order_id] if event.displaced_lease_id else [event.maker_order_id, event.taker_order_id]
        trade = rows.trade(event, _baron(store, seq, event.baron).simulated, seq, ts_ns)
        store.save_trade(trade)
        changes.trades.append(trade)
        made = [
            (row, rows.filled(row, event, seq, ts_ns)) for row in [_order(store, seq, order_id) for order_id in ids]
        ]
    else:
        before = _order(store, seq, event.order_id)
        made = [(before, _changed(before, event, seq, ts_ns))]
    for earlier, later in made:
        store.save_order(later)
        changes.orders.append(OrderChange(index, event, earlier, later))


def _changed(row: OrderRow, event: Triggered | Amended | Canceled, seq: int, ts_ns: int) -> OrderRow:
    match event:
        case Triggered():
            return rows.triggered(row, event, seq, ts_ns)
        case Amended():
            return rows.amended(row, event, seq, ts_ns)
        case Canceled():
            return rows.canceled(row, event, seq, ts_ns)


def _project_lease(changes: Changes, index: int, event: LeaseEvent, store: Store) -> None:
    if isinstance(event, LeaseScheduled):
        baron = _baron(store, changes.seq, event.baron)
        row = rows.scheduled(event, baron.simulated, changes.seq)
    else:
        before = store.lease(event.lease_id)
        if before is None:
            raise ReadError(_missed(changes.seq, f"lease {event.lease_id}"))
        if isinstance(event, LeaseChanged):
            row = rows.lease_changed(before, event, changes.seq)
        else:
            row = rows.lease_priced(before, event, changes.seq)
    store.save_lease(row)
    changes.leases.append(LeaseChange(index, event, row))


def _project_listing(changes: Changes, event: Event, store: Store) -> None:
    seq = changes.seq
    if isinstance(event, MarketListed):
        for row in rows.listed(event):
            _save_instrument(changes, row, store)
    elif isinstance(event, InstrumentListed):
        simulated = any(other.simulated for other in store.instruments_of(event.sku, event.region))
        _save_instrument(changes, rows.forward_listed(event, simulated), store)
    elif isinstance(event, SettlementPrice):
        _save_instrument(changes, rows.settled(_instrument(store, seq, event.instrument), event), store)
    elif isinstance(event, BaronRegistered):
        if store.baron(event.baron) is None:
            store.save_baron(
                BaronRow(
                    baron=event.baron,
                    provider=event.provider,
                    sku=event.sku,
                    region=event.region,
                    verified_gpus=0,
                    leased_gpus=0,
                    simulated=False,
                    seq=seq,
                )
            )
    elif isinstance(event, CapacityChanged):
        baron = _baron(store, seq, event.baron)
        store.save_baron(
            msgspec.structs.replace(
                baron,
                verified_gpus=event.verified_gpus,
                leased_gpus=event.leased_gpus,
                simulated=event.simulated,
                seq=seq,
            )
        )
        if event.simulated and not baron.simulated:
            _mark_market(changes, baron, store)
    elif isinstance(event, BaronFeatures):
        baron = _baron(store, seq, event.baron)
        store.save_baron(msgspec.structs.replace(baron, features=event.features, seq=seq))
    elif isinstance(event, BaronRating):
        baron = _baron(store, seq, event.baron)
        store.save_baron(msgspec.structs.replace(baron, rating=event.rating, seq=seq))
    elif isinstance(event, BaronPresence):
        baron = _baron(store, seq, event.baron)
        store.save_baron(msgspec.structs.replace(baron, presence=event.presence, draining=event.draining, seq=seq))
    elif isinstance(event, AccountLimitsSet):
        store.save_account_limits(rows.limited(event, seq))
    elif isinstance(event, InstrumentSession):
        _save_instrument(changes, rows.in_session(_instrument(store, seq, event.instrument), event), store)
    elif isinstance(event, AuctionCleared):
        row = rows.cleared(_instrument(store, seq, event.instrument), event, changes.ts_ns)
        _save_instrument(changes, row, store)
    elif isinstance(event, ObligationChanged):
        store.save_obligation(rows.obligation(event, _baron(store, seq, event.baron).simulated, seq))
    elif isinstance(event, OffersSet):
        store.save_offers(event.account, event.offers)


def _save_instrument(changes: Changes, row: InstrumentRow, store: Store) -> None:
    store.save_instrument(row)
    changes.instruments.append(row)


def _mark_market(changes: Changes, baron: BaronRow, store: Store) -> None:
    """From now on what the Baron's market shows may be simulated; what was traded then stays in its history."""
    for instrument in store.instruments_of(baron.sku, baron.region):
        if not instrument.simulated:
            _save_instrument(changes, msgspec.structs.replace(instrument, simulated=True), store)


def _missed(seq: int, what: str) -> str:
    return f"command {seq} speaks of {what}, which no event made: the read side missed a part of the log; rebuild it"


def _order(store: Store, seq: int, order_id: int) -> OrderRow:
    row = store.order(order_id)
    if row is None:
        raise ReadError(_missed(seq, f"order {order_id}"))
    return row


def _instrument(store: Store, seq: int, instrument: int) -> InstrumentRow:
    row = store.listed(instrument)
    if row is None:
        raise ReadError(_missed(seq, f"instrument {instrument}"))
    return row


def _baron(store: Store, seq: int, baron: int) -> BaronRow:
    row = store.baron(baron)
    if row is None:
        raise ReadError(_missed(seq, f"Baron {baron}"))
    return row
