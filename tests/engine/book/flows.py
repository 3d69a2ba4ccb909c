"""Random lives of books: seeded sequences of packed commands over every feature, crowded so that everything collides.

A flow is a run of segments, a fresh book each, with limits of its own; a segment is a run of regimes (`flows_regimes.py`),
each with its own mix of ops, prices, accounts and pace of time. It knows the records' layout and nothing of what a book does
with them: an id that it cancels may be live, filled or never have been.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from engine.book import PRICE_MAX_OF_A_BOOK, UNBOUNDED, BookLimits
from engine.reasons import Reason
from engine.records import COMMAND, COMMAND_BYTES, Given, Op, Session, Sides
from engine.units import NS_PER_HOUR, NS_PER_S
from tests.engine.book.flows_regimes import ALONE, REGIMES, TO_THE_HOUR, Regime, Row, new_rows

ID_MASK: Final = 2**64 - 1
INT64_MAX: Final = 2**63 - 1
PRICE_TOP: Final = 2**31 - 1
REGIME_COMMANDS: Final = (40, 150, 400, 1_200)
SEGMENT_COMMANDS: Final = (60, 600, 3_000, 12_000)
LAST_COMMANDS: Final = 24
"""Commands at a segment's end whose times are wild, so that nothing after them suffers."""
BIRTHS_NS: Final = (0, 1_790_000_000 * NS_PER_S, 500_000 * NS_PER_HOUR - 3, 2**62, INT64_MAX - 40 * NS_PER_HOUR)
SLICES_MAX: Final = 3_000
CANCEL_REASONS: Final = (0,) * 12 + (Reason.MASS_CANCELED, Reason.CAPACITY_CUT, Reason.DEAD_MAN, 7, 255)


class Segment(NamedTuple):
    """One book's life."""

    seed: int
    number: int
    limits: BookLimits
    commands: bytes

    @property
    def commands_count(self) -> int:
        return len(self.commands) // COMMAND_BYTES


def random_limits(chance: random.Random) -> BookLimits:
    """The rulebook's, none, or small ones of which each may be off."""
    kind = chance.random()
    if kind < 0.35:
        return BookLimits()
    if kind < 0.45:
        return msgspec.structs.replace(UNBOUNDED, quantity_max=SLICES_MAX)
    max_looked = chance.choice([0, 1, 2, 3, 7, 50, 1_024])
    # Where nothing bounds a walk, an iceberg's slices are bounded by its quantity alone.
    return BookLimits(
        max_looked=max_looked,
        max_stops=chance.choice([0, 1, 2, 3, 64]),
        fires=chance.random() < 0.75,
        max_conditional_account=chance.choice([0, 1, 3, 16]),
        max_conditional_side=chance.choice([0, 1, 3, 9, 512]),
        display_ratio=chance.choice([0, 1, 3, 64]),
        quantity_max=chance.choice([40, 700, 100_000, 2**31 - 1, 2**32 - 1] if max_looked else [40, 700, SLICES_MAX]),
        price_max=chance.choice([104, 1_000, 10_000_000, 10_000_000, PRICE_MAX_OF_A_BOOK]),
        market_protection_ppm=chance.choice([0, 1, 9_999, 50_000, 50_000, 1_000_000, 3_000_000]),
        band_ppm=chance.choice([0, 1, 20_000, 100_000, 300_000, 300_000]),
        auction_s=chance.choice([0, 1, 120, 120]),
        cooldown_s=chance.choice([0, 1, 600, 600]),
    )


def segments(seed: int, commands: int, only: str = "", sizes: Sequence[int] = SEGMENT_COMMANDS) -> Iterator[Segment]:
    """Segments of a seed until `commands` commands are given; of one regime alone where `only` names it."""
    chance = random.Random(seed)
    number = 0
    while commands > 0:
        limits = BookLimits() if only in ALONE else random_limits(chance)
        size = commands if only in ALONE else min(commands, chance.choice(sizes))
        yield Segment(seed, number, limits, Life(random.Random(chance.getrandbits(64)), limits, only).lived(size))
        commands -= size
        number += 1


