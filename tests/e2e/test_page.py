"""The web page as a person meets it: a real browser, a real exchange, a real Baron, and the page's own files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.browser import Browser
from tests.e2e.exchange import ONDEMAND, SPOT, Exchange
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(300)

ACTIVE = "#leases li[data-state=active]"
HOLD_THE_TRADES = """
    const fetchAtOnce = window.fetch;
    window.fetch = async (path, options) => {
        if (path.startsWith("/v1/trades/")) await new Promise((release) => { window.release = release; });
        return fetchAtOnce(path, options);
    };
"""
HOLD_THE_CURVE = """
    const deliver = WebSocket.prototype.addEventListener;
    WebSocket.prototype.addEventListener = function (type, listener) {
        deliver.call(this, type, type !== "message" ? listener : async (message) => {
            const event = JSON.parse(message.data);
            if (event.ch?.startsWith("curve.")) await new Promise((release) => { window.release = release; });
            listener(message);
        });
    };
"""
DROP_ONE_BOOK_UPDATE = """
    const deliver = WebSocket.prototype.addEventListener;
    WebSocket.prototype.addEventListener = function (type, listener) {
        deliver.call(this, type, type !== "message" ? listener : (message) => {
            const event = JSON.parse(message.data);
            if (window.dropNext === event.ch && event.type === "update") { window.dropNext = null; window.dropped = event; }
            else listener(message);
        });
    };
