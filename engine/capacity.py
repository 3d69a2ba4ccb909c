"""Capacity: nobody sells what isn't there (rulebook §4).

Each kind's open asks on a Baron together never exceed the GPUs that are verified and held by no lease. Both kinds may
stand on the same GPUs: the fill of one cuts the other, newest first, and a cut ask never grows back by itself.
"""

from __future__ import annotations

import re
from typing import Final

from engine import book_events, book_orders, in_book, open_orders, order_terms
from engine.kinds import Kind
from engine.messages import (
    BaronFeatures,
    BaronRating,
    BaronRegistered,
    CapacityChanged,
    ListMarket,
    MarketListed,
    RegisterBaron,
    SetCapacity,
    SetFeatures,
    SetRating,
)
from engine.reasons import Reason
from engine.state import Baron, Instrument, Listing, Refused, State
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
    market = state.markets.get((command.sku, command.region))
    if market is None:
        raise Refused(Reason.INVALID_MARKET, "sku")
    found = state.barons.get(command.baron)
    if found is None:
        found = state.barons[command.baron] = Baron(
            baron=command.baron,
            provider=command.provider,
            sku=command.sku,
            region=command.region,
            spot=Listing(instrument=market[0], kind=Kind.SPOT),
            ondemand=Listing(instrument=market[1], kind=Kind.ONDEMAND),
        )
        _tell_books(state, found)
    elif (found.provider, found.sku, found.region) != (command.provider, command.sku, command.region):
        raise Refused(Reason.BARON_EXISTS, "baron")
    state.emit(BaronRegistered(baron=command.baron, provider=command.provider, sku=command.sku, region=command.region))


def set_capacity(state: State, command: SetCapacity) -> None:
    """Set the number of verified GPUs; asks beyond what is left are cut, leases stay."""
    baron = _known(state, command.baron)
    if not 0 <= command.gpus <= QUANTITY_MAX:
        raise Refused(Reason.INVALID_CAPACITY, "gpus")
    baron.verified_gpus = command.gpus
    baron.simulated = command.simulated
    changed(state, baron)


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
    for listing in baron.listings():
        book_events.must(state, listing.instrument, book_orders.set_baron(baron, state.last_ts_ns))


def changed(state: State, baron: Baron) -> None:
    """After GPUs were verified, lost, leased or wiped: say so, cut what no longer stands, let the offers follow."""
    state.emit(
        CapacityChanged(
            baron=baron.baron,
            verified_gpus=baron.verified_gpus,
            leased_gpus=baron.leased_gpus,
            simulated=baron.simulated,
        )
    )
    open_orders.touch(state, baron.baron)
    for listing in baron.listings():
        _cut(state, listing, baron.unleased_gpus)


def _cut(state: State, listing: Listing, bound_gpus: int) -> None:
    while listing.asked_gpus > bound_gpus:
        newest = state.orders[next(reversed(listing.asks))]
        excess = listing.asked_gpus - bound_gpus
        lots = -(-excess // max(newest.lot, 1))
        # All that it leaves, or more: the order goes.
        in_book.shrink(state, newest, min(newest.leaves_quantity, lots * max(newest.lot, 1)), Reason.CAPACITY_CUT)


def check_ask(baron: Baron, kind: Kind, quantity: int, freed_gpus: int = 0) -> None:
    """Refused unless the Baron's open asks of the kind, less `freed_gpus`, leave room for `quantity` more."""
    if quantity > baron.unleased_gpus - baron.listing(kind).asked_gpus + freed_gpus:
        raise Refused(Reason.INSUFFICIENT_CAPACITY, "quantity")
