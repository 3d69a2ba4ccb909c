"""An account's limits and kill switch in their public form."""

from __future__ import annotations

from engine.ids import format_id
from engine.messages import AccountLimitsSet, Canceled, Reply
from engine.units import format_money
from exchange.gateway.views.text import View
from exchange.read.interface import AccountLimitsRow


class Limits(View, frozen=True):
    """What the account may have open (rulebook §2); null: only the exchange's own bound.

    `max_gpus`: of its bids and its leases together; `max_notional`: dollars that it may hold for them. `killed`: its
    orders were cancelled, and new ones are refused.
    """

    seq: int
    account: str
    max_open_orders: int | None
    max_notional: str | None
    max_gpus: int | None
    killed: bool


class KillSwitch(Limits, frozen=True):
    """`canceled_orders`: how many of its orders went."""

    canceled_orders: int


def limits(seq: int, account: int, row: AccountLimitsRow | AccountLimitsSet | None) -> Limits:
    """As of `seq`; None where nobody ever set any."""
    return Limits(
        seq=seq,
        account=format_id("acc", account),
        max_open_orders=(row.max_open_orders or None) if row else None,
        max_notional=format_money(row.max_notional_micros) if row and row.max_notional_micros else None,
        max_gpus=(row.max_gpus or None) if row else None,
        killed=row.killed if row else False,
    )


def limits_set(reply: Reply, account: int) -> Limits:
    """What a command set, whole."""
    return limits(reply.seq, account, _said(reply))


def kill_switch(reply: Reply, account: int) -> KillSwitch:
    said = limits_set(reply, account)
    return KillSwitch(
        seq=said.seq,
        account=said.account,
        max_open_orders=said.max_open_orders,
        max_notional=said.max_notional,
        max_gpus=said.max_gpus,
        killed=said.killed,
        canceled_orders=sum(isinstance(event, Canceled) and event.account == account for event in reply.events),
    )


def _said(reply: Reply) -> AccountLimitsSet:
    return next(event for event in reply.events if isinstance(event, AccountLimitsSet))
