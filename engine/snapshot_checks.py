"""Whether what a snapshot says agrees with itself (`engine.snapshot`): rows with those that they name, counts with what they count.

Each number is in bounds by itself already (`engine.snapshot_bounds`). What stands here is what rooms take for granted: an order
rests in its book, an ask in its row, a lease has people and a row, and all money came from somewhere. Of orders, leases and bills,
of which there may be a million, a compiled state sees to the same by itself (`engine.compiled.agreeing`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, Final

from engine.book import RestingOrder
from engine.kinds import Kind, Pot, Side
from engine.messages import EXCHANGE_ACCOUNT
from engine.state import Account, Instrument, Order, State
from engine.units import NS_PER_DAY, NS_PER_HOUR

LATE_MAX_NS: Final = 366 * NS_PER_DAY
"""How late the earliest timer may be: the longest time in which nobody sent a Tick."""


def agree(state: State) -> None:
    """ValueError or LookupError where anything contradicts anything."""
    agree_few(state)
    _orders(state)
    _leases_and_bills(state)
    _counts(state)


def agree_few(state: State) -> None:
    """The same, but for orders, leases and bills."""
    _money(state)
    _markets(state)
    _barons_and_rows(state)
    for obligation in state.obligations.values():
        _known(state.accounts, (obligation.provider, obligation.holder), "an obligation's account")
        if state.barons[obligation.baron].provider != obligation.provider:
            raise ValueError(f"obligation {obligation.obligation_id} is its Baron's provider's")
        _known(state.rows, [(obligation.holder, obligation.baron)], "the row of an obligation")
    for cover in state.covers:
        _known(state.accounts, [cover.account], "a cover's account")
        _known(state.instruments, [cover.instrument], "a cover's instrument")
    if state.timers and state.timers[0][0] < state.last_ts_ns - LATE_MAX_NS:
        raise ValueError(f"something is due since {state.timers[0][0]} ns: what comes by the hour would never catch up")
    held = Counter(obligation.holder for obligation in state.obligations.values())
    for number, account in state.accounts.items():
        if account.obligations != held[number]:
            raise ValueError(f"account {number} doesn't hold {account.obligations} obligations")


def ascending(keys: Sequence[Any], what: str) -> None:
    """ValueError unless each is there once, in order."""
    if any(before >= behind for before, behind in pairwise(keys)):
        raise ValueError(f"{what} are each there once, in order")


def _known(table: Any, keys: Iterable[Any], what: str) -> None:
    for key in keys:
        if key not in table:
            raise LookupError(f"{what} isn't there: {key}")


def _money(state: State) -> None:
    """Pots sum to zero, and none is below it but cash."""
    total = 0
    for account in state.accounts.values():
        pots = list(account.pots)
        total += sum(pots)
        if min(micros for pot, micros in enumerate(pots) if pot != Pot.CASH) < 0:
            raise ValueError(f"account {account.account} has less than nothing in a pot")
    if total:
        raise ValueError(f"all pots sum to {total}, and money is only ever moved")


def _markets(state: State) -> None:
    """A market's on-demand instrument comes just behind its spot one, its forwards later."""
    for number, listed in state.instruments.items():
        if listed.kind is Kind.SPOT:
            other = state.instruments.get(number + 1)
            if other is None or other.kind is not Kind.ONDEMAND or _market(other) != _market(listed):
                raise ValueError(f"instrument {number} has no on-demand instrument behind it")
        spot, ondemand = state.markets[_market(listed)]
        if number not in (spot, ondemand) if listed.kind is not Kind.FORWARD else number < ondemand:
            raise ValueError(f"instrument {number} is of no market, or of one that is listed twice")
        if (listed.kind is Kind.FORWARD) != (listed.start_h < listed.end_h) or listed.start_h > listed.end_h:
            raise ValueError(f"instrument {number} delivers in no hours, or delivers and is no forward")
        if listed.kind is not Kind.FORWARD and listed.start_h:
            raise ValueError(f"instrument {number} is no forward, and begins")
    if state.instruments and state.next_instrument <= max(state.instruments):
        raise ValueError("the next instrument has a number that another has")
    _known(state.instruments, state.auction_ends, "the instrument of an auction")
    _known(state.instruments, state.expiring, "an instrument that expires")
    _known(state.instruments, state.closing_trades, "the instrument of a day's trades")
    _known([spot for spot, _ in state.markets.values()], state.calendars, "the market of a calendar")


