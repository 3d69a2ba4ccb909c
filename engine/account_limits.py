"""An account's own limits and its kill switch: what an operator allows it to have open (rulebook §2, "Bounds").

GPUs are what its open bids leave, those of its leases that aren't wiped, and those of its obligations in their fullest
hour; its notional is what it holds; neither grows by a fill (docs/machine.md). So they are looked at where a bid enters,
grows or fires, and nothing that stands is touched when a limit comes down. The kill switch takes all orders away. Leases,
and the money that they need, know no limit.
"""

from __future__ import annotations

from collections import Counter
from itertools import accumulate

from engine import in_book, obligations, open_orders, rows
from engine.kinds import Pot
from engine.messages import AccountLimitsSet, SetAccountLimits
from engine.reasons import Reason
from engine.state import Account, Refused, State
from engine.units import AMOUNT_MAX_MICROS, NUMBER_MAX


def set_limits(state: State, command: SetAccountLimits) -> None:
    """An operator's word: set what the command gives, and leave the rest."""
    account = state.open_account(command.account)
    bounds = (
        ("max_open_orders", command.max_open_orders, state.limits.max_open_orders),
        ("max_notional_micros", command.max_notional_micros, AMOUNT_MAX_MICROS),
        ("max_gpus", command.max_gpus, NUMBER_MAX),
    )
    for field, given, most in bounds:
        if given is not None and not 0 <= given <= most:
            raise Refused(Reason.INVALID_LIMITS, field)
    for field, given, _ in bounds:
        if given is not None:
            setattr(account, field, given)
    was_killed = account.killed
    if command.killed is not None:
        account.killed = command.killed
    state.emit(
        AccountLimitsSet(
            account=account.account,
            max_open_orders=account.max_open_orders,
            max_notional_micros=account.max_notional_micros,
            max_gpus=account.max_gpus,
            killed=account.killed,
        )
    )
    if account.killed and not was_killed:
        _cancel_all(state, account)
    elif was_killed and not account.killed:
        _let_offers_in(state, account)


def check_alive(account: Account) -> None:
    """Refused while its kill switch is on."""
    if account.killed:
        raise Refused(Reason.ACCOUNT_KILLED)


def check_entry(state: State, account: Account) -> None:
    """Refused unless the account may have one more open order."""
    check_alive(account)
    if account.open_orders >= open_orders_bound(state, account):
        raise Refused(Reason.TOO_MANY_ORDERS)


def open_orders_bound(state: State, account: Account) -> int:
    """How many orders it may have open: its own limit, else the shard's."""
    return account.max_open_orders or state.limits.max_open_orders


def check_growth(
    state: State, account: Account, gpus: int, micros: int, freed_gpus: int = 0, freed_micros: int = 0
) -> None:
    """Refused where bids for so many more GPUs, holding so much more, would pass its limits once `freed_*` is gone.

    What doesn't grow is never refused, even where the account is beyond a limit that came down.
    """
    if gpus > 0 and 0 < account.max_gpus < _gpus(state, account) - freed_gpus + gpus:
        raise Refused(Reason.GPU_LIMIT)
    if micros > 0 and 0 < account.max_notional_micros < account.pots[Pot.HELD] - freed_micros + micros:
        raise Refused(Reason.NOTIONAL_LIMIT)


def check_standing(state: State, account: Account) -> None:
    """Refused where it has more than its limits allow now, as a bid that fires would find if it came anew."""
    if 0 < account.max_gpus < _gpus(state, account):
        raise Refused(Reason.GPU_LIMIT)
    if 0 < account.max_notional_micros < account.pots[Pot.HELD]:
        raise Refused(Reason.NOTIONAL_LIMIT)


def _gpus(state: State, account: Account) -> int:
    """What its open bids leave, its leases, and its obligations in their fullest hour, reckoned only where it is asked."""
    changes: Counter[int] = Counter()
    for baron in state.barons if account.obligations else ():
        for obligation in obligations.held(state, account.account, baron):
            changes[obligation.start_h] += obligation.quantity
            changes[obligation.end_h] -= obligation.quantity
    fullest = max(accumulate(change for _, change in sorted(changes.items())), default=0)
    return account.gpus + fullest


def _cancel_all(state: State, account: Account) -> None:
    """All of its orders go, in order of entry; offers stay as they are said, and have no ask."""
    for order in state.orders_by(account.account):
        in_book.cancel(state, order, Reason.ACCOUNT_KILLED)


def _let_offers_in(state: State, account: Account) -> None:
    """Offers that were kept out enter anew when the command ends."""
    for offer in account.offers:
        rows.own_row(state, state.barons[offer.baron]).listings[offer.instrument].offer_refused = False
        open_orders.touch(state, offer.baron)
