"""What fills would open for a bid's account, and whether it may have so much more: leases, or a forward's obligations (§2).

A walk or a clearing is gone through dry with it before anything trades. It changes nothing before `keep`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from enum import Enum, auto
from typing import NamedTuple

from engine import dry_resales, obligations
from engine.kinds import Kind
from engine.obligation import Part
from engine.reasons import Reason
from engine.state import State


class Beyond(Enum):
    """Whose bound a fill would break."""

    NOBODY = auto()
    BUYER = auto()
    SELLER = auto()
    """A resale also leaves its seller more pieces than it had."""
    COMMAND = auto()


class _Resale(NamedTuple):
    """What a fill of a holder's hours would do: pieces that go, what its seller holds then and how many more pieces that is."""

    goes: list[Part]
    holding: list[Part]
    more: int

    @property
    def cuts(self) -> int:
        return len(self.goes)


_NOT_RESOLD = _Resale([], [], 0)


class Room:
    """How much more each account may have of what one instrument's fills open.

    One lease or obligation a bid, seller, Baron and price; of a holder's hours as many obligations as its sale would cut
    from the seller's own, after all that the command has sold before. What stays of those is its seller's to count.
    """

    def __init__(self, state: State, instrument: int) -> None:
        self._state = state
        self._listed = state.instruments[instrument]
        self._forward = self._listed.kind is Kind.FORWARD
        self._left: dict[int, int] = {}
        self._cuts = 0
        self._opened: set[tuple[int, int, int, int]] = set()
        self._holdings: dict[tuple[int, int], list[Part]] = {}
        self._to_come = _to_come(state) if self._forward and state.drafts else Counter[int]()

    @property
    def reason(self) -> Reason:
        """Why an order is refused whose account's bound is met."""
        return Reason.TOO_MANY_OBLIGATIONS if self._forward else Reason.TOO_MANY_LEASES

    def takes(self, bid: tuple[int, int], ask: tuple[int, int], price_ticks: int, quantity: int) -> Beyond:
        """Whether a fill of (order, account) from (account, Baron) fits, and if so the room that it takes."""
        order_id, buyer = bid
        seller, baron = ask
        key = (order_id, seller, baron, price_ticks)
        resold = self._forward and self._state.barons[baron].provider != seller
        if key in self._opened and not resold:
            return Beyond.NOBODY
        resale = self._resale(seller, baron, quantity) if resold else _NOT_RESOLD
        if (beyond := self._beyond(buyer, seller, baron, resale)) is not Beyond.NOBODY:
            return beyond
        self._opened.add(key)
        self._left[buyer] = self._left_of(buyer) - self._opens(buyer, baron, resale)
        if resold:
            self._cuts += resale.cuts
            self._left[seller] = self._left_of(seller) - resale.more
            self._holdings[seller, baron] = resale.holding
            if buyer != self._state.barons[baron].provider:
                self._holdings[buyer, baron] = [*self._held(buyer, baron), *resale.goes]
        return Beyond.NOBODY

    def most(self, buyer: int, ask: tuple[int, int], quantity: int) -> int:
        """How much of a fill that doesn't fit its buyer or the command would; 0 where it takes no holder's hours."""
        seller, baron = ask
        provider = self._state.barons[baron].provider
        if not self._forward or provider == seller:
            return 0
        room = self._state.cuts_left - self._cuts
        if buyer != provider:
            room = min(room, self._left_of(buyer))
        # More GPUs are never fewer pieces that go.
        return bisect_right(range(1, quantity), room, key=lambda part: self._resale(seller, baron, part).cuts)

    def keep(self) -> None:
        """What was gone through dry happens now: the rest of the command has so much less."""
        self._state.cuts_left -= self._cuts
        self._state.dry_holdings.update(self._holdings)

    def _beyond(self, buyer: int, seller: int, baron: int, resale: _Resale) -> Beyond:
        if self._state.cuts_left < self._cuts + resale.cuts:
            return Beyond.COMMAND
        if resale.more > 0 and self._left_of(seller) < resale.more:
            return Beyond.SELLER
        opens = self._opens(buyer, baron, resale)
        return Beyond.BUYER if self._left_of(buyer) < opens else Beyond.NOBODY

    def _opens(self, buyer: int, baron: int, resale: _Resale) -> int:
        """What the buyer has more of; what comes home to its provider is over."""
        if resale.cuts and self._state.barons[baron].provider == buyer:
            return 0
        return resale.cuts or 1

    def _left_of(self, number: int) -> int:
        left = self._left.get(number)
        if left is None:
            account, limits = self._state.accounts[number], self._state.limits
            has, most = (
                (account.obligations, limits.max_obligations) if self._forward else (account.leases, limits.max_leases)
            )
            left = self._left[number] = most - has - self._to_come[number]
        return left

    def _resale(self, seller: int, baron: int, quantity: int) -> _Resale:
        held = self._held(seller, baron)
        goes, after = dry_resales.sale(held, Part(self._listed.start_h, self._listed.end_h, quantity))
        return _Resale(goes, after, len(after) - len(held))

    def _held(self, holder: int, baron: int) -> list[Part]:
        held = self._holdings.get((holder, baron))
        return dry_resales.holding(self._state, holder, baron) if held is None else held


def _to_come(state: State) -> Counter[int]:
    """By account: obligations that it will have more of, or fewer, when the command ends and what it has traded is settled."""
    more = Counter[int]()
    for draft in state.drafts.values():
        if draft.bid.kind is Kind.FORWARD and state.barons[draft.ask.baron].provider == draft.ask.account:
            more[draft.bid.account] += 1
    for (holder, baron), parts in state.dry_holdings.items():
        more[holder] += len(parts) - len(obligations.held(state, holder, baron))
    return more
