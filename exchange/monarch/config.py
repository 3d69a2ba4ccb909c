"""Monarch's configuration: one frozen struct; a TOML file, then `HOURBOOK_*`, then flags (the last one wins).

Names in the file are the fields below; in the environment they are upper-cased after `HOURBOOK_`. Money of the demo and
secrets never stand here. Markets, fees and limits come from a defaults file and enter as commands at the first start.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

ENV_PREFIX: Final = "HOURBOOK_"
OTHERS_VARIABLES: Final = frozenset(
    ENV_PREFIX + name
    for name in ("URL", "KEY", "CONFIG", "IDENTITY", "BARON_HOME", "BARON_TOOLS", "SIMULATED", "LEASE", "NVML_STUB")
)
"""Variables with the same prefix that the client, the agent and a lease read; Monarch leaves them alone."""
MAX_PORT: Final = 65_535


class Market(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    sku: str
    regions: tuple[str, ...]


class Fees(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """In parts per million: 5000 is 0.5 %."""

    maker_ppm: int = 0
    taker_ppm: int = 5_000


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that a Monarch is told. Ports 0 mean: any free one (tests)."""

    home: Path
    host: str = "127.0.0.1"
    api_port: int = 8700
    agents_port: int = 8701
    gate_host: str = "127.0.0.1"
    gate_port_first: int = 22_000
    gate_port_last: int = 22_999
    allow_simulated: bool = False
    shard: int = 0
    tick_s: float = 1.0
    max_queue: int = 65_536
    max_batch: int = 4_096
    snapshot_every: int = 100_000
    log_file_max_bytes: int = 1 << 30
    max_term_hours: int = 744
    shutdown_s: float = 10.0
    fees: Fees = Fees()
    markets: tuple[Market, ...] = ()


class ConfigError(ValueError):
    """The configuration can't be used; the message names the field and what to give."""


def default_home(environ: Mapping[str, str]) -> Path:
    """`$HOURBOOK_HOME`, else the user's data directory."""
    if home := environ.get(f"{ENV_PREFIX}HOME"):
        return Path(home)
    data = environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path(environ.get("HOME", "/"), ".local", "share")) / "hourbook"


def load(file: Path | None, environ: Mapping[str, str], flags: Mapping[str, Any]) -> Config:
    """Merge defaults, file, environment and flags into a Config; ConfigError when something in them can't be used."""
    values: dict[str, Any] = tomllib.loads(_DEFAULTS.read_text())
    if file is not None:
        values |= _read(file)
    _refuse_unknown(environ)
    simple = {field.name for field in msgspec.structs.fields(Config)} - {"fees", "markets"}
    values |= {name: environ[key] for name in simple if (key := ENV_PREFIX + name.upper()) in environ}
    values |= {name: value for name, value in flags.items() if value is not None}
    values.setdefault("home", str(default_home(environ)))
    try:
        config = msgspec.convert(values, Config, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise ConfigError(f"configuration: {error}") from error
    check_ports(config.api_port, config.agents_port, config.gate_port_first, config.gate_port_last)
    return config


def check_ports(api: int, agents: int, gate_first: int, gate_last: int) -> None:
    """ConfigError for a port that there can't be or that is given twice, and for a range of the gate's that holds none."""
    for name, port in (
        ("api_port", api),
        ("agents_port", agents),
        ("gate_port_first", gate_first),
        ("gate_port_last", gate_last),
    ):
        if not 0 <= port <= MAX_PORT:
            raise ConfigError(f"{name} is {port}; give a port from 1 to {MAX_PORT}, or 0 for any free one")
    if (gate_first, gate_last) != (0, 0) and not 1 <= gate_first <= gate_last:
        raise ConfigError(
            f"gate_port_first is {gate_first} and gate_port_last {gate_last}: that range has no port for a lease; "
            "give the lower one first, or 0 and 0 for any free ones"
        )
    if api and api == agents:
        raise ConfigError(f"api_port and agents_port are both {api}; give two")
    for name, port in (("api_port", api), ("agents_port", agents)):
        if port and gate_first <= port <= gate_last:
            raise ConfigError(f"{name} is {port}, one of the gate's from {gate_first} to {gate_last}; give another")


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    """A misspelt variable would be ignored in silence, and its default used."""
    known = {ENV_PREFIX + field.name.upper() for field in msgspec.structs.fields(Config)} | OTHERS_VARIABLES
    for name in environ:
        if name.startswith(ENV_PREFIX) and name not in known:
            raise ConfigError(f"there is no setting {name}; unset it, or see docs/operator.md for the names")


def _path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str | Path):
        return Path(value)
    raise TypeError(f"a {kind.__name__} can't be made of this")


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except OSError as error:
        raise ConfigError(f"can't read {file}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is not TOML: {error}") from error


_DEFAULTS: Final = Path(__file__).with_name("defaults.toml")