def _market(listed: Instrument) -> tuple[str, str]:
    return listed.sku, listed.region


def _barons_and_rows(state: State) -> None:
    for number, baron in state.barons.items():
        _known(state.accounts, [baron.provider], "a Baron's provider")
        _known(state.markets, [(baron.sku, baron.region)], "a Baron's market")
        _known(state.rows, [(baron.provider, number)], "a provider's row")
    for account, number in state.rows:
        _known(state.accounts, [account], "a row's account")
        _known(state.barons, [number], "a row's Baron")
    _known(state.rows, state.yielding, "a row that yields")
    _known(state.barons, state.shutting, "a Baron that shuts")


# ---------------------------------------------------------------- what there may be a million of


def _orders(state: State) -> None:
    """An order is live exactly while its book has it, and an ask while its row has it."""
    at_rest: dict[tuple[int, int], RestingOrder] = {}
    stops: set[int] = set()
    for number, book in state.books.items():
        kept = book.state()
        at_rest |= {(number, order.order_id): order for order in (*kept.bids, *kept.asks, *kept.stops)}
        stops |= {order.order_id for order in kept.stops}
    if len(at_rest) != len(state.orders):
        raise ValueError(f"{len(state.orders)} orders are live, and {len(at_rest)} in books")
    for order in state.orders.values():
        rests = at_rest[order.instrument, order.order_id]
        if order.armed != (order.order_id in stops) or order.kind is not state.instruments[order.instrument].kind:
            raise ValueError(f"order {order.order_id} isn't what its book has")
        if _told(order) != _kept(rests):
            raise ValueError(f"order {order.order_id} isn't what its book has")
    asks = sum(order.side is Side.SELL for order in state.orders.values())
    listed = sum(len(row.spot_asks) + len(row.firm_asks) for row in state.rows.values())
    if asks != listed:
        raise ValueError(f"{asks} asks are live, and {listed} in rows")


def _told(order: Order) -> tuple[int, ...]:
    window_end_h = order.window_end_ns // NS_PER_HOUR
    return order.account, order.side, order.price_ticks, order.leaves_quantity, order.baron, window_end_h


def _kept(rests: RestingOrder) -> tuple[int, ...]:
    return rests.account, rests.side, rests.price, rests.leaves, rests.baron, rests.window_end_h


def _leases_and_bills(state: State) -> None:
    for lease in state.leases.values():
        _known(state.accounts, (lease.renter, lease.provider), "a lease's account")
        _known(state.barons, [lease.baron], "a lease's Baron")
        _known(state.rows, [(lease.provider, lease.baron)], "the row of a lease")
    for bill in state.bills.values():
        _known(state.accounts, (bill.renter, bill.provider), "a bill's account")


def _counts(state: State) -> None:
    """What accounts count of orders and leases."""
    orders, leases, gpus = Counter[int](), Counter[int](), Counter[int]()
    for order in state.orders.values():
        orders[order.account] += 1
        gpus[order.account] += order.leaves_quantity if order.side is Side.BUY else 0
    for lease in state.leases.values():
        if lease.kind is not Kind.FORWARD:
            leases[lease.renter] += 1
            gpus[lease.renter] += lease.quantity
    for number, account in state.accounts.items():
        if _said(account) != (orders[number], leases[number], gpus[number]):
            raise ValueError(f"account {number} has other orders and leases than it counts")
    if EXCHANGE_ACCOUNT not in state.accounts or set(orders) - set(state.accounts):
        raise ValueError("an order is of nobody")


def _said(account: Account) -> tuple[int, int, int]:
    return account.open_orders, account.leases, account.gpus
