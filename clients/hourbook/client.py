"""The exchange over REST: one method a route, typed answers, and errors that say whether anything was done.

Every POST carries an Idempotency-Key, kept over its repeats; give your own to repeat one across restarts. Prices are Decimal,
str or int.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypeVar

import msgspec

from hourbook import models, owed
from hourbook.decimals import Number, refuse_no_number, to_text
from hourbook.paths import segment
from hourbook.transport import TIMEOUT_S, Transport

Kind = Literal["spot", "ondemand"]
InstrumentKind = Literal["spot", "ondemand", "forward"]
Side = Literal["buy", "sell"]
OrderType = Literal["limit", "market", "stop", "stop_limit"]
TimeInForce = Literal["gtc", "gtd", "day", "ioc", "fok"]
SelfTrade = Literal["cancel_newest", "cancel_oldest", "cancel_both", "decrement"]
MAX_PAGES = 1_000
PAGE = 200

T = TypeVar("T")


class _Instruments(models.Model, frozen=True):
    instruments: list[models.Instrument]


class _Trades(models.Model, frozen=True):
    trades: list[models.Trade]
    next_cursor: str | None


class _Leases(models.Model, frozen=True):
    leases: list[models.Lease]
    next_cursor: str | None


class _Obligations(models.Model, frozen=True):
    obligations: list[owed.Obligation]
    next_cursor: str | None


class _Orders(models.Model, frozen=True):
    orders: list[models.Order]
    next_cursor: str | None


class _Barons(models.Model, frozen=True):
    barons: list[models.Baron]
    next_cursor: str | None


class _Transfers(models.Model, frozen=True):
    transfers: list[models.Transfer]
    next_cursor: str | None


class _SshKeys(models.Model, frozen=True):
    ssh_keys: list[models.SshKey]


class _Keys(models.Model, frozen=True):
    keys: list[models.Key]


class Client:
    """One exchange and one key. Methods raise Rejected, OutcomeUnknown or Unreachable; not safe for threads to share.

    `min_seq` waits until the answer has everything up to that sequence number. Lists come newest first, `limit` at most.
    """

    def __init__(self, url: str, key: str = "", timeout_s: float = TIMEOUT_S) -> None:
        self._transport = Transport(url, key, timeout_s)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()

    # ---------------------------------------------------------------- market

    def instruments(
        self, sku: str | None = None, region: str | None = None, kind: InstrumentKind | None = None
    ) -> list[models.Instrument]:
        """What is listed, of a SKU, a region and a kind where they are given; a market has 29 forwards."""
        return self._get("/v1/instruments", _Instruments, sku=sku, region=region, kind=kind).instruments

    def curve(self, sku: str, region: str) -> models.Curve:
        """The forward curve of a market: what each listed period costs."""
        return self._get(f"/v1/markets/{segment(sku)}/{segment(region)}/curve", models.Curve)

    def book(self, symbol: str, levels: int = 50, min_seq: int = 0) -> models.Book:
        return self._get(f"/v1/books/{segment(symbol)}", models.Book, levels=levels, min_seq=min_seq)

    def trades(self, symbol: str, limit: int = 50) -> list[models.Trade]:
        return self._list(f"/v1/trades/{segment(symbol)}", _Trades, "trades", limit)

    def quotes(
        self,
        sku: str,
        gpus: int = 1,
        hours: int = 1,
        kind: Kind = "spot",
        regions: Sequence[str] | None = None,
        max_price: Number | None = None,
        features: Sequence[str] = (),
        same_baron: bool = False,
        min_rating: int | None = None,
    ) -> models.Quotes:
        """What a rental would cost now, or why there is none."""
        body = _wish(sku, gpus, hours, kind, regions, max_price, _asked(features, same_baron, min_rating))
        return self._post("/v1/quotes", models.Quotes, body)

    # ---------------------------------------------------------------- leases

    def rent(
        self,
        sku: str,
        gpus: int = 1,
        hours: int = 1,
        kind: Kind = "spot",
        regions: Sequence[str] | None = None,
        max_price: Number | None = None,
        ssh_keys: Sequence[str] | None = None,
        idempotency_key: str = "",
        features: Sequence[str] = (),
        same_baron: bool = False,
        min_rating: int | None = None,
        auto_extend: bool = False,
    ) -> models.Rental:
        """Take the best price, all or nothing. `hours`: the term of on-demand, an upper limit for spot.

        `auto_extend`: on-demand leases extend themselves by an hour at a time, at `max_price` at most.

        `features`: what each Baron must have (infiniband, nvlink, certified, secure); `min_rating`: how it must be rated, 0 to
        100; `same_baron`: all GPUs on one.
        """
        wish = _wish(sku, gpus, hours, kind, regions, max_price, _asked(features, same_baron, min_rating))
        body = wish | {"ssh_keys": ssh_keys, "auto_extend": auto_extend}
        return self._post("/v1/rentals", models.Rental, body, idempotency_key, engine_knows_repeats=True)

    def leases(
        self, only_open: bool = False, role: Literal["renter", "provider"] = "renter", limit: int = PAGE
    ) -> list[models.Lease]:
        return self._list("/v1/leases", _Leases, "leases", limit, open=only_open, role=role)

    def lease(self, lease_id: str, min_seq: int = 0) -> models.Lease:
        return self._get(f"/v1/leases/{segment(lease_id)}", models.Lease, min_seq=min_seq)

    def lease_events(self, lease_id: str) -> Iterator[models.Lease]:
        """The lease now and at each change, until it has ended or the connection did (Unreachable)."""
        for line in self._transport.lines(f"/v1/leases/{segment(lease_id)}/events"):
            field, _, value = line.partition(":")
            if field == "data":
                yield msgspec.json.decode(value, type=models.Lease)

    def end_lease(self, lease_id: str) -> models.Lease:
        """End a lease; the minimum of its kind is charged."""
        return self._transport.ask("DELETE", f"/v1/leases/{segment(lease_id)}", models.Lease)

    def raise_price(self, lease_id: str, price: Number) -> models.Lease:
        """What a spot lease pays from now on, higher than before: the lowest price yields first."""
        return self._transport.ask("PATCH", f"/v1/leases/{segment(lease_id)}", models.Lease, {"price": to_text(price)})

    def extend(self, lease_id: str, hours: int = 1, idempotency_key: str = "") -> models.Lease:
        """Hours more of an on-demand lease, from ten minutes before its term's end, at the price of its Baron's offer."""
        return self._post(f"/v1/leases/{segment(lease_id)}/extend", models.Lease, {"hours": hours}, idempotency_key)

    def release(
        self,
        lease_id: str,
        quantity: int,
        price: Number,
        release_as: Literal["spot", "ondemand", "forwards"] = "spot",
        idempotency_key: str = "",
    ) -> models.Released:
        """Sell GPUs of a running reservation; until somebody buys them, its lease runs on with them.

        `release_as`: a spot ask, an on-demand ask to the end of its hours, or an ask in each listed forward that lies whole in
        them. With each sale the lease goes on with fewer GPUs: its sandbox starts again, and what was in it is gone.
        """
        body = {"as": release_as, "quantity": quantity, "price": to_text(price)}
        path = f"/v1/leases/{segment(lease_id)}/release"
        return self._post(path, models.Released, body, idempotency_key, engine_knows_repeats=True)

    def set_auto_extend(self, lease_id: str, auto_extend: bool) -> models.Lease:
        """Whether an on-demand lease extends itself by an hour at a time."""
        return self._transport.ask(
            "PATCH", f"/v1/leases/{segment(lease_id)}", models.Lease, {"auto_extend": auto_extend}
        )

    # ---------------------------------------------------------------- forwards

    def positions(self, min_seq: int = 0) -> owed.Positions:
        """What you have bought forward and is still to come, by Baron and hour."""
        return self._get("/v1/positions", owed.Positions, min_seq=min_seq)

    def obligations(
        self, only_open: bool = True, role: Literal["holder", "provider"] = "holder", limit: int = PAGE
    ) -> list[owed.Obligation]:
        """Forwards' obligations, newest first: what you are owed, or what your Barons owe."""
        return self._list("/v1/obligations", _Obligations, "obligations", limit, open=only_open, role=role)

    def obligation(self, obligation_id: str, min_seq: int = 0) -> owed.Obligation:
        return self._get(f"/v1/obligations/{segment(obligation_id)}", owed.Obligation, min_seq=min_seq)

    def set_delivery(self, obligation_id: str, ssh_keys: Sequence[str] = ()) -> owed.Obligation:
        """Say where an obligation is delivered to: these public keys, or else the account's own."""
        body = {"ssh_keys": list(ssh_keys)} if ssh_keys else {}
        return self._transport.ask("PATCH", f"/v1/obligations/{segment(obligation_id)}", owed.Obligation, body)

    # ---------------------------------------------------------------- orders

    def place(
        self,
        instrument: str,
        side: Side,
        quantity: int,
        price: Number | None = None,
        *,
        type: OrderType = "limit",  # noqa: A002 - the exchange's name for it
        time_in_force: TimeInForce | None = None,
        expire: datetime | None = None,
        stop_price: Number | None = None,
        post_only: bool = False,
        display_quantity: int | None = None,
        min_quantity: int | None = None,
        stp: SelfTrade | None = None,
        client_order_id: str | None = None,
        tag: str | None = None,
        hours: int | None = None,
        features: Sequence[str] = (),
        same_baron: bool = False,
        min_rating: int | None = None,
        baron: str | None = None,
        lot: int | None = None,
        min_hours: int | None = None,
        max_hours: int | None = None,
        reduce_only: bool = False,
        idempotency_key: str = "",
    ) -> models.Placed:
        """Place an order. `expire`: of a gtd order, with a time zone; `stop_price`: of a stop; `display_quantity`: an iceberg.

        Buys alone: `hours`, `features`, `min_rating`, `same_baron`; sells alone: `baron`, `lot`, `min_hours`, `max_hours`,
        `reduce_only`. A forward's period is its hours.
        """
        body = {
            "instrument": instrument,
            "side": side,
            "quantity": quantity,
            "price": _text(price),
            "type": type,
            "time_in_force": time_in_force,
            "expire": _time(expire),
            "stop_price": _text(stop_price),
            "post_only": post_only,
            "display_quantity": display_quantity,
            "min_quantity": min_quantity,
            "stp": stp,
            "client_order_id": client_order_id,
            "tag": tag,
            "hours": hours,
            **_asked(features, same_baron, min_rating),
            "baron": baron,
            "lot": lot,
            "min_hours": min_hours,
            "max_hours": max_hours,
            "reduce_only": reduce_only or None,
        }
        return self._post("/v1/orders", models.Placed, body, idempotency_key, engine_knows_repeats=True)

    def orders(self, only_open: bool = False, limit: int = PAGE) -> list[models.Order]:
        return self._list("/v1/orders", _Orders, "orders", limit, open=only_open)

    def order(self, order_id: str, min_seq: int = 0) -> models.Order:
        return self._get(f"/v1/orders/{segment(order_id)}", models.Order, min_seq=min_seq)

    def order_by_client_id(self, client_order_id: str, min_seq: int = 0) -> models.Order:
        return self._get(f"/v1/orders/by-client-id/{segment(client_order_id)}", models.Order, min_seq=min_seq)

    def amend(
        self,
        order_id: str,
        price: Number | None = None,
        quantity: int | None = None,
        expire: datetime | None = None,
    ) -> models.Changed:
        """`quantity` is the new total, what is filled included; `expire`: of a gtd order."""
        body = {"price": _text(price), "quantity": quantity, "expire": _time(expire)}
        return self._transport.ask("PATCH", f"/v1/orders/{segment(order_id)}", models.Changed, body)

    def cancel(self, order_id: str) -> models.Changed:
        return self._transport.ask("DELETE", f"/v1/orders/{segment(order_id)}", models.Changed)

    def cancel_all(
        self, instrument: str | None = None, side: Side | None = None, tag: str | None = None
    ) -> models.AllCanceled:
        """Cancel your orders that fit all that is given; those of offers stay."""
        query = _query({"instrument": instrument, "side": side, "tag": tag})
        return self._transport.ask("DELETE", "/v1/orders", models.AllCanceled, query=query)

    # ---------------------------------------------------------------- providers

    def asks(self, min_seq: int = 0) -> models.Offers:
        return self._get("/v1/asks", models.Offers, min_seq=min_seq)

    def put_asks(self, offers: Sequence[models.Offer]) -> models.Offers:
        """Let these offers stand and no others; leases stay."""
        listed = [
            {
                "baron": offer.baron,
                "instrument": offer.instrument,
                "price": to_text(offer.price),
                "gpus": offer.gpus,
                **{
                    name: value
                    for name in ("max_hours", "min_hours", "lot")
                    if (value := getattr(offer, name)) is not None
                },
            }
            for offer in offers
        ]
        return self._transport.ask("PUT", "/v1/asks", models.Offers, {"offers": listed})

    def barons(self, limit: int = PAGE) -> list[models.Baron]:
        return self._list("/v1/barons", _Barons, "barons", limit)

    def baron(self, baron_id: str) -> models.Baron:
        return self._get(f"/v1/barons/{segment(baron_id)}", models.Baron)

    def create_baron(self, sku: str, region: str, name: str) -> models.NewBaron:
        return self._post("/v1/barons", models.NewBaron, {"sku": sku, "region": region, "name": name})

    def drain_baron(self, baron_id: str, draining: bool = True) -> models.BaronPresence:
        """Take a Baron of yours out of the market: its asks are cancelled, spot leases have notice, on-demand ones run out.

        `draining=False` lets it back in: your offers on it enter anew.
        """
        return self._post(f"/v1/barons/{segment(baron_id)}/drain", models.BaronPresence, {"draining": draining})

    # ---------------------------------------------------------------- money

    def balances(self, min_seq: int = 0) -> models.Balances:
        return self._get("/v1/balances", models.Balances, min_seq=min_seq)

    def limits(self, min_seq: int = 0) -> models.Limits:
        """What an operator lets your account have open."""
        return self._get("/v1/limits", models.Limits, min_seq=min_seq)

    def transfers(self, limit: int = PAGE) -> list[models.Transfer]:
        return self._list("/v1/transfers", _Transfers, "transfers", limit)

    def statement(self, month: str, min_seq: int = 0) -> models.Statement:
        """`month` as 2026-12, UTC."""
        return self._get(f"/v1/statements/{segment(month)}", models.Statement, min_seq=min_seq)

    # ---------------------------------------------------------------- access

    def account(self) -> models.Account:
        return self._get("/v1/account", models.Account)

    def api_keys(self) -> list[models.Key]:
        return self._get("/v1/keys", _Keys).keys

    def create_key(self, scopes: Sequence[str], label: str = "", expires_in_s: int | None = None) -> models.Key:
        body = {"scopes": scopes, "label": label, "expires_in_s": expires_in_s}
        return self._post("/v1/keys", models.Key, body)

    def revoke_key(self, key_id: str) -> models.Gone:
        return self._transport.ask("DELETE", f"/v1/keys/{segment(key_id)}", models.Gone)

    def ssh_keys(self) -> list[models.SshKey]:
        return self._get("/v1/ssh-keys", _SshKeys).ssh_keys

    def add_ssh_key(self, name: str, public_key: str) -> models.SshKey:
        return self._post("/v1/ssh-keys", models.SshKey, {"name": name, "public_key": public_key})

    def delete_ssh_key(self, ssh_key_id: str) -> models.Gone:
        return self._transport.ask("DELETE", f"/v1/ssh-keys/{segment(ssh_key_id)}", models.Gone)

    # ---------------------------------------------------------------- inside

    def _get(self, path: str, answer: type[T], **query: Any) -> T:
        return self._transport.ask("GET", path, answer, query=_query(query))

    def _post(
        self,
        path: str,
        answer: type[T],
        body: Mapping[str, Any],
        idempotency_key: str = "",
        engine_knows_repeats: bool = False,
    ) -> T:
        return self._transport.ask(
            "POST",
            path,
            answer,
            dict(body),
            idempotency_key=idempotency_key,
            engine_knows_repeats=engine_knows_repeats,
        )

    def _list(self, path: str, answer: type[Any], field: str, limit: int, **query: Any) -> list[Any]:
        return [row for page in self._pages(path, answer, limit, query) for row in getattr(page, field)]

    def _pages(self, path: str, answer: type[T], limit: int, query: dict[str, Any]) -> Iterator[T]:
        """Pages until there is no next one, or `limit` rows were asked for; ValueError unless that is at least one."""
        refuse_no_number(limit, "limit")
        if limit < 1:
            raise ValueError(f"a limit is a number from 1 on, and {limit} isn't")
        cursor = None
        for _ in range(MAX_PAGES):
            if limit <= 0:
                return
            asked = min(limit, PAGE)
            page: Any = self._transport.ask(
                "GET", path, answer, query=_query({**query, "limit": asked, "cursor": cursor})
            )
            yield page
            limit -= asked
            cursor = page.next_cursor
            if cursor is None:
                return


