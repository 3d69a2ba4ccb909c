"""The market maker as a program, against a whole exchange: what it keeps standing, and that it leaves no bids behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from exchange.monarch.demo import market_maker as demo
from exchange.monarch.demo.world import REGION, SKU
from hourbook.bots.market_maker import MarketMaker
from hourbook.bots.options import BadOptions, Options, read_options
from hourbook.bots.quoting import Product, Settings
from hourbook.client import Client
from hourbook.errors import Problem, Rejected
from hourbook.models import Order
from tests.e2e.exchange import ONDEMAND, SPOT, Exchange
from tests.waiting import wait_until

STOP_S = 60.0
MAKER = [sys.executable, "-m", "hourbook.bots.market_maker"]
FLAGS = ["--sku", SKU, "--region", REGION, "--price", "2.10", "--requote-s", "0.5"]


class Maker:
    """The program; its output goes to a file, which a failing test shows."""

    def __init__(self, exchange: Exchange, folder: Path, command: list[str], key: str = "") -> None:
        self._log = folder / "maker.log"
        environment = os.environ | {"HOURBOOK_URL": exchange.url, "HOURBOOK_KEY": key or exchange.world.key("provider")}
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)

    def log(self) -> str:
        return self._log.read_text()


@pytest.fixture
def maker(exchange: Exchange, tmp_path: Path) -> Iterator[Maker]:
    started = Maker(exchange, tmp_path, [*MAKER, *FLAGS, "--ssh-key", str(exchange.world.ssh_key.with_suffix(".pub"))])
    yield started
    if started.process.poll() is None:
        started.process.kill()
        started.process.wait()


def bids(provider: Client) -> list[Order]:
    return [order for order in provider.orders(only_open=True) if order.side == "buy"]


def best_ask(client: Client, symbol: str) -> Decimal | None:
    asks = client.book(symbol).asks
    return asks[0].price if asks else None


def test_all_gpus_stand_on_both_kinds_and_bids_well_below(maker: Maker, provider: Client) -> None:
    wait_until(lambda: best_ask(provider, SPOT) == Decimal("2.10"), "the spot ask")
    wait_until(lambda: best_ask(provider, ONDEMAND) == Decimal("2.625"), "the on-demand ask")
    bid = wait_until(lambda: bids(provider), "the bid")[0]
    assert (bid.price, bid.quantity, bid.post_only) == (Decimal("1.47"), 1, True)
    assert [level.quantity for level in provider.book(SPOT).asks] == [8]
    assert maker.stop() == 0
    assert bids(provider) == []
    assert best_ask(provider, SPOT) == Decimal("2.10")
    # What is left of a bot stays its account's: the key to its bids' leases.
    assert "market maker" in {key.name for key in provider.ssh_keys()}


def test_asks_rise_as_gpus_are_leased_and_fall_when_they_return(maker: Maker, provider: Client, renter: Client) -> None:
    wait_until(lambda: best_ask(provider, SPOT) == Decimal("2.10"), "the spot ask")
    lease = renter.rent(SKU, gpus=4, regions=[REGION]).leases[0]
    wait_until(lambda: best_ask(provider, SPOT) == Decimal("2.31"), "half of the drift")
    renter.end_lease(lease.id)
    wait_until(lambda: best_ask(provider, SPOT) == Decimal("2.10"), "the reference again")
    assert maker.stop() == 0


def test_it_outlives_a_killed_monarch_and_a_killed_self(
    maker: Maker, provider: Client, exchange: Exchange, tmp_path: Path
) -> None:
    first = wait_until(lambda: bids(provider), "the bid")[0]
    exchange.kill_monarch()
    exchange.start_monarch()
    wait_until(lambda: "trying again" in maker.log(), "the maker to notice")
    provider.cancel(first.id)
    again = wait_until(lambda: [bid for bid in bids(provider) if bid.id != first.id], "a new bid")
    maker.process.kill()
    maker.process.wait()
    assert bids(provider) == again
    second = Maker(exchange, tmp_path, [*MAKER, *FLAGS, "--bid-discount", "0.5"])
    wait_until(lambda: [bid.price for bid in bids(provider)] == [Decimal("1.05")], "the old bid to give way")
    assert second.stop() == 0
    assert bids(provider) == []


def test_bids_stop_while_enough_is_bought(exchange: Exchange, provider: Client, tmp_path: Path) -> None:
    admin = exchange.rest("admin")
    account = admin.post("/v1/accounts", {"name": "a maker", "scopes": ["read", "rent", "provide", "trade"]})
    admin.post("/v1/deposits", {"account": account["id"], "amount": "100.00"})
    key = account["key"]["token"]
    ssh_key = str(exchange.world.ssh_key.with_suffix(".pub"))
    command = [*MAKER, *FLAGS, "--ssh-key", ssh_key, "--max-bought-gpus", "1"]
    provider.put_asks([])
    baron = next(baron.id for baron in provider.barons() if baron.online)
    with Client(exchange.url, key) as buyer:
        maker = Maker(exchange, tmp_path, command, key)
        wait_until(lambda: bids(buyer), "the bid")
        placed = provider.place(SPOT, "sell", 1, "1.47", baron=baron)
        assert [fill.price for fill in placed.fills] == [Decimal("1.47")]
        lease = wait_until(lambda: buyer.leases(only_open=True), "what was bought")[0]
        wait_until(lambda: buyer.lease(lease.id).ssh, "the lease to be active, which is a reason to quote anew")
        buyer.end_lease(lease.id)
        renewed = wait_until(lambda: bids(buyer), "the next bid")[0]
        ended = buyer.lease(lease.id, min_seq=renewed.seq).ended
        assert ended is not None
        assert renewed.created >= ended
        assert maker.stop() == 0
        assert bids(buyer) == []
        wait_until(lambda: buyer.lease(lease.id).wiped, "the lease to be wiped")


def test_a_want_of_ssh_keys_is_said_once_and_its_end_too(exchange: Exchange, tmp_path: Path) -> None:
    admin = exchange.rest("admin")
    account = admin.post("/v1/accounts", {"name": "a maker", "scopes": ["read", "rent", "provide", "trade"]})
    admin.post("/v1/deposits", {"account": account["id"], "amount": "100.00"})
    key = account["key"]["token"]
    maker = Maker(exchange, tmp_path, [*MAKER, *FLAGS, "--requote-s", "0.1", "--drift", "0"], key)
    wait_until(lambda: "no_ssh_key" in maker.log(), "the warning")
    with Client(exchange.url, key) as buyer:
        buyer.add_ssh_key("late", exchange.world.ssh_key.with_suffix(".pub").read_text().strip())
        wait_until(lambda: bids(buyer), "the bid")
        wait_until(lambda: "no longer refused" in maker.log(), "the good news")
        assert maker.stop() == 0
    assert maker.log().count("no_ssh_key") == 1
    assert "hourbook ssh-keys add" in maker.log()


async def test_a_refusal_is_said_until_it_changes(caplog: pytest.LogCaptureFixture) -> None:
    product = Product(sku=SKU, region=REGION, price="2")
    caplog.set_level("INFO", logger="hourbook.market_maker")

    async def act(code: str) -> None:
        if code:
            raise Rejected(Problem(code=code, detail="It is so."))

    with Client("http://127.0.0.1:1", "hb_x") as client:
        maker = MarketMaker(Options("http://127.0.0.1:1", "hb_x", Settings(products=[product]), ""), client)
        for subject in ("bid on A", "bid on B", "bid on A"):
            await maker._try(subject, subject, act("no_ssh_key"))
        for code in ("self_trade", "self_trade", "insufficient_funds", "insufficient_funds", "", "", "self_trade"):
            await maker._try("bid on A", "bid on A at 2", act(code))
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "no_ssh_key: no bids: the account has no SSH key, and what a bid buys is a lease",
        "bid on A at 2 refused: self_trade: It is so.",
        "bid on A at 2 refused: insufficient_funds: It is so.",
        "bid on A at 2 is no longer refused",
        "bid on A at 2 refused: self_trade: It is so.",
    ]


def test_a_key_that_is_no_good_ends_it(exchange: Exchange, tmp_path: Path) -> None:
    started = Maker(exchange, tmp_path, [*MAKER, *FLAGS], exchange.world.key("renter"))
    assert started.process.wait(STOP_S) == 1
    assert "missing_scope" in started.log()


def test_the_demo_starts_it_with_options_that_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    public = tmp_path / "renter" / "id_ed25519.pub"
    public.parent.mkdir()
    public.write_text("ssh-ed25519 AAAA demo\n")
    monkeypatch.setenv("HOURBOOK_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("HOURBOOK_KEY", "hb_x")
    command = demo.command(tmp_path, SKU, REGION)
    assert command[: len(MAKER)] == MAKER
    options = read_options(command[len(MAKER) :])
    assert options.settings.products[0].spot == Decimal(demo.REFERENCE_PRICE)
    assert options.ssh_key == "ssh-ed25519 AAAA demo"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "--sku"),
        ("products = []", "products"),
        ("[[products]]\nsku = 'X'\nregion = 'Y'\nprice = 2.1", "price"),
        ("[[products]]\nsku = 'X'\nregion = 'Y'\nprice = '2.1'\nlot = 8", "lot"),
        ("[[products]]\nsku = 'X'\nregion = 'Y'\nprice = '0'", "prices go from"),
        ("not toml", "line 1"),
    ],
)
def test_options_that_make_no_sense_say_so(
    content: str | None, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOURBOOK_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("HOURBOOK_KEY", "hb_x")
    file = tmp_path / "maker.toml"
    argv: list[Any] = []
    if content is not None:
        file.write_text(content)
        argv = ["--config", str(file)]
    with pytest.raises(BadOptions, match=says):
        read_options(argv)


def test_a_config_file_names_several_products(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOURBOOK_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("HOURBOOK_KEY", "hb_x")
    file = tmp_path / "maker.toml"
    file.write_text(
        'bid_gpus = 0\n[[products]]\nsku = "A"\nregion = "r"\nprice = "2"\n'
        '[[products]]\nsku = "B"\nregion = "r"\nprice = "1"\nondemand_price = "1.5"\n'
    )
    settings = read_options(["--config", str(file)]).settings
    assert [product.ondemand for product in settings.products] == [Decimal("2.50"), Decimal("1.5")]
    monkeypatch.delenv("HOURBOOK_KEY")
    with pytest.raises(BadOptions, match="HOURBOOK_KEY"):
        read_options(["--config", str(file)])
