"""Obligations of forwards: who owes whom which hours, and how a resale cuts, moves and joins them (rulebook §8).

An obligation begins with its provider's sale and keeps its escrow price and bond through every resale; only its holder
changes. What of it is paid or fails, hour by hour, is `engine.obligation_hours`. It knows no order books, no leases but by
their ids, and not what a buyer paid.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from msgspec.structs import replace

from engine import bills, money, timers
from engine.kinds import ObligationChange, Pot, TransferCode
from engine.messages import ObligationChanged
from engine.obligation import NO_CONDITIONS, Conditions, Obligation, Part
from engine.state import Broken, State
from engine.units import NS_PER_HOUR


class Piece(NamedTuple):
    """A part of an obligation with its share of the bond; `goes`: it leaves its holder."""

    part: Part
    bond_micros: int
    goes: bool


Plan = list[tuple[Obligation, list[Part]]]
"""What a sale takes of each obligation, parts in order of hours."""


# ---------------------------------------------------------------- the table


def held(state: State, holder: int, baron: int) -> Collection[Obligation]:
    """A holder's obligations on a Baron, oldest first."""
    return state.obligations_of.get((holder, baron), {}).values()


def index(state: State, obligation: Obligation) -> None:
    """Take an obligation into the table, after all that are older."""
    state.obligations[obligation.obligation_id] = obligation
    key = (obligation.holder, obligation.baron)
    state.obligations_of.setdefault(key, {})[obligation.obligation_id] = obligation
    _meet(state, obligation)


@contextmanager
def changing(state: State, obligation: Obligation, due_ns: int) -> Iterator[None]:
    """Around any change of its hours, GPUs or delivery, for it is known by them; its timer after that."""
    timers.arm_obligation(state, obligation, 0)
    _part(state, obligation)
    yield
    _meet(state, obligation)
    timers.arm_obligation(state, obligation, due_ns)


def _meet(state: State, obligation: Obligation) -> None:
    for key in (_ends(obligation, obligation.end_h), _begins(obligation, obligation.start_h)):
        insort(state.neighbours.setdefault(key, []), obligation.obligation_id)


def _part(state: State, obligation: Obligation) -> None:
    for key in (_ends(obligation, obligation.end_h), _begins(obligation, obligation.start_h)):
        meeting = state.neighbours[key]
        del meeting[bisect_left(meeting, obligation.obligation_id)]
        if not meeting:
            del state.neighbours[key]


def _ends(like: Obligation, hour: int) -> tuple[object, ...]:
    """The key of those that are equal but for their hours, and end at this one."""
    return like.holder, like.baron, like.price_ticks, like.quantity, like.delivery, like.conditions, True, hour


def _begins(like: Obligation, hour: int) -> tuple[object, ...]:
    return like.holder, like.baron, like.price_ticks, like.quantity, like.delivery, like.conditions, False, hour


def say(
    state: State, obligation: Obligation, change: ObligationChange, other_id: int = 0, *, over: bool = False
) -> None:
    """Say an obligation as it is now, whole."""
    state.emit(
        ObligationChanged(
            obligation_id=obligation.obligation_id,
            provider=obligation.provider,
            holder=obligation.holder,
            baron=obligation.baron,
            instrument=obligation.instrument,
            quantity=obligation.quantity,
            start_h=obligation.start_h,
            end_h=obligation.end_h,
            price_ticks=obligation.price_ticks,
            escrow_micros=0 if over else obligation.escrow_micros,
            bond_micros=0 if over else obligation.bond_micros,
            lease_id=obligation.lease_id,
            addressed=bool(obligation.delivery),
            live=not over,
            change=change,
            other_id=other_id,
        )
    )


def drop(state: State, obligation: Obligation, change: ObligationChange, other_id: int = 0) -> None:
    """An obligation is over; its money has gone where it belongs already, and what it earned waits for its month's close."""
    bills.ended(state, obligation.obligation_id, obligation.start_h * NS_PER_HOUR)
    _forget(state, obligation)
    say(state, obligation, change, other_id, over=True)


def _begin(state: State, obligation: Obligation, change: ObligationChange, other_id: int = 0) -> None:
    index(state, obligation)
    state.accounts[obligation.holder].obligations += 1
    timers.arm_obligation(state, obligation, obligation.start_h * NS_PER_HOUR)
    say(state, obligation, change, other_id)


def _forget(state: State, obligation: Obligation) -> None:
    timers.arm_obligation(state, obligation, 0)
    _part(state, obligation)
    del state.obligations[obligation.obligation_id]
    key = (obligation.holder, obligation.baron)
    del state.obligations_of[key][obligation.obligation_id]
    if not state.obligations_of[key]:
        del state.obligations_of[key]
    state.accounts[obligation.holder].obligations -= 1


# ---------------------------------------------------------------- sales