class Life:
    """The making of one segment: the clock, the numbers given so far and the middle of the prices."""

    def __init__(self, chance: random.Random, limits: BookLimits, only: str = "") -> None:
        self.chance = chance
        self.only = only
        self.price_max = limits.price_max
        self.now_ns = chance.choice(BIRTHS_NS)
        self.last_ns = INT64_MAX if chance.random() < 0.1 else max(self.now_ns, INT64_MAX - NS_PER_HOUR)
        self.middle = self._middle()
        # Ids that lie side by side, far apart, and all over 64 bits, as tables of ids would like or hate them.
        self.id_base = chance.choice([0, 0, 10_000, chance.getrandbits(64)])
        self.id_stride = chance.choice([1, 1, 1, 1 << 20, 1 << 48, chance.getrandbits(64) | 1])
        self.made = 0
        self.resters: list[int] = []
        """Numbers of the orders that may rest: what is cancelled and amended is mostly one of theirs."""
        self.records: list[bytes] = []

    def lived(self, size: int) -> bytes:
        """The segment's commands."""
        if self.chance.random() < 0.2:
            self._open()
        while len(self.records) < size:
            name = self.only or self.chance.choice(list(REGIMES))
            count = min(size - len(self.records), self.chance.choice(REGIME_COMMANDS))
            self._live((REGIMES | ALONE)[name], count)
        del self.records[size:]
        if size > 2 * LAST_COMMANDS and self.chance.random() < 0.5:
            del self.records[-LAST_COMMANDS:]
            self._end()
        return b"".join(self.records)

    def _open(self) -> None:
        """A book that begins with an auction, with no price to refer to."""
        chance = self.chance
        self._session(chance.choice([Session.PRE_OPEN, Session.AUCTION]))
        self._live(REGIMES["opening"], chance.choice([3, 8, 30]))
        self._session(Session.CONTINUOUS)

    def _session(self, session: Session) -> None:
        self.records.append(COMMAND.pack(0, self.now_ns, *(0,) * 14, Op.SET_SESSION, session, 0, 0))

    def _middle(self) -> int:
        return min(self.price_max, self.chance.choice([100, 100, 100, 3, 20_000, 1_000_000, self.price_max]))

    def _live(self, regime: Regime, count: int) -> None:
        chance = self.chance
        if regime.middle:
            self.middle = regime.middle
        elif chance.random() < 0.15:
            self.middle = self._middle()
        if chance.random() < regime.jump:
            self.middle = max(
                1, min(self.price_max, int(self.middle * chance.choice([0.6, 0.75, 1.2, 1.29, 1.31, 1.6])))
            )
        rows = new_rows(chance, regime, 16 + count // 8)
        new_share, other_ops = regime.new_share, regime.other_ops
        uniform = chance.random
        for _ in range(count):
            if uniform() < regime.drift:
                self.middle = max(1, min(self.price_max, self.middle + chance.randint(-6, 6)))
            if uniform() < regime.pace:
                self._wait(regime.waits_ns[int(uniform() * len(regime.waits_ns))])
            if uniform() < new_share:
                self.records.append(self._new(regime, rows[int(uniform() * len(rows))]))
            else:
                self.records.append(self._other(other_ops[int(uniform() * len(other_ops))], regime, rows))

    def _wait(self, wait_ns: int) -> None:
        if wait_ns < 0:
            unit_ns = NS_PER_HOUR if wait_ns == TO_THE_HOUR else 60 * NS_PER_S
            wait_ns = unit_ns - self.now_ns % unit_ns
        self.now_ns = min(self.now_ns + wait_ns, self.last_ns)

    def _new(self, regime: Regime, row: Row) -> bytes:
        uniform = self.chance.random
        self.made = made = self.made + 1
        if uniform() < 0.004:
            made = int(uniform() * made)
        elif row.lasts:
            self.resters.append(made)
        price = self.middle + row.lean + int((uniform() - uniform()) * regime.spread)
        hour = self.now_ns // NS_PER_HOUR
        return COMMAND.pack(
            (self.id_base + made * self.id_stride) & ID_MASK,
            self.now_ns,
            int(uniform() * regime.accounts),
            0 if row.unpriced else price if -2_000 < price <= PRICE_TOP else PRICE_TOP,
            row.quantity,
            row.display_quantity,
            row.min_quantity,
            min(PRICE_TOP, self.middle + row.stop_lean + int((uniform() - uniform()) * regime.spread))
            if row.is_stop
            else 0,
            (hour + row.window_h) & 0xFFFF_FFFF if row.window_h else 0,
            *row.rest,
        )

    def _known(self, regime: Regime, goes: bool) -> int:
        """An id given before: mostly a late one, sometimes an early one, sometimes one that never was.

        goes: it is cancelled, and hardly named again.
        """
        uniform = self.chance.random
        draw, resters = uniform(), self.resters
        if draw > 0.98 or not resters:
            made = int(uniform() * (self.made + 3))
        else:
            memory = len(resters) if draw > 0.95 else min(regime.memory, len(resters))
            at = len(resters) - 1 - int(uniform() * memory)
            made = resters[at]
            if goes and uniform() < 0.95:
                resters[at] = resters[-1]
                resters.pop()
        return (self.id_base + made * self.id_stride) & ID_MASK

    def _other(self, op: int, regime: Regime, rows: list[Row]) -> bytes:
        """Any command but a plain NEW; op 0 stands for a malformed record."""
        chance = self.chance
        uniform = chance.random
        order_id = account = price = quantity = window_end_h = baron = tag = features = rating = reason = shape = (
            flags
        ) = 0
        if op == 0:
            return self._malformed(self._new(regime, rows[int(uniform() * len(rows))]))
        if op in (Op.CANCEL, Op.AMEND, Op.REDUCE, Op.MOVE_WINDOW, Op.FIRE):
            order_id = self._known(regime, op == Op.CANCEL)
            account = int(uniform() * regime.accounts) if uniform() < 0.1 else 0
            reason = CANCEL_REASONS[int(uniform() * len(CANCEL_REASONS))] if uniform() < 0.5 else 0
        if op == Op.AMEND:
            flags = Given(int(uniform() * 8)) if uniform() < 0.3 else Given.PRICE | Given.QUANTITY
            price = max(0, min(PRICE_TOP, self.middle + int((uniform() - uniform()) * regime.spread)))
            quantity = rows[int(uniform() * len(rows))].quantity if uniform() < 0.6 else int(uniform() * 4)
        elif op == Op.REDUCE:
            quantity = int(uniform() * 4) if uniform() < 0.9 else chance.getrandbits(32)
        elif op == Op.MOVE_WINDOW:
            hour = self.now_ns // NS_PER_HOUR
            window_end_h = max(0, hour + int(uniform() * 6) - 1) & 0xFFFF_FFFF if uniform() < 0.8 else 0
        elif op == Op.MASS_CANCEL:
            account = int(uniform() * regime.accounts) if uniform() < 0.9 else 0
            tag = int(uniform() * 3)
            flags = Sides(int(uniform() * 4)) if uniform() < 0.7 else Sides.BUY | Sides.SELL
            reason = CANCEL_REASONS[int(uniform() * len(CANCEL_REASONS))]
        elif op == Op.SET_BARON:
            baron = int(uniform() * 4)
            rating, features = int(uniform() * 103), int(uniform() * 4)
        elif op == Op.SET_SESSION:
            shape = regime.sessions[int(uniform() * len(regime.sessions))]
            reason = CANCEL_REASONS[int(uniform() * len(CANCEL_REASONS))] if uniform() < 0.2 else 0
        fields = (order_id, self.now_ns, account, price, quantity, 0, 0, 0, window_end_h, baron, tag, features, 0, 0)
        return COMMAND.pack(*fields, rating, reason, op, shape, flags, 0)

    def _malformed(self, record: bytes, wild_time: bool = False) -> bytes:
        """Random bytes, or a good record with one byte changed; at the book's time, lest the rest of it be in the past."""
        chance = self.chance
        broken = bytearray(record)
        if chance.random() < 0.4:
            broken[chance.randrange(COMMAND_BYTES)] = chance.choice([0, 1, 3, 127, 128, 255, chance.getrandbits(8)])
        else:
            broken[:] = chance.randbytes(COMMAND_BYTES)
            # A wholly random op is nearly always unknown: give it one that says more of the other bytes.
            broken[60] = chance.choice([*Op, 0, 11, 255, broken[60]])
            broken[63] = 0 if chance.random() < 0.8 else broken[63]
            if chance.random() < 0.6:
                broken[:8] = record[:8]
            if broken[60] == Op.SET_SESSION and broken[61] == Session.EXPIRED:
                broken[61] = Session.HALTED
        if not wild_time:
            broken[8:16] = record[8:16]
            if chance.random() < 0.05:
                broken[8:16] = max(-1, self.now_ns - chance.choice([1, NS_PER_S, 2**60])).to_bytes(
                    8, "little", signed=True
                )
        return bytes(broken)

    def _end(self) -> None:
        """The last commands: wild times, and the session that closes a book for good."""
        regime = REGIMES["wild"]
        rows = new_rows(self.chance, regime, LAST_COMMANDS)
        for _ in range(LAST_COMMANDS):
            record = self._new(regime, self.chance.choice(rows))
            draw = self.chance.random()
            if draw < 0.2:
                record = self._malformed(record, wild_time=True)
            elif draw < 0.3:
                self._session(Session.EXPIRED)
                continue
            elif draw < 0.5:
                record = self._other(self.chance.choice(regime.other_ops), regime, rows)
            self.records.append(record)
