"""The compiled machine: the law's own machine on compiled records, with the hot rooms compiled too.

Every room of the law runs on these records as on its own structs, so that what no compiled room knows is played by the
law itself, on the same state. Same commands, same events, snapshots and hashes as the plain machine's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, cast

import msgspec
from sortedcontainers import SortedList

from engine import dues, row, state
from engine.book_fast import FastBook
from engine.codec import encode_command
from engine.compiled import restoring, saving
from engine.compiled.batch import batch, play
from engine.compiled.dues import Bill
from engine.compiled.leasing import ROOMS
from engine.compiled.ordered import PairSet
from engine.compiled.orders import Orders
from engine.compiled.records import Account, Baron, Draft, Lease, Row
from engine.compiled.state import Core
from engine.compiled.ticks import play_tick
from engine.grid import GridFactory, HourGrid
from engine.grid_fast import FastGrid
from engine.limits import Limits
from engine.machine import Machine
from engine.messages import CancelOrder, Command, Event, PlaceOrder, Tick
from engine.state import BookFactory, R, State

_OWN: Final[dict[type, type]] = {
    state.Account: Account,
    state.Baron: Baron,
    dues.Bill: Bill,
    state.Lease: Lease,
}
"""By the law's struct: the compiled record. Orders are made by their table."""
_LAW: Final = {own: law for law, own in _OWN.items()}
_PLAYED: Final = (PlaceOrder, CancelOrder)
"""Commands that compiled rooms may know."""
_PLAIN: Final[dict[str, type]] = {
    "pots": list,
    "client_ids": dict,
    "older_live_ids": dict,
    "closed_orders": dict,
    "wiped_leases": dict,
}
"""Fields of an account that are no lists and dicts in compiled records."""


class CompiledRecords(state.Records):
    """What makes the compiled records of one state; its orders stand in `orders`."""

    account = cast(type[state.Account], Account)
    baron = cast(type[state.Baron], Baron)
    bill = cast(type[dues.Bill], Bill)
    draft = cast(type[state.Draft], Draft)
    lease = cast(type[state.Lease], Lease)

    def __init__(self) -> None:
        self.orders = Orders()
        self.pairs = cast(Callable[[], SortedList[tuple[int, int]]], PairSet)
        self.order = cast(type[state.Order], self.orders.make)
        self.row = cast(type[row.Row], self._row)

    def _row(self, account: int, baron: int, grid: HourGrid) -> Row:
        return Row(account, baron, grid, self.orders)

    def own(self, record: R) -> R:
        fields = {name: getattr(record, name) for name in _fields(type(record))}
        if isinstance(record, state.Order):
            return cast(R, self.orders.make(**fields))
        return cast(R, _OWN[type(record)](**fields))

    def law(self, record: R) -> R:
        law = _LAW.get(type(record), state.Order)
        fields = {name: getattr(record, name) for name in _fields(law)}
        if law is state.Account:
            for name, plain in _PLAIN.items():
                fields[name] = plain(fields[name])
        return cast(R, law(**fields))


def _fields(law: type) -> tuple[str, ...]:
    return cast(type[msgspec.Struct], law).__struct_fields__


class CompiledState(Core, State):
    """The law's state on compiled tables and records."""

    def __init__(self, shard: int, limits: Limits) -> None:
        Core.__init__(self, shard, limits, FastBook, FastGrid, CompiledRecords())


class FastMachine(Machine):
    """One shard, on compiled records. Its books and grids are the compiled ones: rooms call them without asking."""

    def __init__(
        self, shard: int, limits: Limits, book_factory: BookFactory = FastBook, grid_factory: GridFactory = FastGrid
    ) -> None:
        _check(book_factory, grid_factory)
        self._state = CompiledState(shard, limits)

    @classmethod
    def restore(
        cls, data: bytes, book_factory: BookFactory = FastBook, grid_factory: GridFactory = FastGrid
    ) -> FastMachine:
        """The machine of a snapshot; `engine.codec.DecodeError` when the bytes aren't one."""
        _check(book_factory, grid_factory)
        machine = cls.__new__(cls)
        machine._state = restoring.decode(data, CompiledState)
        return machine

    def snapshot(self) -> bytes:
        return saving.encoded(self._state)

    def state_hash(self) -> str:
        return saving.hash_of(self._state)

    def apply(self, seq: int, ts_ns: int, command: Command) -> list[Event]:
        """As the law's; ValueError unless `seq` grows."""
        if isinstance(command, _PLAYED) and self._plays(seq, ts_ns, command):
            return list(self._state.events)
        return self.apply_law(seq, ts_ns, command)

    def apply_law(self, seq: int, ts_ns: int, command: Command) -> list[Event]:
        """Apply one command by the law's rooms alone, as what compiled rooms don't know is."""
        return list(super().apply(seq, ts_ns, command))

    def batch(self, records: Iterable[bytes], first_seq: int) -> list[bytes]:
        return batch(self, records, first_seq)

    def _plays(self, seq: int, ts_ns: int, command: Command) -> bool:
        try:
            record = encode_command(ts_ns, command)
        except (OverflowError, UnicodeEncodeError):
            # No log carries such a command.
            return False
        return play(self._state, seq, record)

    def _play(self, command: Command) -> None:
        room = _ROOMS.get(type(command))
        if room is None or not room(self._state, command):
            super()._play(command)


_ROOMS: Final[dict[type[Command], Callable[[State, Any], bool]]] = {**ROOMS, Tick: play_tick}
"""Each says whether it played the command; if not, nothing has changed, and the law plays it."""


def _check(book_factory: BookFactory, grid_factory: GridFactory) -> None:
    if book_factory is not FastBook or grid_factory is not FastGrid:
        raise TypeError("the compiled machine runs on compiled books and grids alone")
