"""Waiting for an exchange that is slow to answer: bounded, said aloud, and over as soon as a process of the demo ends.

A laptop that was suspended, a full disk or a debugger stops the exchange for a while; that alone is no reason to end a demo.
It knows neither what is asked nor what is run.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from exchange.monarch.demo.rest import Rest, RestError
from exchange.monarch.demo.world import PATIENCE_S, environment

QUIET_S: Final = 5.0
"""After so long it is said what is waited for."""
POLL_S: Final = 0.1
_PASSING: Final = frozenset({"unreachable", "overloaded", "read_side_behind", "not_ready"})
"""Codes of RestError that a slow exchange gives, and that say nothing of the request."""

T = TypeVar("T")


class Patience:
    """`check` raises when a process of the demo has ended; `say` takes lines for people."""

    def __init__(self, check: Callable[[], None], say: Callable[[str], None], bound_s: float = PATIENCE_S) -> None:
        self._check = check
        self._say = say
        self._bound_s = bound_s

    def get(self, rest: Rest, path: str) -> Any:
        """What GET answers, asked again while the exchange doesn't; RestError when it refuses, or never does."""
        return self._asked(f"GET {path}", lambda: rest.get(path))

    def end_lease(self, rest: Rest, lease_id: str) -> None:
        """End a lease; that it has ended already may be because an earlier answer was lost."""
        path = f"/v1/leases/{lease_id}"
        try:
            self._asked(f"DELETE {path}", lambda: rest.delete(path))
        except RestError as error:
            if error.code != "lease_ended":
                raise

    def run(self, what: str, command: Sequence[str], typed: str = "") -> subprocess.CompletedProcess[str]:
        """Run a program to its end; TimeoutExpired, with the program ended, when it takes too long."""
        words: str | None = typed
        began = time.monotonic()
        is_said = False
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        ) as program:
            try:
                while True:
                    try:
                        out, err = program.communicate(words, timeout=POLL_S)
                        return subprocess.CompletedProcess(command, program.returncode, out, err)
                    except subprocess.TimeoutExpired as error:
                        waited_s = time.monotonic() - began
                        if waited_s > self._bound_s:
                            raise subprocess.TimeoutExpired(command, self._bound_s) from error
                    words = None
                    self._check()
                    if waited_s > QUIET_S and not is_said:
                        is_said = True
                        self._say_waiting(what, "isn't done yet")
            finally:
                program.kill()

    def _asked(self, what: str, ask: Callable[[], T]) -> T:
        began = time.monotonic()
        is_said = False
        while True:
            self._check()
            try:
                answer = ask()
            except RestError as error:
                if error.code not in _PASSING or time.monotonic() - began > self._bound_s:
                    raise
                # Its sockets close before a process can be waited for.
                time.sleep(POLL_S)
                self._check()
                if not is_said:
                    is_said = True
                    self._say_waiting(what, f"has no answer ({error.code})")
                continue
            if is_said:
                self._say(f"  {what} is answered again.")
            return answer

    def _say_waiting(self, what: str, how: str) -> None:
        self._say(f"  {what} {how}; waiting for the exchange, at most {self._bound_s:.0f} s.")
