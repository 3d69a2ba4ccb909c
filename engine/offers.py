"""Offers: a provider's standing word on what it sells, kept as one ask each by the engine (rulebook §4).

An offer is one ask of max(0, min(its GPUs less what is leased under it, what is free)). When that grows the whole ask
enters anew, and may trade; when it shrinks the ask shrinks in place. Offers are looked at when a command ends, for the
Barons that it touched, each entered at most once.
"""

from __future__ import annotations

import msgspec

from engine import account_limits, in_book, matching, money, open_orders, order_terms, rows, timers
from engine.kinds import Kind, OrderType, Origin, Side, TimeInForce
from engine.messages import Deposit, Offer, OffersSet, SetOffers
from engine.reasons import Reason
from engine.row import Listing, Row
from engine.state import Baron, Instrument, Order, Refused, State
from engine.units import NS_PER_HOUR


def set_offers(state: State, command: SetOffers) -> None:
    """Make this the whole list of the account's offers; leases stay whatever happens to theirs."""
    account = state.open_account(command.account)
    if command.offers:
        # To take all of them away is a cancel, which a killed account may do.
        account_limits.check_alive(account)
    if len(command.offers) > state.limits.max_offers:
        raise Refused(Reason.TOO_MANY_OFFERS, "offers")
    named: dict[tuple[int, int], Offer] = {}
    for index, offer in enumerate(command.offers):
        _check(state, command.account, offer, f"offers[{index}]")
        if (offer.baron, offer.instrument) in named:
            raise Refused(Reason.INVALID_OFFER, f"offers[{index}]")
        named[offer.baron, offer.instrument] = offer
    state.emit(OffersSet(account=command.account, offers=command.offers))
    for offer in account.offers:
        if (offer.baron, offer.instrument) not in named:
            _replace(state, offer.baron, offer.instrument, None)
    for (baron, instrument), offer in named.items():
        _replace(state, baron, instrument, offer)
    account.offers = command.offers


def _check(state: State, account: int, offer: Offer, field: str) -> None:
    instrument = state.instruments.get(offer.instrument)
    if instrument is None:
        raise Refused(Reason.UNKNOWN_INSTRUMENT, f"{field}.instrument")
    if instrument.kind is Kind.FORWARD:
        raise Refused(Reason.INVALID_OFFER, f"{field}.instrument")
    order_terms.check_own_baron(state, account, offer.baron, instrument, f"{field}.baron")
    order_terms.check_price(offer.price_ticks, f"{field}.price_ticks")
    order_terms.check_quantity(offer.gpus, f"{field}.gpus")
    order_terms.check_window(state, offer.max_hours, instrument.kind, f"{field}.max_hours")
    order_terms.check_lot(offer.lot, offer.gpus, f"{field}.lot")
    order_terms.check_min_hours(offer.min_hours, offer.max_hours, f"{field}.min_hours")


def _replace(state: State, number: int, instrument: int, offer: Offer | None) -> None:
    """Change one offer's terms; any but its number of GPUs takes its ask away, and the command's end enters it anew."""
    baron = state.barons[number]
    row = rows.own_row(state, baron)
    if instrument not in row.listings:
        row.listings = {**row.listings, instrument: Listing(instrument=instrument)}
    listing = row.listings[instrument]
    before = listing.offer
    terms_kept = offer is not None and before is not None and msgspec.structs.replace(before, gpus=offer.gpus) == offer
    listing.offer = offer
    listing.offer_refused = False
    if not terms_kept and listing.offer_order_id:
        in_book.cancel(state, state.orders[listing.offer_order_id], Reason.OFFER_CHANGED)
    open_orders.touch(state, number)
    stands = any(each.offer is not None for each in row.listings.values())
    if stands != bool(baron.offer_due_ns):
        timers.arm_offers(state, baron, timers.next_hour_ns(state.last_ts_ns) if stands else 0)


def full_hour(state: State, baron: Baron) -> None:
    """An on-demand offer's window takes in the next hours where they are free, and what was refused is tried again.

    What was sold of the hour that is over counts no more: an offer may grow by it.
    """
    timers.arm_offers(state, baron, timers.next_hour_ns(state.last_ts_ns))
    row = rows.own_row(state, baron)
    for listing in _in_order(row):
        listing.offer_refused = False
        if listing.offer is None:
            continue
        order = state.orders.get(listing.offer_order_id)
        if order is None or order.leaves_quantity < listing.offer.gpus - listing.offer_leased_gpus:
            open_orders.touch(state, baron.baron)
        if order is None:
            continue
        window_end_h = _free_until(state, row, order, listing.offer)
        if window_end_h > rows.hour_of(order.window_end_ns):
            in_book.move_window(state, order, window_end_h * NS_PER_HOUR)


