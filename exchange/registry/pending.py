"""What a crash left between registry and engine: sent again at a start, before the gateway opens."""

from __future__ import annotations

import logging
from typing import Final

from engine.messages import OpenAccount, Rejected
from exchange.registry.registry import Registry
from exchange.sequencer.interface import Submit

_LOG: Final = logging.getLogger(__name__)


async def send_pending(registry: Registry, submit: Submit) -> int:
    """Enter each account and Baron that isn't open; confirm what the engine takes, drop what it refuses. How many there were.

    Overloaded and OutcomeUnknown pass through: then it is tried again at the next start.
    """
    commands = await registry.pending()
    for command in commands:
        reply = await submit(command)
        refused = isinstance(reply.events[0], Rejected)
        if refused:
            _LOG.error("the engine refused %r: %r", command, reply.events[0])
        if isinstance(command, OpenAccount):
            await (registry.discard_account if refused else registry.confirm_account)(command.account)
        else:
            await (registry.discard_baron if refused else registry.confirm_baron)(command.baron)
    return len(commands)
