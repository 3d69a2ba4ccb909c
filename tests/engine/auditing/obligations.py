"""The auditor of forwards' obligations: what each sale, resale, hour and failure makes of them, from the events alone (§8, §9).

It sweeps over the edges of hours where the engine goes through needs, and reckons shares in fractions. What stands of an
obligation is what its last event said; each event is held to what that and the trades before it leave it to say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from engine.kinds import ObligationChange, Pot, Side, TransferCode
from engine.messages import (
    Accepted,
    Command,
    Event,
    ObligationChanged,
    PlaceOrder,
    QuotesSet,
    SetDelivery,
    SetQuotes,
    Traded,
    Transfer,
)
from tests.engine.auditing.records import SeenOrder

Key = tuple[int, int]
"""(holder, Baron)."""
Span = tuple[int, int, int]
"""So many GPUs in each hour of [first, last)."""
Asked = tuple[int, int, bool]
"""What a bid asks of its Baron: features, least rating, one Baron for all."""
MICROS_PER_TICK = 100
NEW_OR_LESS = (ObligationChange.RESOLD, ObligationChange.HOME)


class Owed(NamedTuple):
    """An obligation as its last event said it, and what only its holder's commands say."""

    said: ObligationChanged
    delivery: bytes
    asked: Asked

    @property
    def hours(self) -> int:
        return self.said.end_h - self.said.start_h

    @property
    def gpu_hours(self) -> int:
        return self.said.quantity * self.hours

    @property
    def span(self) -> Span:
        return self.said.start_h, self.said.end_h, self.said.quantity

    @property
    def terms(self) -> tuple[object, ...]:
        """What equal neighbours have in common."""
        said = self.said
        return said.holder, said.provider, said.baron, said.price_ticks, said.quantity, self.delivery, self.asked


class Draft(NamedTuple):
    """Fills of one bid with one seller on one Baron at one price, in one command."""

    trade: Traded
    seller: Key
    buyer: Key
    start_h: int
    end_h: int
    bid: tuple[bytes, Asked]


class Resale:
    """A holder's sale under way: what it has to take of which obligation, and what its events have said of that."""

    def __init__(self, draft: Draft, quantity: int, held: dict[int, Owed]) -> None:
        self.draft = draft
        self.quantity = quantity
        self.taken = oldest_first(held, (draft.start_h, draft.end_h, quantity))
        self.before = {number: held[number] for number in self.taken}
        self.pieces: dict[int, list[ObligationChanged]] = {number: [] for number in self.taken}
        self.over: set[int] = set()

    @property
    def home(self) -> bool:
        """Its provider buys what it owes."""
        _, baron = self.draft.buyer
        return all((each.said.provider, baron) == self.draft.buyer for each in self.before.values())

    def take(self, event: ObligationChanged) -> None:
        number = event.obligation_id if event.obligation_id in self.taken else event.other_id
        assert number in self.taken, "a resale takes of the oldest first, and of no other"
        old, said = self.before[number].said, self.pieces[number]
        assert (event.provider, event.baron, event.price_ticks) == (old.provider, old.baron, old.price_ticks), (
            "escrow stays with its hours at the price of their first sale"
        )
        if not event.live:
            self.over.add(number)
            assert event.change is (ObligationChange.HOME if self.home else ObligationChange.RESOLD)
            return
        assert event.change is ObligationChange.RESOLD
        if event.obligation_id == number:
            assert not said and event.holder == old.holder, "the first of what stays keeps the id"
        else:
            assert event.obligation_id > max(self.taken) and event.lease_id == 0
        said.append(event)

    def check(self, moved: list[Transfer]) -> None:
        """All that goes is the buyer's, all that stays the seller's, and each has its share of the bond."""
        seller, buyer = self.draft.seller[0], self.draft.buyer[0]
        for number, taken in self.taken.items():
            before, said = self.before[number], self.pieces[number]
            stays = profile([before.span, *((start_h, end_h, -gpus) for start_h, end_h, gpus in taken)])
            told = [each for each in said if each.holder == seller]
            assert profile(map(_span, told)) == stays, "what isn't sold stays"
            assert bool(told) == (number not in self.over)
            assert not told or (told[0].obligation_id, told[0].start_h) == (number, stays[0][0])
            assert not told or told[0].lease_id == before.said.lease_id
            gone = [each for each in said if each.holder == buyer]
            assert profile(map(_span, gone)) == ([] if self.home else profile(taken)), "the oldest hours go first"
            assert all((each.instrument, each.lease_id) == (self.draft.trade.instrument, 0) for each in gone)
            assert len(told) + len(gone) == len(said)
            self._check_bond(number, said, moved)
        if self.home:
            escrow = sum(self.before[number].said.price_ticks * _gpu_hours(each) for number, each in self.taken.items())
            assert _paid(moved, Pot.ESCROW, TransferCode.REFUND, buyer) == escrow * MICROS_PER_TICK
        else:
            assert not moved, "escrow and bond of what is resold stay where they are"

    def _check_bond(self, number: int, said: list[ObligationChanged], moved: list[Transfer]) -> None:
        before = self.before[number]
        home = [each for each in moved if each.debit_pot is Pot.BOND and each.ref == number]
        assert all(each.code is TransferCode.RELEASE and each.credit_account == before.said.provider for each in home)
        freed = sum(each.amount_micros for each in home)
        assert sum(each.bond_micros for each in said) + freed == before.said.bond_micros, "no bond is lost or made"
        at_most = len(said) + len(self.taken[number])
        for each in said:
            share = Fraction(before.said.bond_micros * each.quantity * (each.end_h - each.start_h), before.gpu_hours)
            assert -1 < each.bond_micros - share < at_most, "a part of an obligation has its share of the bond"


