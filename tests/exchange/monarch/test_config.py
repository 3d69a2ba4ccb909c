"""Configuration: defaults, then file, then environment, then flags; and errors that name the field."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchange.monarch.config import ConfigError, default_home, load


def test_defaults_are_on_loopback_and_list_markets(tmp_path: Path) -> None:
    config = load(None, {}, {"home": tmp_path})
    assert (config.host, config.api_port, config.agents_port) == ("127.0.0.1", 8700, 8701)
    assert (config.gate_host, config.gate_port_first, config.gate_port_last) == ("127.0.0.1", 22_000, 22_999)
    assert not config.allow_simulated
    assert "H100-SXM5-80GB" in {market.sku for market in config.markets}


def test_the_last_one_wins(tmp_path: Path) -> None:
    file = tmp_path / "monarch.toml"
    file.write_text("api_port = 1\nagents_port = 1\ntick_s = 1.5\n[fees]\ntaker_ppm = 7\n")
    environ = {"HOURBOOK_API_PORT": "2", "HOURBOOK_AGENTS_PORT": "2", "HOURBOOK_HOME": str(tmp_path)}
    config = load(file, environ, {"agents_port": 3, "host": None})
    assert (config.api_port, config.agents_port, config.tick_s, config.fees.taker_ppm) == (2, 3, 1.5, 7)
    assert config.home == tmp_path


@pytest.mark.parametrize(
    ("text", "names"),
    [("colour = 1", "colour"), ("api_port = 'x'", "api_port"), ("[fees]\nmaker = 1", "maker"), ("=", "TOML")],
)
def test_a_file_that_cannot_be_used_is_said_so(tmp_path: Path, text: str, names: str) -> None:
    file = tmp_path / "monarch.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=names):
        load(file, {}, {"home": tmp_path})


def test_a_missing_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't read"):
        load(tmp_path / "none.toml", {}, {})


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"gate_port_first": 23_200, "gate_port_last": 23_100}, "gate_port_first is 23200 and gate_port_last 23100"),
        ({"gate_port_first": 0}, "gate_port_first is 0 and gate_port_last 22999"),
        ({"gate_port_last": 0}, "gate_port_first is 22000 and gate_port_last 0"),
        ({"gate_port_last": 65_536}, "gate_port_last is 65536"),
        ({"gate_port_first": -1}, "gate_port_first is -1"),
        ({"api_port": 8_700, "agents_port": 8_700}, "api_port and agents_port are both 8700"),
        ({"api_port": 22_999}, "api_port is 22999, one of the gate's from 22000 to 22999"),
        ({"agents_port": 22_000}, "agents_port is 22000, one of the gate's"),
        ({"api_port": 99_999}, "api_port is 99999"),
        ({"agents_port": -8701}, "agents_port is -8701"),
    ],
)
def test_a_port_that_there_cannot_be_is_refused(tmp_path: Path, given: dict[str, int], names: str) -> None:
    for environ, flags in (({}, given), ({f"HOURBOOK_{name.upper()}": str(port) for name, port in given.items()}, {})):
        with pytest.raises(ConfigError, match=names):
            load(None, environ, {"home": tmp_path, **flags})


def test_the_widest_range_of_ports_and_any_free_ones_are_taken(tmp_path: Path) -> None:
    for api, first, last in ((0, 1, 65_535), (0, 65_535, 65_535), (65_535, 0, 0)):
        flags = {"home": tmp_path, "api_port": api, "agents_port": 0, "gate_port_first": first, "gate_port_last": last}
        config = load(None, {}, flags)
        assert (config.gate_port_first, config.gate_port_last) == (first, last)


def test_a_misspelt_variable_is_refused_and_those_of_others_are_left_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="HOURBOOK_API_PRT"):
        load(None, {"HOURBOOK_API_PRT": "1"}, {"home": tmp_path})
    others = ("HOURBOOK_URL", "HOURBOOK_IDENTITY", "HOURBOOK_BARON_HOME")
    assert load(None, dict.fromkeys(others, "x"), {"home": tmp_path}).home == tmp_path


@pytest.mark.parametrize(
    ("environ", "home"),
    [
        ({"HOURBOOK_HOME": "/a"}, "/a"),
        ({"XDG_DATA_HOME": "/b", "HOME": "/c"}, "/b/hourbook"),
        ({"HOME": "/c"}, "/c/.local/share/hourbook"),
    ],
)
def test_where_the_data_is(environ: dict[str, str], home: str) -> None:
    assert default_home(environ) == Path(home)