"""


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with Browser(tmp_path / "browser") as browser:
        browser.resize(1600, 1000)
        yield browser


def test_from_the_book_to_a_lease_without_a_reload(exchange: Exchange, browser: Browser) -> None:
    show(browser, exchange, SPOT)
    browser.run("window.first = true")
    browser.wait_text("#asks", "2.0000\t8\t–\t1")
    browser.wait_text(f"button[data-symbol='{SPOT}']", "2.0000")
    browser.wait_text(f"button[data-symbol='{ONDEMAND}']", "2.0000")
    browser.wait_text("#trades-note", "No trades yet.")
    assert (browser.text("#book-simulated"), browser.text("#trades-simulated")) == ("simulated", "")
    browser.wait_text(f"tr:has(button[data-symbol='{SPOT}']) th", "simulated")

    renter = exchange.rest("renter")
    placed = renter.post("/v1/orders", {"instrument": SPOT, "side": "buy", "quantity": 3, "price": "1.2345"})
    browser.wait_text("#bids", "1.2345\t3\t–\t1")
    browser.wait_text(f"button[data-symbol='{SPOT}']", "1.2345")
    assert browser.text("#spread") == "0.7655"
    renter.delete(f"/v1/orders/{placed['order']['id']}")
    wait_until(lambda: "1.2345" not in browser.text("#bids"), "the bid to be gone")

    token = exchange.world.key("renter")
    browser.type("#key", token)
    browser.press("Enter")
    browser.wait_text("[data-pot=available]", "$1,000.00")
    rent_by_keyboard(browser, gpus=2)
    browser.wait_text(ACTIVE, "2 × H100-SXM5-80GB")
    browser.wait_text(ACTIVE, "simulated")
    lease = renter.get("/v1/leases")["leases"][0]
    assert browser.text(f"{ACTIVE} code") == lease["ssh"]["command"]
    assert exchange.ssh_when_up(lease, "echo in") == "in\n"
    browser.wait_text("#trades tr", "2.0000\t2\tbuy *")
    browser.wait_text("#trades-simulated", "simulated")
    browser.wait_text(ACTIVE, "accrued")
    browser.wait_text("#asks", "2.0000\t6\t–\t1")
    browser.wait_text("[data-pot=held]", "$")
    assert browser.text("[data-pot=held]") != "$0.00"

    copy = f"{ACTIVE} .ssh button"
    allow_clipboard(browser, exchange, "denied")
    browser.click(copy)
    browser.wait_text(copy, "Selected")
    assert browser.run("getSelection().toString()") == lease["ssh"]["command"]
    allow_clipboard(browser, exchange, "granted")
    browser.click(copy)
    browser.wait_text(copy, "Copied")
    assert browser.run("navigator.clipboard.readText()") == lease["ssh"]["command"]

    log_in_with_a_key_that_is_no_default(exchange, browser, lease, copy)

    browser.click(f"{ACTIVE} .head button")
    browser.wait_text(f"{ACTIVE} .head button", "End now?")
    assert renter.get(f"/v1/leases/{lease['id']}")["state"] == "active", "one press asks, the next one ends"
    browser.click(f"{ACTIVE} .head button")
    browser.wait_text("#leases li[data-state=ended]", "wiped")
    browser.wait_text("[data-pot=held]", "$0.00")

    assert browser.run("window.first"), "all of it on one load of the page"
    assert browser.complaints() == []
    key_is_nowhere(browser, token)
    hosts = {address.split("/")[2] for address in browser.requests() if not address.startswith(("data:", "about:"))}
    assert hosts == {exchange.url.removeprefix("http://")}, "the page speaks to the exchange alone"


def test_conditional_quantity_stands_apart(exchange: Exchange, browser: Browser) -> None:
    renter = exchange.rest("renter")
    for hours, gpus in ((1, 2), (5, 3)):
        bid = {"instrument": ONDEMAND, "side": "buy", "quantity": gpus, "price": "1.5000", "hours": hours}
        renter.post("/v1/orders", bid)
    show(browser, exchange, ONDEMAND)
    browser.wait_text("#bids", "1.5000\t2\t3\t2")
    assert browser.complaints() == []


def test_forwards_stand_as_a_curve_that_follows_the_market(
    exchange: Exchange, browser: Browser, tmp_path: Path
) -> None:
    show(browser, exchange, SPOT)
    points = exchange.rest("renter").get("/v1/markets/H100-SXM5-80GB/us-east/curve")["points"]
    browser.wait_text(f"#curve tr[data-period='{points[0]['period']}']", points[0]["period"])
    rows = [line.split("\t")[0] for line in browser.text("#curve").splitlines()]
    assert {point["period"] for point in points} <= set(rows)
    assert [row for row in rows if row.isalpha()] == ["Period", "Days", "Weeks", "Months", "Quarters", "Years"]
    far = points[-1]
    placed = exchange.rest("renter").post(
        "/v1/orders", {"instrument": far["symbol"], "side": "buy", "quantity": 1, "price": "0.0123"}
    )
    shown = browser.wait_text(f"#curve tr[data-period='{far['period']}']", "0.0123")
    assert "\t0.0123\t–\t–\t–" in shown
    browser.screenshot(tmp_path / "curve.png")
    browser.resize(360, 800)
    assert browser.run("document.documentElement.scrollWidth") <= 360
    browser.screenshot(tmp_path / "narrow.png")
    exchange.rest("renter").delete(f"/v1/orders/{placed['order']['id']}")
    wait_until(lambda: "0.0123" not in browser.text("#curve"), "the bid to be gone")
    assert browser.complaints() == []


def test_a_market_that_doesnt_trade_says_so(exchange: Exchange, browser: Browser) -> None:
    show(browser, exchange, SPOT)
    cell = f"td:has(button[data-symbol='{SPOT}']) .session"
    assert (browser.text("#book-session"), browser.text(cell)) == ("", "")
    # Beyond the band a trade opens an auction by itself, and its end stands there.
    renter = exchange.rest("renter")
    bid = {"instrument": SPOT, "side": "buy", "quantity": 1}
    renter.post("/v1/orders", bid | {"price": "2.0000"})
    exchange.offer_all("3.0000")
    browser.wait_text("#trades", "2.0000\t1\tbuy *")
    renter.post("/v1/orders", bid | {"price": "3.1000"})
    browser.wait_text("#book-session", "auction until ")
    browser.wait_text("#spread", "−0.1000, crossed until an auction clears it")
    browser.wait_text(cell, "auction until ")

    def bring_to(session: str) -> None:
        exchange.rest("admin").put(f"/v1/instruments/{SPOT}/session", {"session": session})

    bring_to("halted")
    browser.wait_text("#book-session", "halted")
    browser.wait_text(cell, "halted")
    browser.click(f"button[data-symbol='{ONDEMAND}']")
    wait_until(lambda: browser.text("#book-session") == "", "the other market to be shown")
    browser.click(f"button[data-symbol='{SPOT}']")
    browser.wait_text("#book-session", "halted")
    bring_to("pre_open")
    browser.wait_text("#book-session", "pre-open")
    browser.resize(360, 740)
    assert browser.run("document.documentElement.scrollWidth") == 360
    bring_to("continuous")
    wait_until(lambda: (browser.text("#book-session"), browser.text(cell)) == ("", ""), "it to trade again")
    browser.wait_text("#trades", "\t1\tauction *")
    assert browser.complaints() == []


def test_no_trades_is_said_once_that_is_known(exchange: Exchange, browser: Browser) -> None:
    browser.call("Page.addScriptToEvaluateOnNewDocument", source=HOLD_THE_TRADES)
    show(browser, exchange, SPOT)
    browser.wait_text("#trades-note", "Loading the last trades.")
    wait_until(lambda: browser.run("Boolean(window.release)"), "the trades to be asked for")
    browser.run("window.release()")
    browser.wait_text("#trades-note", "No trades yet.")
    assert browser.complaints() == []


def test_no_forwards_is_said_once_that_is_known(exchange: Exchange, browser: Browser) -> None:
    browser.call("Page.addScriptToEvaluateOnNewDocument", source=HOLD_THE_CURVE)
    show(browser, exchange, SPOT)
    browser.wait_text("#curve-empty", "Loading the forwards.")
    wait_until(lambda: browser.run("Boolean(window.release)"), "the curve to be told")
    browser.run("window.release()")
    browser.wait_text("#curve", "Days")
    assert browser.text("#curve-empty") == ""
    assert browser.complaints() == []


@pytest.mark.parametrize("width", [360, 390, 840, 1344, 1400, 1600])
def test_nothing_runs_into_anything(exchange: Exchange, browser: Browser, width: int) -> None:
    browser.resize(width, 900)
    show(browser, exchange, ONDEMAND)
    browser.wait_text("#curve", "Days")
    browser.run("document.querySelectorAll('#signed-in, .field').forEach((one) => { one.hidden = false; })")
    assert browser.text("#rent-hours-label") == "Hours, guaranteed"
    for long in ("2.1050", "1000.0000"):
        # Each price that a row has room for, as long as they come.
        browser.run(
            f"document.querySelectorAll('#curve tbody td:not(.delivery)').forEach((one) => {{ one.textContent = '{long}'; }})"
        )
        out = """[...document.querySelectorAll('section')].filter((panel) =>
            [...panel.querySelectorAll('.beside, label, input, button, p')].some((one) => one.checkVisibility()
                && one.getBoundingClientRect().right > panel.getBoundingClientRect().right)).length"""
        assert browser.run(out) == 0
        if long == "2.1050":
            assert browser.run(
                "document.querySelector('.beside').scrollWidth <= document.querySelector('.beside').clientWidth"
            )
    beyond = """[...document.querySelectorAll('.field label')].filter((label) => {
        const text = document.createRange();
        text.selectNodeContents(label);
        return text.getBoundingClientRect().right > label.parentElement.getBoundingClientRect().right;
    }).map((label) => label.textContent)"""
    assert browser.run(beyond) == []
    assert browser.run("document.documentElement.scrollWidth") == width


def test_refusals_say_what_to_do_and_texts_stay_texts(exchange: Exchange, browser: Browser) -> None:
    name = "<img src=x onerror=alert(1)>"
    made = exchange.rest("admin").post("/v1/accounts", {"name": name, "scopes": ["read", "rent"]})
    show(browser, exchange, SPOT)

    browser.type("#key", "hb_schlüssel")
    browser.press("Enter")
    browser.wait_text("#account-notice", "isn’t a key")
    browser.type("#key", "hb_not_a_key")
    browser.press("Enter")
    browser.wait_text("#account-notice", "(unauthorized)")
    assert browser.text("#signed-in") == ""

    browser.type("#key", made["key"]["token"])
    browser.press("Enter")
    browser.wait_text("#who", name)
    assert browser.run("document.images.length") == 0

    browser.type("#rent-gpus", "9")
    browser.press("Enter")
    browser.wait_text("#rent-notice", "8 of 9 GPUs")
    assert "(fok_killed)" in browser.text("#rent-notice")
    assert browser.text("#quote") == "", "what can't be had isn't offered"

    rent_by_keyboard(browser, gpus=1)
    browser.wait_text("#rent-notice", "SSH key")
    assert browser.text("#rent-notice").endswith("(no_ssh_key)")
    assert exchange.rest("provider").get("/v1/leases?role=provider")["leases"] == []

    browser.click("#forget")
    browser.wait_text("#key-form", "API key")
    assert browser.text("#signed-in") == ""
    key_is_nowhere(browser, made["key"]["token"])


def test_a_lost_message_is_made_good_by_a_snapshot(exchange: Exchange, browser: Browser) -> None:
    browser.call("Page.addScriptToEvaluateOnNewDocument", source=DROP_ONE_BOOK_UPDATE)
    show(browser, exchange, SPOT)
    browser.wait_text("#asks", "2.0000\t8")
    browser.run(f"window.dropNext = 'book.{SPOT}'")
    renter = exchange.rest("renter")
    renter.post("/v1/orders", {"instrument": SPOT, "side": "buy", "quantity": 4, "price": "1.1000"})
    wait_until(lambda: browser.run("window.dropped?.ch"), "an update to be lost")
    browser.wait_text("#bids", "1.1000\t4")

    browser.run(f"window.dropNext = 'book.{SPOT}'")
    for price in ("1.2000", "1.3000"):
        renter.post("/v1/orders", {"instrument": SPOT, "side": "buy", "quantity": 1, "price": price})
    browser.wait_text("#bids", "1.3000\t1\t–\t1\n1.2000\t1\t–\t1\n1.1000\t4")
    assert browser.complaints() == []


def test_the_page_comes_back_with_the_exchange(exchange: Exchange, browser: Browser) -> None:
    show(browser, exchange, SPOT)
    browser.wait_text("#asks", "2.0000\t8")
    browser.run("window.first = true")
    exchange.kill_monarch()
    browser.wait_text("#connection", "connecting")
    assert browser.run("document.body.classList.contains('stale')"), "what is old must look old"
    exchange.start_monarch()
    browser.wait_text("#connection", "live")
    exchange.rest("renter").post("/v1/orders", {"instrument": SPOT, "side": "buy", "quantity": 5, "price": "1.0000"})
    browser.wait_text("#bids", "1.0000\t5")
    assert browser.run("window.first && !document.body.classList.contains('stale')")


@pytest.mark.parametrize(("width", "height"), [(360, 740), (1600, 1000)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_overflows(stopped_exchange: Exchange, browser: Browser, width: int, height: int, scheme: str) -> None:
    stopped_exchange.start_monarch()
    browser.resize(width, height)
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    show(browser, stopped_exchange, SPOT)
    browser.run(
        "document.querySelectorAll('#signed-in, .mark, #trades-simulated').forEach((one) => one.hidden = false)"
    )
    assert browser.run("document.documentElement.scrollWidth") == width
    marked = "[...document.querySelectorAll('#markets tbody th')].filter((one) => one.querySelector('.mark'))"
    assert browser.run(f"{marked}.length") > 0
    assert browser.run(f"{marked}.filter((one) => one.scrollWidth > one.clientWidth).length") == 0
    paper = browser.run("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]")
    assert (paper > 128) == (scheme == "light")
    assert browser.complaints() == []


def test_files_and_their_headers(stopped_exchange: Exchange, browser: Browser) -> None:
    stopped_exchange.start_monarch()
    with httpx.Client(base_url=stopped_exchange.url, trust_env=False) as client:
        page = client.get("/")
        assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert "<style" not in page.text and " style=" not in page.text and "onclick" not in page.text
        assert page.text.count("<script") == page.text.count('<script type="module" src="/page/main.js"></script>') == 1
        for path in ("/", "/page/main.js", "/page/page.css", "/page/icon.svg"):
            answer = client.get(path)
            assert answer.status_code == 200 and answer.content
            assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'; ")
            assert "unsafe" not in answer.headers["Content-Security-Policy"]
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert client.get(path, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
            head = client.head(path)
            assert (head.status_code, head.content) == (200, b"")
            assert client.post(path).json()["code"] == "method_not_allowed"
        for path in ("/page/none.js", "/page/..%2ffiles.py", "/page/index.html"):
            assert client.get(path).json()["code"] == "not_found", path

    # The policy is in force: neither markup nor a script from a text gets in.
    show(browser, stopped_exchange, SPOT)
    assert (
        browser.run("try { document.body.innerHTML = '<b>x</b>'; 'taken' } catch (error) { error.name }") == "TypeError"
    )
    assert browser.complaints() != [], "a blocked one is seen by the tests that want none"


def show(browser: Browser, exchange: Exchange, symbol: str) -> None:
    """Open the page at a market and wait until its book is there."""
    browser.open(f"{exchange.url}/#{symbol}")
    browser.wait_text("#connection", "live")
    browser.wait_text(f"button[data-symbol='{symbol}'][aria-pressed=true]", "\n")
    wait_until(lambda: browser.text("#book-seq") != "–", "the book's snapshot")


def rent_by_keyboard(browser: Browser, gpus: int) -> None:
    """Enter asks for the quote and puts the focus on the button that takes it; Enter again takes it."""
    browser.type("#rent-gpus", str(gpus))
    browser.press("Enter")
    browser.wait_text("#quote-text", f"{gpus} GPU")
    assert browser.text("#quote-simulated") == "simulated"
    assert browser.run("document.activeElement.id") == "rent"
    browser.press("Enter")


def log_in_with_a_key_that_is_no_default(
    exchange: Exchange, browser: Browser, lease: dict[str, Any], copy: str
) -> None:
    """What is copied is a whole line for a shell, whatever the key's file is called."""
    home = exchange.world.ssh_key.parent / "it's a home"
    home.mkdir()
    for name in ("id", "my key $HOME"):
        shutil.copy(exchange.world.ssh_key, home / name)
        browser.type("#identity", f"{home / name}")
        browser.wait_text(f"{ACTIVE} code", "ssh -i '")
        browser.click(copy)
        browser.wait_text(copy, "Copied")
        line = browser.run("navigator.clipboard.readText()") + " 'echo in'"
        alone = {"PATH": os.environ["PATH"], "HOME": str(home)}
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, env=alone, timeout=60, check=False)
        assert (done.stdout, done.returncode) == ("in\n", 0), done.stderr
        # Pressed once more, it says so again for as long as the first time.
        browser.click(copy)
        browser.wait_text(copy, "Copied")
    browser.type("#identity", "~/.ssh/other")
    assert browser.text(f"{ACTIVE} code") == lease["ssh"]["command"].replace("ssh", "ssh -i ~/.ssh/other", 1)
    browser.run("document.getElementById('identity').select()")
    browser.call("Input.dispatchKeyEvent", type="keyDown", key="Delete", code="Delete", windowsVirtualKeyCode=46)
    assert browser.text(f"{ACTIVE} code") == lease["ssh"]["command"]


def allow_clipboard(browser: Browser, exchange: Exchange, setting: str) -> None:
    for name in ("clipboard-write", "clipboard-read"):
        browser.call("Browser.setPermission", permission={"name": name}, setting=setting, origin=exchange.url)


def key_is_nowhere(browser: Browser, token: str) -> None:
    """In no address, storage, log or element."""
    stored = "[location.href, document.cookie, JSON.stringify(localStorage), JSON.stringify(sessionStorage)]"
    shown = "[document.documentElement.outerHTML, ...[...document.querySelectorAll('input')].map((one) => one.value)]"
    assert not any(token in text for text in [*browser.run(stored), *browser.run(shown), *browser.requests()])
    logged = [event for event in browser.events if event["method"] in ("Runtime.consoleAPICalled", "Log.entryAdded")]
    assert token not in json.dumps(logged)
