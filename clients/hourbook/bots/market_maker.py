"""A provider's market maker: keeps all GPUs of its Barons on offer, and small bids well below.

Offers go through `PUT /v1/asks`, bids through the WebSocket; it quotes anew when a book, an order or a lease changes, and
every few seconds. It reconnects with growing pauses, and cancels its bids when it is told to stop; the offers stay.

    HOURBOOK_URL=... HOURBOOK_KEY=... python -m hourbook.bots.market_maker --sku H100-SXM5-80GB --region us-east --price 2.10
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, Final, TypeVar

from hourbook.bots.options import BadOptions, Options, read_options
from hourbook.bots.quoting import Settings, bid_price, same, wanted_offers
from hourbook.client import Client
from hourbook.decimals import to_decimal
from hourbook.errors import HourbookError, Rejected
from hourbook.models import Offer
from hourbook.stopping import stop_on_signals
from hourbook.stream import Stream

BID_PREFIX: Final = "mm-"
"""Of the client's ids of all bids of this bot: what a killed one left behind is known by it."""
MIN_PAUSE_S: Final = 0.25
FIRST_BACKOFF_S: Final = 0.5
MAX_BACKOFF_S: Final = 15.0
CLOSED_KEPT: Final = 1_000
_OPEN: Final = frozenset({"new", "partially_filled"})
NO_SSH_KEY: Final = "no_ssh_key"
ADD_KEY: Final = "add one (hourbook ssh-keys add FILE), start with --ssh-key FILE, or keep no bids with --bid-gpus 0"
_FATAL: Final = frozenset({"unauthorized", "missing_scope"})

log = logging.getLogger("hourbook.market_maker")
T = TypeVar("T")


class Bids:
    """The bot's open bids by symbol, as execution reports tell; a late report of a closed one changes nothing."""

    def __init__(self) -> None:
        self.known = False
        self._open: dict[str, dict[str, Any]] = {}
        self._closed: deque[str] = deque(maxlen=CLOSED_KEPT)

    def begin(self, reports: list[dict[str, Any]]) -> None:
        """Start again from a snapshot of all open orders."""
        self.known = True
        self._open.clear()
        for report in reports:
            self.take(report)

    def take(self, report: dict[str, Any]) -> None:
        order_id = report["order_id"]
        if not str(report["client_order_id"] or "").startswith(BID_PREFIX) or order_id in self._closed:
            return
        if report["status"] in _OPEN:
            if report["seq"] >= self._open.get(order_id, report)["seq"]:
                self._open[order_id] = report
        else:
            self._open.pop(order_id, None)
            self._closed.append(order_id)

    def on(self, symbol: str) -> list[dict[str, Any]]:
        return [report for report in self._open.values() if report["instrument"] == symbol]


