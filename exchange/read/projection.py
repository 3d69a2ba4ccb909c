"""What an event does to the rows of the read side: the one reading of the event log, for the database and for memory.

`project` walks the events of one command through a `Store`, which may be SQL or dictionaries, and says what changed. It
never decides anything about the market: every number in a row was in an event. An event about a row that the store
doesn't have means that a part of the log was missed, and stops the reader (ReadError).
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from engine.kinds import EndReason, Kind, LeaseState, OrderStatus, edge_name
from engine.messages import (
    Accepted,
    Amended,
    BaronRegistered,
    Canceled,
    CapacityChanged,
    Event,
    LeaseChanged,
    LeaseScheduled,
    MarketListed,
    Offer,
    OffersSet,
    Reply,
    Traded,
)
from engine.reasons import Reason
from exchange.read.interface import BaronRow, InstrumentRow, LeaseRow, OrderRow, TradeRow

LIVE_STATUSES = frozenset({OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED})
ENDED_STATES = frozenset({LeaseState.ENDED, LeaseState.FAILED})


class ReadError(Exception):
    """The read side can't go on; the message says why and what to do."""


class Store(Protocol):
    """Where the rows are. A `save` replaces the row of the same id."""

    def order(self, order_id: int) -> OrderRow | None: ...

    def save_order(self, row: OrderRow) -> None: ...

    def lease(self, lease_id: int) -> LeaseRow | None: ...

    def save_lease(self, row: LeaseRow) -> None: ...

    def baron(self, baron: int) -> BaronRow | None: ...

    def save_baron(self, row: BaronRow) -> None: ...

    def instruments_of(self, sku: str, region: str) -> list[InstrumentRow]: ...

    def save_instrument(self, row: InstrumentRow) -> None: ...

    def save_trade(self, row: TradeRow) -> None: ...

    def save_offers(self, account: int, offers: tuple[Offer, ...]) -> None: ...


class OrderChange(msgspec.Struct, frozen=True):
    """One event's mark on one order: the row before (None: it is new) and after. `index` is the event's in its command."""

    index: int
    event: Accepted | Traded | Amended | Canceled
    before: OrderRow | None
    row: OrderRow


class LeaseChange(msgspec.Struct, frozen=True):
    """A lease is new (`event` LeaseScheduled) or has another state."""

    index: int
    event: LeaseScheduled | LeaseChanged
    row: LeaseRow


class Changes(msgspec.Struct, frozen=True):
    """All that one command did to orders, trades and leases, in the order of its events."""

    seq: int
    ts_ns: int
    orders: list[OrderChange]
    trades: list[TradeRow]
    leases: list[LeaseChange]


def project(reply: Reply, store: Store) -> Changes:
    """Take one command's events into the store; ReadError when a row is missing that an earlier event made."""
    changes = Changes(reply.seq, reply.ts_ns, [], [], [])
    for index, event in enumerate(reply.events):
        if isinstance(event, Accepted | Traded | Amended | Canceled):
            _project_order(changes, index, event, store)
        elif isinstance(event, LeaseScheduled | LeaseChanged):
            _project_lease(changes, index, event, store)
        else:
            _project_listing(reply.seq, event, store)
    return changes


def is_live(row: OrderRow) -> bool:
    """Whether the order is open: it rests, or may still trade in its command."""
    return row.status in LIVE_STATUSES


def is_open(row: LeaseRow) -> bool:
    """Whether the lease still runs or is about to; a failed or ended one is not open, wiped or not."""
    return row.state not in ENDED_STATES


def _project_order(changes: Changes, index: int, event: Accepted | Traded | Amended | Canceled, store: Store) -> None:
    seq, ts_ns = changes.seq, changes.ts_ns
    if isinstance(event, Accepted):
        rows: list[tuple[OrderRow | None, OrderRow]] = [(None, _accepted(event, seq, ts_ns))]
    elif isinstance(event, Traded):
        maker, taker = _order(store, seq, event.maker_order_id), _order(store, seq, event.taker_order_id)
        # Only the seller's order names a Baron.
        baron = _baron(store, seq, maker.baron or taker.baron)
        trade = _trade(event, baron.simulated, seq, ts_ns)
        store.save_trade(trade)
        changes.trades.append(trade)
        rows = [
            (maker, _filled(maker, event.quantity, event.maker_leaves, seq, ts_ns)),
            (taker, _filled(taker, event.quantity, event.taker_leaves, seq, ts_ns)),
        ]
    else:
        before = _order(store, seq, event.order_id)
        row = (
            _amended(before, event, seq, ts_ns) if isinstance(event, Amended) else _canceled(before, event, seq, ts_ns)
        )
        rows = [(before, row)]
    for earlier, later in rows:
        store.save_order(later)
        changes.orders.append(OrderChange(index, event, earlier, later))


def _project_lease(changes: Changes, index: int, event: LeaseScheduled | LeaseChanged, store: Store) -> None:
    if isinstance(event, LeaseScheduled):
        baron = _baron(store, changes.seq, event.baron)
        row = _scheduled(event, baron.simulated, changes.seq)
    else:
        before = store.lease(event.lease_id)
        if before is None:
            raise ReadError(_missed(changes.seq, f"lease {event.lease_id}"))
        row = _lease_changed(before, event, changes.seq)
    store.save_lease(row)
    changes.leases.append(LeaseChange(index, event, row))


