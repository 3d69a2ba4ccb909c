"""Deposits and withdrawals, and what the ledger tells of them."""

from __future__ import annotations

import pytest

from tests.exchange.gateway.floor import Floor


async def test_money_in_and_out_is_told_alike_by_balances_transfers_and_statement(exchange: Floor) -> None:
    renter = await exchange.open("renter")
    moved = await exchange.admin.post("/deposits", {"account": renter.account, "amount": "100.5"})
    assert moved == {"seq": moved["seq"], "account": renter.account, "amount": "100.500000", "duplicate": False}
    out = await exchange.admin.post("/withdrawals", {"account": renter.account, "amount": "0.000001"})
    balances = await renter.get("/balances", min_seq=out["seq"])
    zero = "0.000000"
    assert balances == {
        "seq": out["seq"],
        "available": "100.499999",
        "held": zero,
        "escrow": zero,
        "receivable": zero,
        "bond": zero,
    }
    transfers = (await renter.get("/transfers", min_seq=out["seq"]))["transfers"]
    assert [(one["code"], one["amount"], one["debit"]["whose"], one["credit"]["whose"]) for one in transfers] == [
        ("withdraw", "0.000001", "you", "exchange"),
        ("deposit", "100.500000", "exchange", "you"),
    ]
    page = await renter.get("/transfers", limit=1)
    rest = await renter.get("/transfers", limit=1, cursor=page["next_cursor"])
    assert [*page["transfers"], *rest["transfers"]] == transfers
    statement = await renter.get("/statements/2025-10", min_seq=out["seq"])
    assert (statement["account"], statement["opening"], statement["closing"]) == (renter.account, zero, "100.499999")
    assert [(line["code"], line["amount"]) for line in statement["lines"]] == [
        ("deposit", "100.500000"),
        ("withdraw", "-0.000001"),
    ]


async def test_more_than_there_is_doesnt_go_out(exchange: Floor) -> None:
    renter = await exchange.open("renter", "5")
    body = {"account": renter.account, "amount": "5.000001"}
    problem = await exchange.admin.refused("POST", "/withdrawals", body)
    assert (problem["status"], problem["code"]) == (409, "insufficient_funds")
    assert (problem["needed"], problem["available"]) == ("5.000001", "5.000000")
    assert "needs 5.000001 dollars, and the account has 5.000000 available" in problem["detail"]


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"amount": "0"}, 422, "invalid_amount"),
        ({"amount": "-1"}, 422, "invalid_amount"),
        ({"amount": 1.5}, 422, "invalid_amount"),
        ({"amount": "999999999999"}, 422, "invalid_amount"),
        ({"amount": "1.0000001"}, 422, "invalid_amount"),
        ({"account": "acc_000000000ZZZZ"}, 404, "unknown_account"),
        ({"account": "me"}, 422, "invalid_field"),
        ({"note": "x"}, 422, "unknown_field"),
    ],
)
async def test_a_deposit_that_cant_be(exchange: Floor, change: dict[str, object], status: int, code: str) -> None:
    renter = await exchange.open("renter", "1")
    body = {"account": renter.account, "amount": "1"} | change
    problem = await exchange.admin.refused("POST", "/deposits", body)
    assert (problem["status"], problem["code"]) == (status, code)
    balances = await renter.get("/balances", min_seq=exchange.machine.last_seq)
    assert balances["available"] == "1.000000"


@pytest.mark.parametrize("month", ["2025-13", "2025-1", "october", "2025-10-01", "٢٠٢٥-١٠"])
async def test_a_month_that_isnt_one(exchange: Floor, month: str) -> None:
    renter = await exchange.open("renter")
    assert (await renter.refused("GET", f"/statements/{month}"))["code"] == "invalid_parameter"
