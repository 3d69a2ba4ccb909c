"""Money: the one place where a pot changes, and the commands that bring money in and out (rulebook §9).

Every movement is a Transfer event, so that all pots sum to zero by construction; a pot other than cash that would go
below zero is a contradiction and stops the engine. It knows nothing of orders and leases but what a hold is made of.
"""

from __future__ import annotations

from engine import client_ids
from engine.kinds import Kind, Pot, Side, TransferCode
from engine.messages import EXCHANGE_ACCOUNT, AccountOpened, Deposit, OpenAccount, Transfer, Withdraw
from engine.reasons import Reason
from engine.state import Account, Broken, Order, Refused, State, short_of_funds
from engine.units import (
    AMOUNT_MAX_MICROS,
    INT64_MAX,
    NS_PER_HOUR,
    NS_PER_S,
    NUMBER_MAX,
    PPM,
    fee_micros_up,
    usage_micros,
    usage_micros_up,
)

CASH = (EXCHANGE_ACCOUNT, Pot.CASH)
FEES = (EXCHANGE_ACCOUNT, Pot.FEES)


def transfer(
    state: State, debit: tuple[int, Pot], credit: tuple[int, Pot], amount_micros: int, code: TransferCode, ref: int
) -> None:
    """Move money from (account, pot) to (account, pot); nothing for zero. Broken when a pot but cash would go below zero."""
    if amount_micros == 0:
        return
    from_pots, to_pots = state.accounts[debit[0]].pots, state.accounts[credit[0]].pots
    from_pots[debit[1]] -= amount_micros
    to_pots[credit[1]] += amount_micros
    if amount_micros < 0 or (from_pots[debit[1]] < 0 and debit[1] is not Pot.CASH):
        raise Broken(f"{code.name} of {amount_micros} for {ref} leaves {from_pots[debit[1]]} in {debit}")
    state.emit(
        Transfer(
            debit_account=debit[0],
            debit_pot=debit[1],
            credit_account=credit[0],
            credit_pot=credit[1],
            amount_micros=amount_micros,
            code=code,
            ref=ref,
        )
    )


def needed_micros(price_ticks: int, quantity: int, duration_ns: int, fee_ppm: int) -> int:
    """What must be held for a duration: usage rounded up, and the fee on that rounded up (§9)."""
    usage = usage_micros_up(price_ticks, quantity, duration_ns)
    return usage + fee_micros_up(usage, fee_ppm)


def hold_micros(state: State, account: Account, price_ticks: int, quantity: int) -> int:
    """What a bid of the account holds: one hour and 120 s at its limit, with the higher of its fees (§9)."""
    return needed_micros(price_ticks, quantity, state.limits.prefund_s * NS_PER_S, _higher_fee_ppm(account))


def order_hold_micros(state: State, order: Order, leaves_quantity: int) -> int:
    """The hold of an order that leaves so much (§9): of a bid its cost, of an ask bond and fee, at the price it is held at."""
    account = state.accounts[order.account]
    if order.side is Side.SELL:
        return _ask_hold_micros(state, account, order, leaves_quantity)
    if order.kind is Kind.FORWARD:
        hours_ns = state.instruments[order.instrument].hours * NS_PER_HOUR
        return needed_micros(order.price_ticks, leaves_quantity, hours_ns, _higher_fee_ppm(account))
    return hold_micros(state, account, order.price_ticks, leaves_quantity)


def _ask_hold_micros(state: State, account: Account, ask: Order, leaves_quantity: int) -> int:
    """An open ask holds what its fill will need: nothing on spot, nor on hours that were bought (§9)."""
    if not needs_bond(state, ask):
        return 0
    ticks = ask.hold_ticks * leaves_quantity
    if ask.kind is Kind.ONDEMAND:
        return ondemand_bond_micros(state, ticks)
    notional = usage_micros(1, ticks, state.instruments[ask.instrument].hours * NS_PER_HOUR)
    return forward_bond_micros(state, notional) + fee_micros_up(notional, _higher_fee_ppm(account))