def open_sold(state: State, obligation: Obligation) -> Obligation:
    """A provider has sold hours of its own, escrow and bond are paid in; what stands for it now."""
    _begin(state, obligation, ObligationChange.SOLD)
    return join(state, [obligation])[0]


def plan(state: State, holder: int, baron: int, wanted: Part) -> Plan:
    """What a sale of these hours takes of the holder's obligations on the Baron: oldest first. Changes nothing.

    Broken where it doesn't have the hours: its row said that it had.
    """
    taken: Plan = []
    needs = [wanted]
    for obligation in held(state, holder, baron):
        if obligation.end_h <= needs[0].start_h or needs[-1].end_h <= obligation.start_h:
            # Thousands may have other hours, and each fill of a command comes by here.
            continue
        parts, needs = take(obligation, needs)
        if parts:
            taken.append((obligation, parts))
        if not needs:
            return taken
    raise Broken(f"account {holder} sold hours of Baron {baron} that nobody owes it: {needs}")


def take(obligation: Obligation | Part, needs: list[Part]) -> tuple[list[Part], list[Part]]:
    """(what an obligation, or its hours alone, serves of the needs; what of them is left), both in order of hours."""
    parts: list[Part] = []
    left: list[Part] = []
    for need in needs:
        start_h, end_h = max(need.start_h, obligation.start_h), min(need.end_h, obligation.end_h)
        if start_h >= end_h:
            left.append(need)
            continue
        quantity = min(need.quantity, obligation.quantity)
        parts.append(Part(start_h, end_h, quantity))
        rest = (
            Part(need.start_h, start_h, need.quantity),
            Part(start_h, end_h, need.quantity - quantity),
            Part(end_h, need.end_h, need.quantity),
        )
        left += [part for part in rest if part.gpu_hours]
    return parts, left


