"""What one reply says of one order or lease, so that a write is answered from its own events, never from a stale read.

The events are read by the same projection as the read models'. Rows of others, which the events mention, are blanks here:
nothing of them is looked at.
"""

from __future__ import annotations

from engine.kinds import EndReason, Kind, LeaseState, OrderStatus, OrderType, Origin, Side, TimeInForce
from engine.messages import Accepted, CapacityChanged, Offer, Reply, Traded
from engine.reasons import Reason
from exchange.read.interface import (
    AccountLimitsRow,
    BaronRow,
    InstrumentRow,
    LeaseRow,
    ObligationRow,
    OrderRow,
    TradeRow,
)
from exchange.read.projection import project


class Result:
    """The rows that a reply leaves; `lease` is the row before it, for a command that changes a lease."""

    def __init__(self, reply: Reply, lease: LeaseRow | None = None) -> None:
        self.reply = reply
        self._orders: dict[int, OrderRow] = {}
        self._leases: dict[int, LeaseRow] = {} if lease is None else {lease.lease_id: lease}
        self._barons: dict[int, BaronRow] = {}
        for event in reply.events:
            if isinstance(event, CapacityChanged):
                self._barons[event.baron] = _blank_baron(event.baron, event.simulated)
        project(reply, self)

    def entered(self, account: int) -> OrderRow | None:
        """The order that the account's command entered, as the reply leaves it."""
        for event in self.reply.events:
            if isinstance(event, Accepted) and event.account == account and event.origin is not Origin.OFFER:
                return self._orders[event.order_id]
        return None

    def entered_all(self, origin: Origin) -> list[OrderRow]:
        """The orders that a command entered itself, as the reply leaves them."""
        entered = (event for event in self.reply.events if isinstance(event, Accepted) and event.origin is origin)
        return [self._orders[event.order_id] for event in entered]

    def trades_of(self, order_id: int) -> list[Traded]:
        """Its trades, in order."""
        trades = (event for event in self.reply.events if isinstance(event, Traded))
        return [event for event in trades if order_id in (event.maker_order_id, event.taker_order_id)]

    def leases_of(self, order_id: int) -> list[LeaseRow]:
        """The leases that the order's fills made."""
        return [row for row in self._leases.values() if row.order_id == order_id]

    # ------------------------------------------------------------ the projection's store

    def order(self, order_id: int) -> OrderRow:
        return self._orders.get(order_id) or _blank_order(order_id)

    def save_order(self, row: OrderRow) -> None:
        self._orders[row.order_id] = row

    def lease(self, lease_id: int) -> LeaseRow:
        return self._leases.get(lease_id) or _blank_lease(lease_id)

    def save_lease(self, row: LeaseRow) -> None:
        self._leases[row.lease_id] = row

    def baron(self, baron: int) -> BaronRow:
        return self._barons.get(baron) or _blank_baron(baron, simulated=False)

    def save_baron(self, row: BaronRow) -> None:
        self._barons[row.baron] = row

    def listed(self, instrument: int) -> InstrumentRow:
        return InstrumentRow(instrument=instrument, symbol="", sku="", region="", kind=Kind.SPOT, simulated=False)

    def instruments_of(self, _sku: str, _region: str) -> list[InstrumentRow]:
        """No answer of a command tells of instruments."""
        return []

    def save_instrument(self, row: InstrumentRow) -> None:
        """No command of the gateway lists one."""

    def save_trade(self, row: TradeRow) -> None:
        """Trades are read from the events."""

    def save_offers(self, account: int, offers: tuple[Offer, ...]) -> None:
        """Offers are read from the events."""

    def save_obligation(self, row: ObligationRow) -> None:
        """Who asks for obligations asks the read models."""

    def save_account_limits(self, row: AccountLimitsRow) -> None:
        """Limits are read from the events."""


def _blank_order(order_id: int) -> OrderRow:
    return OrderRow(
        order_id=order_id,
        account=0,
        instrument=0,
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        price_ticks=0,
        quantity=0,
        cum_quantity=0,
        leaves_quantity=0,
        status=OrderStatus.NEW,
        reason=Reason.NONE,
        origin=Origin.CLIENT,
        post_only=False,
        client_order_id="",
        hours=0,
        baron=0,
        window_end_ns=0,
        created_ns=0,
        updated_ns=0,
        seq=0,
    )


def _blank_lease(lease_id: int) -> LeaseRow:
    return LeaseRow(
        lease_id=lease_id,
        order_id=0,
        renter=0,
        provider=0,
        baron=0,
        instrument=0,
        kind=Kind.SPOT,
        quantity=0,
        price_ticks=0,
        start_ns=0,
        term_end_ns=0,
        state=LeaseState.SCHEDULED,
        reason=EndReason.NONE,
        active_ns=0,
        ended_ns=0,
        charged_micros=0,
        wiped=False,
        access=b"",
        detail="",
        simulated=False,
        seq=0,
    )


def _blank_baron(baron: int, simulated: bool) -> BaronRow:
    return BaronRow(
        baron=baron, provider=0, sku="", region="", verified_gpus=0, leased_gpus=0, simulated=simulated, seq=0
    )
