"""`monarch up`: all of the server in one process, until a signal or a part that failed ends it."""

from __future__ import annotations

import asyncio
import logging
import shlex
import sys

from exchange.log.home_lock import HomeInUse, HomeLock
from exchange.log.interface import LogError
from exchange.monarch.admin import has_accounts
from exchange.monarch.config import Config
from exchange.monarch.monarch import Monarch, PartFailed, Ports
from exchange.monarch.signals import stop_signals
from exchange.registry.database import WrongVersion
from exchange.sequencer.errors import RecoveryError
from provisioner.store import StoreError
from settlement.errors import LedgerError

_log = logging.getLogger("monarch")


def run(config: Config) -> int:
    """Run until SIGINT, SIGTERM or SIGHUP; 0 after a clean stop, 1 with a reason on stderr."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for chatty in ("alembic", "uvicorn", "websockets"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        with HomeLock(config.home):
            asyncio.run(_main(config))
    except (HomeInUse, RecoveryError, LogError, LedgerError, StoreError, WrongVersion, PartFailed, OSError) as error:
        print(f"monarch: {error}", file=sys.stderr)
        return 1
    return 0


async def _main(config: Config) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in stop_signals():
        loop.add_signal_handler(number, stopping.set)
    monarch = Monarch(config)
    signalled = asyncio.create_task(stopping.wait())
    try:
        starting = asyncio.create_task(monarch.start())
        await asyncio.wait({starting, signalled}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            return
        await _say_ready(config, starting.result())
        failing = asyncio.create_task(monarch.failed())
        await asyncio.wait({failing, signalled}, return_when=asyncio.FIRST_COMPLETED)
        if failing.done():
            failing.result()
        failing.cancel()
        _log.info("stopping")
    finally:
        signalled.cancel()
        await monarch.stop()


async def _say_ready(config: Config, ports: Ports) -> None:
    """Where it is reached, and what to do first on an exchange that nobody can use yet."""
    _log.info("ready: web page %s/, REST and WebSocket %s, Barons %s", ports.api_url, ports.api_url, ports.agents_url)
    if not await asyncio.to_thread(has_accounts, config):
        bootstrap = shlex.join([sys.argv[0], "admin", "bootstrap", "--home", str(config.home)])
        _log.info("nobody has an account yet. In another terminal make the administrator's, and its key: %s", bootstrap)
        _log.info("docs/operator.md says what comes next: accounts, money, providers")
