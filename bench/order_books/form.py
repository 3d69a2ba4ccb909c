"""The one form that every engine's fills are brought to, so that they can be compared byte by byte."""

from __future__ import annotations

from struct import Struct
from typing import Final

FILL: Final = Struct("<QQII")
"""Maker, taker, price in ticks, quantity; one after the other in order of execution."""
