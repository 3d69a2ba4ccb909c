"""Capacity: nobody sells what isn't there (rulebook §4).

Barons as commands make and change them, and the check that an ask finds its GPUs free: a firm one in every
hour of its window, a spot one among what firm sales leave over. It knows neither prices nor buyers.
"""

from __future__ import annotations

from engine import (
    book_events,
    book_orders,
    cuts,
    delivery,
    failures,
    leases,
    listing,
    open_orders,
    order_terms,
    preemption,
    rows,
    timers,
)
from engine.kinds import Kind, Presence
from engine.messages import (
    BaronFeatures,
    BaronRating,
    BaronRegistered,
    RegisterBaron,
    SetCapacity,
    SetFeatures,
    SetRating,
)
from engine.obligation import Obligation
from engine.reasons import Reason
from engine.state import Baron, Lease, Order, Refused, State
from engine.units import NS_PER_HOUR, NUMBER_MAX, QUANTITY_MAX


def register_baron(state: State, command: RegisterBaron) -> None:
    """Register a Baron with no capacity yet; a repeat with equal content gives the same event again."""
    state.open_account(command.provider)
    if not 0 < command.baron <= NUMBER_MAX:
        raise Refused(Reason.UNKNOWN_BARON, "baron")
    if (command.sku, command.region) not in state.markets:
        raise Refused(Reason.INVALID_MARKET, "sku")
    found = state.barons.get(command.baron)
    if found is None:
        found = state.records.baron(
            baron=command.baron, provider=command.provider, sku=command.sku, region=command.region
        )
        state.add_baron(found)
        rows.row_of(state, found.provider, found.baron)
        _tell_books(state, found)
    elif (found.provider, found.sku, found.region) != (command.provider, command.sku, command.region):
        raise Refused(Reason.BARON_EXISTS, "baron")
    state.emit(BaronRegistered(baron=command.baron, provider=command.provider, sku=command.sku, region=command.region))


def set_capacity(state: State, command: SetCapacity) -> None:
    """Set the number of verified GPUs; asks beyond what is left are cut, and leases without GPUs fail, newest first."""
    baron = _known(state, command.baron)
    if not 0 <= command.gpus <= QUANTITY_MAX:
        raise Refused(Reason.INVALID_CAPACITY, "gpus")
    baron.verified_gpus = command.gpus
    baron.simulated = command.simulated
    row = rows.own_row(state, baron)
    failures.fail_short(state, row, state.last_ts_ns, rows.hour_of(state.last_ts_ns))
    cuts.changed(state, baron, row)
    cuts.cut_firm(state, row)


def set_features(state: State, command: SetFeatures) -> None:
    """From now on a Baron has these features; what rests stays as it is (§5, §6)."""
    baron = _known(state, command.baron)
    order_terms.check_features(command.features)
    baron.features = command.features
    _tell_books(state, baron)
    state.emit(BaronFeatures(baron=baron.baron, features=baron.features))


def set_rating(state: State, command: SetRating) -> None:
    """From now on a Baron has this rating; what rests stays as it is (§5, §10)."""
    baron = _known(state, command.baron)
    order_terms.check_rating(command.rating, "rating")
    baron.rating = command.rating
    _tell_books(state, baron)
    state.emit(BaronRating(baron=baron.baron, rating=baron.rating))


def _known(state: State, number: int) -> Baron:
    baron = state.barons.get(number)
    if baron is None:
        raise Refused(Reason.UNKNOWN_BARON, "baron")
    return baron


def _tell_books(state: State, baron: Baron) -> None:
    """Every book that its asks stand in knows what they offer: its rating and its features (§5)."""
    for instrument in listing.instruments_of(state, baron.sku, baron.region):
        book_events.must(state, instrument, book_orders.set_baron(baron, state.last_ts_ns))


def wipe_overdue(state: State, lease: Lease) -> None:
    """A lease has waited too long for its wipe: the Baron has its GPUs no more until it comes (§4).

    GPUs of an obligation that its holder's lease left go on to be that obligation's: nobody else lacks them before it ends.
    """
    due_ns = lease.wipe_due_ns
    obligation = state.obligations.get(lease.obligation_id)
    if obligation is not None and obligation.lease_id == lease.lease_id:
        timers.arm_wipe(state, lease, obligation.end_h * NS_PER_HOUR)
        return
    leases.wipe_overdue(state, lease)
    baron = state.barons[lease.baron]
    for row in (rows.row_of_lease(state, lease), rows.own_row(state, baron)):
        failures.fail_short(state, row, due_ns, failures.running_h(state, baron.baron))
        if rows.is_late(state, row):
            preemption.make_room(state, row, due_ns)
        cuts.settle(state, row)
        cuts.cut_firm(state, row)
    open_orders.touch(state, baron.baron)


def hour_begins(state: State, obligation: Obligation) -> None:
    """The timer: an obligation's first hour begins. Where its Baron lacks GPUs by now, the newest fail (§4).

    A lost Baron delivers nothing, whatever of it is verified still.
    """
    baron, begins_ns = state.barons[obligation.baron], obligation.start_h * NS_PER_HOUR
    if baron.presence is Presence.LOST:
        failures.fail(state, obligation, begins_ns)
        return
    failures.fail_short(state, rows.own_row(state, baron), begins_ns, obligation.start_h)
    if obligation.obligation_id in state.obligations:
        delivery.start(state, obligation)


def check_ask(state: State, ask: Order, freed_gpus: int = 0) -> None:
    """Refused unless there is room for all that an ask leaves, where `freed_gpus` of its own old self go."""
    row = state.rows[ask.account, ask.baron]
    if ask.kind is Kind.SPOT:
        room = rows.spot_free(state, row) - row.spot_asked_gpus
    else:
        start_h, end_h = rows.window_of(state, ask)
        room = rows.free(state, row, start_h, end_h) if start_h < end_h else 0
    if ask.leaves_quantity > room + freed_gpus:
        raise Refused(Reason.INSUFFICIENT_CAPACITY, "quantity")