class Owing:
    """All obligations of a shard, and what was bought, sold, delivered and failed of each Baron's hours in all."""

    def __init__(self) -> None:
        self.owed: dict[int, Owed] = {}
        self.of: dict[Key, dict[int, Owed]] = {}
        self.bids: dict[int, tuple[bytes, Asked]] = {}
        """By bid: where to deliver to, and what it asks for."""
        self.bought: Counter[Key] = Counter()
        """GPU-hours that each holder bought and didn't sell on, from the trades."""
        self.passed: Counter[Key] = Counter()
        """Of these, those that were delivered, or failed."""
        self.met: Counter[str] = Counter()
        self.failed: dict[int, Owed] = {}
        """What failed in this command, as it stood before."""
        self._before: dict[int, Owed] = {}
        """What is cut or joined, until its other event comes."""
        self._command: Command | None = None
        self._said_in: dict[int, bytes] = {}
        self._drafts: dict[tuple[object, ...], Draft] = {}
        self._quantities: Counter[tuple[object, ...]] = Counter()
        self._resale: Resale | None = None
        self._moved: list[Transfer] = []
        self._touched: set[int] = set()
        """What this command sold, and what it left of that."""
        self._keys: set[Key] = set()

    def begin(self, command: Command, events: list[Event]) -> None:
        """A command comes, with all its events."""
        self._command = command
        self._said_in.clear()
        self.failed.clear()
        self._touched.clear()
        self._keys.clear()
        self._moved.clear()
        if isinstance(command, SetQuotes):
            for event in events:
                if isinstance(event, QuotesSet):
                    quotes = zip(event.order_ids, command.quotes, strict=True)
                    self._said_in.update((order_id, quote.delivery) for order_id, quote in quotes)

    def take(self, event: Event, orders: dict[int, SeenOrder], spans: dict[int, tuple[int, int]]) -> None:
        """One event; `orders` still say what stood before it, `spans` are the hours of forwards by instrument."""
        match event:
            case Accepted() if event.side is Side.BUY and event.instrument in spans:
                delivery = self._said_in.get(event.order_id, b"")
                if isinstance(self._command, PlaceOrder):
                    delivery = self._command.delivery
                self.bids[event.order_id] = delivery, (event.features, event.min_rating, event.same_baron)
            case Traded() if event.instrument in spans:
                self._traded(event, orders, *spans[event.instrument])
            case Transfer():
                self._transfer(event)
            case ObligationChanged():
                self._changed(event)

    def finish(self) -> None:
        """The command is over, and its sales are settled."""
        assert not self._drafts and self._resale is None, "what is traded is owed"
        assert not self._before, "what is cut off or joined is told twice"
        touched = [self.owed[number].said for number in self._touched & self.owed.keys()]
        for key in {(each.holder, each.baron) for each in touched}:
            self._check_joined(key)
        for key in self._keys:
            standing = sum(each.gpu_hours for each in self.of.get(key, {}).values())
            assert self.bought[key] == standing + self.passed[key], "what is bought is owed, was delivered, or failed"

    # ---- sales

    def _traded(self, trade: Traded, orders: dict[int, SeenOrder], start_h: int, end_h: int) -> None:
        """Fills add up to drafts, which are settled in order when the command ends."""
        buys = trade.taker_side is Side.BUY
        bid_id = trade.taker_order_id if buys else trade.maker_order_id
        assert orders[bid_id].accepted.account == trade.buyer
        seller, buyer = (trade.seller, trade.baron), (trade.buyer, trade.baron)
        key = (bid_id, seller, trade.price_ticks, buys, trade.auction)
        self._drafts.setdefault(key, Draft(trade, seller, buyer, start_h, end_h, self.bids[bid_id]))
        self._quantities[key] += trade.quantity

    def _next(self) -> tuple[Draft, int]:
        assert self._drafts, "an obligation changes hands by a trade"
        key = next(iter(self._drafts))
        return self._drafts.pop(key), self._quantities.pop(key)

    def _sold(self, event: ObligationChanged) -> None:
        draft, quantity = self._next()
        self.met["SOLD"] += 1
        assert event.obligation_id > max(self.owed, default=0) and event.live and event.lease_id == 0
        assert (event.provider, event.holder, event.baron) == (draft.seller[0], draft.buyer[0], draft.seller[1])
        assert _span(event) == (draft.start_h, draft.end_h, quantity), "a sale is of its whole period"
        assert (event.price_ticks, event.instrument) == (draft.trade.price_ticks, draft.trade.instrument)
        self.bought[draft.buyer] += quantity * (draft.end_h - draft.start_h)
        self._keep(event, *draft.bid)
        self._touched.add(event.obligation_id)

    def _resold(self, event: ObligationChanged) -> None:
        if self._resale is None:
            draft, quantity = self._next()
            self._resale = Resale(draft, quantity, self.of.get(draft.seller, {}))
        resale = self._resale
        resale.take(event)
        self._touched.add(event.obligation_id)
        if not event.live:
            self._drop(event)
        elif event.holder == resale.draft.buyer[0]:
            self._keep(event, *resale.draft.bid)
        else:
            before = resale.before[event.obligation_id if event.obligation_id in resale.before else event.other_id]
            self._keep(event, before.delivery, before.asked)

    def _transfer(self, transfer: Transfer) -> None:
        """Out of escrow and bond it waits for what it is told to be of; the notional of a resale ends that."""
        if transfer.debit_pot in (Pot.ESCROW, Pot.BOND):
            self._moved.append(transfer)
        resale = self._resale
        if resale is None or transfer.code is not TransferCode.PREPAY:
            return
        draft, gpu_hours = resale.draft, resale.quantity * (resale.draft.end_h - resale.draft.start_h)
        assert (transfer.debit_account, transfer.debit_pot) == (draft.buyer[0], Pot.HELD)
        assert (transfer.credit_account, transfer.credit_pot) == (draft.seller[0], Pot.AVAILABLE)
        assert transfer.amount_micros == draft.trade.price_ticks * MICROS_PER_TICK * gpu_hours
        resale.check(self._take_moved(*resale.taken))
        self.met["RESOLD HOME" if resale.home else "RESOLD"] += 1
        self.met["RESOLD in part"] += len(resale.over) < len(resale.taken)
        self.met["RESOLD of several"] += len(resale.taken) > 1
        self.bought[draft.seller] -= gpu_hours
        self.bought[draft.buyer] += 0 if resale.home else gpu_hours
        self._resale = None

    # ---- what else changes them

    def _changed(self, event: ObligationChanged) -> None:
        if event.change is ObligationChange.SOLD:
            self._sold(event)
        elif event.change in NEW_OR_LESS:
            self._resold(event)
        elif event.change is ObligationChange.CUT:
            self._cut(event)
        elif event.change is ObligationChange.JOINED:
            self._joined(event)
        else:
            self._lived(event)

    def _lived(self, event: ObligationChanged) -> None:
        """An hour was paid, it failed, has a lease, or is told where to deliver."""
        before, change = self.owed[event.obligation_id], event.change
        said, key = before.said, (event.holder, event.baron)
        delivery = before.delivery
        assert (event.holder, event.price_ticks, event.quantity) == (said.holder, said.price_ticks, said.quantity)
        hour = said.start_h + (change in (ObligationChange.PAID, ObligationChange.DELIVERED))
        assert (event.start_h, event.end_h) == (hour, said.end_h)
        bond = 0
        if hour > said.start_h:
            assert (change is ObligationChange.PAID) == (hour < said.end_h) == event.live
            bond = said.bond_micros // before.hours
            pay = said.price_ticks * MICROS_PER_TICK * said.quantity
            self._check_moved(event, (TransferCode.USAGE, Pot.RECEIVABLE, pay), (TransferCode.RELEASE, bond))
            self.passed[key] += said.quantity
        elif change is ObligationChange.FAILED:
            assert not event.live
            escrow = (TransferCode.REFUND, Pot.AVAILABLE, said.escrow_micros)
            self._check_moved(event, escrow, (TransferCode.PENALTY, said.bond_micros))
            self.passed[key] += before.gpu_hours
            self.failed[event.obligation_id] = before
        elif change is ObligationChange.ADDRESSED:
            assert isinstance(self._command, SetDelivery) and event.live
            delivery = self._command.delivery
        else:
            assert change is ObligationChange.LEASED and event.live
        self.met[change.name] += 1
        if event.live:
            assert event.bond_micros == said.bond_micros - bond
            self._keep(event, delivery, before.asked)
        else:
            self._drop(event)

    def _check_moved(
        self, event: ObligationChanged, escrow: tuple[TransferCode, Pot, int], bond: tuple[TransferCode, int]
    ) -> None:
        """An hour's pay is its provider's, what failed its holder's, and the bond of it likewise: that, and nothing else."""
        to = event.provider if escrow[0] is TransferCode.USAGE else event.holder
        expected = {(event.provider, Pot.ESCROW, to, escrow[1], escrow[0], escrow[2])}
        if bond[1]:
            expected.add((event.provider, Pot.BOND, to, Pot.AVAILABLE, *bond))
        moved = self._take_moved(event.obligation_id)
        assert expected == {
            (each.debit_account, each.debit_pot, each.credit_account, each.credit_pot, each.code, each.amount_micros)
            for each in moved
        } and len(moved) == len(expected), f"what {event.change.name} pays"  # fmt: skip

    def _take_moved(self, *numbers: int) -> list[Transfer]:
        """What went out of escrow since it was asked last, and out of the bonds of these; bonds of leases aside."""
        moved = [each for each in self._moved if each.debit_pot is Pot.ESCROW or each.ref in numbers]
        self._moved.clear()
        return moved

    def _cut(self, event: ObligationChanged) -> None:
        """Some of its GPUs fail: the rest keeps the id, and what goes has one of its own."""
        if event.other_id:
            kept = self.owed[event.other_id]
            assert (event.start_h, event.end_h) == (kept.said.start_h, kept.said.end_h)
            whole = self._before.pop(event.other_id)
            assert event.quantity + kept.said.quantity == whole.said.quantity, "no GPU is lost by a cut"
            assert event.bond_micros + kept.said.bond_micros == whole.said.bond_micros
            self._keep(event, kept.delivery, kept.asked)
        else:
            before = self._before[event.obligation_id] = self.owed[event.obligation_id]
            assert 0 < event.quantity < before.said.quantity and event.lease_id == before.said.lease_id
            self._keep(event, before.delivery, before.asked)
        self.met["CUT"] += 1

    def _joined(self, event: ObligationChanged) -> None:
        """Two equal neighbours are one, under the older's id and with the earlier's lease."""
        if not event.live:
            assert event.other_id < event.obligation_id, "the older keeps its id"
            self._before[event.obligation_id] = self.owed[event.obligation_id]
            self._drop(event)
            return
        older, younger = self.owed[event.obligation_id], self._before.pop(event.other_id)
        earlier, later = sorted((older, younger), key=lambda each: each.said.start_h)
        assert earlier.terms == later.terms and earlier.said.end_h == later.said.start_h, "equal neighbours are joined"
        assert not later.said.lease_id and event.lease_id == earlier.said.lease_id
        assert _span(event) == (earlier.said.start_h, later.said.end_h, earlier.said.quantity)
        assert event.bond_micros == earlier.said.bond_micros + later.said.bond_micros
        self.met["JOINED"] += 1
        self._keep(event, older.delivery, older.asked)

    def _check_joined(self, key: Key) -> None:
        """Of what this command sold, or left of a sale, none has an equal neighbour that it could be joined with."""
        begins: dict[tuple[object, ...], list[Owed]] = {}
        for each in self.of[key].values():
            begins.setdefault((each.said.start_h, each.terms), []).append(each)
        for each in self.of[key].values():
            for later in begins.get((each.said.end_h, each.terms), ()):
                touched = self._touched & {each.said.obligation_id, later.said.obligation_id}
                assert not touched or later.said.lease_id, "equal neighbours are joined"

    # ---- the table

    def _keep(self, event: ObligationChanged, delivery: bytes, asked: Asked) -> None:
        owed = Owed(event, delivery, asked)
        assert event.escrow_micros == event.price_ticks * MICROS_PER_TICK * owed.gpu_hours
        assert event.addressed == bool(delivery)
        self.owed[event.obligation_id] = owed
        self._keys.add((event.holder, event.baron))
        self.of.setdefault((event.holder, event.baron), {})[event.obligation_id] = owed

    def _drop(self, event: ObligationChanged) -> None:
        del self.owed[event.obligation_id]
        self._keys.add((event.holder, event.baron))
        del self.of[event.holder, event.baron][event.obligation_id]


