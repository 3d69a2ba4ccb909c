"""ssh, ssh-config, ssh-proxy, known-hosts: the system's own OpenSSH into a lease, its host key pinned and nobody prompted.

The way in is built here from the lease's parts; no text of the exchange is ever run as a command.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import socket
import sys
import threading
from typing import Final, NoReturn

from hourbook.cli.config import UsageError
from hourbook.cli.leases import wait_active
from hourbook.cli.output import emit
from hourbook.cli.session import Commands, Session, find_lease
from hourbook.models import Lease, Ssh

CONNECT_TIMEOUT_S: Final = 10.0
CHUNK_BYTES: Final = 65_536
_HOST: Final = re.compile(r"[A-Za-z0-9:][A-Za-z0-9.:-]*", re.ASCII)
_USER: Final = re.compile(r"[a-z_][a-z0-9_-]*", re.ASCII)
_HOST_KEY: Final = re.compile(r"([a-z0-9@.-]+ [A-Za-z0-9+/]+=*)( .*)?", re.ASCII)


def add(commands: Commands, common: argparse.ArgumentParser) -> None:
    ssh = commands.add_parser("ssh", parents=[common], help="open a lease's shell, or run a command there after `--`")
    ssh.add_argument("lease", nargs="?", default="latest", metavar="LEASE", help="its id, or `latest` (the default)")
    ssh.add_argument(
        "-i", "--identity", metavar="FILE", help="private key; else that of `hourbook login`, else ssh's own"
    )
    ssh.set_defaults(run=_ssh)
    config = commands.add_parser(
        "ssh-config", parents=[common], help="lines for ~/.ssh/config: `ssh hourbook`, `ssh lse_...`"
    )
    config.add_argument("-i", "--identity", metavar="FILE", help="private key to name there")
    config.set_defaults(run=_ssh_config)
    for name, run, what in (
        ("ssh-proxy", _ssh_proxy, "join standard input and output to a lease's SSH port (ssh's ProxyCommand)"),
        ("known-hosts", _known_hosts, "print a lease's host key (ssh's KnownHostsCommand)"),
    ):
        parser = commands.add_parser(name, parents=[common], help=what)
        parser.add_argument("lease", metavar="LEASE", help="its id, or `latest`")
        parser.set_defaults(run=run)


def ssh_words(ssh: Ssh, identity: str) -> list[str]:
    """ssh and its options for a lease, target last; UsageError when a part is no such thing."""
    host_key = _checked(ssh)
    options = {
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": "/dev/null",
        "GlobalKnownHostsFile": "/dev/null",
        "KnownHostsCommand": f"/bin/echo [{ssh.host}]:{ssh.port} {host_key}",
    }
    words = [
        "ssh",
        "-p",
        str(ssh.port),
        *(word for name, value in options.items() for word in ("-o", f"{name}={value}")),
    ]
    if identity:
        words += ["-i", identity, "-o", "IdentitiesOnly=yes"]
    return [*words, f"{ssh.user}@{ssh.host}"]


def _checked(ssh: Ssh) -> str:
    """The host key without its comment."""
    key = _HOST_KEY.fullmatch(ssh.host_key)
    if key is None or not _HOST.fullmatch(ssh.host) or not _USER.fullmatch(ssh.user) or not 0 < ssh.port < 65_536:
        raise UsageError("the lease's way in isn't one that ssh could take; tell the exchange's operator")
    return key[1]


def _ssh(options: argparse.Namespace, session: Session) -> int:
    words = ssh_words(_way_in(session, options.lease), options.identity or session.config.identity)
    if not session.json:
        _replace_by([*words, *options.command])
    emit([*words, *options.command])
    return 0


def _ssh_config(options: argparse.Namespace, session: Session) -> int:
    me = shlex.join([sys.executable, "-m", "hourbook.cli"])
    identity = options.identity or session.config.identity
    lines = {
        "User": "gpu",
        "ProxyCommand": f"{me} ssh-proxy %n",
        "KnownHostsCommand": f"{me} known-hosts %n",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": "/dev/null",
        "GlobalKnownHostsFile": "/dev/null",
        **({"IdentityFile": identity, "IdentitiesOnly": "yes"} if identity else {}),
    }
    text = "\n".join(["Host hourbook lse_*", *(f"    {name} {value}" for name, value in lines.items())])
    if session.json:
        emit({"config": text})
    else:
        print(text)
    return 0


def _ssh_proxy(options: argparse.Namespace, session: Session) -> int:
    ssh = _way_in(session, options.lease)
    _checked(ssh)
    try:
        connection = socket.create_connection((ssh.host, ssh.port), CONNECT_TIMEOUT_S)
    except OSError as error:
        raise UsageError(
            f"{ssh.host}:{ssh.port} doesn't answer ({error}); see whether it runs: hourbook leases"
        ) from error
    with connection:
        connection.settimeout(None)
        threading.Thread(target=_send, args=(connection,), daemon=True).start()
        return _receive(connection)


def _known_hosts(options: argparse.Namespace, session: Session) -> int:
    key = _checked(_way_in(session, options.lease))
    if session.json:
        emit({"host_key": key})
    else:
        # ssh asks for this one connection, so whatever it calls the host, this is its key.
        print(f"* {key}")
    return 0


def _way_in(session: Session, named: str) -> Ssh:
    """How to get into the lease, once it is active; `hourbook` is the SSH configuration's name for the latest."""
    lease: Lease = wait_active(session, find_lease(session, "latest" if named == "hourbook" else named))
    if lease.ssh is None:
        raise UsageError(f"{lease.id} is over ({lease.reason or lease.state}); rent again: hourbook rent")
    return lease.ssh


def _replace_by(words: list[str]) -> NoReturn:
    program = shutil.which(words[0])
    if program is None:
        raise UsageError("ssh isn't installed; install OpenSSH's client (apt-get install openssh-client)")
    os.execv(program, words)  # noqa: S606 - the system's ssh, arguments as a list


def _send(connection: socket.socket) -> None:
    """Standard input into the connection, to its end."""
    try:
        while chunk := os.read(sys.stdin.fileno(), CHUNK_BYTES):
            connection.sendall(chunk)
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        connection.close()


def _receive(connection: socket.socket) -> int:
    """The connection into standard output, to its end; 1 when it broke."""
    out = sys.stdout.fileno()
    try:
        while chunk := connection.recv(CHUNK_BYTES):
            view = memoryview(chunk)
            while view:
                view = view[os.write(out, view) :]
    except OSError:
        return 1
    return 0