def _query(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Booleans as the exchange writes them; zero and false are its defaults and are left out."""
    return {name: "true" if value is True else value for name, value in fields.items() if value not in (None, False, 0)}


def _text(price: Number | None) -> str | None:
    return None if price is None else to_text(price)


def _time(moment: datetime | None) -> str | None:
    """RFC 3339; ValueError without a time zone, since it could mean any."""
    if moment is not None and moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone; give one, such as datetime.UTC")
    return None if moment is None else moment.isoformat()


def _asked(features: Sequence[str], same_baron: bool, min_rating: int | None) -> dict[str, Any]:
    """What a buy asks of a Baron; a sell can't even say that it asks for nothing."""
    return {"features": list(features) or None, "same_baron": same_baron or None, "min_rating": min_rating}


def _wish(
    sku: str,
    gpus: int,
    hours: int,
    kind: Kind,
    regions: Sequence[str] | None,
    max_price: Number | None,
    asked: Mapping[str, Any],
) -> dict[str, Any]:
    return {
        "sku": sku,
        "gpus": gpus,
        "hours": hours,
        "kind": kind,
        "regions": None if regions is None else list(regions),
        "max_price": _text(max_price),
        **asked,
    }


def encode(answer: Any) -> bytes:
    """An answer as JSON, decimals as strings: what `--json` prints."""
    return msgspec.json.encode(answer)
