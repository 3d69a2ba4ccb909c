from engine.grid import GridFactory
from engine.limits import Limits
from engine.state import BookFactory, Records

class Core:
    def __init__(
        self, shard: int, limits: Limits, book_factory: BookFactory, grid_factory: GridFactory, records: Records
    ) -> None: ...
