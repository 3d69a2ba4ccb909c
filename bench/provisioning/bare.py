"""A sandbox without an exchange: the agent's own room, a port spliced straight into it, and nothing else.

It is what a lease would cost if nobody traded, billed or dialled back: the peer that the exchange is measured against.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Final

from exchange.gateway.views.leases import ssh_command
from exchange.monarch.demo.world import GPUS_PER_BARON, SKU
from provisioner.agent.devices import simulated_gpus
from provisioner.agent.sandbox import lifecycle
from provisioner.agent.sandbox.spec import SandboxSpec, share_limits
from provisioner.agent.tools import Tools

HOST: Final = "127.0.0.1"
USER: Final = "gpu"
CHUNK_BYTES: Final = 65_536
STOP_S: Final = 10


class Bare:
    """Starts one sandbox after the other below `home`, each behind one port; `with` destroys what is left."""

    def __init__(self, home: Path, tools: Tools, public_key: str) -> None:
        self._home = home
        self._tools = tools
        self._public_key = public_key
        self._gpus = simulated_gpus(f"{SKU}:{GPUS_PER_BARON}", "bench")[:1]
        self._directory: Path | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="bare sandbox's port")
        self._port = 0
        home.mkdir(mode=0o700)

    def __enter__(self) -> Bare:
        self._thread.start()
        serving = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, HOST, 0), self._loop)
        self._server = serving.result(STOP_S)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(STOP_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_S)
        self._loop.close()
        for directory in lifecycle.survey(self._home):
            lifecycle.destroy(directory)

    def start(self, number: int) -> str:
        """Start a sandbox of one GPU's share; the shell line that reaches it, as a lease's own."""
        spec = SandboxSpec(
            lease_id=f"bare-{number}",
            generation=1,
            authorized_keys=(self._public_key,),
            gpus=self._gpus,
            limits=share_limits(1, GPUS_PER_BARON),
            simulated=True,
        )
        sandbox = lifecycle.start(self._home, spec, self._tools)
        self._directory = Path(sandbox.directory)
        return ssh_command(HOST, self._port, USER, sandbox.host_key)

    def destroy(self) -> None:
        """End and wipe the sandbox that stands."""
        if self._directory is not None:
            lifecycle.destroy(self._directory)
            self._directory = None

    async def _close(self) -> None:
        self._server.close()
        await self._server.wait_closed()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, outside: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        assert self._directory is not None, "nobody connects before a sandbox stands"
        inside, inward = await asyncio.open_connection(sock=lifecycle.connect(self._directory))
        try:
            # sshd ends the connection as a whole, so that its side alone says when it is over.
            carrying = asyncio.create_task(_carry(outside, inward))
            await _carry(inside, answer)
            carrying.cancel()
        finally:
            for writer in (answer, inward):
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while chunk := await source.read(CHUNK_BYTES):
            target.write(chunk)
            await target.drain()
        if target.can_write_eof():
            target.write_eof()
    except ConnectionError:
        # One side hung up: an end like any other.
        return


def public_key_of(private_key: Path) -> str:
    """The public line beside a private key."""
    return private_key.with_suffix(".pub").read_text().strip()


def is_root() -> bool:
    """As root each sandbox has a host uid of its own, and takes a little longer."""
    return os.geteuid() == 0
