"""A real browser for the end-to-end tests: Debian's chromium without a window, driven over its DevTools protocol.

It clicks and types as a person does, and keeps what the page logged, threw, blocked and asked for. It knows nothing of
the exchange's page.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import connect

from tests.waiting import wait_until

START_S = 60.0
CALL_S = 30.0
MAX_MESSAGE_BYTES = 64 << 20
FLAGS = """
    --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --disable-breakpad --disable-dev-shm-usage --hide-scrollbars
    --remote-debugging-port=0
""".split()
KEYS = {"Enter": ("Enter", 13, "\r"), "Tab": ("Tab", 9, "")}


class Browser:
    """One chromium with one page, all of its files under `home`; `with` ends it."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._last_id = 0
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Browser:
        with contextlib.ExitStack() as stack:
            # Its socket there must have a short path, and chromium itself doesn't clear it away.
            temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True))
            self._process = self._start(temporary)
            stack.callback(self._stop)
            self._socket = stack.enter_context(
                connect(self._address(), max_size=MAX_MESSAGE_BYTES, compression=None, proxy=None)
            )
            for domain in ("Page", "Runtime", "Log", "Network", "Audits"):
                self.call(f"{domain}.enable")
            self.call("Emulation.setFocusEmulationEnabled", enabled=True)
            self._opened = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """A DevTools command's result; events that come before it are kept."""
        self._last_id += 1
        self._socket.send(json.dumps({"id": self._last_id, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(CALL_S))
            if message.get("id") == self._last_id:
                assert "error" not in message, f"{method}: {message['error']}"
                return dict(message["result"])
            self.events.append(message)

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """The value of a script in the page; a promise's, once it is there."""
        done = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def text(self, selector: str) -> str:
        """Text of the first element that matches and is shown; empty when there is none."""
        found = json.dumps(selector)
        shown = f"[...document.querySelectorAll({found})].find((one) => one.checkVisibility())"
        return str(self.run(f"{shown}?.innerText ?? ''"))

    def wait_text(self, selector: str, wanted: str) -> str:
        """Wait until the element's text holds `wanted`; its text."""
        seen = ""

        def has() -> bool:
            nonlocal seen
            seen = self.text(selector)
            return wanted in seen

        try:
            wait_until(has, f"{wanted!r} in {selector}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it says {seen!r}") from error
        return seen

    def click(self, selector: str) -> None:
        """Press the middle of an element with the mouse."""
        found = f"document.querySelector({json.dumps(selector)})"
        self.run(f"{found}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        x, y = self.run(
            f"(({{x, y, width, height}}) => [x + width / 2, y + height / 2])({found}.getBoundingClientRect())"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, selector: str, text: str) -> None:
        """Put the focus on a field and type instead of what it has."""
        self.run(
            f"(({'field'}) => {{ field.focus(); field.select?.(); }})(document.querySelector({json.dumps(selector)}))"
        )
        self.call("Input.insertText", text=text)

    def press(self, name: str) -> None:
        code, number, text = KEYS[name]
        key = {"key": name, "code": code, "windowsVirtualKeyCode": number}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **key)
        self.call("Input.dispatchKeyEvent", type="keyUp", **key)

    def resize(self, width: int, height: int) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def screenshot(self, path: Path) -> None:
        """The whole page, beyond what the window shows."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def complaints(self) -> list[str]:
        """Exceptions, console messages of weight, failed requests and blocked content, so far."""
        self.run("0")
        found = []
        for event in self.events:
            params = event["params"]
            match event["method"]:
                case "Runtime.exceptionThrown":
                    found.append(str(params["exceptionDetails"]))
                case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                    found.append(str(params["args"]))
                case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                    found.append(str(params["entry"]))
                case "Audits.issueAdded":
                    found.append(str(params["issue"]))
                case _:
                    continue
        return found

    def requests(self) -> list[str]:
        """Every address that the page asked for, WebSockets among them."""
        self.run("0")
        http = [event for event in self.events if event["method"] == "Network.requestWillBeSent"]
        sockets = [event for event in self.events if event["method"] == "Network.webSocketCreated"]
        return [event["params"]["request"]["url"] for event in http] + [event["params"]["url"] for event in sockets]

    def _start(self, temporary: str) -> subprocess.Popen[bytes]:
        program = shutil.which("chromium")
        assert program is not None, "chromium is missing; run: .ci/system-packages test"
        self._home.mkdir()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
        with (self._home / "log").open("wb") as log:
            return subprocess.Popen(
                [program, *FLAGS, f"--user-data-dir={self._home / 'profile'}", "about:blank"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment | {"HOME": str(self._home), "TMPDIR": temporary},
            )

    def _stop(self) -> None:
        self._process.terminate()
        self._process.wait(START_S)
        wait_until(lambda: not self._left(), "the browser's processes to have ended")

    def _address(self) -> str:
        """Where the page is driven, once the browser listens."""
        port_file = self._home / "profile" / "DevToolsActivePort"

        def first_page() -> str | None:
            assert self._process.poll() is None, (self._home / "log").read_text(errors="replace")
            if not port_file.exists() or not (lines := port_file.read_text().splitlines()):
                return None
            pages = httpx.get(f"http://127.0.0.1:{lines[0]}/json/list", timeout=CALL_S, trust_env=False).json()
            return next((one["webSocketDebuggerUrl"] for one in pages if one["type"] == "page"), None)

        address = wait_until(first_page, "the browser to listen", START_S)
        assert address is not None
        return address

    def _left(self) -> bool:
        profile = str(self._home / "profile").encode()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if profile in (entry / "cmdline").read_bytes():
                        return True
                except OSError:
                    continue
        return False
