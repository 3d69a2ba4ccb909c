"""A provider's Barons and standing offers."""

from __future__ import annotations

from collections.abc import Sequence

from engine.ids import format_id
from engine.kinds import Kind
from engine.messages import Offer, OffersSet, SetDrain, SetFeatures, SetRating
from engine.reasons import Reason
from exchange.gateway.endpoint import Call
from exchange.gateway.errors import Problem
from exchange.gateway.gateway import Gateway
from exchange.gateway.orders_in import features_in, offers_in
from exchange.gateway.schema import AsksBody, BaronBody, DrainBody, FeaturesBody, Nothing, Page, RatingBody, Since
from exchange.gateway.views import access, orders
from exchange.gateway.views.text import features_out, next_cursor, parse_cursor
from exchange.registry.registry import register_baron
from exchange.registry.rows import BaronEntry


async def put_asks(gateway: Gateway, call: Call[AsksBody, Nothing]) -> orders.StandingOffers:
    reply = await gateway.enter(await offers_in(call.account, call.body, gateway.instruments))
    standing = next(event.offers for event in reply.events if isinstance(event, OffersSet))
    return orders.StandingOffers(seq=reply.seq, offers=await _offer_views(gateway, call.account, standing, reply.seq))


async def asks(gateway: Gateway, call: Call[Nothing, Since]) -> orders.StandingOffers:
    await gateway.read_from(call.query.min_seq)
    seq = gateway.deps.read.position()
    standing = await gateway.deps.read.offers(call.account)
    return orders.StandingOffers(seq=seq, offers=await _offer_views(gateway, call.account, standing))


async def create_baron(gateway: Gateway, call: Call[BaronBody, Nothing]) -> access.NewBaron:
    registry = gateway.deps.registry
    if not await gateway.instruments.listed(call.body.sku, call.body.region, Kind.SPOT):
        raise Problem(Reason.UNKNOWN_INSTRUMENT, "No market of that SKU is listed there", field="sku")
    made = await registry.create_baron(call.account, call.body.sku, call.body.region, call.body.name, call.slot)
    try:
        reply = await gateway.enter(register_baron(made.baron))
    except Problem as problem:
        if problem.body.outcome == "rejected":
            await registry.discard_baron(made.baron.baron, call.slot)
        raise
    await registry.confirm_baron(made.baron.baron)
    return access.new_baron(made, reply.seq)


async def barons(gateway: Gateway, call: Call[Nothing, Page]) -> access.Barons:
    await gateway.read_from(call.query.min_seq)
    seq = gateway.deps.read.position()
    entries = await gateway.deps.registry.barons(call.account, parse_cursor(call.query.cursor), call.query.limit)
    cursor = next_cursor([entry.baron for entry in entries], call.query.limit)
    return access.Barons(seq=seq, barons=[await _view(gateway, entry) for entry in entries], next_cursor=cursor)


async def baron(gateway: Gateway, call: Call[Nothing, Since]) -> access.Baron:
    baron_id = call.id("baron_id")
    await gateway.read_from(call.query.min_seq)
    entry = await gateway.deps.registry.baron(baron_id)
    if entry is None or entry.provider != call.account or not entry.open:
        raise Problem(Reason.UNKNOWN_BARON, "The account has no such Baron")
    return await _view(gateway, entry)


async def drain(gateway: Gateway, call: Call[DrainBody, Nothing]) -> access.BaronPresence:
    command = SetDrain(account=call.account, baron=call.id("baron_id"), draining=call.body.draining)
    return access.baron_presence(await gateway.enter(command))


async def set_features(gateway: Gateway, call: Call[FeaturesBody, Nothing]) -> access.BaronFeatures:
    baron_id = call.id("baron_id")
    reply = await gateway.enter(SetFeatures(baron=baron_id, features=features_in(call.body.features)))
    names = features_out(features_in(call.body.features))
    return access.BaronFeatures(seq=reply.seq, baron=format_id("brn", baron_id), features=names)


async def set_rating(gateway: Gateway, call: Call[RatingBody, Nothing]) -> access.BaronRating:
    baron_id = call.id("baron_id")
    reply = await gateway.enter(SetRating(baron=baron_id, rating=call.body.rating))
    return access.BaronRating(seq=reply.seq, baron=format_id("brn", baron_id), rating=call.body.rating)


async def _view(gateway: Gateway, entry: BaronEntry) -> access.Baron:
    row = await gateway.deps.read.baron(entry.baron)
    return access.baron(entry, row, gateway.deps.baron_heartbeats().get(entry.baron))


async def _offer_views(
    gateway: Gateway, account: int, offers: Sequence[Offer], done_seq: int = 0
) -> list[orders.StandingOffer]:
    """`done_seq`: the command that has just set them."""
    numbers = {row.baron for row in offers}
    if numbers and done_seq:
        await gateway.read_done(done_seq)
    barons = {number: await gateway.baron(number) for number in numbers}
    entries = {number: await gateway.deps.registry.baron(number) for number in numbers}
    asks = {(ask.baron, ask.instrument): ask for ask in await gateway.deps.read.offer_asks(account)}
    online = gateway.deps.baron_heartbeats()
    limits = await gateway.deps.read.account_limits(account)
    killed = limits is not None and limits.killed
    shown = []
    for row in offers:
        symbol = (await gateway.instruments.of_number(row.instrument)).symbol
        ask = asks.get((row.baron, row.instrument))
        listed_gpus = ask.leaves_quantity if ask is not None else 0
        shown.append(
            orders.offer(row, symbol, listed_gpus, barons[row.baron], entries[row.baron], row.baron in online, killed)
        )
    return shown
