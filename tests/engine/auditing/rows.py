"""Rows: nothing is sold or asked that isn't there, hour by hour, and cuts are the least that helps (rulebook §4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from engine.kinds import Kind, Side
from engine.messages import Amended, Canceled, ObligationChanged
from engine.reasons import Reason
from engine.state import State
from tests.engine.auditing.hours import Hours, Key
from tests.engine.auditing.records import SeenOrder


def check_cut(hours: Hours, event: Amended | Canceled, order: SeenOrder, kind: Kind) -> None:
    """An ask is cut for want of GPUs alone: the newest that lacks some, by no more than the lots that it lacks."""
    if event.reason is not Reason.CAPACITY_CUT:
        return
    assert order.accepted.side is Side.SELL
    key = (order.accepted.account, order.accepted.baron)
    row = hours.rows[key]
    if kind is Kind.SPOT:
        assert next(reversed(row.spot_asks)) == event.order_id, "the newest spot ask is cut first"
        ask, excess = row.spot_asks[event.order_id], hours.spot_asked(key) - max(0, hours.spot_free(key))
    else:
        newer = False
        for order_id, each in row.firm_asks.items():
            assert not newer or hours.lacking(key, each) <= 0, "the newest firm ask is cut first"
            newer = newer or order_id == event.order_id
        ask = row.firm_asks[event.order_id]
        excess = hours.lacking(key, ask)
    assert excess > 0, "an ask was cut that lacked nothing"
    gone = event.quantity if isinstance(event, Canceled) else ask.leaves - event.leaves_quantity
    assert gone == min(ask.leaves, -(-excess // ask.lot) * ask.lot), f"cut by {gone} where {excess} lacked"


def check_rows(hours: Hours, *, on_time: bool) -> None:
    """After a command: every open ask has its GPUs; nobody counts on GPUs that somebody else counts on."""
    for key, row in hours.rows.items():
        for order_id, ask in row.firm_asks.items():
            assert hours.lacking(key, ask) <= 0, f"firm ask {order_id} lacks GPUs"
        if on_time:
            # More asks than one command may cancel go in the Ticks that are due at once.
            assert not hours.shut(key[1]) or not (row.spot_asks or row.firm_asks), "an ask on a Baron that is shut"
            if key != hours.own(key[1]):
                let = hours.own_gpus(key) + hours.firm_gpus(key) + hours.staying(key)
                assert let <= row.bought[hours.hour], (
                    f"{key} uses or let {let} GPUs, and bought {row.bought[hours.hour]}"
                )
            left = max(0, hours.left_to_spot(key))
            assert hours.spot_asked(key) <= max(0, hours.spot_free(key)), f"spot is asked twice in {key}"
            assert hours.staying(key) <= left, f"{key} promised {hours.staying(key)} GPUs to spot, and has {left}"


def check_behind(hours: Hours, obligations: Iterable[ObligationChanged]) -> None:
    """Each hour of each GPU that a holder bought has one provider behind it, and none that it didn't; so has its lease (§8)."""
    owed: dict[Key, Counter[int]] = {}
    for each in obligations:
        counts = owed.setdefault((each.holder, each.baron), Counter())
        for hour in range(max(each.start_h, hours.hour), each.end_h):
            counts[hour] += each.quantity
    for key, row in hours.rows.items():
        bought = {hour: gpus for hour, gpus in row.bought.items() if gpus and hour >= hours.hour}
        assert bought == owed.get(key, Counter()), f"what {key} bought is owed to it"
    for let in hours.lets.values():
        if let.kind is Kind.FORWARD and let.live:
            assert let.delivers or let.end_h <= hours.hour, f"no obligation is behind lease {let.lease_id}"


def check_tables(hours: Hours, state: State) -> None:
    """The machine's rows say the same as those rebuilt from its events."""
    assert {key for key in state.rows if _used(state, key)} <= set(hours.rows)
    for key, row in hours.rows.items():
        kept = state.rows[key]
        grid = {
            hour: (run.bought, run.sold, run.reserved)
            for run in kept.grid.runs(hours.hour)
            for hour in range(run.start_h, run.end_h)
        }
        # What is over is kept for late timers alone, and each keeps as much of it as it needs.
        touched = {hour for counts in (row.bought, row.sold, row.reserved) for hour in counts if hour >= hours.hour}
        seen = {hour: (row.bought[hour], row.sold[hour], row.reserved[hour]) for hour in touched}
        assert grid == {hour: counts for hour, counts in seen.items() if any(counts)}, f"the hours of {key}"
        assert list(kept.spot_asks) == list(row.spot_asks), "spot asks in order of age"
        assert list(kept.firm_asks) == list(row.firm_asks), "firm asks in order of age"
        assert kept.spot_asked_gpus == hours.spot_asked(key)
        assert kept.spot_gpus == row.spot_gpus, "GPUs of spot leases"
        assert kept.leaving_gpus == row.spot_gpus - hours.staying(key), "GPUs of spot leases that leave"
        assert list(kept.claims) == [let.lease_id for let in hours.claims(key)], "newcomers in order of age"
        yields = [(let.price_ticks, -let.lease_id) for let in hours.yields_first(key)]
        assert list(kept.spot_leases) == yields, "spot leases in the order in which they yield"
        assert (kept.own_gpus, kept.firm_gpus) == (hours.own_gpus(key), hours.firm_gpus(key)), "GPUs of firm leases"
        assert state.barons[key[1]].counted_gpus == hours.verified(hours.own(key[1]))


def _used(state: State, key: Key) -> bool:
    row = state.rows[key]
    return bool(row.spot_asks or row.firm_asks or row.spot_gpus or row.grid.runs(0))
