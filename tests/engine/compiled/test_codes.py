"""The numbers that compiled rooms name are those of the law's members."""

from __future__ import annotations

import enum
import re
from pathlib import Path
from typing import Final

from engine.kinds import (
    EndReason,
    Kind,
    LeaseState,
    OrderStatus,
    OrderType,
    Origin,
    Pot,
    Side,
    TimeInForce,
    TransferCode,
)
from engine.timers import TimerKind

ROOM: Final = Path(__file__).resolve().parents[3] / "engine" / "compiled" / "codes.pxd"
VOCABULARIES: Final[dict[str, type[enum.IntEnum]]] = {
    "SIDE": Side,
    "KIND": Kind,
    "TYPE": OrderType,
    "TIME": TimeInForce,
    "ORIGIN": Origin,
    "STATUS": OrderStatus,
    "LEASE": LeaseState,
    "END": EndReason,
    "POT": Pot,
    "CODE": TransferCode,
    "TIMER": TimerKind,
}


def test_each_number_is_the_member_s_of_that_name() -> None:
    named = re.findall(r"^    ([A-Z]+)_([A-Z_]+) = (\d+)$", ROOM.read_text(), re.MULTILINE)
    assert named
    for vocabulary, name, number in named:
        assert VOCABULARIES[vocabulary][name] == int(number), (vocabulary, name)
