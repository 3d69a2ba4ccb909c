"""The table of REST routes: the one place that says what exists, who may ask for it, and with which scope.

Those about the account itself stand in `routes_account`, and are of the same table.
"""

from __future__ import annotations

from typing import Any, Final

from exchange.gateway import schema
from exchange.gateway.auth import Access
from exchange.gateway.endpoint import Endpoint
from exchange.gateway.endpoints import leases, market, operations, orders, providers
from exchange.gateway.routes_account import ACCOUNT_ENDPOINTS
from exchange.gateway.schema import Nothing
from exchange.gateway.views import access as access_views
from exchange.gateway.views import leases as lease_views
from exchange.gateway.views import market as market_views
from exchange.gateway.views import orders as order_views
from exchange.registry.rows import Scope

PREFIX: Final = "/v1"
_GET, _POST, _PUT, _PATCH, _DELETE = "GET", "POST", "PUT", "PATCH", "DELETE"
_CREATED: Final = 201

_MARKET: Final[tuple[Endpoint[Any, Any, Any], ...]] = (
    Endpoint(
        method=_GET,
        path="/instruments",
        access=Access.PUBLIC,
        summary="What is listed",
        run=market.instruments,
        body=Nothing,
        query=schema.Since,
        answer=market_views.Instruments,
    ),
    Endpoint(
        method=_PUT,
        path="/instruments/{symbol}/session",
        access=Scope.ADMIN,
        summary="Halt an instrument, open it, or hold an auction",
        run=market.set_session,
        body=schema.SessionBody,
        query=Nothing,
        answer=market_views.SessionSet,
    ),
    Endpoint(
        method=_GET,
        path="/books/{symbol}",
        access=Access.PUBLIC,
        summary="The order book of an instrument",
        run=market.book,
        body=Nothing,
        query=schema.Depth,
        answer=market_views.Book,
    ),
    Endpoint(
        method=_GET,
        path="/trades/{symbol}",
        access=Access.PUBLIC,
        summary="Trades of an instrument, newest first",
        run=market.trades,
        body=Nothing,
        query=schema.Page,
        answer=market_views.Trades,
    ),
    Endpoint(
        method=_POST,
        path="/quotes",
        access=Scope.READ,
        summary="What a rental would cost now, or why there is none",
        run=market.quotes,
        body=schema.QuoteBody,
        query=Nothing,
        answer=market_views.Quotes,
        changes_nothing=True,
    ),
)
_LEASES: Final[tuple[Endpoint[Any, Any, Any], ...]] = (
    Endpoint(
        method=_POST,
        path="/rentals",
        access=Scope.RENT,
        summary="Take the best price, all or nothing",
        run=leases.rent,
        body=schema.RentalBody,
        query=Nothing,
        answer=lease_views.Rental,
        status=_CREATED,
    ),
    Endpoint(
        method=_GET,
        path="/leases",
        access=Scope.READ,
        summary="Your leases, newest first",
        run=leases.leases,
        body=Nothing,
        query=schema.LeasePage,
        answer=lease_views.Leases,
    ),
    Endpoint(
        method=_GET,
        path="/leases/{lease_id}",
        access=Scope.READ,
        summary="One lease, with the way in while it is active",
        run=leases.lease,
        body=Nothing,
        query=schema.Since,
        answer=lease_views.Lease,
    ),
    Endpoint(
        method=_PATCH,
        path="/leases/{lease_id}",
        access=Scope.RENT,
        summary="Raise the price of a spot lease, or let an on-demand lease extend itself",
        run=leases.change_lease,
        body=schema.LeaseBody,
        query=Nothing,
        answer=lease_views.Lease,
    ),
    Endpoint(
        method=_POST,
        path="/leases/{lease_id}/extend",
        access=Scope.RENT,
        summary="Extend an on-demand lease at the price of its Baron's offer",
        run=leases.extend_lease,
        body=schema.ExtensionBody,
        query=Nothing,
        answer=lease_views.Lease,
    ),
    Endpoint(
        method=_DELETE,
        path="/leases/{lease_id}",
        access=Scope.RENT,
        summary="End a lease; the minimum of its kind is charged",
        run=leases.end_lease,
        body=Nothing,
        query=Nothing,
        answer=lease_views.Lease,
    ),
    Endpoint(
        method=_GET,
        path="/leases/{lease_id}/events",
        access=Scope.READ,
        summary="The lease now and at each change, until it has ended",
        run=leases.events,
        body=Nothing,
        query=Nothing,
        answer=lease_views.Lease,
        media_type="text/event-stream",
    ),
)
_ORDERS: Final[tuple[Endpoint[Any, Any, Any], ...]] = (
    Endpoint(
        method=_POST,
        path="/orders",
        access=Scope.TRADE,
        summary="Place an order",
        run=orders.place,
        body=schema.OrderBody,
        query=Nothing,
        answer=order_views.Placed,
        status=_CREATED,
    ),
    Endpoint(
        method=_GET,
        path="/orders",
        access=Scope.READ,
        summary="Your orders, newest first",
        run=orders.orders,
        body=Nothing,
        query=schema.OpenPage,
        answer=order_views.Orders,
    ),
    Endpoint(
        method=_GET,
        path="/orders/{order_id}",
        access=Scope.READ,
        summary="One order",
        run=orders.order,
        body=Nothing,
        query=schema.Since,
        answer=order_views.Order,
    ),
    Endpoint(
        method=_GET,
        path="/orders/by-client-id/{client_order_id}",
        access=Scope.READ,
        summary="One order, by your own id of it",
        run=orders.order_by_client_id,
        body=Nothing,
        query=schema.Since,
        answer=order_views.Order,
    ),
    Endpoint(
        method=_PATCH,
        path="/orders/{order_id}",
        access=Scope.TRADE,
        summary="Amend an order's price, total quantity or expiry",
        run=orders.amend,
        body=schema.AmendBody,
        query=Nothing,
        answer=order_views.Changed,
    ),
    Endpoint(
        method=_DELETE,
        path="/orders",
        access=Scope.TRADE,
        summary="Cancel your orders, all or those that fit; an offer's orders stay",
        run=orders.cancel_all,
        body=Nothing,
        query=schema.CancelFilter,
        answer=order_views.AllCanceled,
    ),
    Endpoint(
        method=_DELETE,
        path="/orders/{order_id}",
        access=Scope.TRADE,
        summary="Cancel an order",
        run=orders.cancel,
        body=Nothing,
        query=Nothing,
        answer=order_views.Changed,
    ),
)
_PROVIDERS: Final[tuple[Endpoint[Any, Any, Any], ...]] = (
    Endpoint(
        method=_PUT,
        path="/asks",
        access=Scope.PROVIDE,
        summary="The list of offers that should stand",
        run=providers.put_asks,
        body=schema.AsksBody,
        query=Nothing,
        answer=order_views.StandingOffers,
    ),
    Endpoint(
        method=_GET,
        path="/asks",
        access=Scope.PROVIDE,
        summary="The offers that stand",
        run=providers.asks,
        body=Nothing,
        query=schema.Since,
        answer=order_views.StandingOffers,
    ),
    Endpoint(
        method=_POST,
        path="/barons",
        access=Scope.PROVIDE,
        summary="Register a Baron and get its enrolment token",
        run=providers.create_baron,
        body=schema.BaronBody,
        query=Nothing,
        answer=access_views.NewBaron,
        status=_CREATED,
        makes_secret=True,
    ),
    Endpoint(
        method=_GET,
        path="/barons",
        access=Scope.PROVIDE,
        summary="Your Barons, newest first",
        run=providers.barons,
        body=Nothing,
        query=schema.Page,
        answer=access_views.Barons,
    ),
    Endpoint(
        method=_GET,
        path="/barons/{baron_id}",
        access=Scope.PROVIDE,
        summary="One Baron of yours",
        run=providers.baron,
        body=Nothing,
        query=schema.Since,
        answer=access_views.Baron,
    ),
    Endpoint(
        method=_PUT,
        path="/barons/{baron_id}/features",
        access=Scope.ADMIN,
        summary="Say which features a Baron has",
        run=providers.set_features,
        body=schema.FeaturesBody,
        query=Nothing,
        answer=access_views.BaronFeatures,
    ),
    Endpoint(
        method=_PUT,
        path="/barons/{baron_id}/rating",
        access=Scope.ADMIN,
        summary="Say how a Baron is rated",
        run=providers.set_rating,
        body=schema.RatingBody,
        query=Nothing,
        answer=access_views.BaronRating,
    ),
)
_OPERATIONS: Final[tuple[Endpoint[Any, Any, Any], ...]] = (
    Endpoint(
        method=_GET,
        path="/health/live",
        access=Access.PUBLIC,
        summary="The process answers",
        run=operations.live,
        body=Nothing,
        query=Nothing,
        answer=operations.Health,
    ),
    Endpoint(
        method=_GET,
        path="/health/ready",
        access=Access.PUBLIC,
        summary="The exchange takes commands",
        run=operations.ready,
        body=Nothing,
        query=Nothing,
        answer=operations.Health,
    ),
    Endpoint(
        method=_GET,
        path="/metrics",
        access=Access.PUBLIC,
        summary="Figures in Prometheus's text format",
        run=operations.metrics,
        body=Nothing,
        query=Nothing,
        answer=operations.Health,
        media_type="text/plain",
    ),
)

ENDPOINTS: Final = (*_MARKET, *_LEASES, *_ORDERS, *_PROVIDERS, *ACCOUNT_ENDPOINTS, *_OPERATIONS)
