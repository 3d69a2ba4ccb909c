"""The table of errors is whole, and its codes mean one thing each."""

from __future__ import annotations

import re
from pathlib import Path

from engine.reasons import ADVICE, Reason
from exchange.gateway import error_document, errors


def test_each_reason_that_has_advice_has_a_status() -> None:
    assert {reason.name.lower() for reason in ADVICE} <= set(errors.TABLE)


def test_every_code_has_an_error_status_and_advice() -> None:
    for code, entry in errors.TABLE.items():
        assert re.fullmatch("[a-z0-9_]+", code)
        assert 400 <= entry.status < 600
        assert entry.advice.endswith(".")


def test_each_code_that_is_raised_is_in_the_table() -> None:
    raised = set()
    for folder in ("exchange/gateway", "exchange/registry"):
        for file in Path(folder).rglob("*.py"):
            raised |= set(re.findall(r'(?:Problem|RegistryError)\(\s*"(\w+)"', file.read_text()))
    assert raised - {"admin_exists"} <= set(errors.TABLE)
    assert len(raised) > 20


def test_the_page_of_errors_is_the_code_s_and_says_what_each_means() -> None:
    assert set(error_document.MEANS) == set(errors.TABLE)
    assert error_document.main(["--check", str(error_document.DOCUMENT)]) == 0
    rows = [line for line in error_document.DOCUMENT.read_text().splitlines() if line.startswith("| `")]
    told = {line.split("`")[1]: re.findall(r"(?<!\\)\|", line) for line in rows}
    for code, means in error_document.MEANS.items():
        assert len(told[code]) == 5, "no cell has a bar of its own"
        assert means.endswith(".") and (means[0].isupper() or means.startswith("`")), code


def test_what_a_field_adds_is_of_a_code_in_the_table() -> None:
    assert set(errors.OF_FIELD) <= set(errors.TABLE)
    for advices in errors.OF_FIELD.values():
        for advice in advices.values():
            assert advice[0].isupper() and advice.endswith("."), advice


def test_no_advice_repeats_its_title() -> None:
    for reason, advice in ADVICE.items():
        title = reason.name.lower().replace("_", " ")
        assert title not in advice.lower().replace("is ", "").replace("has ", ""), advice


def test_a_problem_says_what_was_wrong_and_what_to_do() -> None:
    problem = errors.Problem(Reason.NO_SSH_KEY, "The account has no SSH key.")
    assert problem.body.detail == f"The account has no SSH key. {ADVICE[Reason.NO_SSH_KEY]}"
    assert problem.body.outcome == "rejected"
