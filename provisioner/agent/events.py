"""The agent's log: one line an event on stderr, as text for people or as JSON for programs.

An event has a stable snake_case name, a sentence, and fields. It must never be given a secret: no credential, token or key.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TextIO

SENTENCE_CHARS_MAX = 1000


class EventLog:
    """Writes to one stream; a stream that nobody reads any more is not an error of the agent's."""

    def __init__(self, stream: TextIO, *, as_json: bool) -> None:
        self._stream = stream
        self._as_json = as_json

    def say(self, event: str, sentence: str, **fields: str | int | bool) -> None:
        """Write one line. `fields` are for programs: the sentence says all of it that people need."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        text = " ".join(sentence[:SENTENCE_CHARS_MAX].split())
        record = {"at": now, "event": event, "message": text, **fields}
        line = json.dumps(record) if self._as_json else f"{now} {event}: {text}"
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except OSError:
            # Whoever read the log is gone, or its disk is full: leases must not end for that.
            return