class MarketMaker:
    """Quotes until `stop` is set. `client` is its alone."""

    def __init__(self, options: Options, client: Client) -> None:
        self._options = options
        self._settings: Settings = options.settings
        self._client = client
        self._bids = Bids()
        self._may_bid = False
        self._changed = asyncio.Event()
        self._backoff_s = FIRST_BACKOFF_S
        self._refusals: dict[str, str] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Rejected when the key is no good; every other trouble is waited out."""
        while not stop.is_set():
            try:
                await self._session(stop)
            except HourbookError as error:
                if isinstance(error, Rejected) and error.code in _FATAL:
                    raise
                log.warning("%s; trying again in %.1f s", error, self._backoff_s)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), self._backoff_s)
                self._backoff_s = min(MAX_BACKOFF_S, self._backoff_s * 2)
        await self._cancel_bids()

    async def _session(self, stop: asyncio.Event) -> None:
        """One connection to each door, until stop or until one of them ends."""
        self._may_bid = await self._ready_to_bid()
        self._bids = Bids()
        url, key = self._options.url, self._options.key
        async with Stream(url, key, "trade") as trade, Stream(url, door="market") as market:
            tasks = [asyncio.create_task(self._listen(stream)) for stream in (trade, market)]
            stopping = asyncio.create_task(stop.wait())
            try:
                await trade.subscribe("orders")
                await trade.subscribe("leases")
                for product in self._settings.products:
                    await market.subscribe(f"book.{product.symbol('spot')}")
                while not stop.is_set():
                    self._changed.clear()
                    if self._bids.known:
                        await self._quote(trade)
                        self._backoff_s = FIRST_BACKOFF_S
                    await self._wait([*tasks, stopping])
            finally:
                for task in (*tasks, stopping):
                    task.cancel()
                await asyncio.gather(*tasks, stopping, return_exceptions=True)

    async def _wait(self, tasks: list[asyncio.Task[Any]]) -> None:
        """Until something changed, it is time to quote anew, or a stream ended (raises what ended it)."""
        changed = asyncio.create_task(self._changed.wait())
        try:
            ended, _ = await asyncio.wait(
                [*tasks, changed], timeout=self._settings.requote_s, return_when=asyncio.FIRST_COMPLETED
            )
            # Our own quotes change the books as well: a short pause makes one look of many changes.
            if ended == {changed}:
                ended, _ = await asyncio.wait(tasks, timeout=MIN_PAUSE_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
        for task in ended - {changed}:
            task.result()

    async def _listen(self, stream: Stream) -> None:
        while True:
            event = await stream.event()
            if event.ch == "orders":
                if event.type == "snapshot":
                    self._bids.begin(event.data)
                else:
                    for report in event.data:
                        self._bids.take(report)
            if event.ch != "heartbeat":
                self._changed.set()

    async def _quote(self, trade: Stream) -> None:
        barons, standing = await self._ask(lambda: (self._client.barons(), self._client.asks().offers))
        wanted = wanted_offers(self._settings, barons, standing)
        if not same(wanted, standing):
            await self._try("offers", "offers", self._offered(wanted))
        if self._may_bid:
            await self._bid(trade)

    async def _bid(self, trade: Stream) -> None:
        leases = await self._ask(lambda: self._client.leases(only_open=True))
        room = sum(lease.gpus for lease in leases if not lease.is_over) < self._settings.max_bought_gpus
        for product in self._settings.products:
            symbol = product.symbol("spot")
            price = bid_price(product, to_decimal(self._settings.bid_discount)) if room else None
            resting = self._bids.on(symbol)
            right = [bid for bid in resting if price is not None and to_decimal(bid["price"]) == price][:1]
            for bid in resting:
                if bid not in right:
                    what = f"cancel of {bid['order_id']}"
                    await self._try(f"cancel on {symbol}", what, self._cancelled(trade, bid["order_id"]))
            if price is not None and not right:
                await self._try(f"bid on {symbol}", f"bid on {symbol} at {price}", self._placed(trade, symbol, price))

    async def _offered(self, wanted: list[Offer]) -> None:
        await self._ask(lambda: self._client.put_asks(wanted))
        for offer in wanted:
            log.info("offer %s of %s: %d GPUs at %s", offer.instrument, offer.baron, offer.gpus, offer.price)

    async def _placed(self, trade: Stream, symbol: str, price: Decimal) -> None:
        client_order_id = f"{BID_PREFIX}{uuid.uuid4().hex[:24]}"
        gpus = self._settings.bid_gpus
        self._bids.take(await trade.place(symbol, "buy", gpus, price, post_only=True, client_order_id=client_order_id))
        log.info("bid on %s: %d GPUs at %s", symbol, gpus, price)

    async def _cancelled(self, trade: Stream, order_id: str) -> None:
        self._bids.take(await trade.cancel(order_id))

    async def _try(self, subject: str, what: str, act: Awaitable[None]) -> None:
        """What the exchange refuses is tried again at the next quote, and said once until it changes; all else ends the session."""
        try:
            await act
        except Rejected as error:
            self._say_refused(subject, what, error)
        else:
            if self._refusals.pop(subject, None) is not None:
                log.info("%s is no longer refused", what)

    def _say_refused(self, subject: str, what: str, error: Rejected) -> None:
        """A want of SSH keys is the account's, not one bid's: it is said once for all of them, with what to do."""
        if error.code == NO_SSH_KEY:
            new = NO_SSH_KEY not in self._refusals.values()
            self._refusals[subject] = NO_SSH_KEY
            if new:
                log.warning(
                    "%s: no bids: the account has no SSH key, and what a bid buys is a lease; %s", error.code, ADD_KEY
                )
        elif self._refusals.get(subject) != error.code:
            self._refusals[subject] = error.code
            log.warning("%s refused: %s", what, error)

    async def _ready_to_bid(self) -> bool:
        """Whether the account may bid and has the SSH key that spot bids are provisioned with."""
        if not self._settings.bid_gpus:
            return False
        account = await self._ask(self._client.account)
        if "trade" not in account.scopes:
            log.warning("no bids: the key lacks the scope `trade`")
            return False
        if self._options.ssh_key and "rent" not in account.scopes:
            log.warning("no bids: the key lacks the scope `rent`, which storing an SSH key takes")
            return False
        if self._options.ssh_key:
            await self._ask(self._store_ssh_key)
        return True

    def _store_ssh_key(self) -> None:
        line = self._options.ssh_key
        blob = line.split()[1]
        if not any(blob in key.public_key for key in self._client.ssh_keys()):
            self._client.add_ssh_key("market maker", line)

    async def _cancel_bids(self) -> None:
        """Over REST, so that it works with no stream left; also what an earlier, killed bot left."""
        try:
            for order in await self._ask(lambda: self._client.orders(only_open=True)):
                if (order.client_order_id or "").startswith(BID_PREFIX):
                    await self._ask(lambda order_id=order.id: self._client.cancel(order_id))  # type: ignore[misc]
        except HourbookError as error:
            log.warning("bids may be left standing: %s", error)

    async def _ask(self, call: Callable[[], T]) -> T:
        return await asyncio.to_thread(call)


async def quote_until_stopped(options: Options) -> None:
    """Run the bot until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    with stop_on_signals(stop), Client(options.url, options.key) as client:
        await MarketMaker(options, client).run(stop)


def main() -> int:
    """0 when stopped by a signal, 1 when the exchange refuses the key, 2 for bad options."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        options = read_options()
    except BadOptions as error:
        log.error("%s", error)
        return 2
    try:
        asyncio.run(quote_until_stopped(options))
    except Rejected as error:
        log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