def _project_listing(seq: int, event: Event, store: Store) -> None:
    if isinstance(event, MarketListed):
        for kind, instrument in ((Kind.SPOT, event.spot_instrument), (Kind.ONDEMAND, event.ondemand_instrument)):
            symbol = f"{event.sku}.{event.region}.{edge_name(kind)}"
            store.save_instrument(
                InstrumentRow(
                    instrument=instrument,
                    symbol=symbol,
                    sku=event.sku,
                    region=event.region,
                    kind=kind,
                    simulated=False,
                )
            )
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
            _mark_market(baron, store)
    elif isinstance(event, OffersSet):
        store.save_offers(event.account, event.offers)


def _mark_market(baron: BaronRow, store: Store) -> None:
    """From now on what the Baron's market shows may be simulated; what was traded then stays in its history."""
    for instrument in store.instruments_of(baron.sku, baron.region):
        store.save_instrument(msgspec.structs.replace(instrument, simulated=True))


def _missed(seq: int, what: str) -> str:
    return f"command {seq} speaks of {what}, which no event made: the read side missed a part of the log; rebuild it"


def _order(store: Store, seq: int, order_id: int) -> OrderRow:
    row = store.order(order_id)
    if row is None:
        raise ReadError(_missed(seq, f"order {order_id}"))
    return row


def _baron(store: Store, seq: int, baron: int) -> BaronRow:
    row = store.baron(baron)
    if row is None:
        raise ReadError(_missed(seq, f"Baron {baron}"))
    return row


def _accepted(event: Accepted, seq: int, ts_ns: int) -> OrderRow:
    return OrderRow(
        order_id=event.order_id,
        account=event.account,
        instrument=event.instrument,
        side=event.side,
        order_type=event.order_type,
        time_in_force=event.time_in_force,
        price_ticks=event.price_ticks,
        quantity=event.quantity,
        cum_quantity=0,
        leaves_quantity=event.quantity,
        status=OrderStatus.NEW,
        reason=Reason.NONE,
        origin=event.origin,
        post_only=event.post_only,
        client_order_id=event.client_order_id,
        hours=event.hours,
        baron=event.baron,
        window_end_ns=event.window_end_ns,
        created_ns=ts_ns,
        updated_ns=ts_ns,
        seq=seq,
    )


def _trade(event: Traded, simulated: bool, seq: int, ts_ns: int) -> TradeRow:
    return TradeRow(
        trade_id=event.trade_id,
        instrument=event.instrument,
        price_ticks=event.price_ticks,
        quantity=event.quantity,
        taker_side=event.taker_side,
        simulated=simulated,
        ts_ns=ts_ns,
        seq=seq,
    )


def _filled(row: OrderRow, quantity: int, leaves_quantity: int, seq: int, ts_ns: int) -> OrderRow:
    return msgspec.structs.replace(
        row,
        cum_quantity=row.cum_quantity + quantity,
        leaves_quantity=leaves_quantity,
        status=OrderStatus.PARTIALLY_FILLED if leaves_quantity else OrderStatus.FILLED,
        updated_ns=ts_ns,
        seq=seq,
    )


def _amended(row: OrderRow, event: Amended, seq: int, ts_ns: int) -> OrderRow:
    return msgspec.structs.replace(
        row,
        price_ticks=event.price_ticks,
        quantity=event.quantity,
        leaves_quantity=event.leaves_quantity,
        window_end_ns=event.window_end_ns,
        reason=event.reason,
        updated_ns=ts_ns,
        seq=seq,
    )


def _canceled(row: OrderRow, event: Canceled, seq: int, ts_ns: int) -> OrderRow:
    # A window that closed is the order's own end of time, which FIX calls expired; all else was somebody's doing.
    expired = event.reason is Reason.WINDOW_CLOSED
    return msgspec.structs.replace(
        row,
        leaves_quantity=0,
        status=OrderStatus.EXPIRED if expired else OrderStatus.CANCELED,
        reason=event.reason,
        updated_ns=ts_ns,
        seq=seq,
    )


def _scheduled(event: LeaseScheduled, simulated: bool, seq: int) -> LeaseRow:
    return LeaseRow(
        lease_id=event.lease_id,
        order_id=event.order_id,
        renter=event.renter,
        provider=event.provider,
        baron=event.baron,
        instrument=event.instrument,
        kind=event.kind,
        quantity=event.quantity,
        price_ticks=event.price_ticks,
        start_ns=event.start_ns,
        term_end_ns=event.term_end_ns,
        state=event.state,
        reason=EndReason.NONE,
        active_ns=0,
        ended_ns=0,
        charged_micros=0,
        wiped=False,
        access=b"",
        detail="",
        simulated=simulated,
        seq=seq,
    )


def _lease_changed(row: LeaseRow, event: LeaseChanged, seq: int) -> LeaseRow:
    return msgspec.structs.replace(
        row,
        state=event.state,
        reason=event.reason,
        active_ns=event.active_ns,
        ended_ns=event.ended_ns,
        charged_micros=event.charged_micros,
        wiped=event.wiped,
        # The way in was told once, with ACTIVE; an event that doesn't repeat it doesn't take it away.
        access=event.access or row.access,
        detail=event.detail or row.detail,
        seq=seq,
    )
