"""`monarch up`, `admin bootstrap` and `verify` as an operator meets them: real processes on a home of their own."""

from __future__ import annotations

import json
import shlex
import signal
import socket
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from exchange.monarch.demo.rest import Rest, RestError
from exchange.monarch.demo.world import script
from tests.waiting import wait_until

STOP_S = 30.0
UP_S = 60.0
SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"


def monarch(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([script("monarch"), *words], capture_output=True, text=True, timeout=UP_S, check=False)


@contextmanager
def up(home: Path, *flags: str, ignored: str = "") -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running Monarch and its URL, started with these signals ignored; it is stopped by SIGTERM unless the test did."""
    command = [script("monarch"), "up", "--home", str(home), "--api-port", "0", "--agents-port", "0", *flags]
    # Whoever runs the tests may ignore signals itself, as `nohup` does: those that aren't named get their default again.
    command = ["/usr/bin/env", "--default-signal", *(f"--ignore-signal={name}" for name in ignored.split()), *command]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process, wait_until(lambda: url_of(home, process), "Monarch to be ready", UP_S)
        finally:
            process.terminate()
            process.wait(STOP_S)


def url_of(home: Path, process: subprocess.Popen[str]) -> str | None:
    assert process.poll() is None, process.communicate()[0]
    try:
        running = json.loads((home / "running.json").read_text())
    except FileNotFoundError:
        return None
    return str(running["api_url"]) if running["pid"] == process.pid else None


def test_it_lists_its_markets_stops_cleanly_and_starts_again(tmp_path: Path) -> None:
    with up(tmp_path) as (process, url):
        first = Rest(url).get("/v1/instruments")
        kinds = Counter(listed["kind"] for listed in first["instruments"])
        # Days, weeks, months, quarters and years of each market.
        assert kinds == {"spot": 24, "ondemand": 24, "forward": 24 * (7 + 4 + 12 + 4 + 2)}
        process.send_signal(signal.SIGINT)
        assert process.wait(STOP_S) == 0
        assert not (tmp_path / "running.json").exists()
    with up(tmp_path) as (_, url):
        assert Rest(url).get("/v1/instruments") == first, "nothing is listed twice"


def test_its_words_when_ready_say_where_the_page_is_and_how_to_begin(tmp_path: Path) -> None:
    home = tmp_path / "a home"
    with up(home) as (process, url):
        assert process.stdout is not None
        first = next(line for line in process.stdout if "ready: " in line)
        assert f"web page {url}/," in first
        second, third = (process.stdout.readline() for _ in range(2))
        bootstrap = shlex.split(second.partition("and its key: ")[2])
        assert "docs/operator.md" in third
        made = subprocess.run([*bootstrap, "--json"], capture_output=True, text=True, timeout=UP_S, check=True)
        admin = Rest(url, json.loads(made.stdout)["key"])
        assert wait_until(lambda: account_of(admin), "the account that the printed line made")
    with up(home) as (process, _):
        process.terminate()
        assert "nobody has an account" not in process.communicate(timeout=STOP_S)[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_it_stops_cleanly_by_each_signal_even_in_the_background_of_a_shell(
    tmp_path: Path, number: signal.Signals
) -> None:
    with up(tmp_path, ignored="INT") as (process, _):
        process.send_signal(number)
        assert process.wait(STOP_S) == 0
        assert not (tmp_path / "running.json").exists()


def test_a_second_monarch_on_a_home_is_refused_and_names_the_first(tmp_path: Path) -> None:
    with up(tmp_path) as (process, _):
        refused = monarch("up", "--home", str(tmp_path), "--api-port", "0", "--agents-port", "0")
        assert refused.returncode == 1
        assert str(process.pid) in refused.stderr


def test_a_port_that_is_taken_is_said_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = monarch("up", "--home", str(tmp_path), "--api-port", port, "--agents-port", "0")
    assert refused.returncode == 1
    assert "in use" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_damaged_command_log_refuses_to_start(tmp_path: Path) -> None:
    with up(tmp_path):
        pass
    # The newest pages may stand in the write-ahead log still.
    files = sorted((tmp_path / "log" / "0").glob("commands.001.db*"))
    [log] = [file for file in files if b"MI300X" in file.read_bytes()]
    data = bytearray(log.read_bytes())
    place = data.rindex(b"MI300X")
    data[place : place + 6] = b"MI300Y"
    log.write_bytes(data)
    refused = monarch("up", "--home", str(tmp_path), "--api-port", "0", "--agents-port", "0")
    assert refused.returncode == 1
    assert "damaged" in refused.stderr or "commands were lost" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_administrator_is_made_once(tmp_path: Path) -> None:
    made = monarch("admin", "bootstrap", "--home", str(tmp_path), "--json")
    assert made.returncode == 0, made.stderr
    again = monarch("admin", "bootstrap", "--home", str(tmp_path))
    assert again.returncode == 1
    assert "already" in again.stderr
    with up(tmp_path) as (_, url):
        key = json.loads(made.stdout)["key"]
        assert Rest(url, key).get("/v1/account")["id"] == json.loads(made.stdout)["account"]
    assert key.encode() not in (tmp_path / "registry.db").read_bytes(), "a key is kept as its hash alone"
    assert (tmp_path / "registry.db").stat().st_mode & 0o077 == 0


def test_verify_holds_and_catches_one_micro_dollar(tmp_path: Path) -> None:
    key = json.loads(monarch("admin", "bootstrap", "--home", str(tmp_path), "--json").stdout)["key"]
    with up(tmp_path) as (_, url):
        admin = Rest(url, key)
        account = wait_until(lambda: account_of(admin), "the administrator's account")
        deposit = admin.post("/v1/deposits", {"account": account, "amount": "12.345678"})
        assert admin.get(f"/v1/balances?min_seq={deposit['seq']}")["available"] == "12.345678"
        live = monarch("verify", "--home", str(tmp_path), "--json")
        assert live.returncode == 0, live.stdout
        assert json.loads(live.stdout)["holds"] is True
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as ledger, ledger:
        ledger.execute("UPDATE balances SET amount_micros = amount_micros + 1 WHERE amount_micros = 12345678")
        assert ledger.total_changes == 1
    caught = monarch("verify", "--home", str(tmp_path))
    assert caught.returncode == 1
    assert "12345678" in caught.stdout


def account_of(rest: Rest) -> str | None:
    try:
        return str(rest.get("/v1/account")["id"])
    except RestError:
        return None


@pytest.mark.parametrize("task", ["up", "demo", "verify"])
def test_an_empty_home_is_not_the_folder_that_one_stands_in(task: str) -> None:
    done = monarch(task, "--home", "")
    assert done.returncode == 2
    assert "it is empty; name a directory" in done.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("up --config /nonexistent.toml", 2),
        ("up --home /nonexistent --gate-port-first 23200 --gate-port-last 23100", 2),
        ("verify --home /nonexistent", 1),
        ("demo --home /etc/passwd", 1),
        ("demo --home /etc/passwd --api-port 99999", 2),
        ("demo --home /etc/passwd --gate-port-first 23200 --gate-port-last 23100", 2),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(words: str, code: int) -> None:
    done = monarch(*words.split())
    assert done.returncode == code
    assert done.stderr.startswith("monarch: ")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_metrics_name_the_sequence_and_the_consumers(tmp_path: Path) -> None:
    with up(tmp_path) as (_, url):
        curl = ["curl", "-sS", f"{url}/v1/metrics"]
        text = subprocess.run(curl, capture_output=True, text=True, timeout=UP_S, check=True).stdout
    assert 'hourbook_sequence{shard="0"} 24.0' in text
    for consumer in ("read", "settlement", "provisioner"):
        assert f'consumer="{consumer}"' in text


def test_an_operator_halts_an_instrument_and_marks_a_baron(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    symbol = "H100-SXM5-80GB.us-east.spot"
    key = json.loads(monarch("admin", "bootstrap", "--home", str(tmp_path), "--json").stdout)["key"]
    halt = ("admin", "session", "--home", str(tmp_path), symbol, "halted")
    without_key = monarch(*halt)
    assert (without_key.returncode, "HOURBOOK_KEY" in without_key.stderr) == (1, True)
    monkeypatch.setenv("HOURBOOK_KEY", key)
    nobody = monarch(*halt)
    assert (nobody.returncode, "no Monarch runs" in nobody.stderr) == (1, True)
    with up(tmp_path) as (_, url):
        done = monarch(*halt)
        assert (done.returncode, done.stdout) == (0, f"{symbol} halted\n"), done.stderr
        sessions = {row["symbol"]: row["session"] for row in Rest(url).get("/v1/instruments")["instruments"]}
        assert sessions[symbol] == "halted"
        baron = Rest(url, key).post("/v1/barons", {"sku": "H100-SXM5-80GB", "region": "us-east", "name": "rack"})["id"]
        said = monarch("admin", "features", "--home", str(tmp_path), "--json", baron, "nvlink", "secure")
        assert json.loads(said.stdout)["features"] == ["nvlink", "secure"]
        assert Rest(url, key).get(f"/v1/barons/{baron}")["features"] == ["nvlink", "secure"]
        said = monarch("admin", "rating", "--home", str(tmp_path), baron, "91")
        assert (said.returncode, said.stdout) == (0, f"{baron} 91\n"), said.stderr
        assert Rest(url, key).get(f"/v1/barons/{baron}")["rating"] == 91
        refused = monarch("admin", "session", "--home", str(tmp_path), "nothing", "halted")
        assert (refused.returncode, "unknown_instrument" in refused.stderr) == (1, True)


ORDER = {"instrument": "H100-SXM5-80GB.us-east.spot", "side": "buy", "quantity": 1, "price": "1.0000"}


def trader(url: str, key: str) -> Rest:
    """The administrator as a trader: with money and an SSH key."""
    rest = Rest(url, key)
    account = wait_until(lambda: account_of(rest), "the administrator's account")
    rest.post("/v1/deposits", {"account": account, "amount": "100"})
    rest.post("/v1/ssh-keys", {"name": "laptop", "public_key": SSH_KEY})
    return rest


def ask(socket: ClientConnection, op: str, **params: Any) -> Any:
    socket.send(json.dumps({"id": op, "op": op, "params": params}))
    reply = json.loads(socket.recv(STOP_S))
    assert reply["id"] == op, reply
    return reply["result"]


def dial(url: str, key: str, query: str = "") -> ClientConnection:
    address = f"{url.replace('http', 'ws')}/ws/v1/trade{query}"
    return connect(address, additional_headers={"Authorization": f"Bearer {key}"}, proxy=None)


def closed(rest: Rest, order: str) -> Any:
    """The order, if it is closed."""
    found = rest.get(f"/v1/orders/{order}")
    return found if found["status"] not in {"new", "partially_filled"} else None


def test_an_operator_limits_an_account_and_stops_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = json.loads(monarch("admin", "bootstrap", "--home", str(tmp_path), "--json").stdout)["key"]
    monkeypatch.setenv("HOURBOOK_KEY", key)
    with up(tmp_path) as (_, url):
        account = Rest(url, key).get("/v1/account")["id"]

        def tell(*words: str) -> str:
            done = monarch("admin", words[0], "--home", str(tmp_path), account, *words[1:])
            assert done.returncode == 0, done.stderr
            return done.stdout.removeprefix(account).strip()

        assert tell("limits") == "no limits"
        assert tell("limits", "--max-gpus", "8", "--max-notional", "50") == "max_notional 50.000000, max_gpus 8"
        assert tell("limits", "--max-open-orders", "3") == "max_open_orders 3"
        assert tell("kill") == "max_open_orders 3, stopped; 0 orders cancelled"
        assert Rest(url, key).get("/v1/limits")["killed"] is True
        assert tell("kill", "--off") == "max_open_orders 3; 0 orders cancelled"
        assert tell("limits", "--none") == "no limits"
        both = monarch("admin", "limits", "--home", str(tmp_path), account, "--none", "--max-gpus", "1")
        assert (both.returncode, "--none" in both.stderr) == (2, True)


def test_a_kill_cuts_connections_and_what_was_to_go_with_them_goes_at_the_next_start(tmp_path: Path) -> None:
    key = json.loads(monarch("admin", "bootstrap", "--home", str(tmp_path), "--json").stdout)["key"]
    chosen = "?cancel_on_disconnect=true"
    with up(tmp_path) as (process, url):
        stays = [trader(url, key).post("/v1/orders", ORDER)["order"]["id"]]
        with dial(url, key, chosen) as lost, dial(url, key, chosen) as left, dial(url, key) as other:
            goes = ask(lost, "order.place", **ORDER)["order_id"]
            stays += [ask(socket, "order.place", **ORDER)["order_id"] for socket in (left, other)]
            ask(left, "session.logout")
            process.kill()
            process.wait(STOP_S)
    for _ in range(2):
        with up(tmp_path) as (_, url):
            rest = Rest(url, key)
            gone = wait_until(partial(closed, rest, goes), "the cancel to be read")
            assert (gone["status"], gone["reason"]) == ("canceled", "disconnected")
            assert [rest.get(f"/v1/orders/{order}")["status"] for order in stays] == ["new"] * 3


def test_the_dead_man_switch_outlives_a_kill(tmp_path: Path) -> None:
    """Whether it falls due while nothing runs or after the next start: the orders go."""
    key = json.loads(monarch("admin", "bootstrap", "--home", str(tmp_path), "--json").stdout)["key"]

    def rest_after(after_ms: int) -> str:
        with up(tmp_path) as (process, url), dial(url, key) as socket:
            order = Rest(url, key).post("/v1/orders", ORDER)["order"]["id"]
            assert ask(socket, "cancel_all_after", after_ms=after_ms)["due_us"] > 0
            process.kill()
            process.wait(STOP_S)
        return str(order)

    with up(tmp_path) as (_, url):
        trader(url, key)
    for after_ms in (1, 5_000):
        order = rest_after(after_ms)
        with up(tmp_path) as (_, url):
            rest = Rest(url, key)
            gone = wait_until(partial(closed, rest, order), "the switch", UP_S)
            assert (gone["status"], gone["reason"]) == ("canceled", "dead_man")
