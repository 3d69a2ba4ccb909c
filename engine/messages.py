"""The frozen types that every part shares: commands, events, and the sequencer's reply; the one door to them.

They stand in `engine.commands` and `engine.events`; everybody but these two imports them from here.
"""

from __future__ import annotations

import msgspec

from engine.commands import (
    AmendOrder,
    CancelAll,
    CancelAllAfter,
    CancelOrder,
    Command,
    Deposit,
    EndLease,
    ExtendLease,
    KeepOrders,
    LeaseActive,
    LeaseFailed,
    LeaseWiped,
    ListMarket,
    Offer,
    OpenAccount,
    PlaceOrder,
    Quote,
    RaisePrice,
    RegisterBaron,
    Rent,
    ReportOutage,
    SetAccountLimits,
    SetAutoExtend,
    SetCapacity,
    SetDrain,
    SetFeatures,
    SetOffers,
    SetPresence,
    SetQuotes,
    SetRating,
    SetSession,
    Tick,
    Withdraw,
)
from engine.events import (
    Accepted,
    AccountLimitsSet,
    AccountOpened,
    AllCanceled,
    Amended,
    AuctionCleared,
    BaronFeatures,
    BaronPresence,
    BaronRating,
    BaronRegistered,
    BillClosed,
    CancelAllAfterSet,
    Canceled,
    CapacityChanged,
    Duplicate,
    Event,
    InstrumentSession,
    LeaseChanged,
    LeasePriced,
    LeaseScheduled,
    MarketListed,
    ObligationOpened,
    OffersSet,
    OutageNoted,
    QuotesSet,
    Refilled,
    Rejected,
    Traded,
    Transfer,
    Triggered,
)

__all__ = [
    "EXCHANGE_ACCOUNT",
    "Accepted",
    "AccountLimitsSet",
    "AccountOpened",
    "AllCanceled",
    "AmendOrder",
    "Amended",
    "AuctionCleared",
    "BaronFeatures",
    "BaronPresence",
    "BaronRating",
    "BaronRegistered",
    "BillClosed",
    "CancelAll",
    "CancelAllAfter",
    "CancelAllAfterSet",
    "CancelOrder",
    "Canceled",
    "CapacityChanged",
    "Command",
    "Deposit",
    "Duplicate",
    "EndLease",
    "Event",
    "ExtendLease",
    "InstrumentSession",
    "KeepOrders",
    "LeaseActive",
    "LeaseChanged",
    "LeaseFailed",
    "LeasePriced",
    "LeaseScheduled",
    "LeaseWiped",
    "ListMarket",
    "MarketListed",
    "ObligationOpened",
    "Offer",
    "OffersSet",
    "OpenAccount",
    "OutageNoted",
    "PlaceOrder",
    "Quote",
    "QuotesSet",
    "RaisePrice",
    "Refilled",
    "RegisterBaron",
    "Rejected",
    "Rent",
    "Reply",
    "ReportOutage",
    "SetAccountLimits",
    "SetAutoExtend",
    "SetCapacity",
    "SetDrain",
    "SetFeatures",
    "SetOffers",
    "SetPresence",
    "SetQuotes",
    "SetRating",
    "SetSession",
    "Tick",
    "Traded",
    "Transfer",
    "Triggered",
    "Withdraw",
]

EXCHANGE_ACCOUNT = 0
"""The exchange's own account: pots FEES, INSURANCE and CASH."""


class Reply(msgspec.Struct, frozen=True):
    """What the sequencer answers, once the command is durable: its place, its time, and all that it caused, in order.

    A refused command has Rejected as its first event, and no other; a Rejected after others is of an order that the engine
    entered by itself (§8, cover).
    """

    seq: int
    ts_ns: int
    events: tuple[Event, ...]
