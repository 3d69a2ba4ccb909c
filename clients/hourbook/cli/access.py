"""login, ssh-keys: who you are, and what opens your leases."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from pathlib import Path

from hourbook.cli import config
from hourbook.cli.config import Config, UsageError
from hourbook.cli.output import emit, table
from hourbook.cli.session import Commands, Session
from hourbook.client import Client


def add(commands: Commands, common: argparse.ArgumentParser) -> None:
    login = commands.add_parser(
        "login", parents=[common], help="keep an exchange's address and your key, for you alone"
    )
    login.add_argument("--url", help=f"the exchange ({config.DEFAULT_URL})")
    login.add_argument("--identity", metavar="FILE", help="private key that `hourbook ssh` uses")
    login.set_defaults(run=_login)
    keys = commands.add_parser("ssh-keys", parents=[common], help="the public keys that your leases let in")
    keys.add_argument("action", nargs="?", choices=("show", "add", "delete"), default="show")
    keys.add_argument("what", nargs="?", metavar="FILE|ID", help="public key file to add, or id to delete")
    keys.add_argument("--name", help="of the key to add; the file's name if left out")
    keys.set_defaults(run=_ssh_keys)


def _login(options: argparse.Namespace, session: Session) -> int:
    """The key comes from HOURBOOK_KEY, a prompt or standard input, never from the command line, which others can read."""
    key = os.environ.get("HOURBOOK_KEY") or (
        getpass.getpass("key (hb_...): ") if sys.stdin.isatty() else sys.stdin.readline()
    )
    url = options.url or session.config.url
    identity = str(Path(options.identity).absolute()) if options.identity else session.config.identity
    fresh = Config(url=url, key=key.strip(), identity=identity)
    with Client(fresh.url, fresh.key) as client:
        account = client.account()
    file = config.save(fresh, os.environ)
    if session.json:
        emit(account)
    else:
        print(f"{account.name} ({account.id}), scopes {', '.join(account.scopes)}; kept in {file}")
    return 0


def _ssh_keys(options: argparse.Namespace, session: Session) -> int:
    if (options.action == "show") != (options.what is None):
        raise UsageError("hourbook ssh-keys, or: ssh-keys add ~/.ssh/id_ed25519.pub, or: ssh-keys delete ID")
    if options.action == "add":
        session.client.add_ssh_key(options.name or Path(options.what).stem, _line(Path(options.what)))
    elif options.action == "delete":
        session.client.delete_ssh_key(options.what)
    keys = session.client.ssh_keys()
    if session.json:
        emit(keys)
    else:
        rows = [(key.id, key.name, key.fingerprint, key.created) for key in keys]
        table(("key", "name", "fingerprint", "added"), rows, "No SSH keys: hourbook ssh-keys add ~/.ssh/id_ed25519.pub")
    return 0


def _line(file: Path) -> str:
    try:
        text = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"can't read {file}: {error}") from error
    if "PRIVATE KEY" in text:
        raise UsageError(f"{file} is a private key, which nobody else should see: give the .pub file beside it")
    return text
