"""Where the clients of one lease's port wait: first until they have said what they are, then for a place.

A silent one, or one that says what isn't SSH, costs a socket for some seconds and nobody else anything: no dial, no sshd.
Who gets a place when there are too many is crowd.py's to say; here its word is carried out. It never dials or carries.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections import Counter
from collections.abc import Callable
from typing import Final

from provisioner.crowd import Place, Rules, fewest, room
from provisioner.identification import NotSsh, Silent, hung_up, identification, readable
from provisioner.settings import Bounds, Timings
from provisioner.tally import Tally

LOOK_S: Final = 1.0
"""While somebody waits for a place, looked at again this often though nothing happened."""


class TurnedAway(Exception):
    """Why a client got no further."""


class Caller:
    """One client's connection, from its first moment to its last; `task` serves it, and cancelling that ends it."""

    task: asyncio.Task[None]

    def __init__(self, client: socket.socket, address: str) -> None:
        loop = asyncio.get_running_loop()
        self.client = client
        self.address = address
        self.came_s = loop.time()
        self.spoke = False
        self.place: asyncio.Future[Place] = loop.create_future()


class Lobby:
    """One port's. `share`: how many places the gate can spare it now; `may_dial`: whether it can bear another dial."""

    def __init__(
        self,
        timings: Timings,
        bounds: Bounds,
        tally: Tally,
        share: Callable[[], int],
        may_dial: Callable[[], bool],
    ) -> None:
        self._timings = timings
        self._bounds = bounds
        self._tally = tally
        self._share = share
        self._may_dial = may_dial
        self._loop = asyncio.get_running_loop()
        self._waiting: set[Caller] = set()
        self._places: dict[Place, Caller] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """Callers without a place."""
        return len(self._waiting)

    def arrive(self, caller: Caller) -> None:
        self._waiting.add(caller)

    def leave(self, caller: Caller) -> None:
        """Its end, whatever it had; what it had is another's at once."""
        self._waiting.discard(caller)
        if caller.place.done():
            self._places.pop(caller.place.result(), None)
        self.look()

    def thin(self) -> None:
        """There are too many: of the address with most of them one goes, the silent before the others and the oldest first."""
        held = Counter(caller.address for caller in self._waiting)
        caller = min(self._waiting, key=lambda caller: (-held[caller.address], caller.spoke, caller.came_s))
        self._waiting.discard(caller)
        self._end(caller, "dropped from a full queue")

    async def admitted(self, caller: Caller) -> tuple[bytes, Place]:
        """What the caller said first, and its place. Raises TurnedAway."""
        try:
            head = await self._heard(caller)
        except Silent:
            raise TurnedAway("silent") from None
        except NotSsh as error:
            raise TurnedAway(f"not SSH: {error}") from None
        caller.spoke = True
        self.look()
        await asyncio.wait({caller.place}, timeout=self._timings.place_s)
        if not caller.place.done():
            raise TurnedAway("without a place in time")
        return head, caller.place.result()

    def look(self) -> None:
        """Give out what places there are; to be called whenever a dial or a connection ended."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while ready := [caller for caller in self._waiting if caller.spoke]:
            now_s = self._loop.time()
            look_s = self._serve_one(ready, now_s)
            if look_s is not None:
                self._timer = self._loop.call_at(min(look_s, now_s + LOOK_S), self.look)
                return

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._waiting.clear()

    async def _heard(self, caller: Caller) -> bytes:
        quiet_s = caller.came_s + self._timings.quiet_s
        if not await readable(caller.client, quiet_s) and self._is_calm():
            return b""
        return await identification(caller.client, caller.came_s + self._timings.identify_s)

    def _is_calm(self) -> bool:
        return len(self._places) < self._bounds.quiet_connections and not any(caller.spoke for caller in self._waiting)

    def _serve_one(self, ready: list[Caller], now_s: float) -> float | None:
        """One of those who wait gets a place or is found gone; else the time to look again."""
        dials = sum(place.reached_s is None for place in self._places)
        if dials >= self._bounds.pending_dials_per_lease or not self._may_dial():
            return now_s + LOOK_S
        rules = self._rules()
        held = fewest(self._places, now_s, rules)
        # By lot among equals: in a queue, whoever renews his connections fastest would stand before all others.
        caller = min(ready, key=lambda caller: (held(caller.address), secrets.randbits(32)))
        if hung_up(caller.client):
            self._waiting.discard(caller)
            self._end(caller, "gone before a place was free")
            return None
        found = room(self._places, caller.address, now_s, rules)
        if not found.now:
            return now_s + LOOK_S if found.look_s is None else found.look_s
        if found.goes is not None:
            self._end(self._places.pop(found.goes), "made room for others before a login")
        self._waiting.discard(caller)
        place = Place(caller.address, now_s)
        self._places[place] = caller
        caller.place.set_result(place)
        return None

    def _rules(self) -> Rules:
        return Rules(
            places=min(self._bounds.connections_per_lease, self._share()),
            new_per_address=self._bounds.new_per_address,
            login_s=self._timings.login_s,
            fresh_s=self._timings.fresh_s,
        )

    def _end(self, caller: Caller, what: str) -> None:
        caller.task.cancel()
        self._tally.count(what)
