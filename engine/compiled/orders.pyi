from collections.abc import Callable

from engine.state import Order

class Orders:
    make: Callable[..., Order]
    def __len__(self) -> int: ...
