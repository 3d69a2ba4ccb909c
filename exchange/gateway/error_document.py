"""The table of errors as a page for users: `python -m exchange.gateway.error_document --write docs/errors.md` makes it.

Status and advice come from the table that the doors answer by; what a code means stands here, in one line each. `--check`
fails when the committed page differs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from exchange.gateway.committed import write_or_check
from exchange.gateway.errors import MEDIA_TYPE, TABLE

DOCUMENT: Final = Path("docs", "errors.md")

_HEAD: Final = f"""# Errors

Made from the code, by `python -m exchange.gateway.error_document --write docs/errors.md`.

REST answers what it refuses with a problem document (`{MEDIA_TYPE}`, RFC 9457), a WebSocket with the same as the reply's `error`;
the command line shows it on standard error, with `--json` whole.

| field | |
|---|---|
| `code` | one of those below. More may come: treat one that you don't know by its `status` |
| `detail` | what was wrong in this case, and what to do; for people, and may change |
| `field` | the field or parameter at fault, if it is one's |
| `outcome` | `rejected`: nothing was changed by this request. `unknown`: it may have been done |
| `retry_after_ms` | send the same again after so long, `Idempotency-Key` and all |
| `seq` | of a refusal by the engine; one at the door has none |
| `order_id`, `order_status` | of a refused amend or cancel: how the order stands |
| `needed`, `available` | of `insufficient_funds`: dollars |

After `unknown` look what there is, or repeat the very same request with the same `Idempotency-Key` (or
`client_order_id`): it is done once at most. A 429 or 503 with outcome `rejected` may be sent again as it is; any other
refusal stays one until something has changed.

