"""Why the ledger stops: one error for whoever runs it, one for whoever opens it.

The ledger never guesses. What doesn't fit its position halts it with a sentence that says what to do.
"""

from __future__ import annotations


class LedgerError(Exception):
    """The ledger can't be opened or read; the message says what to do."""


class LedgerHalted(LedgerError):
    """The ledger met what must never happen and took nothing of it in: its last position stands."""
