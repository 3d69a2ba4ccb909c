from typing import Any

from engine.compiled.orders import Orders
from engine.grid import HourGrid

class Account:
    def __init__(self, **fields: Any) -> None: ...

class Baron:
    def __init__(self, **fields: Any) -> None: ...

class Draft: ...

class Lease:
    def __init__(self, **fields: Any) -> None: ...

class Row:
    def __init__(self, account: int, baron: int, grid: HourGrid, orders: Orders) -> None: ...
