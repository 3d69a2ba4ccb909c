"""A startup's year on the forward market: what it reserves, buys on top, resells, and what is delivered of it.

Everything goes through a real machine and its ledger, in simulated time: providers' asks, the startup's bids, its resales
to other renters, and each hour of delivery with its pay. It counts what the events say, and reckons nothing by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from bench.simulation.books import Books
from engine.kinds import Kind, LeaseState, OrderType, Pot, Side, TimeInForce, TransferCode
from engine.messages import (
    Command,
    Deposit,
    Event,
    InstrumentListed,
    LeaseActive,
    LeaseChanged,
    LeaseScheduled,
    LeaseWiped,
    ListMarket,
    OpenAccount,
    PlaceOrder,
    RegisterBaron,
    Rejected,
    SetCapacity,
    Tick,
    Traded,
    Transfer,
)

SKU: Final = "H100-SXM5-80GB"
REGION: Final = "us-east"
START_NS: Final = 1_797_336_000 * 10**9
"""15 December 2026, 12:00 UTC: 2027, its months and its quarters are listed."""
YEAR_END_NS: Final = 1_830_297_600 * 10**9
"""1 January 2028, 00:00 UTC."""

STARTUP: Final = 1
PROVIDERS: Final = (11, 12, 13, 14)
RENTERS: Final = (21, 22, 23, 24)
GPUS_A_BARON: Final = 500
"""Each provider has one cluster; its Baron has its number."""
WEALTH_MICROS: Final = 10**14
"""What every account begins with."""


class Terms(NamedTuple):
    """What the startup trades. Prices in ticks; `sold` per month of the periods named, 0: it resells nothing."""

    price_ticks: int
    resale_ticks: int
    reserved_gpus: int = 1_000
    year: str = "2027"
    added_gpus: int = 1_000
    added: str = "2027-03"
    resold_gpus: int = 500
    resold: Sequence[str] = ("2027-06", "2027-07", "2027-08", "2027-09", "2027-10", "2027-11", "2027-12")
    fee_ppm: int = 0
    """The startup's own fee on what it resells."""
    taker_fee_ppm: int = 0
    """Everybody's fee on what they take."""


class Outcome(NamedTuple):
    """Counted from events. GPU-hours, and micro-dollars before fees but for `fees_micros`, the startup's."""

    bought_gpu_hours: int
    sold_gpu_hours: int
    paid_micros: int
    proceeds_micros: int
    fees_micros: int
    fills: int

    @property
    def gpu_hours(self) -> int:
        return self.bought_gpu_hours - self.sold_gpu_hours

    @property
    def net_micros(self) -> int:
        """What it paid for what it keeps."""
        return self.paid_micros - self.proceeds_micros


