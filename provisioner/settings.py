"""How long the provisioner waits and how much it takes on: every limit of Monarch's side of leases, in one place.

The times of the rulebook (§4 "Lost capacity", §8) are the defaults; tests and the composition root may give others.
It knows nothing of what is done when a limit is met.
"""

from __future__ import annotations

from typing import Final

import msgspec

MAX_PORT_TRIES: Final = 64
"""Gate ports tried for a lease in one go, when other processes hold some of them."""
MAX_FORGET: Final = 1_024
"""Leases named in one `Desired.forget`; the next list names the rest."""
MAX_UUID_CHARS: Final = 96
MAX_HOST_KEY_CHARS: Final = 512
MAX_BATCH: Final = 512
"""Records of the event log taken in with one transaction."""
MAX_LAZY_SEQS: Final = 10_000
"""Records without an effect that may pass before the position is written down again."""


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """In seconds. Silence counts only while Monarch listens: a restart begins it anew (§4)."""

    silence_s: float = 60.0
    """Without a word for this long, a Baron is quiet: its asks are cancelled."""
    fail_s: float = 600.0
    """Without a word for this long, a Baron is lost; an active lease that isn't vouched for this long fails by itself.

    Both are charged to the last heartbeat that vouched."""
    provisioning_s: float = 600.0
    """Provisioning takes at most this long, from when the lease stopped being scheduled."""
    paid_ahead_s: float = 3_600.0
    """How far ahead of now an agent may keep a lease without Monarch: what is prepaid, at most to its term's or notice's end."""
    refresh_s: float = 30.0
    """Desired goes out at least this often, so that `paid_until_ns` moves on."""
    absent_s: float = 10.0
    """An agent that was told to drop a lease, and for this long doesn't report it, has nothing of it."""
    sweep_s: float = 2.0
    """A Baron is looked at this often when nothing happens."""
    flush_s: float = 10.0
    """Heartbeats' times are written down this often: a crash of Monarch forgets no more of them."""
    hello_s: float = 10.0
    """An agent that has connected says who it is within this time."""
    send_s: float = 10.0
    """An agent that doesn't take a message within this time loses its session."""
    dial_s: float = 10.0
    """An agent dials back within this time; its token is void afterwards."""
    identify_s: float = 5.0
    """A client of a lease's port has said what it is within this time."""
    quiet_s: float = 2.0
    """One that is still silent then may wait for the server's word first, and is let through if the port is calm."""
    place_s: float = 15.0
    """A client waits this long for a place at a crowded port."""
    fresh_s: float = 1.5
    """A connection that got a place is left alone for this long, so that it can get ahead of those who only hold theirs."""
    login_s: float = 40.0
    """The sandbox's sshd has ended a connection this old if it hasn't logged in; more than sshd's own grace time."""
    tally_s: float = 60.0
    """What went wrong at a lease's port is told once in this time."""
    half_closed_s: float = 30.0
    """A spliced connection that is closed on one side ends when the other has been quiet for this long."""
    linger_s: float = 2.0
    """A client gets this long to read the last bytes of a connection that the sandbox closed."""
    close_s: float = 3.0
    """Closing handshakes with agents take at most this long."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    connections_per_lease: int = 64
    """Dialled or spliced. The agent takes a few more, and the sandbox's init more still: it's the gate that chooses."""
    connections: int = 8_192
    """The same at all ports, each of which has its share; fewer where the process may not have so many files."""
    new_per_address: int = 32
    """Of these, by one address in the last `login_s`."""
    quiet_connections: int = 16
    """A port with this many isn't calm: silent clients are kept out."""
    callers_per_lease: int = 160
    """Clients that haven't said what they are, or wait for a place."""
    callers: int = 1_024
    """The same at all ports; the port with most of them makes room. Fewer where files are few, too."""
    pending_dials_per_lease: int = 8
    pending_dials: int = 256
    agent_connections: int = 16_384
    unknown_agents: int = 256
    """Connections that haven't said who they are yet."""
    messages_per_s: float = 20.0
    """What one agent is read at in the long run; a faster one is left waiting, never refused."""
    messages_burst: int = 64


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Ports 0 mean: any free one. Every address is the one to listen on; `gate_host` is also what renters are told."""

    host: str = "127.0.0.1"
    agents_port: int = 0
    gate_host: str = "127.0.0.1"
    gate_port_first: int = 0
    gate_port_last: int = 0
    allow_simulated: bool = False
    timings: Timings = Timings()
    bounds: Bounds = Bounds()


def to_ns(duration_s: float) -> int:
    """A limit in seconds as nanoseconds."""
    return round(duration_s * 1e9)
