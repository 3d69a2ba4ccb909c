"""What fills would open for a bid's account, and whether it may have so much more: leases, or a forward's obligations (§2).

A walk or a clearing is gone through dry with it before anything trades. It changes nothing.
"""

from __future__ import annotations

from typing import Final

from engine import obligations
from engine.kinds import Kind
from engine.obligations import Part
from engine.reasons import Reason
from engine.state import State

CUTS_A_COMMAND: Final = 8_192
"""Obligations that the resales of one command cut; each makes some ids and events, which are numbered in 16 bits."""


class Room:
    """How much more each account may have of what one instrument's fills open.

    One lease or obligation a bid, seller, Baron and price; of a holder's hours as many obligations as its sale would cut
    from the seller's own, each fill looked at as if it were the first. What cuts more than a command may has no room.
    """

    def __init__(self, state: State, instrument: int) -> None:
        self._state = state
        self._listed = state.instruments[instrument]
        self._forward = self._listed.kind is Kind.FORWARD
        self._left: dict[int, int] = {}
        self._cuts_left = CUTS_A_COMMAND
        self._opened: set[tuple[int, int, int, int]] = set()

    @property
    def reason(self) -> Reason:
        """Why a bid is refused that finds none."""
        return Reason.TOO_MANY_OBLIGATIONS if self._forward else Reason.TOO_MANY_LEASES

    def takes(self, bid: tuple[int, int], ask: tuple[int, int], price_ticks: int, quantity: int) -> bool:
        """Whether a fill of (order, account) from (account, Baron) fits the bid's account, and if so the room that it takes."""
        order_id, buyer = bid
        seller, baron = ask
        key = (order_id, seller, baron, price_ticks)
        resold = self._forward and self._state.barons[baron].provider != seller
        if key in self._opened and not resold:
            return True
        cuts = self._cuts(seller, baron, quantity) if resold else 0
        # What comes home to its provider is over.
        home = resold and self._state.barons[baron].provider == buyer
        opens = 0 if home else cuts or 1
        left = self._left.get(buyer)
        if left is None:
            left = self._room_of(buyer)
        if left < opens or self._cuts_left < cuts:
            return False
        self._cuts_left -= cuts
        self._opened.add(key)
        self._left[buyer] = left - opens
        return True

    def _room_of(self, buyer: int) -> int:
        account, limits = self._state.accounts[buyer], self._state.limits
        return limits.max_obligations - account.obligations if self._forward else limits.max_leases - account.leases

    def _cuts(self, seller: int, baron: int, quantity: int) -> int:
        """Parts of its obligations that a holder sells."""
        wanted = Part(self._listed.start_h, self._listed.end_h, quantity)
        planned = obligations.plan(self._state, seller, baron, wanted)
        return sum(len(parts) for _, parts in planned)
