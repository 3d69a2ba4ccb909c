"""Who gets a place at a lease's port when strangers crowd it: places given out and taken back, as a pure function.

The gate can't see who has logged in, but two things show it: sshd ends whoever hasn't within its grace time, so that an
old connection is a logged-in one; and one that went to and fro more often than a refused login can is one too. Both keep
their places whatever comes. Of the others the one that got least far goes first. An address that holds a crowd makes room
from its own crowd, and for others at once. As sshd's MaxStartups, it thins what hasn't logged in; it never asks sockets.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from typing import Final, NamedTuple

import msgspec

SETTLED_TURNS: Final = 12
"""Key exchange and six refused keys are 10 turns at most: who has had more is in."""
CROWD: Final = 8
"""New connections of one address that are many."""


class Flow:
    """What went over one connection: `turns` counts the sandbox's answers, however many chunks each came in."""

    __slots__ = ("_asked", "chunks", "turns")

    def __init__(self) -> None:
        self.chunks = 0
        self.turns = 0
        self._asked = False

    def outward(self) -> None:
        """The client said something."""
        self.chunks += 1
        self._asked = True

    def inward(self) -> None:
        """The sandbox did."""
        self.chunks += 1
        if self._asked:
            self.turns += 1
            self._asked = False


class Place:
    """A connection that is dialled or spliced. Times are a steady clock's; `reached_s` is when the dial-back came."""

    __slots__ = ("address", "flow", "reached_s", "taken_s")

    def __init__(self, address: str, taken_s: float) -> None:
        self.address = address
        self.taken_s = taken_s
        self.reached_s: float | None = None
        self.flow = Flow()


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    places: int
    new_per_address: int
    login_s: float
    """After this long with the sandbox, a connection has logged in."""
    fresh_s: float
    """This long a new one is left alone, so that it can get somewhere."""


class Room(NamedTuple):
    """Whether there is a place now, by whose going if it was full; if there isn't, when to look again at the latest."""

    now: bool
    goes: Place | None = None
    look_s: float | None = None


def room(places: Collection[Place], address: str, now_s: float, rules: Rules) -> Room:
    """What a newcomer from `address` finds."""
    new = [place for place in places if not _old(place, now_s, rules)]
    held = Counter(place.address for place in new)
    mine = held[address]
    full = len(places) >= rules.places
    if not full and mine < rules.new_per_address:
        return Room(now=True)
    unsettled = [place for place in new if place.flow.turns < SETTLED_TURNS]
    if mine >= CROWD or mine >= rules.new_per_address:
        unsettled = [place for place in unsettled if place.address == address]
    else:
        crowded = [place for place in unsettled if held[place.address] >= max(CROWD, 2 * (mine + 1))]
        if crowded:
            return Room(now=True, goes=min(crowded, key=lambda place: (-held[place.address], *_got_far(place))))
    ripe = [place for place in unsettled if now_s - place.taken_s >= rules.fresh_s]
    if ripe:
        return Room(now=True, goes=min(ripe, key=_got_far))
    return Room(now=False, look_s=min((place.taken_s + rules.fresh_s for place in unsettled), default=None))


def fewest(places: Iterable[Place], now_s: float, rules: Rules) -> Callable[[str], int]:
    """How many new connections an address holds: who waits for a place is served by it, the fewest first."""
    held = Counter(place.address for place in places if not _old(place, now_s, rules))
    return lambda address: held[address]


def source(peer: str) -> str:
    """What counts as one address: an IPv4 one, or an IPv6 network of 64 bits, of which a host has all."""
    address = ipaddress.ip_address(peer.partition("%")[0])
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))


def _old(place: Place, now_s: float, rules: Rules) -> bool:
    return place.reached_s is not None and now_s - place.reached_s >= rules.login_s


def _got_far(place: Place) -> tuple[int, float]:
    return place.flow.turns, place.taken_s
