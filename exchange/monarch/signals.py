"""Which signals end a process that serves in the foreground, whatever whoever started it did with them."""

from __future__ import annotations

import signal


def stop_signals() -> tuple[signal.Signals, ...]:
    """SIGINT, SIGTERM and SIGHUP; without SIGHUP where it is ignored, which is what `nohup` asks for.

    An ignored SIGINT counts all the same: a shell without job control starts its background jobs so.
    """
    always = (signal.SIGINT, signal.SIGTERM)
    return always if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else (*always, signal.SIGHUP)
