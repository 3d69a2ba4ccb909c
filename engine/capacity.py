"""Capacity: nobody sells what isn't there (rulebook §4).

Markets and Barons as commands make and change them, and the check that an ask finds its GPUs free: a firm one in every
hour of its window, a spot one among what firm sales leave over. It knows neither prices nor buyers.
"""

from __future__ import annotations

import re
from typing import Final

from engine import book_events, book_orders, cuts, leases, open_orders, order_terms, rows
from engine.kinds import Kind
from engine.messages import (
    BaronFeatures,
    BaronRating,
    BaronRegistered,
    ListMarket,
    MarketListed,
    RegisterBaron,
    SetCapacity,
    SetFeatures,
    SetRating,
)
from engine.reasons import Reason
from engine.state import Baron, Instrument, Lease, Order, Refused, Row, State
from engine.units import NUMBER_MAX, QUANTITY_MAX

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}\Z", re.ASCII)


def list_market(state: State, command: ListMarket) -> None:
    """List a SKU in a region: its spot and its on-demand instrument, numbered in order of listing (§3)."""
    for field, text in (("sku", command.sku), ("region", command.region)):
        if _NAME.match(text) is None:
            raise Refused(Reason.INVALID_MARKET, field)
    market = (command.sku, command.region)
    if market in state.markets:
        raise Refused(Reason.MARKET_EXISTS)
    spot = len(state.instruments) + 1
    for number, kind in ((spot, Kind.SPOT), (spot + 1, Kind.ONDEMAND)):
        state.add_instrument(Instrument(instrument=number, sku=command.sku, region=command.region, kind=kind))
    state.emit(MarketListed(sku=command.sku, region=command.region, spot_instrument=spot, ondemand_instrument=spot + 1))


def register_baron(state: State, command: RegisterBaron) -> None:
    """Register a Baron with no capacity yet; a repeat with equal content gives the same event again."""
    state.open_account(command.provider)
    if not 0 < command.baron <= NUMBER_MAX:
        raise Refused(Reason.UNKNOWN_BARON, "baron")
    if (command.sku, command.region) not in state.markets:
        raise Refused(Reason.INVALID_MARKET, "sku")
    found = state.barons.get(command.baron)
    if found is None:
        found = state.barons[command.baron] = Baron(
            baron=command.baron,
            provider=command.provider,
            sku=command.sku,
            region=command.region,
        )
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
    _fail_short(state, row)
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
    for instrument in state.markets[baron.sku, baron.region]:
        book_events.must(state, instrument, book_orders.set_baron(baron, state.last_ts_ns))


def wipe_overdue(state: State, lease: Lease) -> None:
    """A lease has waited too long for its wipe: the Baron has its GPUs no more until it comes (§4)."""
    leases.wipe_overdue(state, lease)
    baron = state.barons[lease.baron]
    for row in (rows.row_of_lease(state, lease), rows.own_row(state, baron)):
        _fail_short(state, row)
        cuts.settle(state, row)
        cuts.cut_firm(state, row)
    open_orders.touch(state, baron.baron)


def _fail_short(state: State, row: Row) -> None:
    """On-demand leases of the running hour fail, newest first, until the others have GPUs (§4).

    Those that are over and wait for their wipe in hours of theirs lack none: theirs come back, or leave what counts.
    """
    hour = rows.hour_of(state.last_ts_ns)
    short = -rows.deliverable(state, row, hour, hour + 1)
    if short <= 0:
        return
    firm = [state.leases[lease_id] for lease_id in sorted(row.firm_leases)]
    over = (lease for lease in firm if not lease.live and not lease.overdue)
    short -= sum(lease.quantity for lease in over if hour < rows.sold_span(lease)[1])
    for lease in reversed(firm):
        if short <= 0:
            return
        if lease.live:
            leases.fail(state, lease, state.last_ts_ns)
            short -= lease.quantity


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