def pieces(obligation: Obligation, going: list[Part]) -> list[Piece]:
    """An obligation cut so that these parts of it go, in order of hours, what stays before what goes in the same hours.

    A share of the bond goes by GPU-hours, rounded down; the last piece takes the rest.
    """
    parts = cut(obligation, going)
    bonds = [obligation.bond_micros * part.gpu_hours // obligation.gpu_hours for part, _ in parts]
    bonds[-1] += obligation.bond_micros - sum(bonds)
    return [Piece(part, bond, goes) for (part, goes), bond in zip(parts, bonds, strict=True)]


def cut(obligation: Obligation | Part, going: list[Part]) -> list[tuple[Part, bool]]:
    """The hours that an obligation falls into when these parts of it go, and which of them go."""
    parts: list[tuple[Part, bool]] = []
    at_h = obligation.start_h
    for part in going:
        parts.append((Part(at_h, part.start_h, obligation.quantity), False))
        parts.append((Part(part.start_h, part.end_h, obligation.quantity - part.quantity), False))
        parts.append((part, True))
        at_h = part.end_h
    parts.append((Part(at_h, obligation.end_h, obligation.quantity), False))
    return [(part, goes) for part, goes in parts if part.gpu_hours]


def move(
    state: State, planned: Plan, buyer: int, instrument: int, delivery: bytes, conditions: Conditions = NO_CONDITIONS
) -> list[Obligation]:
    """Carry out a planned sale: what goes is the buyer's now, under ids of its own; or over, if the buyer owes it itself.

    What stays keeps the id, the earliest piece of it; any other has an id of its own. What stands now of either's.
    """
    touched: list[Obligation] = []
    for obligation, parts in planned:
        all_pieces = pieces(obligation, parts)
        stays = [piece for piece in all_pieces if not piece.goes]
        goes = [piece for piece in all_pieces if piece.goes]
        touched += _keep(state, obligation, stays)
        if buyer == obligation.provider:
            _come_home(state, obligation, goes)
        else:
            touched += [_give(state, obligation, piece, buyer, instrument, delivery, conditions) for piece in goes]
        if not stays:
            # Its share went with the pieces.
            drop(state, obligation, ObligationChange.HOME if buyer == obligation.provider else ObligationChange.RESOLD)
    return join(state, touched)


def _keep(
    state: State, obligation: Obligation, stays: list[Piece], change: ObligationChange = ObligationChange.RESOLD
) -> list[Obligation]:
    """What stays with the holder."""
    if not stays:
        return []
    first = stays[0]
    if obligation.running and first.part.start_h > obligation.start_h:
        raise Broken(f"the running hour of obligation {obligation.obligation_id} was sold")
    due_ns = obligation.due_ns if obligation.running else first.part.start_h * NS_PER_HOUR
    with changing(state, obligation, due_ns):
        obligation.start_h, obligation.end_h, obligation.quantity = first.part
        obligation.bond_micros = first.bond_micros
    say(state, obligation, change)
    kept = [obligation]
    for piece in stays[1:]:
        kept.append(_piece_of(state, obligation, piece))
        _begin(state, kept[-1], change, obligation.obligation_id)
    return kept


def _give(
    state: State,
    obligation: Obligation,
    piece: Piece,
    buyer: int,
    instrument: int,
    delivery: bytes,
    conditions: Conditions,
) -> Obligation:
    given = _piece_of(state, obligation, piece)
    given.holder, given.instrument, given.delivery, given.conditions = buyer, instrument, delivery, conditions
    _begin(state, given, ObligationChange.RESOLD, obligation.obligation_id)
    return given


def _piece_of(state: State, obligation: Obligation, piece: Piece) -> Obligation:
    """An obligation of its own, not in the table yet; nothing delivers it."""
    return replace(
        obligation,
        obligation_id=state.new_id(),
        start_h=piece.part.start_h,
        end_h=piece.part.end_h,
        quantity=piece.part.quantity,
        bond_micros=piece.bond_micros,
        lease_id=0,
        due_ns=0,
    )


def _come_home(state: State, obligation: Obligation, goes: list[Piece]) -> None:
    """Its provider owes itself nothing: escrow and bond of what went are its own again."""
    gpu_hours = sum(piece.part.gpu_hours for piece in goes)
    escrow_micros = replace(obligation, quantity=gpu_hours, start_h=0, end_h=1).escrow_micros
    bond_micros = sum(piece.bond_micros for piece in goes)
    provider, ref = obligation.provider, obligation.obligation_id
    available = (provider, Pot.AVAILABLE)
    money.transfer(state, (provider, Pot.ESCROW), available, escrow_micros, TransferCode.REFUND, ref)
    money.transfer(state, (provider, Pot.BOND), available, bond_micros, TransferCode.RELEASE, ref)


def cut_off(state: State, obligation: Obligation, quantity: int) -> Obligation:
    """So many GPUs of all its hours as one of its own, with no lease; the obligation itself where that is all of it."""
    if quantity >= obligation.quantity:
        return obligation
    whole = Part(obligation.start_h, obligation.end_h, quantity)
    stays, goes = pieces(obligation, [whole])
    _keep(state, obligation, [stays], ObligationChange.CUT)
    gone = _piece_of(state, obligation, goes)
    _begin(state, gone, ObligationChange.CUT, obligation.obligation_id)
    return gone


# ---------------------------------------------------------------- neighbours


def join(state: State, touched: list[Obligation]) -> list[Obligation]:
    """Join each of these with its equal neighbours, as long as there are any; what stands for each of them now."""
    into: dict[int, int] = {}
    for each in touched:
        # None: joined already.
        obligation = state.obligations.get(each.obligation_id)
        while obligation is not None and (pair := _neighbour(state, obligation)):
            younger = max(one.obligation_id for one in pair)
            obligation = _join(state, *pair)
            into[younger] = obligation.obligation_id
    return [state.obligations[_stands_as(into, each.obligation_id)] for each in touched]


def _stands_as(into: dict[int, int], number: int) -> int:
    """What an obligation was joined into in the end; ways are cut short, so that thousands joined into one stay linear."""
    way = []
    while number in into:
        way.append(number)
        number = into[number]
    into.update(dict.fromkeys(way, number))
    return number


def has_neighbour(state: State, obligation: Obligation) -> bool:
    """Whether there is anything to join it with."""
    return _neighbour(state, obligation) is not None


def _neighbour(state: State, obligation: Obligation) -> tuple[Obligation, Obligation] | None:
    """(earlier, later) hours of a pair that this one makes with the oldest equal neighbour, before it first; or None."""
    before = state.neighbours.get(_ends(obligation, obligation.start_h))
    if before and not obligation.lease_id:
        return state.obligations[before[0]], obligation
    after = state.neighbours.get(_begins(obligation, obligation.end_h), ())
    # Those with a lease have begun: only where this one is over, too, and waits for its timer, is there any.
    free = next((number for number in after if not state.obligations[number].lease_id), 0)
    return (obligation, state.obligations[free]) if free else None


def _join(state: State, earlier: Obligation, later: Obligation) -> Obligation:
    """Both are one, under the older id; it has the earlier's lease."""
    older, younger = sorted((earlier, later), key=lambda each: each.obligation_id)
    due_ns, lease_id = earlier.due_ns, earlier.lease_id
    drop(state, younger, ObligationChange.JOINED, older.obligation_id)
    with changing(state, older, due_ns):
        older.start_h, older.end_h = earlier.start_h, later.end_h
        older.bond_micros += younger.bond_micros
        older.lease_id = lease_id
    if lease_id:
        state.leases[lease_id].obligation_id = older.obligation_id
    say(state, older, ObligationChange.JOINED, younger.obligation_id)
    return older
