"""The Baron's home: where it is, who holds it, and the credential that it keeps. One agent a home, by the kernel's lock.

Everything in it is for its owner alone (folders 0700, files 0600). Nothing here knows leases or the protocol's messages.
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from provisioner.agent.errors import AgentError
from provisioner.agent.sandbox import record

HOME_VARIABLE = "HOURBOOK_BARON_HOME"
TOOLS_VARIABLE = "HOURBOOK_BARON_TOOLS"
DEFAULT_HOME = Path(".local", "share", "hourbook-baron")
LOCK_NAME = "baron.lock"
IDENTITY_NAME = "credential.json"
IDENTITY_VERSION = 1
FILE_BYTES_MAX = 16 * 1024 * 1024
URL_CHARS_MAX = 512


class Identity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who this Baron is, and to whom. `credential` is a secret; `monarch` is "ws://HOST:PORT" or "wss://...", no path."""

    version: int
    monarch: str
    baron_id: str
    credential: str


def home_directory(option: str | None) -> Path:
    """The Baron's home: the option, else $HOURBOOK_BARON_HOME, else ~/.local/share/hourbook-baron."""
    chosen = option or os.environ.get(HOME_VARIABLE)
    return (Path(chosen) if chosen else Path.home() / DEFAULT_HOME).absolute()


def tools_directory(option: str | None, home: Path) -> Path:
    """Where missing tools are kept: the option, else $HOURBOOK_BARON_TOOLS, else `tools` in the home."""
    chosen = option or os.environ.get(TOOLS_VARIABLE)
    return (Path(chosen) if chosen else home / "tools").absolute()


@contextmanager
def held(home: Path) -> Iterator[None]:
    """Hold the home, made if need be, until the end of the `with`. Raises AgentError `home_in_use`, `bad_home`.

    The lock is the kernel's, so that a killed agent leaves none behind; the file's text is only for the message.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(home / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise AgentError(
            "bad_home", f"{home} can't be used: {error}", "give another --home, or make it yours"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise AgentError(
                "home_in_use", f"{home} is held by process {holder}", "stop that one first, or give another --home"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def monarch_url(text: str) -> str:
    """Monarch's address, "ws://HOST:PORT" or "wss://HOST[:PORT]", without a slash at its end. Raises AgentError `bad_url`."""
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    bare = parts.path in ("", "/") and not parts.query and not parts.fragment and "@" not in parts.netloc
    if len(text) > URL_CHARS_MAX or parts.scheme not in ("ws", "wss") or not parts.hostname or not bare:
        raise AgentError(
            "bad_url",
            f"'{text[:80]}' isn't Monarch's address for agents",
            "give ws://HOST:PORT, or wss://HOST:PORT on a network",
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "")


def is_loopback(url: str) -> bool:
    """Whether Monarch is on this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_identity(home: Path) -> Identity | None:
    """Who this Baron is, or None before it was enrolled. Raises AgentError `bad_credential_file`."""
    data = read(home / IDENTITY_NAME)
    if data is None:
        return None
    try:
        identity = msgspec.json.decode(data, type=Identity)
    except msgspec.DecodeError as error:
        raise AgentError(
            "bad_credential_file",
            f"{home / IDENTITY_NAME} can't be read: {error}",
            "remove it and enrol the Baron again",
        ) from error
    if identity.version != IDENTITY_VERSION:
        raise AgentError(
            "bad_credential_file",
            f"{home / IDENTITY_NAME} has version {identity.version}",
            f"use the release that wrote it; this one knows version {IDENTITY_VERSION}",
        )
    return identity


def write_identity(home: Path, identity: Identity) -> None:
    """Keep the credential, mode 0600, durably. Raises AgentError `bad_home`."""
    try:
        replace_durably(home / IDENTITY_NAME, msgspec.json.encode(identity))
    except OSError as error:
        raise AgentError(
            "bad_home", f"{home} can't be written: {error}", "make room, or give another --home"
        ) from error


def read(path: Path) -> bytes | None:
    """A file of the home's, or None where there is none. Raises AgentError `bad_home`."""
    try:
        with path.open("rb") as file:
            return file.read(FILE_BYTES_MAX)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AgentError(
            "bad_home", f"{path} can't be read: {error}", "make it readable for the Baron's user"
        ) from error


def replace_durably(path: Path, data: bytes) -> None:
    """Replace a file whole, mode 0600: when this returns, a crash of the machine leaves the new one. Raises OSError."""
    partial = path.with_name(f".{path.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    partial.replace(path)
    record.sync(path.parent)