def needs_bond(state: State, ask: Order) -> bool:
    """Whether an ask is its provider's own and firm: bought hours need no bond, the first provider's stands (§9)."""
    return ask.kind is not Kind.SPOT and state.barons[ask.baron].provider == ask.account


def ondemand_bond_micros(state: State, ticks: int) -> int:
    """The bond of on-demand GPUs whose prices sum up to so much."""
    return usage_micros_up(1, ticks, state.limits.ondemand_bond_s * NS_PER_S)


def forward_bond_micros(state: State, notional_micros: int) -> int:
    return fee_micros_up(notional_micros, state.limits.forward_bond_ppm)


def _higher_fee_ppm(account: Account) -> int:
    return max(account.maker_fee_ppm, account.taker_fee_ppm)


def change_hold(
    state: State, account: int, delta_micros: int, ref: int, code: TransferCode = TransferCode.HOLD
) -> None:
    """Hold more of an account's available money, with this code, or release (a negative delta)."""
    available, held = (account, Pot.AVAILABLE), (account, Pot.HELD)
    if delta_micros > 0:
        transfer(state, available, held, delta_micros, code, ref)
    else:
        transfer(state, held, available, -delta_micros, TransferCode.RELEASE, ref)


def open_account(state: State, command: OpenAccount) -> None:
    """Open an account; a repeat with equal content gives the same event again."""
    if command.account == EXCHANGE_ACCOUNT:
        raise Refused(Reason.ACCOUNT_EXISTS, "account")
    if not 0 < command.account <= NUMBER_MAX:
        raise Refused(Reason.UNKNOWN_ACCOUNT, "account")
    for field, fee_ppm in (("maker_fee_ppm", command.maker_fee_ppm), ("taker_fee_ppm", command.taker_fee_ppm)):
        if not 0 <= fee_ppm <= PPM:
            raise Refused(Reason.INVALID_AMOUNT, field)
    found = state.accounts.get(command.account)
    if found is None:
        state.accounts[command.account] = state.new_account(
            command.account, command.maker_fee_ppm, command.taker_fee_ppm
        )
    elif (found.maker_fee_ppm, found.taker_fee_ppm) != (command.maker_fee_ppm, command.taker_fee_ppm):
        raise Refused(Reason.ACCOUNT_EXISTS, "account")
    state.emit(
        AccountOpened(account=command.account, maker_fee_ppm=command.maker_fee_ppm, taker_fee_ppm=command.taker_fee_ppm)
    )


def deposit(state: State, command: Deposit) -> bool:
    """Money from cash to available; False for a repeat, which moves nothing."""
    account = state.open_account(command.account)
    if client_ids.repeated(state, account, command.client_id, command, "client_id"):
        return False
    _check_amount(command.amount_micros)
    paid_in = -state.accounts[EXCHANGE_ACCOUNT].pots[Pot.CASH]
    if sum(account.pots) + command.amount_micros > AMOUNT_MAX_MICROS or paid_in > INT64_MAX - command.amount_micros:
        raise Refused(Reason.INVALID_AMOUNT, "amount_micros")
    available = (command.account, Pot.AVAILABLE)
    transfer(state, CASH, available, command.amount_micros, TransferCode.DEPOSIT, 0)
    client_ids.remember(state, account, command.client_id, command, 0)
    return True


def withdraw(state: State, command: Withdraw) -> None:
    """Money from available to cash."""
    account = state.open_account(command.account)
    if client_ids.repeated(state, account, command.client_id, command, "client_id"):
        return
    _check_amount(command.amount_micros)
    if account.pots[Pot.AVAILABLE] < command.amount_micros:
        raise short_of_funds(command.amount_micros, account.pots[Pot.AVAILABLE], "amount_micros")
    available = (command.account, Pot.AVAILABLE)
    transfer(state, available, CASH, command.amount_micros, TransferCode.WITHDRAW, 0)
    client_ids.remember(state, account, command.client_id, command, 0)


def _check_amount(amount_micros: int) -> None:
    if not 0 < amount_micros <= AMOUNT_MAX_MICROS:
        raise Refused(Reason.INVALID_AMOUNT, "amount_micros")
