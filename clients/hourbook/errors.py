"""What can go wrong between a client and the exchange, in three kinds that never mix.

`Rejected`: nothing was changed. `OutcomeUnknown`: it may have been done. `Unreachable`: it was never sent. A caller that
treats the second as the first may buy twice.
"""

from __future__ import annotations

import msgspec


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
    """The exchange refused; nothing was changed by the request."""


class OutcomeUnknown(HourbookError):
    """It may or may not have been done: look for it, or repeat it with the same `idempotency_key`."""

    def __init__(self, problem: Problem, idempotency_key: str = "") -> None:
        super().__init__(problem)
        self.idempotency_key = idempotency_key


class Unreachable(HourbookError):
    """There was no answer, and nothing that could have been done was sent."""


class StreamEnded(HourbookError):
    """The WebSocket is over; connect again, and begin from the snapshots that the channels send."""


def from_problem(problem: Problem, idempotency_key: str = "") -> Rejected | OutcomeUnknown:
    """The exception that a problem of the exchange stands for."""
    if problem.outcome == "unknown":
        return OutcomeUnknown(problem, idempotency_key)
    return Rejected(problem)


def made_here(code: str, detail: str, outcome: str = "rejected") -> Problem:
    """A problem that this client found itself."""
    return Problem(code=code, detail=detail, outcome=outcome)
