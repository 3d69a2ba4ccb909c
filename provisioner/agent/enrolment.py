"""Enrolment: a single-use token becomes this Baron's credential, kept in its home. Nothing else here, and no session."""

from __future__ import annotations

import asyncio
from importlib import metadata
from pathlib import Path

from websockets.exceptions import WebSocketException

from provisioner.agent import home as homes
from provisioner.agent import journal
from provisioner.agent import tunnel as tunnels
from provisioner.agent.errors import AgentError
from provisioner.agent.home import Identity
from provisioner.wire import ENROLL_PATH, PROTOCOL, Enroll, Enrolled, Refused, encode

ANSWER_TIMEOUT_S = 30.0
DISTRIBUTION = "hourbook-exchange"
REMEDIES = {
    "bad_token": "each token is good once, and for a while",
    "protocol_mismatch": "install the agent of Monarch's release",
}


def agent_version() -> str:
    """The release of this agent."""
    return metadata.version(DISTRIBUTION)


def enroll(home: Path, monarch: str, token: str) -> Identity:
    """Use the token up and keep what it gives; the home is held meanwhile.

    Raises AgentError `home_in_use`, `leases_stand`, `bad_url`, `bad_home`, `unreachable`, `bad_answer`, and Monarch's
    own refusals by their codes. Before Monarch is asked, all is checked that could go wrong here: a token is good once.
    """
    url = homes.monarch_url(monarch)
    with homes.held(home):
        before = homes.read_identity(home)
        entries = journal.load(home)
        if any(entry.phase not in journal.GONE for entry in entries.values()):
            raise AgentError(
                "leases_stand", f"leases of {before.baron_id if before else 'a Baron'} are in {home}",
                "give another --home, or end them first: baron purge",
            )  # fmt: skip
        if before is not None:
            homes.write_identity(home, before)
        enrolled = asyncio.run(_ask(url, token))
        identity = Identity(
            version=homes.IDENTITY_VERSION,
            monarch=url,
            baron_id=enrolled.baron_id,
            credential=enrolled.credential,
        )
        homes.write_identity(home, identity)
        if before is None or before.baron_id != identity.baron_id or before.monarch != url:
            # What an earlier Baron still had to tell, it told another Monarch, or nobody.
            (home / journal.JOURNAL_NAME).unlink(missing_ok=True)
        return identity


async def _ask(url: str, token: str) -> Enrolled:
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S), tunnels.for_messages(url, ENROLL_PATH) as tunnel:
            await tunnel.send(encode(Enroll(protocol=PROTOCOL, token=token, agent_version=agent_version())), text=True)
            answer = await tunnels.receive(tunnel)
    except tunnels.Nonsense as error:
        raise AgentError("bad_answer", f"{url} answered {error}", "is that Monarch's port for agents?") from error
    except (OSError, WebSocketException) as error:
        raise AgentError(
            "unreachable",
            f"no answer from {url}: {tunnels.why(error)}",
            "is Monarch up, and is that its port for agents (8701, not the API's)?",
        ) from error
    match answer:
        case Enrolled():
            return answer
        case Refused(code=code, detail=detail):
            # Monarch's words are whole sentences; here the remedy goes on after them.
            raise AgentError(code, detail.rstrip("."), REMEDIES.get(code, "do what Monarch says"))
        case _:
            raise AgentError("bad_answer", f"{url} sent {type(answer).__name__}", "is that Monarch's port for agents?")