def deposit(state: State, command: Deposit) -> None:
    """Money in: offers that were refused, a bond being what they lacked, are tried again at once."""
    if not money.deposit(state, command):
        return
    for offer in state.accounts[command.account].offers:
        listing = rows.own_row(state, state.barons[offer.baron]).listings[offer.instrument]
        if listing.offer_refused:
            listing.offer_refused = False
            open_orders.touch(state, offer.baron)


def _in_order(row: Row) -> list[Listing]:
    """Its listings by instrument: offers follow in a fixed order, whenever they were set."""
    return [listing for _, listing in sorted(row.listings.items())]


def _free_until(state: State, row: Row, ask: Order, offer: Offer) -> int:
    """How far the window of an offer's ask can be moved on: to the first hour that isn't free for all that it leaves."""
    if ask.kind is Kind.SPOT:
        return 0
    hour = max(rows.hour_of(ask.window_end_ns), rows.hour_of(state.last_ts_ns))
    wanted_h = rows.hour_of(order_terms.window_end_ns(state.last_ts_ns, offer.max_hours))
    if hour < wanted_h and rows.free(state, row, hour, wanted_h) >= ask.leaves_quantity:
        return wanted_h
    while hour < wanted_h and rows.free(state, row, hour, hour + 1) >= ask.leaves_quantity:
        hour += 1
    return hour


def follow(state: State) -> None:
    """Bring the offers of every Baron that the command touched to what they should be, in order of Baron and instrument."""
    for number in sorted(state.touched_barons):
        baron = state.barons[number]
        row = rows.own_row(state, baron)
        for listing in _in_order(row):
            if listing.offer is not None:
                _follow_one(state, baron, row, listing, listing.offer)


def _follow_one(state: State, baron: Baron, row: Row, listing: Listing, offer: Offer) -> None:
    order = state.orders.get(listing.offer_order_id)
    leaves = order.leaves_quantity if order is not None else 0
    anew = _anew_gpus(state, row, listing, offer)
    if anew > leaves and not listing.offer_refused:
        if order is not None:
            in_book.cancel(state, order, Reason.OFFER_CHANGED)
        _enter(state, baron, row, listing, offer, anew)
        return
    if order is None:
        return
    target = _whole_lots(offer, min(offer.gpus - listing.offer_leased_gpus, leaves))
    if target == 0:
        in_book.cancel(state, order, Reason.OFFER_CHANGED)
    elif target < leaves:
        in_book.shrink(state, order, leaves - target, Reason.OFFER_CHANGED)


def _anew_gpus(state: State, row: Row, listing: Listing, offer: Offer) -> int:
    """GPUs that its ask would have if it entered now, and its old ask were gone (§4)."""
    order = state.orders.get(listing.offer_order_id)
    if order is not None:
        rows.stand(state, order, -order.leaves_quantity)
    if state.instruments[listing.instrument].kind is Kind.SPOT:
        free = rows.spot_free(state, row) - row.spot_asked_gpus
    else:
        start_h = rows.hour_of(state.last_ts_ns)
        free = rows.free(state, row, start_h, start_h + offer.max_hours)
    if order is not None:
        rows.stand(state, order, order.leaves_quantity)
    return _whole_lots(offer, min(offer.gpus - listing.offer_leased_gpus, free))


def _whole_lots(offer: Offer, gpus: int) -> int:
    return max(0, gpus) // max(offer.lot, 1) * max(offer.lot, 1)


def _enter(state: State, baron: Baron, row: Row, listing: Listing, offer: Offer, quantity: int) -> None:
    """Enter the offer's ask as an incoming order; what is refused waits for the next full hour."""
    try:
        order_terms.check_open(baron)
        account_limits.check_entry(state, state.open_account(baron.provider))
        order = _ask(state, baron, state.instruments[listing.instrument], offer, quantity)
        # Named before it enters: what closes it on the way takes its name away again.
        listing.offer_order_id = order.order_id
        matching.enter(state, order)
    except Refused:
        listing.offer_order_id = 0
        listing.offer_refused = True
        return
    if not listing.offer_order_id:
        # It went without resting: with GPUs left to sell, it met its own account's bid or the walk's limit.
        listing.offer_refused = _anew_gpus(state, row, listing, offer) > 0


def _ask(state: State, baron: Baron, instrument: Instrument, offer: Offer, quantity: int) -> Order:
    return state.records.order(
        order_id=state.new_id(),
        account=baron.provider,
        instrument=instrument.instrument,
        kind=instrument.kind,
        side=Side.SELL,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        price_ticks=offer.price_ticks,
        quantity=quantity,
        leaves_quantity=quantity,
        origin=Origin.OFFER,
        post_only=False,
        client_order_id="",
        hours=0,
        baron=baron.baron,
        window_end_ns=order_terms.window_end_ns(state.last_ts_ns, offer.max_hours),
        delivery=b"",
        lot=offer.lot,
        min_hours=offer.min_hours,
    )
