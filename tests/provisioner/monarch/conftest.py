"""The provisioner in its world: a real machine, a real log, real sockets, and an agent that a test scripts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from provisioner.provisioner import Provisioner
from provisioner.settings import Settings, Timings
from tests.provisioner.monarch.agent import Agent
from tests.provisioner.monarch.clock import Clock
from tests.provisioner.monarch.exchange import Directory, Exchange, Overloaded

BARONS = {1: 8, 2: 8}
QUICK = Timings(sweep_s=0.05, refresh_s=5.0, absent_s=0.3, flush_s=0.05, dial_s=2.0, linger_s=0.5, half_closed_s=0.5)


class House:
    """Provisioners on one database, one after another; everything that was started is stopped."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.clock = Clock()
        self.exchange = Exchange(home, self.clock)
        self.directory = Directory(BARONS)
        self.settings = Settings(timings=QUICK)
        self.provisioner: Provisioner | None = None
        self.agents: list[Agent] = []

    async def open(self) -> Provisioner:
        """Start one, or the next one after `kill`."""
        provisioner = Provisioner.open(
            self.home / "provisioner.db",
            self.directory,
            self.exchange.submit,
            self.settings,
            retry_on=(Overloaded,),
            clock_ns=self.clock.wall_ns,
            steady_ns=self.clock.steady_ns,
        )
        self.provisioner = provisioner
        reader = await self.exchange.reader()
        # As Monarch does: what lapsed while it was away is entered first.
        for failure in await provisioner.lapsed(reader):
            await self.exchange.submit(failure)
        await provisioner.start(reader)
        return provisioner

    async def kill(self) -> None:
        if self.provisioner is not None:
            provisioner, self.provisioner = self.provisioner, None
            await provisioner.stop()

    async def agent(self, agent: Agent | None = None) -> Agent:
        """Let an agent connect to the provisioner that runs."""
        assert self.provisioner is not None
        agent = agent or Agent()
        self.agents.append(agent)
        await agent.run(self.provisioner.agents_port)
        return agent

    async def stop(self) -> None:
        for agent in self.agents:
            await agent.stop()
        await self.kill()
        await self.exchange.stop()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A market with two Barons, and no provisioner yet."""
    made = House(tmp_path)
    await made.exchange.start(BARONS)
    try:
        yield made
    finally:
        await made.stop()
