"""What can go wrong between a client and the exchange, in three kinds that never mix.

`Rejected`: nothing was changed. `OutcomeUnknown`: it may have been done. `Unreachable`: it was never sent. A caller that
treats the second as the first may buy twice.
"""

from __future__ import annotations

from typing import Final

import msgspec

_MADE_BEFORE: Final = "idempotency_secret_shown_once"
"""It was made before, and only its secret can't be shown again."""
_OF_ANOTHER: Final = "duplicate_client_order_id"
"""The id stands for an order already, which may be the one that is repeated: so it tells nothing of that."""
_FIRST_FAULT_STATUS: Final = 500


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An error as the exchange writes it (RFC 9457); the ids are there where the error is about something that exists."""

    code: str
    detail: str
    status: int = 0
    outcome: str = "rejected"
    field: str | None = None
    retry_after_ms: int | None = None
    seq: int | None = None
    order_id: str | None = None
    order_status: str | None = None
    made_id: str | None = None
    needed: str | None = None
    available: str | None = None


class HourbookError(Exception):
    """Base of all errors of this client. `code` is of the exchange's table of errors, or one of this client's own.

    As text it is the code, the field at fault if there is one, and what was wrong with what to do.
    """

    def __init__(self, problem: Problem) -> None:
        at = f" ({problem.field})" if problem.field else ""
        super().__init__(f"{problem.code}{at}: {problem.detail}")
        self.problem = problem

    @property
    def code(self) -> str:
        return self.problem.code

    @property
    def detail(self) -> str:
        return self.problem.detail

    @property
    def field(self) -> str | None:
        return self.problem.field

    @property
    def retry_after_ms(self) -> int | None:
        return self.problem.retry_after_ms

    @property
    def outcome(self) -> str:
        return self.problem.outcome


class Rejected(HourbookError):
    """The exchange refused; nothing was changed by the request.

    `settles`: that holds of what was sent before with the same idempotency key (or client_order_id) as well, because it is
    the engine's own word, which knows a repeat, or the stored first answer. A refusal at the door tells only of itself.
    """

    def __init__(self, problem: Problem, settles: bool = False) -> None:
        super().__init__(problem)
        self.settles = settles


class OutcomeUnknown(HourbookError):
    """It may or may not have been done: look for it, or repeat it with the same `idempotency_key`.

    `last`: what its latest repeat met, which doesn't tell what became of it; None where there was none.
    """

    def __init__(self, problem: Problem, idempotency_key: str = "", last: Problem | None = None) -> None:
        super().__init__(problem)
        self.idempotency_key = idempotency_key
        self.last = last


class Unreachable(HourbookError):
    """There was no answer, and nothing that could have been done was sent."""


class StreamEnded(HourbookError):
    """The WebSocket is over; connect again, and begin from the snapshots that the channels send."""


def from_problem(problem: Problem, idempotency_key: str = "", settles: bool = False) -> Rejected | OutcomeUnknown:
    """The exception that a problem of the exchange stands for; `settles` as in Rejected."""
    if problem.outcome == "unknown":
        return OutcomeUnknown(problem, idempotency_key)
    return Rejected(problem, settles)


def settles(problem: Problem, replayed: bool, engine_knows_repeats: bool) -> bool:
    """Whether a refusal tells of earlier attempts too: `replayed`: it is the stored answer of the first of them.

    `engine_knows_repeats`: the command carries an id by which the engine answers a repeat as it did the first. It looks
    for that before anything else, so what it refuses wasn't done before; `seq` says that the refusal is its own.
    """
    if replayed or problem.code == _MADE_BEFORE:
        return True
    by_engine = problem.seq is not None and problem.status < _FIRST_FAULT_STATUS
    return engine_knows_repeats and by_engine and problem.code != _OF_ANOTHER


def still_unknown(doubt: str, met: HourbookError, idempotency_key: str = "") -> OutcomeUnknown:
    """What was in doubt (`doubt` says why) stays so: its repeat met `met`, which doesn't tell what became of it."""
    detail = f"{doubt.rstrip('.')}. The repeat doesn't tell: {met}"
    problem = Problem(
        code="outcome_unknown", detail=detail, outcome="unknown", retry_after_ms=met.problem.retry_after_ms
    )
    return OutcomeUnknown(problem, idempotency_key, met.problem)


def made_here(code: str, detail: str, outcome: str = "rejected") -> Problem:
    """A problem that this client found itself."""
    return Problem(code=code, detail=detail, outcome=outcome)
