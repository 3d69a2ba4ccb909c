"""Where the command keeps which exchange and which key: a TOML file of its user's alone (0600).

`HOURBOOK_URL`, `HOURBOOK_KEY` and `HOURBOOK_IDENTITY` win over the file; `HOURBOOK_CONFIG` says where the file is.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

DEFAULT_URL: Final = "http://127.0.0.1:8700"
MODE: Final = 0o600


class UsageError(Exception):
    """What was typed or configured can't be used; the message says what to do."""


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`identity`: the private key file that `hourbook ssh` hands to ssh; empty: ssh's own choice."""

    url: str = DEFAULT_URL
    key: str = ""
    identity: str = ""


def path(environ: Mapping[str, str]) -> Path:
    if given := environ.get("HOURBOOK_CONFIG"):
        return Path(given)
    base = environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "hourbook" / "config.toml"


def load(environ: Mapping[str, str]) -> Config:
    """From the file, if there is one, and the environment; UsageError."""
    values: dict[str, object] = {}
    file = path(environ)
    try:
        values = tomllib.loads(file.read_text())
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        raise UsageError(f"can't read {file}: {error}; mend it, or remove it and run: hourbook login") from error
    for name in ("url", "key", "identity"):
        if given := environ.get(f"HOURBOOK_{name.upper()}"):
            values[name] = given
    try:
        config = msgspec.convert(values, Config)
    except msgspec.ValidationError as error:
        raise UsageError(f"{file}: {error}; mend it, or remove it and run: hourbook login") from error
    if not config.url.startswith(("http://", "https://")):
        raise UsageError(f"{config.url!r} is no address: give one like {DEFAULT_URL}")
    return config


def save(config: Config, environ: Mapping[str, str]) -> Path:
    """Write the file, readable by its user alone; its path."""
    file = path(environ)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    fields = msgspec.to_builtins(config)
    # A JSON string of printable text is a TOML string as well.
    text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in fields.items())
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE), "w") as out:
            out.write(text)
        fresh.replace(file)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    return file
