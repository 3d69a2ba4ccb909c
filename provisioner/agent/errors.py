"""The agent's own error: a code for programs, what was wrong and what to do for people.

Every module of the agent that touches the machine raises it. It must never carry a secret: its text is logged and
sent to Monarch.
"""

from __future__ import annotations


class AgentError(Exception):
    """Something on this node is missing or refused. `code` is stable, snake_case; `remedy` is what to do about it."""

    def __init__(self, code: str, detail: str, remedy: str) -> None:
        super().__init__(f"{code}: {detail}; {remedy}")
        self.code = code
        self.detail = detail
        self.remedy = remedy
