"""Type of the fast book's own command."""

from typing import final

@final
class Order:
    def __init__(
        self,
        op: int,
        order_id: int = 0,
        ts_ns: int = 0,
        account: int = 0,
        price: int = 0,
        quantity: int = 0,
        shape: int = 0,
        flags: int = 0,
        display_quantity: int = 0,
        min_quantity: int = 0,
        stop_price: int = 0,
        window_end_h: int = 0,
        baron: int = 0,
        tag: int = 0,
        features: int = 0,
        hours: int = 0,
        lot: int = 0,
        min_rating: int = 0,
        reason: int = 0,
        reserved: int = 0,
    ) -> None: ...
    def pack(self) -> bytes: ...