| code | status | what it means | what to do |
|---|---|---|---|
"""

MEANS: Final[dict[str, str]] = {
    # of the request itself
    "malformed_request": "What came is no HTTP request that can be read, or it was cut off.",
    "invalid_json": "The body isn't JSON, or gives a field twice.",
    "invalid_utf8": "The body isn't UTF-8.",
    "unauthorized": "There is no key, or it is unknown, revoked or expired.",
    "missing_scope": "The key doesn't have the scope that this takes.",
    "scope_not_held": "The key would give, or take from another, more than it has.",
    "not_found": "There is no such path.",
    "unknown_key": "The account has no such API key.",
    "unknown_ssh_key": "The account has no such SSH key.",
    "method_not_allowed": "The path doesn't have this method.",
    "request_timeout": "The body didn't come in time.",
    "idempotency_in_flight": "A request with this Idempotency-Key is being done.",
    "idempotency_secret_shown_once": "The request was done before; its answer had a secret, and isn't kept.",
    "idempotency_key_reused": "The Idempotency-Key was used with another request.",
    "invalid_idempotency_key": "The Idempotency-Key has a form that it can't have, or stands where there is none.",
    "too_many_idempotency_keys": "As many Idempotency-Keys are kept for the account as may be.",
    "unexpected_body": "This request takes no body, and had one.",
    "payload_too_large": "The body is too long.",
    "unsupported_media_type": "The body isn't JSON in UTF-8 by what its headers say, or is compressed.",
    "unknown_field": "The body has a field that there isn't.",
    "missing_field": "A field that must be given is missing.",
    "invalid_field": "A field has a value that it can't have.",
    "invalid_parameter": "A parameter is unknown, given twice, or has a value that it can't have.",
    "invalid_ssh_key": "It is no SSH public key that can be used.",
    "too_many_ssh_keys": "The account has as many SSH keys as may be.",
    "ssh_key_exists": "The account has this SSH key.",
    "too_many_keys": "The account has as many API keys as may be.",
    "too_many_barons": "The account has as many Barons as may be.",
    # of a WebSocket
    "unsupported_subprotocol": "The WebSocket was offered no subprotocol that is spoken here.",
    "unknown_op": "There is no such op at this WebSocket.",
    "unknown_channel": "There is no such channel at this WebSocket.",
    "not_subscribed": "The channel wasn't subscribed to.",
    "logged_out": "`session.logout` was answered: nothing more is taken.",
    "too_many_subscriptions": "The connection has as many channels as it may.",
    "too_many_in_flight": "As many commands of the connection are being done as may be.",
    # of the exchange
    "overloaded": "The exchange has more to do than it can take in.",
    "outcome_unknown": "The exchange failed in the middle of it.",
    "read_side_behind": "What is asked for isn't there to be read yet.",
    "not_ready": "The exchange is starting, or something that it needs is gone.",
    "internal": "The exchange met a fault of its own.",
    "time_went_back": "The clock of the exchange is behind what was written.",
    "time_too_late": "The clock of the exchange is beyond what it can reckon with.",
    # of accounts and money
    "unknown_account": "There is no such account.",
    "account_exists": "The account's number is taken.",
    "account_killed": "The account's kill switch is on.",
    "insufficient_funds": "The account doesn't have what this would hold.",
    "invalid_amount": "It is no amount of money.",
    "invalid_limits": "It is no limit that an account may have.",
    "gpu_limit": "The account would have more GPUs than its limit.",
    "notional_limit": "The account would hold more money than its limit.",
    # of instruments and markets
    "unknown_instrument": "There is no such instrument, or market.",
    "instrument_expired": "Trading in the forward has ended.",
    "session_closed": "The instrument's session doesn't take this: it is halted, or in an auction.",
    "market_exists": "The market is listed.",
    "invalid_market": "It is no name of a SKU or region.",
    "wrong_market": "The Baron is of another SKU or region than the instrument.",
    # of Barons and offers
    "unknown_baron": "There is no such Baron.",
    "not_your_baron": "The Baron is another account's, and none of its hours are yours.",
    "baron_exists": "The Baron's number is taken.",
    "baron_quiet": "The exchange hears nothing of the Baron.",
    "baron_drained": "The Baron is drained.",
    "insufficient_capacity": "The Baron doesn't have so many GPUs free in all those hours.",
    "invalid_capacity": "It is no number of GPUs that a Baron may have.",
    "invalid_presence": "It is no report of a Baron's presence.",
    "invalid_rating": "It is no rating.",
    "invalid_features": "It is no feature that a Baron may have.",
    "invalid_offer": "An offer names what it can't, or the same twice.",
    "too_many_offers": "The list has more offers than may be.",
    # of orders
    "invalid_price": "It is no price.",
    "invalid_quantity": "It is no quantity, or one that doesn't go with the others of the order.",
    "invalid_hours": "It is no term that the instrument has.",
    "invalid_order": "A field doesn't go with the order's side, type or kind.",
    "invalid_expiry": "The time has passed, or is too far ahead.",
    "invalid_quotes": "It is no set of quotes.",
    "invalid_delivery": "What is to be delivered is too long.",
    "no_ssh_key": "The lease would let nobody in.",
    "post_only_would_trade": "The order is post-only, and would trade at once.",
    "no_liquidity": "Nobody sells, or buys, what would fit.",
    "fok_killed": "Not all of it is there inside the limit.",
    "price_above_maximum": "All of it is there, but above `max_price`.",
    "self_trade": "The order would trade with one of the same account.",
    "outside_band": "The trade would print outside the price band.",
    "walk_limit": "One command may do no more.",
    "too_many_orders": "The account has as many open orders, or sets of quotes, as may be.",
    "too_many_conditional": "The account has as many conditional orders of the instrument as may be.",
    "duplicate_client_order_id": "The `client_order_id` was given to another order.",
    "duplicate_order_id": "The number of the order is taken (of the bare book alone).",
    "malformed_record": "The record can't be read (of the bare book alone).",
    "unknown_order": "The account has no such order, or it is long over.",
    "order_closed": "The order is filled, cancelled or expired.",
    "offer_order": "The order stands for an offer.",
    "nothing_to_amend": "The amend would change nothing.",
    # of leases and obligations
    "unknown_lease": "The account has no such lease.",
    "too_many_leases": "The account has as many leases as may be.",
    "lease_ended": "The lease has ended or failed.",
    "lease_scheduled": "The lease hasn't begun.",
    "lease_under_notice": "The lease is ending.",
    "lease_not_provisioning": "The lease isn't being provisioned.",
    "lease_not_ended": "The lease runs.",
    "invalid_lease_report": "It is no report of a lease.",
    "invalid_outage": "It is no time in which the lease was out of reach.",
    "not_spot": "The lease isn't spot.",
    "not_ondemand": "The lease isn't on-demand.",
    "price_not_higher": "The price isn't above what the lease pays.",
    "too_many_raises": "The price was raised as often as may be.",
    "too_early_to_extend": "The term doesn't end soon enough.",
    "cannot_extend": "There is no offer, or no GPU, for the hours after the term.",
    "not_reserved": "The lease isn't one of hours that were bought forward.",
    "no_whole_period": "No listed forward lies whole in the hours.",
    "reduce_only": "The order would sell other hours than bought ones.",
    "unknown_obligation": "The account has no such obligation.",
    "too_many_obligations": "The account would have more obligations than may be.",
    "no_lease_now": "The obligation can't have another lease yet.",
}
"""By code, what it means wherever it comes from; each code of the table."""


def document() -> str:
    """The page as it is committed: in the order above, which is by what a code is about."""
    lines = [
        f"| `{code}` | {TABLE[code].status.value} | {_cell(means)} | {_cell(TABLE[code].advice)} |\n"
        for code, means in MEANS.items()
    ]
    return _HEAD + "".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main(arguments: list[str] | None = None) -> int:
    """Write the page, or compare it with the committed one (exit status 1: they differ)."""
    return write_or_check("exchange.gateway.error_document", DOCUMENT, document, arguments)


if __name__ == "__main__":
    sys.exit(main())
