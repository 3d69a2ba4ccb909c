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
