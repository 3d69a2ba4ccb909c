"""Compiled records have every field of the law's structs, under its names, with its first values and types."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine import dues, state
from engine.book_fast import FastBook
from engine.compiled.machine import CompiledRecords, CompiledState
from engine.grid_fast import FastGrid
from engine.kinds import EndReason, Kind, LeaseState, OrderStatus, OrderType, Origin, Presence, Side, TimeInForce
from engine.limits import Limits
from engine.messages import Offer
from engine.records import SelfTrade
from engine.row import Row

FULL: dict[type[msgspec.Struct], dict[str, Any]] = {
    state.Order: {
        "order_id": 2**62,
        "account": 2**32 - 1,
        "instrument": 2**31,
        "kind": Kind.ONDEMAND,
        "side": Side.BUY,
        "order_type": OrderType.STOP_LIMIT,
        "time_in_force": TimeInForce.DAY,
        "price_ticks": 10_000_000,
        "quantity": 100_000,
        "leaves_quantity": 99_999,
        "origin": Origin.COVER,
        "post_only": True,
        "client_order_id": "mine",
        "hours": 744,
        "baron": 2**32 - 1,
        "window_end_ns": 500_000 * 3_600 * 10**9,
        "delivery": b"key",
        "stop_price_ticks": 9_999_999,
        "display_quantity": 7,
        "min_quantity": 6,
        "self_trade": SelfTrade.DECREMENT,
        "features": 15,
        "same_baron": True,
        "lot": 65_535,
        "min_hours": 0,
        "tag": "tag",
        "expire_ns": 2**63 - 1,
        "armed": True,
        "connection": 2**63 - 1,
        "quote_set": "set",
        "min_rating": 100,
        "hold_ticks": 10_000_000,
    },
    state.Account: {
        "account": 2**32 - 1,
        "maker_fee_ppm": 1_000_000,
        "taker_fee_ppm": 999_999,
        "pots": [0, 1, -2, 2**63 - 1, -(2**63), 5, 6, 7, 8],
        "open_orders": 1,
        "leases": 2,
        "offers": (Offer(baron=1, instrument=2, price_ticks=3, gpus=4, max_hours=5),),
        "client_ids": {"a": state.Remembered(digest=b"x" * 16, seq=1, order_id=2)},
        "older_live_ids": {"b": state.Remembered(digest=b"y" * 16, seq=3, order_id=4)},
        "closed_orders": {2**62: OrderStatus.FILLED, 1: OrderStatus.CANCELED},
        "wiped_leases": {7: None, 2**62: None},
        "quote_sets": {"q": state.QuoteSet(max_fills=1)},
        "dead_man_ns": 3,
        "gpus": 2**40,
        "max_open_orders": 5,
        "max_notional_micros": 2**62,
        "max_gpus": 2**32 - 1,
        "killed": True,
        "obligations": 6,
    },
    state.Baron: {
        "baron": 2**32 - 1,
        "provider": 2**32 - 2,
        "sku": "X",
        "region": "here",
        "verified_gpus": 3,
        "leased_gpus": 4,
        "unwiped_gpus": 1,
        "simulated": True,
        "features": 15,
        "rating": 100,
        "presence": Presence.LOST,
        "draining": True,
        "heard_ns": 5,
        "offer_due_ns": 6,
    },
    dues.Bill: {
        "bill_id": 2**62,
        "renter": 2**32 - 1,
        "provider": 2**32 - 2,
        "due_ns": 2**63 - 1,
        "charge_micros": 2**56,
        "receivable_micros": 3,
        "run_from_ns": 4,
        "over_ns": 5,
        "outages": [(1, 2), (3, 4)],
        "out_ns": 6,
        "out_until_ns": 7,
        "hours": [dues.PaidHours(baron=1, obligation_id=2, quantity=3, hour_micros=6, from_h=4, until_h=5)],
    },
    state.Lease: {
        "lease_id": 2**62,
        "renter": 2**32 - 1,
        "provider": 2**32 - 2,
        "baron": 2**32 - 3,
        "kind": Kind.FORWARD,
        "quantity": 1,
        "offer_quantity": 2,
        "price_ticks": 3,
        "start_ns": 4,
        "term_end_ns": 5,
        "minimum_s": 6,
        "renter_fee_ppm": 7,
        "provider_fee_ppm": 8,
        "prefund_micros": 9,
        "state": LeaseState.ENDING,
        "reason": EndReason.UNPAID,
        "active_ns": 10,
        "ended_ns": 11,
        "due_ns": 12,
        "usage_micros": 13,
        "renter_fee_micros": 14,
        "provider_fee_micros": 15,
        "access": b"a",
        "detail": "d",
        "ends_ns": 16,
        "prices": [(1, 2), (3, 4)],
        "limit_ticks": 17,
        "auto_extend": True,
        "auto_due_ns": 18,
        "wipe_due_ns": 19,
        "overdue": True,
        "returned": True,
        "waits_for": 20,
        "promised_to": 21,
        "bond_micros": 22,
        "obligation_id": 23,
        "delivery": b"k",
        "features": 24,
        "min_rating": 25,
        "same_baron": True,
    },
}
"""Of each record all fields, none at its first value where it has one."""
ASK = {"side": Side.SELL, "delivery": b"", "hours": 0, "min_hours": 743}


def law_structs() -> list[msgspec.Struct]:
    """Each full, each with what must be given alone, and the other side of an order."""
    made = []
    for struct, fields in FULL.items():
        required = {field.name for field in msgspec.structs.fields(struct) if field.required}
        made += [struct(**fields), struct(**{name: fields[name] for name in required})]
    return [*made, state.Order(**{**FULL[state.Order], **ASK})]


@pytest.mark.parametrize("struct", FULL, ids=lambda struct: struct.__name__)
def test_every_field_is_tried_with_a_value_that_says_something(struct: type[msgspec.Struct]) -> None:
    assert set(FULL[struct]) == set(struct.__struct_fields__)
    same = {field.name for field in msgspec.structs.fields(struct) if FULL[struct][field.name] == field.default}
    assert same <= {"min_hours"}, "a bid has none; an ask's is tried by itself"


@pytest.mark.parametrize("law", law_structs(), ids=lambda law: type(law).__name__)
def test_a_record_has_the_laws_fields_values_and_types(law: msgspec.Struct) -> None:
    records = CompiledRecords()
    own = records.own(law)
    assert type(own) is not type(law)
    back = records.law(own)
    assert type(back) is type(law)
    assert back == law
    for name in law.__struct_fields__:
        assert type(getattr(back, name)) is type(getattr(law, name)), name
    for name in ("counted_gpus", "shut", "may_rest", "filled", "live"):
        assert getattr(own, name, None) == getattr(law, name, None)
    assert msgspec.msgpack.encode(back) == msgspec.msgpack.encode(law)


def test_copies_differ_in_what_they_are_given_alone() -> None:
    records = CompiledRecords()
    order, lease = state.Order(**FULL[state.Order]), state.Lease(**FULL[state.Lease])
    own_order, own_lease = records.own(order), records.own(lease)
    assert records.law(own_order.with_terms(1, 9, 8)) == order.with_terms(1, 9, 8)
    assert records.law(own_order.with_hold(5)) == order.with_hold(5)
    assert records.law(own_lease.with_prices(1, [(0, 1)], 2)) == lease.with_prices(1, [(0, 1)], 2)
    assert (records.law(own_order), records.law(own_lease)) == (order, lease)


def test_a_row_has_the_laws_fields() -> None:
    row = CompiledRecords().row(1, 2, FastGrid())
    law = Row(1, 2, FastGrid())
    for name in set(Row.__slots__) - {"grid"}:
        mine, theirs = getattr(row, name), getattr(law, name)
        assert mine == theirs if isinstance(theirs, int) else list(mine) == list(theirs) == []


def test_a_state_has_all_tables_and_scratch_of_the_laws() -> None:
    law, own = state.State(3, Limits(), FastBook), CompiledState(3, Limits())
    # How a state finds an account's orders is its own affair.
    names = set(vars(law)) - {"orders_of"}
    assert not [name for name in names if not hasattr(own, name)]
    for name in names - {"book_factory", "grid_factory", "limits", "accounts"}:
        mine, theirs = getattr(own, name), getattr(law, name)
        assert mine == theirs if isinstance(theirs, int) else list(mine) == list(theirs) == []
