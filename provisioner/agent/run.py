"""The agent itself: adopt what runs, find tools and GPUs, then stay connected to Monarch until told to stop.

It ends only by a signal, by a refusal that would be repeated, or by a mistake of its own. Sandboxes outlive it in every
case; who is started next on this home takes them over.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from provisioner.agent import home as homes
from provisioner.agent import tools
from provisioner.agent.devices import discover
from provisioner.agent.enrolment import agent_version
from provisioner.agent.errors import AgentError
from provisioner.agent.events import EventLog
from provisioner.agent.home import Identity
from provisioner.agent.journal import Entry
from provisioner.agent.leases import Leases
from provisioner.agent.node import Node
from provisioner.agent.races import first_to_end
from provisioner.agent.session import Lost, Session, TurnedAway
from provisioner.agent.splices import Splices
from provisioner.agent.tools import Tools

BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 15.0
BACKOFF_FORGIVEN_S = 30.0
"""A session that stood this long was a good one: the next attempt is at once again."""
WORK_TIMEOUT_S = 5.0
SPLICES_TIMEOUT_S = 3.0

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Agent:
    """One run of `baron run`, on a home that is held."""

    def __init__(self, home: Path, tools_dir: Path, simulate: str | None, log: EventLog) -> None:
        """Raises AgentError `not_enrolled`, `bad_credential_file`."""
        self._home = home
        self._tools_dir = tools_dir
        self._simulate = simulate
        self._log = log
        self._identity = enrolled(home)
        self._chance = random.SystemRandom()
        self.settled = True
        """False when work was still at hand as `run` returned: its threads must not hold up the process's end."""

    async def run(self) -> bool:
        """Serve until a signal: True. False after a final refusal, once no lease is left. Raises AgentError."""
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for one in STOP_SIGNALS:
            loop.add_signal_handler(one, stop.set)
        leases = Leases(self._home, self._log)
        splices = Splices(self._identity.monarch, leases.door, self._log)
        refused = asyncio.Event()
        try:
            await first_to_end(_until(stop), self._serve(leases, splices, refused))
        except AgentError:
            _tell_left(self._log, leases.standing())
            raise
        finally:
            await splices.close(SPLICES_TIMEOUT_S)
            self.settled = await leases.close(WORK_TIMEOUT_S)
        if stop.is_set():
            self._log.say("stopped", "the agent was told to stop")
        _tell_left(self._log, leases.standing())
        return stop.is_set() and not refused.is_set()

    async def _serve(self, leases: Leases, splices: Splices, refused: asyncio.Event) -> None:
        await leases.adopt()
        found = await leases.in_thread(self._tools)
        node = await leases.in_thread(
            partial(Node, partial(discover, self._simulate, self._identity.baron_id), self._log)
        )
        session = Session(self._identity, agent_version(), node, leases, splices, self._log)
        await first_to_end(
            leases.run(node.spec_of, found),
            node.watch(leases, session.changed),
            self._stay(session, leases, refused),
        )

    def _tools(self) -> Tools:
        try:
            return tools.locate(self._tools_dir)
        except AgentError as missing:
            self._log.say("fetching_tools", f"{missing.detail}: downloading them into {self._tools_dir}")
            return tools.fetch(self._tools_dir)

    async def _stay(self, session: Session, leases: Leases, refused: asyncio.Event) -> None:
        """Sessions, one after the other, until one is refused for good; then until the last lease is gone."""
        failures = 0
        while True:
            began_s = time.monotonic()
            try:
                await session.hold()
            except TurnedAway as error:
                refused.set()
                self._log.say("refused", f"Monarch refuses this agent: {error}", code=error.refused.code)
                await self._outstay(leases)
                return
            except Lost as error:
                failures = 0 if time.monotonic() - began_s >= BACKOFF_FORGIVEN_S else failures
                pause_s = self._pause_s(failures)
                failures += 1
                self._log.say("disconnected", f"{error}; trying again in {pause_s:.1f} s")
                await asyncio.sleep(pause_s)

    async def _outstay(self, leases: Leases) -> None:
        standing = leases.standing()
        if standing:
            until = datetime.fromtimestamp(max(entry.paid_until_ns for entry in standing) // 10**9, UTC)
            self._log.say(
                "leases_run_on",
                f"{len(standing)} leases run on until their paid time, the last until {until.isoformat()}; this agent "
                "stays to end them. Ctrl-c leaves them without an end, baron purge ends them",
                leases=len(standing),
            )
            await leases.until_gone()

    def _pause_s(self, failures: int) -> float:
        ceiling_s = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** min(failures, 16))
        return self._chance.uniform(ceiling_s / 2, ceiling_s)


def enrolled(home: Path) -> Identity:
    """Who the home's Baron is. Raises AgentError `not_enrolled`, `bad_credential_file`."""
    identity = homes.read_identity(home)
    if identity is None:
        raise AgentError(
            "not_enrolled",
            f"{home} holds no credential",
            "run: baron enroll --monarch ws://HOST:PORT --token TOKEN, with the token that registering the Baron gave",
        )
    return identity


async def _until(stop: asyncio.Event) -> None:
    await stop.wait()


def _tell_left(log: EventLog, standing: list[Entry]) -> None:
    if standing:
        names = ", ".join(entry.lease_id for entry in standing[:10])
        log.say(
            "sandboxes_left",
            f"{len(standing)} leases stay in their sandboxes ({names}): start the agent again to take them over, "
            "or end them with baron purge",
            leases=len(standing),
        )
