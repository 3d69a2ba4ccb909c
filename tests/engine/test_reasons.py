"""The table of reasons: each code that can refuse says what to do."""

from __future__ import annotations

from engine.reasons import ADVICE, Reason

NO_ERRORS = {
    Reason.NONE,
    Reason.CONDITIONAL_LIMIT,
    Reason.EXPIRED,
    Reason.MASS_CANCELED,
    Reason.QUOTE_REPLACED,
    Reason.MAX_FILLS,
    Reason.DISCONNECTED,
    Reason.DEAD_MAN,
    Reason.REQUESTED,
    Reason.IOC_REMAINDER,
    Reason.MARKET_REMAINDER,
    Reason.CAPACITY_CUT,
    Reason.OFFER_CHANGED,
    Reason.WINDOW_CLOSED,
    Reason.WINDOW_MOVED,
}


def test_every_reason_that_refuses_has_advice_and_no_other() -> None:
    assert set(ADVICE) == set(Reason) - NO_ERRORS


def test_advice_is_a_sentence() -> None:
    for reason, advice in ADVICE.items():
        assert advice[0].isupper(), reason
        assert advice.endswith("."), reason