class Reservation:
    """One scenario on one shard."""

    def __init__(self, books: Books, terms: Terms) -> None:
        self.books = books
        self.terms = terms
        self.now_ns = START_NS
        self.periods: dict[str, InstrumentListed] = {}
        self.trades: list[Traded] = []
        self.transfers: list[Transfer] = []
        self.delivered: dict[int, int] = {}
        """By lease: GPUs of it, as long as it is active."""
        self._todo: list[Command] = []

    def trade(self) -> Outcome:
        """List the market, and make all trades of the scenario on one day."""
        terms = self.terms
        self._open_up()
        for provider in PROVIDERS[:2]:
            self._place(provider, terms.year, Side.SELL, terms.price_ticks, GPUS_A_BARON, provider)
        self._place(STARTUP, terms.year, Side.BUY, terms.price_ticks, terms.reserved_gpus)
        for provider in PROVIDERS[2:]:
            self._place(provider, terms.added, Side.SELL, terms.price_ticks, GPUS_A_BARON, provider)
        self._place(STARTUP, terms.added, Side.BUY, terms.price_ticks, terms.added_gpus)
        for period in terms.resold if terms.resold_gpus else ():
            # On the first provider's Baron: its hours are the startup's now.
            self._place(STARTUP, period, Side.SELL, terms.resale_ticks, terms.resold_gpus, PROVIDERS[0])
            for renter in RENTERS:
                self._place(renter, period, Side.BUY, terms.resale_ticks, terms.resold_gpus // len(RENTERS))
        return self._outcome()

    def deliver(self, until_ns: int = YEAR_END_NS) -> None:
        """Let time pass, timer by timer, with sandboxes that come up and are wiped at once."""
        while (due_ns := self.books.machine.next_due_ns()) is not None and due_ns <= until_ns:
            self.now_ns = max(self.now_ns, due_ns)
            self._do(Tick())
        self.now_ns = until_ns

    def pot(self, account: int, pot: Pot) -> int:
        """Micro-dollars that are in a pot now."""
        return self.books.machine.state.accounts[account].pots[pot]

    def _open_up(self) -> None:
        terms = self.terms
        self._do(ListMarket(sku=SKU, region=REGION))
        for account in (*PROVIDERS, *RENTERS):
            self._do(OpenAccount(account=account, maker_fee_ppm=0, taker_fee_ppm=terms.taker_fee_ppm))
        self._do(OpenAccount(account=STARTUP, maker_fee_ppm=terms.fee_ppm, taker_fee_ppm=terms.taker_fee_ppm))
        for account in (STARTUP, *PROVIDERS, *RENTERS):
            self._do(Deposit(account=account, amount_micros=WEALTH_MICROS, client_id=""))
        for provider in PROVIDERS:
            self._do(RegisterBaron(baron=provider, provider=provider, sku=SKU, region=REGION))
            self._do(SetCapacity(baron=provider, gpus=GPUS_A_BARON, simulated=False))

    def _place(self, account: int, period: str, side: Side, price_ticks: int, gpus: int, baron: int = 0) -> None:
        self._do(
            PlaceOrder(
                account=account,
                instrument=self.periods[period].instrument,
                side=side,
                order_type=OrderType.LIMIT,
                time_in_force=TimeInForce.GTC,
                price_ticks=price_ticks,
                quantity=gpus,
                baron=baron,
                delivery=b"" if side is Side.SELL else b"keys of %d" % account,
            )
        )

    def _do(self, command: Command) -> None:
        self._todo.append(command)
        while self._todo:
            for event in self.books.enter(self.now_ns, self._todo.pop(0)):
                self._saw(event)

    def _saw(self, event: Event) -> None:
        match event:
            case Rejected():
                raise RuntimeError(f"the machine refused a part of the scenario: {event}")
            case InstrumentListed():
                self.periods[event.period] = event
            case Traded():
                self.trades.append(event)
            case Transfer():
                if event.code in (TransferCode.PREPAY, TransferCode.FEE):
                    self.transfers.append(event)
            case LeaseScheduled(state=LeaseState.PROVISIONING) if event.kind is Kind.FORWARD:
                self._todo.append(LeaseActive(lease_id=event.lease_id, access=b""))
                self.delivered[event.lease_id] = event.quantity
            case LeaseChanged(state=LeaseState.ENDED | LeaseState.FAILED, wiped=False):
                self._todo.append(LeaseWiped(lease_id=event.lease_id))
                del self.delivered[event.lease_id]
            case _:
                pass

    def _outcome(self) -> Outcome:
        hours = {period.instrument: period.end_h - period.start_h for period in self.periods.values()}
        bought = sum(trade.quantity * hours[trade.instrument] for trade in self.trades if trade.buyer == STARTUP)
        sold = sum(trade.quantity * hours[trade.instrument] for trade in self.trades if trade.seller == STARTUP)
        prepaid = [transfer for transfer in self.transfers if transfer.code is TransferCode.PREPAY]
        return Outcome(
            bought_gpu_hours=bought,
            sold_gpu_hours=sold,
            paid_micros=sum(each.amount_micros for each in prepaid if each.debit_account == STARTUP),
            proceeds_micros=sum(each.amount_micros for each in prepaid if each.credit_account == STARTUP),
            fees_micros=sum(
                each.amount_micros
                for each in self.transfers
                if each.code is TransferCode.FEE and each.debit_account == STARTUP
            ),
            fills=len(self.trades),
        )
