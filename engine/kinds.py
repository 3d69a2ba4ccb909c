"""The closed vocabularies of the market: sides, types, states, codes (rulebook §3, §5, §8, §9).

Numbers are what the log carries and never change; names in lower case are what the edge shows (`edge_name`).
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final


class Side(IntEnum):
    BUY = 1
    SELL = 2


class OrderType(IntEnum):
    LIMIT = 1
    MARKET = 2
    STOP = 3
    STOP_LIMIT = 4


class TimeInForce(IntEnum):
    GTC = 1
    IOC = 2
    FOK = 3
    GTD = 4
    """Until a time that the order names; in the book it is GTC."""
    DAY = 5
    """Until 00:00 UTC."""


class Kind(IntEnum):
    """Kind of an instrument (§3); its symbol's ending is `spot`, `ondemand`, or `fwd-` and the forward's period."""

    SPOT = 1
    ONDEMAND = 2
    FORWARD = 3


class Origin(IntEnum):
    """What entered an order: a client's order, a rental (§1 of the API), the engine for an offer (§4), a set of quotes (§5),
    the engine for what a provider failed to deliver, or the holder of a running reservation that releases of it (§8)."""

    CLIENT = 1
    RENTAL = 2
    OFFER = 3
    QUOTE = 4
    COVER = 5
    RELEASE = 6


class Feature(IntFlag):
    """What a Baron has, and a bid may ask for (§5)."""

    INFINIBAND = 1
    NVLINK = 2
    CERTIFIED = 4
    SECURE = 8


COVERS: Final = 1 << 15
"""A bit beside the features, which books have of every Baron, and every cover asks for: taken from the failing provider's
Barons while a cover enters, it keeps it away from them (§8). No door takes it."""


class OrderStatus(IntEnum):
    """FIX's order status; NONE stands for an order that the engine doesn't know."""

    NONE = 0
    NEW = 1
    PARTIALLY_FILLED = 2
    FILLED = 3
    CANCELED = 4
    EXPIRED = 5
    REJECTED = 6


class LeaseState(IntEnum):
    SCHEDULED = 1
    PROVISIONING = 2
    ACTIVE = 3
    ENDING = 4
    ENDED = 5
    FAILED = 6


class EndReason(IntEnum):
    """Why a lease ended (§8); NONE while it lives."""

    NONE = 0
    EXPIRED = 1
    RELEASED = 2
    PREEMPTED = 3
    DISPLACED = 4
    PROVIDER_FAILED = 5
    UNPAID = 6
    QUIT = 7
    RENTER_FAILED = 8


class ObligationChange(IntEnum):
    """Why a forward's obligation is new, other, or over (§8)."""

    SOLD = 1
    """Its provider sold its hours: it is new."""
    RESOLD = 2
    """Its holder sold of it: what stays is less, what goes is new, and what went whole is over."""
    JOINED = 3
    """It took in an equal neighbour, or is part of one now."""
    PAID = 4
    """An hour of it was delivered and paid."""
    LEASED = 5
    """A lease delivers it from now on, or no longer does."""
    DELIVERED = 6
    """Its last hour was paid: it is over."""
    HOME = 7
    """Its provider bought it back: it is over."""
    FAILED = 8
    """Its provider didn't deliver: what was left of it is refunded, and it is over."""
    ADDRESSED = 9
    """Its holder said where to deliver."""
    CUT = 10
    """Its provider didn't deliver some of its GPUs: what stays is less, and what goes is new, and fails at once."""


class Fault(IntEnum):
    """Whose failure a LeaseFailed is (§8): the provider's costs the renter nothing, the renter's the minimum."""

    PROVIDER = 1
    RENTER = 2


class Presence(IntEnum):
    """Whether a Baron is heard of (§4): silent for 60 s it is quiet, for 10 minutes lost, until it reports again."""

    REPORTING = 1
    QUIET = 2
    LOST = 3


class Pot(IntEnum):
    """The parts of an account (§9). FEES, INSURANCE and CASH are the exchange's own (account 0)."""

    AVAILABLE = 1
    HELD = 2
    ESCROW = 3
    RECEIVABLE = 4
    BOND = 5
    FEES = 6
    INSURANCE = 7
    CASH = 8


class TransferCode(IntEnum):
    DEPOSIT = 1
    WITHDRAW = 2
    HOLD = 3
    RELEASE = 4
    PREPAY = 5
    USAGE = 6
    REFUND = 7
    FEE = 8
    PENALTY = 9
    BOND = 10
    PAYOUT = 11
    COVER = 12


def edge_name(member: IntEnum) -> str:
    """The name at the edge: lower case, for example `partially_filled`."""
    return member.name.lower()
