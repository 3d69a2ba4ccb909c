"""The `hourbook` command as people run it, against a whole exchange and with the real ssh."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from exchange.monarch.demo.world import REGION, SKU, script
from hourbook.client import Client
from tests.clients.faulty import losing_an_answer
from tests.e2e.exchange import ONDEMAND, SPOT, Exchange

COMMAND_S = 60.0
RENT = ("rent", "--sku", SKU, "--region", REGION)


class Shell:
    """Runs the command as one account, with a configuration folder of its own."""

    def __init__(self, exchange: Exchange, home: Path, who: str) -> None:
        self.file = home / "hourbook" / "config.toml"
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("HOURBOOK_")} | {
            "HOURBOOK_CONFIG": str(self.file),
            "HOURBOOK_URL": exchange.url,
            "HOURBOOK_KEY": exchange.world.key(who),
            "HOURBOOK_IDENTITY": str(exchange.world.ssh_key),
        }

    def run(self, *words: str, typed: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        command = [script("hourbook"), *words]
        environ = self.environment | environment
        return subprocess.run(
            command, input=typed, capture_output=True, text=True, timeout=COMMAND_S, check=False, env=environ
        )

    def answer(self, *words: str) -> Any:
        """What it answers in JSON; it must succeed."""
        done = self.run(words[0], "--json", *words[1:])
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def text(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def renter(exchange: Exchange, tmp_path: Path) -> Shell:
    return Shell(exchange, tmp_path, "renter")


@pytest.fixture
def provider(exchange: Exchange, tmp_path: Path) -> Shell:
    return Shell(exchange, tmp_path, "provider")


def test_rent_ssh_and_end(renter: Shell) -> None:
    rented = renter.run(*RENT, "--gpus", "2", "--max-price", "2.50")
    assert rented.returncode == 0, rented.stderr
    lease_id = re.findall(r"lse_\w{13}", rented.stdout)[0]
    assert "active" in rented.stdout
    assert f"hourbook ssh {lease_id}" in rented.stderr
    done = renter.run("ssh", "latest", "--", "ls", "/dev/nvidia[0-9]*", "|", "wc", "-l")
    assert (done.stdout.strip(), done.returncode) == ("2", 0), done.stderr
    assert renter.run("ssh", lease_id, "--", "exit", "7").returncode == 7
    assert renter.run("ssh", typed="echo from a shell\n").stdout == "from a shell\n"
    assert [lease["id"] for lease in renter.answer("leases")] == [lease_id]
    assert renter.answer("raise", "latest", "2.75")["price"] == "2.7500"
    assert renter.run("extend", "latest", "--auto", "on").returncode == 1
    assert "not_reserved" in renter.run("release", "latest", "1", "3", "--as", "forwards").stderr
    assert renter.answer("end", "latest")["reason"] == "quit"
    assert renter.text("leases") == "No leases.\n"
    assert lease_id in renter.text("leases", "--all")
    nothing = renter.run("ssh")
    assert nothing.returncode == 2
    assert "hourbook rent" in nothing.stderr
    assert renter.run("ssh", lease_id).returncode == 2


def test_the_ssh_configuration_works_with_ssh_and_scp(renter: Shell, tmp_path: Path) -> None:
    lease = renter.answer(*RENT)[0]
    config = tmp_path / "ssh_config"
    config.write_text(renter.text("ssh-config"))
    sent, returned = tmp_path / "sent", tmp_path / "returned"
    sent.write_bytes(os.urandom(300_000))
    for words in (
        ["scp", "-q", "-F", str(config), str(sent), f"{lease['id']}:data"],
        ["scp", "-q", "-F", str(config), "hourbook:data", str(returned)],
    ):
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=COMMAND_S, check=False, env=renter.environment
        )
        assert done.returncode == 0, done.stderr
    assert returned.read_bytes() == sent.read_bytes()


def test_a_wrong_host_key_is_not_accepted(renter: Shell, tmp_path: Path) -> None:
    renter.answer(*RENT)
    words = renter.answer("ssh", "latest", "--", "true")
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True, timeout=COMMAND_S)
    key = other.with_suffix(".pub").read_text().split()[1]
    forged = [re.sub(r"ssh-ed25519 \S+", f"ssh-ed25519 {key}", word) for word in words]
    assert forged != words
    done = subprocess.run(forged, capture_output=True, text=True, timeout=COMMAND_S, check=False)
    assert done.returncode == 255
    assert "HOST IDENTIFICATION HAS CHANGED" in done.stderr
    assert subprocess.run(words, capture_output=True, timeout=COMMAND_S, check=False).returncode == 0


def test_a_book_that_is_halted_says_so(renter: Shell, exchange: Exchange) -> None:
    admin = exchange.rest("admin")
    assert "Session" not in renter.run("book", ONDEMAND).stderr
    admin.put(f"/v1/instruments/{ONDEMAND}/session", {"session": "halted"})
    try:
        assert "Session: halted" in renter.run("book", ONDEMAND).stderr
        assert renter.answer("book", ONDEMAND)["session"] == "halted"
    finally:
        admin.put(f"/v1/instruments/{ONDEMAND}/session", {"session": "continuous"})


def test_what_the_market_shows(renter: Shell) -> None:
    (listed,) = [line for line in renter.text("markets", "--sku", SKU).splitlines() if SPOT in line]
    assert listed.endswith("yes"), "the only Baron here is simulated"
    assert {found["sku"] for found in renter.answer("markets", "--sku", SKU)} == {SKU}
    book = renter.run("book", SPOT)
    assert ("2.0000" in book.stdout, "Simulated" in book.stderr) == (True, True)
    assert renter.answer("book", ONDEMAND)["asks"][0]["quantity"] == 8
    quotes = renter.answer("quote", "--sku", SKU, "--gpus", "4", "--region", REGION)
    assert quotes["quotes"][0]["cost_per_hour"] == "8.000000"
    quoted = renter.text("quote", "--sku", SKU, "--gpus", "4", "--region", REGION)
    assert ("8.000000" in quoted, f"{REGION} (simulated)" in quoted) == (True, True)


def test_what_a_market_s_forwards_cost(renter: Shell) -> None:
    shown = renter.run("curve", SKU, REGION)
    heading, *rows = shown.stdout.splitlines()
    assert heading.split() == [
        "period",
        "delivery",
        "from",
        "hours",
        "bid",
        "ask",
        "last",
        "settlement",
        "of",
        "session",
    ]
    curve = renter.answer("curve", SKU, REGION)
    assert [row.split()[0] for row in rows] == [point["period"] for point in curve["points"]]
    assert len(rows) == 29
    assert "Simulated" in shown.stderr
    listed = renter.text("markets", "--sku", SKU, "--region", REGION, "--kind", "ondemand").splitlines()
    assert [line.split()[0] for line in listed[1:]] == [ONDEMAND]
    assert "fwd-" not in renter.text("markets")


def test_orders_by_hand(renter: Shell) -> None:
    placed = renter.answer("buy", SPOT, "1", "1.10", "--post-only", "--client-order-id", "by-hand")
    order_id = placed["order"]["id"]
    assert order_id in renter.text("orders")
    assert renter.text("cancel", order_id) == f"{order_id} canceled\n"
    assert renter.text("orders") == "No orders.\n"
    assert "canceled" in renter.text("orders", "--all", "--limit", "1")
    stop = renter.answer("buy", SPOT, "1", "9.10", "--stop", "9.00", "--display", "1", "--tag", "cli")["order"]
    assert (stop["type"], stop["armed"], stop["stop_price"]) == ("stop_limit", True, "9.0000")
    assert "9.0000 (armed)" in renter.text("orders")
    gtd = renter.answer(
        "buy", SPOT, "1", "1.00", "--expire", "2199-01-01T00:00Z", "--tag", "cli", "--feature", "nvlink"
    )
    assert (gtd["order"]["time_in_force"], gtd["order"]["features"]) == ("gtd", ["nvlink"])
    rated = renter.answer("buy", SPOT, "1", "1.00", "--min-rating", "90", "--tag", "rated")["order"]
    assert rated["min_rating"] == 90
    assert renter.text("cancel", "--all", "--tag", "rated") == "1 orders canceled\n"
    assert renter.answer("quote", "--sku", SKU, "--min-rating", "90")["quotes"][0]["available_gpus"] == 0
    assert renter.run("rent", "--sku", SKU, "--min-rating", "90").returncode == 1
    assert "the exchange's own bound" in renter.text("limits")
    assert renter.answer("limits")["killed"] is False
    assert renter.run("cancel").returncode == 2
    assert renter.run("cancel", order_id, "--all").returncode == 2
    assert renter.text("cancel", "--all", "--tag", "cli", "--side", "buy") == "2 orders canceled\n"
    bought = renter.answer("buy", SPOT, "1", "--market")
    assert (bought["fills"][0]["price"], bought["fills"][0]["simulated"]) == ("2.0000", True)
    shown = renter.run("buy", SPOT, "1", "--market")
    assert re.search(r"1 at 2\.0000: lse_\w{13} \(simulated\)", shown.stderr)
    assert "accrued" in renter.text("leases")


def test_a_provider_sells_and_offers(provider: Shell, tmp_path: Path) -> None:
    baron = next(found for found in provider.answer("barons") if found["online"])
    assert "yes" in provider.text("barons")
    assert provider.run("barons", "add", "--sku", SKU).returncode == 2
    offers = tmp_path / "offers.toml"
    offers.write_text(
        f'[[offers]]\nbaron = "{baron["id"]}"\ninstrument = "{SPOT}"\nprice = "2.75"\ngpus = 3\nlot = 3\n'
    )
    (offer,) = provider.answer("asks", "put", str(offers))["offers"]
    assert (offer["price"], offer["lot"], offer["listed_gpus"]) == ("2.7500", 3, 3)
    shown = tmp_path / "offers.json"
    shown.write_text(json.dumps({"offers": provider.answer("asks")["offers"]}))
    assert "2.7500" in provider.text("asks", "put", str(shown))
    offers.write_text(offers.read_text().replace('"2.75"', "2.75"))
    refused = provider.run("asks", "put", str(offers))
    assert (refused.returncode, "price" in refused.stderr) == (2, True)
    assert provider.run("asks", "put").returncode == 2
    assert "is drained" in provider.text("barons", "drain", baron["id"])
    assert "reporting, draining" in provider.text("barons")
    assert provider.answer("barons", "undrain", baron["id"])["draining"] is False
    assert provider.run("barons", "drain").returncode == 2
    assert provider.run("barons", "show", baron["id"]).returncode == 2
    sold = provider.answer("sell", SPOT, "1", "9.00", "--baron", baron["id"])
    assert (sold["order"]["side"], sold["order"]["simulated"]) == ("sell", True)
    assert "sell (simulated)" in provider.text("orders")


def test_what_was_bought_forward_shows(provider: Shell, renter: Shell) -> None:
    points = renter.answer("curve", SKU, REGION)["points"]
    symbol = next(point["symbol"] for point in points if "-W" in point["period"])
    baron = next(found for found in provider.answer("barons") if found["online"])["id"]
    provider.answer("sell", symbol, "1", "2.00", "--baron", baron)
    assert "1 at 2.0000: hours to come (simulated)" in renter.run("buy", symbol, "1", "2.00").stderr
    assert baron in renter.text("positions")
    owed = renter.answer("obligations")[0]
    assert owed["id"] in provider.text("obligations", "--provider")
    assert "addressed" in renter.text("deliver", owed["id"])
    beyond = renter.run("sell", symbol, "2", "2.10", "--baron", baron, "--reduce-only")
    assert (beyond.returncode, "insufficient_capacity" in beyond.stderr) == (1, True)


def test_an_offer_of_what_isnt_there_says_why(provider: Shell, tmp_path: Path) -> None:
    standing = [offer for offer in provider.answer("asks")["offers"] if offer["listed_gpus"]]
    assert [offer["note"] for offer in standing] == [None] * 2
    idle = provider.answer("barons", "add", "--sku", SKU, "--region", REGION, "--name", "idle")["id"]
    offers = tmp_path / "offers.json"
    offer = {"baron": idle, "instrument": SPOT, "price": "2.00", "gpus": 8}
    offers.write_text(json.dumps({"offers": [*standing, offer]}))
    put = provider.run("asks", "put", str(offers))
    assert put.returncode == 0, put.stderr
    assert f"0 of 8 GPUs are listed: Baron {idle} has no verified GPUs; its agent has not reported yet" in put.stderr
    assert put.stderr.count("GPUs are listed") == 1, "what stands whole needs no word"
    assert provider.run("asks").stderr == put.stderr


def test_money(renter: Shell) -> None:
    assert "available" in renter.text("balance")
    assert set(renter.answer("balance")) >= {"available", "held", "seq"}
    assert "deposit" in renter.text("statement")
    assert renter.answer("statement")["lines"]
    assert renter.run("statement", "December").returncode == 1


def test_login_keeps_the_key_for_its_user_alone(renter: Shell) -> None:
    key = renter.environment.pop("HOURBOOK_KEY")
    nobody = renter.run("balance")
    assert nobody.returncode == 1
    assert "hourbook login" in nobody.stderr
    assert renter.run("login", typed="hb_wrong\n").returncode == 1
    assert not renter.file.exists()
    done = renter.run("login", "--identity", renter.environment.pop("HOURBOOK_IDENTITY"), typed=f"{key}\n")
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE(renter.file.stat().st_mode) == 0o600
    assert key not in done.stdout + done.stderr
    del renter.environment["HOURBOOK_URL"]
    assert "demo renter" in done.stdout
    assert renter.run("balance").returncode == 0
    renter.file.write_text("url = 5\n")
    broken = renter.run("balance")
    assert (broken.returncode, "hourbook login" in broken.stderr) == (2, True)


def test_ssh_keys(renter: Shell, exchange: Exchange, tmp_path: Path) -> None:
    private = exchange.world.ssh_key
    assert "demo" in renter.text("ssh-keys")
    refused = renter.run("ssh-keys", "add", str(private))
    assert (refused.returncode, ".pub" in refused.stderr) == (2, True)
    other = tmp_path / "another"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True, timeout=COMMAND_S)
    added = renter.answer("ssh-keys", "add", str(other.with_suffix(".pub")))
    key_id = next(key["id"] for key in added if key["name"] == "another")
    assert key_id not in renter.text("ssh-keys", "delete", key_id)


def test_errors_say_what_to_do_and_exit_codes_tell_them_apart(renter: Shell) -> None:
    unknown = renter.run("rent", "--sku", "NO-SUCH-GPU")
    assert (unknown.returncode, "hourbook markets" in unknown.stderr) == (1, True)
    as_json = renter.run("rent", "--sku", "NO-SUCH-GPU", "--json")
    assert json.loads(as_json.stderr)["code"] == "unknown_instrument"
    assert as_json.stdout == ""
    assert renter.run("balance", HOURBOOK_URL="http://127.0.0.1:1").returncode == 4
    assert renter.run("balance", HOURBOOK_URL="nowhere").returncode == 2
    assert renter.run("buy", SPOT, "1", "cheap").returncode == 2
    when = renter.run("buy", SPOT, "1", "1.00", "--expire", "tomorrow")
    assert (when.returncode, "'tomorrow' is no time; give one with its zone, such as 2026" in when.stderr) == (2, True)
    field = renter.run("buy", SPOT, "1", "1.00", "--min-quantity", "2")
    assert "invalid_quantity (min_quantity): min_quantity is 2, where quantity is 1." in field.stderr
    assert renter.run("balance", "--", "ls").returncode == 2
    assert renter.run("fly").returncode == 2


def test_a_rental_with_a_key_of_its_own_may_be_repeated(renter: Shell) -> None:
    first = renter.answer(*RENT, "--no-wait", "--idempotency-key", "by-hand-once")
    again = renter.answer(*RENT, "--no-wait", "--idempotency-key", "by-hand-once")
    assert [lease["id"] for lease in again] == [lease["id"] for lease in first]
    for none in ("", "é"):
        assert renter.run(*RENT, "--no-wait", "--idempotency-key", none).returncode == 2


def test_an_order_whose_answer_was_lost_is_never_called_refused(renter: Shell, exchange: Exchange) -> None:
    words = ("buy", SPOT, "1", "1.1100", "--post-only")
    with Client(exchange.url, exchange.world.key("renter")) as client:
        made = client.create_key(["read", "trade", "rent"])
        with losing_an_answer(exchange.url, lambda: client.revoke_key(made.id)) as url:
            lost = renter.run(*words, HOURBOOK_URL=url, HOURBOOK_KEY=made.token or "")
        assert lost.returncode == 3, lost.stderr
        assert "it may have been done. The repeat doesn't tell: unauthorized: " in lost.stderr
        assert "hourbook login" in lost.stderr
        (key,) = re.findall(r"--idempotency-key (\S+)", lost.stderr)
        by_hand = renter.run(*words, "--idempotency-key", key, HOURBOOK_KEY=made.token or "")
        assert (by_hand.returncode, f"--idempotency-key {key}" in by_hand.stderr) == (3, True)
        as_json = renter.run(*words, "--json", "--idempotency-key", key, HOURBOOK_KEY=made.token or "")
        told = json.loads(as_json.stderr)
        assert (as_json.returncode, told["outcome"], told["idempotency_key"]) == (3, "unknown", key)
        (standing,) = [order for order in client.orders(only_open=True) if order.price == Decimal("1.11")]
    assert renter.answer(*words, "--idempotency-key", key)["order"]["id"] == standing.id


def test_a_repeat_is_refused_only_by_the_engine_or_by_the_answer_that_is_kept_for_its_key(renter: Shell) -> None:
    crossing = renter.run("buy", SPOT, "1", "2.00", "--post-only", "--idempotency-key", "by-hand-crossing")
    assert (crossing.returncode, "post_only_would_trade" in crossing.stderr) == (1, True)
    off_grid = [renter.run("buy", SPOT, "1", "1.23456", "--idempotency-key", "by-hand-off-grid") for _ in range(2)]
    assert ["invalid_price" in done.stderr for done in off_grid] == [True, True]
    # The first might have been the repeat of an order; the second is told what the first was.
    assert [done.returncode for done in off_grid] == [3, 1]


def test_a_forward_is_bought_and_shown(provider: Shell, renter: Shell) -> None:
    baron = next(each["id"] for each in provider.answer("barons") if each["verified_gpus"])
    symbol = f"{SKU}.{REGION}.fwd-{renter.answer('curve', SKU, REGION)['points'][-1]['period']}"
    provider.answer("sell", symbol, "1", "0.0100", "--baron", baron)
    foreign = renter.run("sell", symbol, "1", "0.0100", "--baron", baron)
    # Who holds other hours of the Baron already is told what it has, who holds none whose hours it may sell.
    assert "bought" in foreign.stderr
    assert foreign.returncode == 1
    renter.answer("buy", symbol, "1", "0.0100")
    heading, *listed = renter.text("obligations").splitlines()
    assert heading.split() == "obligation Baron GPUs start end price escrow bond delivery lease change".split()
    obligation = next(each for each in renter.answer("obligations") if each["instrument"] == symbol)
    (owed,) = (line for line in listed if line.split()[0] == obligation["id"])
    assert f" {obligation['bond']} " in owed
    assert renter.text("positions").splitlines()[0].split() == "Baron SKU region start end GPUs".split()
    unlisted = renter.run("buy", f"{SKU}.{REGION}.fwd-1999", "1", "0.0100")
    assert "forwards: hourbook curve SKU REGION" in unlisted.stderr