def oldest_first(held: dict[int, Owed], sold: Span) -> dict[int, list[Span]]:
    """What a sale of so many GPUs in each of these hours takes of which obligation, hours between two edges at a time."""
    start_h, end_h, quantity = sold
    near = {number: held[number] for number in sorted(held) if held[number].said.end_h > start_h}
    near = {number: each for number, each in near.items() if each.said.start_h < end_h}
    edges = {start_h, end_h}.union(*((each.said.start_h, each.said.end_h) for each in near.values()))
    taken: dict[int, list[Span]] = {}
    for begins, ends in pairwise(sorted(edge for edge in edges if start_h <= edge <= end_h)):
        needs = quantity
        for number, each in near.items():
            if each.said.start_h <= begins and ends <= each.said.end_h and needs:
                gpus = min(needs, each.said.quantity)
                taken.setdefault(number, []).append((begins, ends, gpus))
                needs -= gpus
        assert not needs, "nobody sells hours that it doesn't hold"
    return taken


def profile(spans: Iterable[Span]) -> list[Span]:
    """How many GPUs all of these have together in which hours, in order, none where there are none."""
    edges: Counter[int] = Counter()
    for start_h, end_h, gpus in spans:
        edges[start_h] += gpus
        edges[end_h] -= gpus
    steps = sorted(edge for edge, change in edges.items() if change)
    found: list[Span] = []
    gpus = 0
    for begins, ends in pairwise(steps):
        gpus += edges[begins]
        if gpus:
            found.append((begins, ends, gpus))
    return found


def _span(event: ObligationChanged) -> Span:
    return event.start_h, event.end_h, event.quantity


def _gpu_hours(spans: Iterable[Span]) -> int:
    return sum((end_h - start_h) * gpus for start_h, end_h, gpus in spans)


def _paid(moved: list[Transfer], pot: Pot, code: TransferCode, account: int) -> int:
    """What went out of a pot to what is available to an account."""
    to = (account, Pot.AVAILABLE, code)
    return sum(
        each.amount_micros
        for each in moved
        if each.debit_pot is pot and (each.credit_account, each.credit_pot, each.code) == to
    )
