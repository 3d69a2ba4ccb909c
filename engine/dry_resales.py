"""Resales gone through dry: how many pieces a holder's hours fall into, sale after sale, before anything trades (rulebook §2, §8).

It has the cuts and the order of age of `engine.obligations`, without money, ids, or the joining of neighbours, which only makes
fewer. It changes nothing.
"""

from __future__ import annotations

from engine import obligations
from engine.obligation import Part
from engine.state import State


def holding(state: State, holder: int, baron: int) -> list[Part]:
    """A holder's hours on a Baron, oldest first, after all that the running command has resold of them, or to it, already."""
    sold = state.dry_holdings.get((holder, baron))
    if sold is not None:
        return sold
    return [Part(each.start_h, each.end_h, each.quantity) for each in obligations.held(state, holder, baron)]


def sale(held: list[Part], wanted: Part) -> tuple[list[Part], list[Part]]:
    """(pieces that go, what is held after that, oldest first) of a sale; what is held isn't changed."""
    goes: list[Part] = []
    needs = [wanted]
    rest: list[Part] = []
    younger: list[Part] = []
    for at, each in enumerate(held):
        if not needs:
            rest += held[at:]
            break
        if each.end_h <= needs[0].start_h or needs[-1].end_h <= each.start_h:
            rest.append(each)
            continue
        going, needs = obligations.take(each, needs)
        goes += going
        stays = [part for part, leaves in obligations.cut(each, going) if not leaves]
        # The earliest piece keeps its number, and with it its age.
        rest += stays[:1]
        younger += stays[1:]
    return goes, rest + younger
