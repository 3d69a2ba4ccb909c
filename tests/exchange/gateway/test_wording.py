"""Each way in which a field can be wrong, in the words that its sender reads; and that no field is without words."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from exchange.gateway import schema
from exchange.gateway.errors import Problem
from exchange.gateway.reading import decode_body
from exchange.gateway.routes import ENDPOINTS
from exchange.gateway.wording import SAID
from exchange.gateway.ws.messages import MARKET_OPS, TRADE_OPS, Cancel, Request
from tests.exchange.gateway.floor import ONDEMAND, SKU, SPOT, Floor

PRICE = 'must be dollars as text with at most four places, from "0.0001" to "1000.0000".'
RENTAL = {"sku": SKU, "kind": "spot", "gpus": 1, "hours": 1}
ORDER = {"instrument": SPOT, "side": "buy", "quantity": 1, "price": "1"}
OFFER = {"baron": "brn_0000000000001", "instrument": SPOT, "price": "1", "gpus": 1}
KEY = {"scopes": ["read"]}

VIOLATIONS: list[tuple[type[msgspec.Struct], Any, str]] = [
    (schema.RentalBody, RENTAL | {"gpus": 0}, "gpus is 0, and must be a whole number from 1 to 100000."),
    (schema.RentalBody, RENTAL | {"gpus": 100_001}, "gpus is 100001, and must be a whole number from 1 to 100000."),
    (schema.RentalBody, RENTAL | {"gpus": 1.5}, "gpus is 1.5, and must be a whole number from 1 to 100000."),
    (schema.RentalBody, RENTAL | {"gpus": "1"}, 'gpus is "1", and must be a whole number from 1 to 100000.'),
    (schema.RentalBody, RENTAL | {"gpus": True}, "gpus is true, and must be a whole number from 1 to 100000."),
    (schema.RentalBody, RENTAL | {"gpus": None}, "gpus is null, and must be a whole number from 1 to 100000."),
    (schema.RentalBody, RENTAL | {"gpus": 10**3999}, "gpus is a number of 4000 characters, and must be a whole number"),
    (schema.RentalBody, RENTAL | {"hours": 0}, "hours is 0, and must be a whole number from 1 to 744."),
    (schema.RentalBody, RENTAL | {"hours": 87_601}, "hours is 87601, and must be a whole number from 1 to 744."),
    (schema.RentalBody, RENTAL | {"max_price": 2}, f"max_price is 2, and {PRICE}"),
    (schema.RentalBody, RENTAL | {"max_price": "2.00001"}, f'max_price is "2.00001", and {PRICE}'),
    (schema.RentalBody, RENTAL | {"max_price": "-1"}, f'max_price is "-1", and {PRICE}'),
    (schema.RentalBody, RENTAL | {"max_price": "9" * 41}, f"max_price is text of 41 characters, and {PRICE}"),
    (schema.RentalBody, RENTAL | {"kind": "x"}, 'kind is "x", and must be one of ondemand, spot.'),
    (schema.RentalBody, RENTAL | {"kind": 5}, "kind is 5, and must be one of ondemand, spot."),
    (schema.RentalBody, RENTAL | {"sku": ""}, 'sku is "", and must be text of 1 to 64 characters.'),
    (schema.RentalBody, RENTAL | {"sku": "x" * 65}, "sku is text of 65 characters, and must be text of 1 to 64"),
    (schema.RentalBody, RENTAL | {"sku": {}}, "sku is a JSON object, and must be text of 1 to 64 characters."),
    (schema.RentalBody, RENTAL | {"regions": []}, "regions is a list of 0 items, and must be a list of 1 to 64 items."),
    (schema.RentalBody, RENTAL | {"regions": "x"}, 'regions is "x", and must be a list of 1 to 64 items.'),
    (schema.RentalBody, RENTAL | {"regions": ["a", ""]}, 'regions[1] is "", and must be text of 1 to 64 characters.'),
    (schema.RentalBody, [], "The body is a list of 0 items, and must be a JSON object."),
    (schema.RentalBody, {"sku": SKU}, "The field is missing: kind."),
    (schema.RentalBody, RENTAL | {"raise_to": 1}, "There is no such field: raise_to."),
    (schema.OrderBody, ORDER | {"post_only": "yes"}, 'post_only is "yes", and must be true or false.'),
    (schema.OrderBody, ORDER | {"baron": "x"}, 'baron is "x", and must be an id: brn_ and 13 digits and capital'),
    (schema.OrderBody, ORDER | {"client_order_id": "a b"}, 'client_order_id is "a b", and must be 1 to 36 letters'),
    (schema.OrderBody, ORDER | {"max_hours": 90_000}, "max_hours is 90000, and must be a whole number from 1 to 744."),
    (schema.AsksBody, {"offers": [OFFER, OFFER | {"price": ".5"}]}, f'offers[1].price is ".5", and {PRICE}'),
    (schema.AsksBody, {"offers": [[]]}, "offers[0] is a list of 0 items, and must be a JSON object."),
    (schema.AsksBody, {"offers": [{}]}, "The field is missing: offers[0].baron."),
    (schema.MoneyBody, {"account": "acc_0000000000001", "amount": "$5"}, 'amount is "$5", and must be dollars as text'),
    (
        schema.KeyBody,
        KEY | {"scopes": ["x"]},
        'scopes[0] is "x", and must be one of admin, provide, read, rent, trade.',
    ),
    (schema.KeyBody, KEY | {"label": "x" * 65}, "label is text of 65 characters, and must be text of 0 to 64"),
    (
        Request,
        {"id": [], "op": "x", "params": {}},
        "id is a list of 0 items, and must be text of 1 to 64 characters or",
    ),
    (Cancel, {"order_id": "x"}, 'order_id is "x", and must be an id: ord_ and 13 digits and capital letters.'),
]


@pytest.mark.parametrize(("kind", "body", "says"), VIOLATIONS)
def test_what_was_wrong_and_what_is_allowed(kind: type[msgspec.Struct], body: Any, says: str) -> None:
    with pytest.raises(Problem) as raised:
        decode_body(json.dumps(body).encode(), kind, max_term_hours=744)
    detail = raised.value.body.detail
    assert detail.startswith(says)
    assert "regex" not in detail and "`" not in detail and "$" not in detail.replace('"$5"', "")


PARAMETERS = [
    ("/leases?limit=0", 'limit is "0", and must be a whole number from 1 to 200.'),
    ("/leases?limit=x", 'limit is "x", and must be a whole number from 1 to 200.'),
    ("/leases?open=maybe", 'open is "maybe", and must be true or false (or 1 or 0).'),
    ("/leases?role=king", 'role is "king", and must be one of provider, renter.'),
    ("/leases?page=2", "There is no such parameter: page."),
    (f"/books/{SPOT}?levels=1001", 'levels is "1001", and must be a whole number from 1 to 1000.'),
]


async def test_parameters_too(exchange: Floor) -> None:
    renter = await exchange.open("renter")
    for path, says in PARAMETERS:
        assert (await renter.refused("GET", path))["detail"].startswith(says)


async def test_what_only_the_market_finds_wrong_names_its_limit(exchange: Floor) -> None:
    provider, baron = await exchange.seller()
    renter = await exchange.renter()
    limits = "hours go from 1 to 744; of an on-demand ask alone, max_hours from 2 to 744, and min_hours below it."
    firm = {"instrument": ONDEMAND, "side": "sell", "quantity": 1, "price": "1", "baron": baron}
    cases = [
        (renter, "POST", "/rentals", RENTAL | {"hours": 745}, limits),
        (renter, "POST", "/orders", ORDER | {"hours": 745}, limits),
        (provider, "POST", "/orders", firm | {"max_hours": 1}, limits),
        (provider, "PUT", "/asks", {"offers": [OFFER | {"baron": baron, "max_hours": 5}]}, limits),
        (renter, "POST", "/rentals", RENTAL | {"max_price": "0"}, f'max_price is "0", and {PRICE}'),
        (renter, "POST", "/rentals", RENTAL | {"max_price": "1000.0001"}, f'max_price is "1000.0001", and {PRICE}'),
        (renter, "POST", "/rentals", RENTAL | {"max_price": "2\n"}, f'max_price is "2\\n", and {PRICE}'),
    ]
    for who, method, path, body, says in cases:
        assert (await who.refused(method, path, body))["detail"].startswith(says), body
    quoted = await renter.post("/quotes", RENTAL | {"hours": 745}, 200)
    assert {(line["reason"], line["detail"].startswith(limits)) for line in quoted["quotes"]} == {
        ("invalid_hours", True)
    }


def test_every_field_that_can_be_sent_has_words() -> None:
    bodies = [endpoint.body for endpoint in ENDPOINTS] + [endpoint.query for endpoint in ENDPOINTS]
    for kind in dict.fromkeys([*bodies, *TRADE_OPS.values(), *MARKET_OPS.values()]):
        for field in inspect.type_info(kind).fields:  # type: ignore[attr-defined]
            assert _patterns_without_words(field.type) == [], (kind.__name__, field.name)


def _patterns_without_words(kind: inspect.Type) -> list[inspect.Type]:
    match kind:
        case inspect.Metadata(extra={**extra}) if SAID in extra:
            return []
        case inspect.Metadata(type=inner) | inspect.ListType(item_type=inner):
            return _patterns_without_words(inner)
        case inspect.UnionType(types=kinds):
            return [each for inner in kinds for each in _patterns_without_words(inner)]
        case inspect.StructType(fields=fields):
            return [each for field in fields for each in _patterns_without_words(field.type)]
        case inspect.StrType(pattern=str()):
            return [kind]
    return []
