"""The provisioner's database: Barons, leases that aren't wiped yet, the gate's ports, and the position in the event log.

It lives from the log: position and effects are one transaction. What only this side knows (assigned GPUs, ports, host
keys, heartbeats' times) is written before anybody acts on it; in a database made anew it is unknown until agents say it.
Every method blocks and belongs to one thread, with the one connection (SQLite in WAL mode, FULL). It decides nothing,
and knows no socket and no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    and_,
    create_engine,
    delete,
    event,
    func,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import StaticPool

from engine.kinds import LeaseState, ObligationChange, Presence
from engine.messages import (
    BaronPresence,
    BaronRegistered,
    CapacityChanged,
    Event,
    LeaseChanged,
    LeasePriced,
    LeaseScheduled,
    ObligationChanged,
    Reply,
)
from engine.units import NS_PER_HOUR
from provisioner.desired import Plan
from provisioner.ports import Access, Delivery
from provisioner.records import LIVE_STATES, OVER_STATES, Applied, BaronRow, LeaseRow
from provisioner.settings import MAX_LAZY_SEQS

SCHEMA: Final = 4
_OLDER: Final[dict[int, tuple[str, ...]]] = {
    1: ("ALTER TABLE leases ADD COLUMN ends_ns BIGINT NOT NULL DEFAULT 0",),
    2: (
        f"ALTER TABLE barons ADD COLUMN presence INTEGER NOT NULL DEFAULT {int(Presence.REPORTING)}",
        "ALTER TABLE leases ADD COLUMN provisioning_ns BIGINT NOT NULL DEFAULT 0",
    ),
    3: (),
}
"""What brings a database of an earlier version to the next: leases without notice, Barons without presence, no obligations."""
FIRST_GENERATION: Final = 1

_TAKEN_IN: Final = 1
"""The cursor's row of what is in the rows."""
_MADE_ANEW: Final = 2
"""The cursor's row of what an earlier database, that is lost, may have acted on."""

_meta = MetaData()
_cursor = Table("cursor", _meta, Column("id", Integer, primary_key=True), Column("seq", BigInteger, nullable=False))
_barons = Table(
    "barons",
    _meta,
    Column("baron", BigInteger, primary_key=True, autoincrement=False),
    Column("registered", Boolean, nullable=False, default=False),
    Column("verified_gpus", Integer, nullable=False, default=0),
    Column("simulated", Boolean, nullable=False, default=False),
    Column("inventory", JSON, nullable=False, default=list),
    Column("inventory_simulated", Boolean, nullable=False, default=False),
    Column("last_heartbeat_ns", BigInteger, nullable=False, default=0),
    Column("presence", Integer, nullable=False, default=int(Presence.REPORTING)),
)
_leases = Table(
    "leases",
    _meta,
    Column("lease_id", BigInteger, primary_key=True, autoincrement=False),
    Column("baron", BigInteger, nullable=False, index=True),
    Column("generation", Integer, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("ssh_keys", JSON, nullable=False),
    Column("start_ns", BigInteger, nullable=False),
    Column("term_end_ns", BigInteger, nullable=False),
    Column("state", Integer, nullable=False),
    Column("active_ns", BigInteger, nullable=False, default=0),
    Column("gpus", JSON, nullable=False, default=list),
    Column("host_key", String, nullable=False, default=""),
    Column("port", Integer, nullable=False, default=0),
    Column("ends_ns", BigInteger, nullable=False, default=0),
    Column("provisioning_ns", BigInteger, nullable=False, default=0),
)
_obligations = Table(
    "obligations",
    _meta,
    Column("obligation_id", BigInteger, primary_key=True, autoincrement=False),
    Column("baron", BigInteger, nullable=False, index=True),
    Column("end_h", BigInteger, nullable=False),
)
"""Hours of Barons that were sold ahead: of obligations that live, and of those that failed."""
_ports = Table(
    "ports",
    _meta,
    Column("port", Integer, primary_key=True, autoincrement=False),
    Column("lease_id", BigInteger, nullable=False),
    Column("turn", BigInteger, nullable=False),
)
"""Ports that were ever used: `lease_id` 0 when free; the lowest `turn` was given up longest ago."""

_LIVE: Final = _leases.c.state.in_([int(state) for state in sorted(LIVE_STATES)])


class StoreError(Exception):
    """The database can't be used; the message says what to do."""


class Store:
    """One open database. `open` and every method run on the same thread."""

    def __init__(self, connection: Connection, position: int, made_anew_seq: int) -> None:
        self._connection = connection
        self._made_anew_seq = made_anew_seq
        self._position = position
        self._written_position = position

    @classmethod
    def open(cls, path: Path) -> Store:
        """Open or create. StoreError when it isn't such a database, or one of another version."""
        engine = create_engine(
            f"sqlite:///{path}", poolclass=StaticPool, connect_args={"check_same_thread": False, "timeout": 5}
        )
        event.listen(engine, "connect", _pragmas)
        try:
            connection = engine.connect()
            with connection.begin():
                version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
                _bring_up_to_date(connection, path, version)
                cursor = {row.id: row.seq for row in connection.execute(select(_cursor))}
        except DatabaseError as error:
            engine.dispose()
            raise StoreError(f"{path} can't be opened ({error.orig}): restore it from a backup.") from error
        except StoreError:
            engine.dispose()
            raise
        return cls(connection, cursor.get(_TAKEN_IN, 0), cursor.get(_MADE_ANEW, 0))

    def close(self) -> None:
        self._connection.close()
        self._connection.engine.dispose()

    @property
    def position(self) -> int:
        """Everything up to this sequence is in the rows."""
        return self._position

    # ------------------------------------------------------------ the log's side

    def expect(self, last_seq: int) -> None:
        """Where the log ends before it is taken in. To a database that has nothing yet, leases up to there are another's:
        which GPUs those have isn't known."""
        if self._position == 0:
            with self._connection.begin():
                self._set_cursor(_MADE_ANEW, last_seq)
            self._made_anew_seq = last_seq

    def apply(self, replies: Sequence[Reply]) -> Applied:
        """Take in a batch of the event log, with the position, in one transaction; what was taken in before is skipped."""
        barons: set[int] = set()
        opened: set[int] = set()
        ended: set[int] = set()
        position = self._position
        with self._connection.begin():
            for reply in replies:
                if reply.seq <= position:
                    continue
                position = reply.seq
                known = reply.seq > self._made_anew_seq
                for happened in reply.events:
                    self._take(happened, reply.ts_ns, barons, opened, ended, known=known)
            if barons or position - self._written_position >= MAX_LAZY_SEQS:
                self._set_cursor(_TAKEN_IN, position)
        # A record without effect may be read twice: its position needn't cost an fsync.
        if barons or position - self._written_position >= MAX_LAZY_SEQS:
            self._written_position = position
        self._position = position
        return Applied(barons=frozenset(barons), opened=frozenset(opened - ended), ended=frozenset(ended))

    def _take(
        self, happened: Event, ts_ns: int, barons: set[int], opened: set[int], ended: set[int], *, known: bool
    ) -> None:
        match happened:
            case BaronRegistered(baron=baron):
                self._put_baron(baron, {"registered": True})
                barons.add(baron)
            case CapacityChanged(baron=baron, verified_gpus=verified_gpus, simulated=simulated):
                self._put_baron(baron, {"verified_gpus": verified_gpus, "simulated": simulated})
                barons.add(baron)
            case BaronPresence(baron=baron, presence=presence):
                self._put_baron(baron, {"presence": int(presence)})
                barons.add(baron)
            case ObligationChanged():
                self._owe(happened, ts_ns)
            case LeaseScheduled():
                self._schedule(happened, () if known else None)
                barons.add(happened.baron)
                if happened.state in LIVE_STATES:
                    opened.add(happened.lease_id)
            case LeaseChanged():
                self._change(happened, ts_ns)
                barons.add(happened.baron)
                (opened if happened.state in LIVE_STATES else ended).add(happened.lease_id)
            case LeasePriced():
                if (priced := self._price(happened)) is not None:
                    barons.add(priced)

    def _set_cursor(self, row: int, seq: int) -> None:
        written = insert(_cursor).values(id=row, seq=seq)
        self._connection.execute(written.on_conflict_do_update(index_elements=["id"], set_={"seq": seq}))

    def _schedule(self, lease: LeaseScheduled, gpus: tuple[str, ...] | None) -> None:
        values = {
            "lease_id": lease.lease_id,
            "baron": lease.baron,
            "generation": FIRST_GENERATION,
            "quantity": lease.quantity,
            "ssh_keys": _keys(lease.delivery),
            "start_ns": lease.start_ns,
            "term_end_ns": lease.term_end_ns,
            "state": int(lease.state),
            "gpus": gpus,
        }
        self._connection.execute(insert(_leases).values(values).on_conflict_do_nothing())

    def _change(self, lease: LeaseChanged, ts_ns: int) -> None:
        here = _leases.c.lease_id == lease.lease_id
        if lease.state in OVER_STATES:
            self._release(lease.lease_id)
        if lease.wiped:
            self._connection.execute(delete(_leases).where(here))
            return
        if lease.state is LeaseState.PROVISIONING:
            waited = here & (_leases.c.state == int(LeaseState.SCHEDULED))
            self._connection.execute(update(_leases).where(waited).values(provisioning_ns=ts_ns))
        values: dict[str, Any] = {"state": int(lease.state), "active_ns": lease.active_ns, "ends_ns": lease.ends_ns}
        if lease.quantity:
            values["quantity"] = lease.quantity
        if lease.state in OVER_STATES:
            values["port"] = 0
        if lease.delivery:
            # A forward's lease waited for somebody to say where to deliver.
            values["ssh_keys"] = _keys(lease.delivery)
        self._connection.execute(update(_leases).where(here).values(values))
        if lease.access and lease.state in LIVE_STATES:
            self._recover(lease.lease_id, lease.access)

    def _price(self, lease: LeasePriced) -> int | None:
        """A price moves the term's end too; the Baron of the lease, if that isn't wiped."""
        here = _leases.c.lease_id == lease.lease_id
        self._connection.execute(update(_leases).where(here).values(term_end_ns=lease.term_end_ns))
        return self._connection.execute(select(_leases.c.baron).where(here)).scalar()

    def _owe(self, obligation: ObligationChanged, ts_ns: int) -> None:
        """Hours that are bought back or delivered are sold no more; those of one that failed are, until they pass (§4)."""
        passed = (_obligations.c.baron == obligation.baron) & (_obligations.c.end_h <= ts_ns // NS_PER_HOUR)
        self._connection.execute(delete(_obligations).where(passed))
        if obligation.live or obligation.change is ObligationChange.FAILED:
            values = {"baron": obligation.baron, "end_h": obligation.end_h}
            row = insert(_obligations).values(obligation_id=obligation.obligation_id, **values)
            self._connection.execute(row.on_conflict_do_update(index_elements=["obligation_id"], set_=values))
        else:
            gone = _obligations.c.obligation_id == obligation.obligation_id
            self._connection.execute(delete(_obligations).where(gone))

    def _recover(self, lease_id: int, data: bytes) -> None:
        """Learn port and host key from what renters were told, when this database is made anew from the log."""
        try:
            access = msgspec.json.decode(data, type=Access)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return  # another wrote it: there is no port of ours to recover
        lost = (_leases.c.lease_id == lease_id) & (_leases.c.port == 0)
        if self._connection.execute(
            update(_leases).where(lost).values(port=access.port, host_key=access.host_key)
        ).rowcount:
            self._hold_port(access.port, lease_id)

    def _put_baron(self, baron: int, values: Mapping[str, Any]) -> None:
        row = insert(_barons).values(baron=baron, **values)
        self._connection.execute(row.on_conflict_do_update(index_elements=["baron"], set_=dict(values)))

    # ------------------------------------------------------------ this side's own

    def barons(self) -> list[BaronRow]:
        with self._connection.begin():
            return [_baron(row) for row in self._connection.execute(select(_barons).order_by(_barons.c.baron))]

    def live_leases(self) -> list[LeaseRow]:
        """All leases that should run, of all Barons."""
        with self._connection.begin():
            return [_lease(row) for row in self._connection.execute(select(_leases).where(_LIVE))]

    def leases(self, baron: int) -> list[LeaseRow]:
        """The Baron's leases that aren't wiped yet, in order of id."""
        with self._connection.begin():
            return self._leases_of(baron)

    def plan(self, baron: int, decide: Callable[[BaronRow, list[LeaseRow]], Plan]) -> Plan:
        """Read a Baron's rows, let `decide` compare them, and write down the rows that its plan changes."""
        with self._connection.begin():
            row = self._connection.execute(select(_barons).where(_barons.c.baron == baron)).one_or_none()
            sold = select(func.max(_obligations.c.end_h)).where(_obligations.c.baron == baron)
            sold_until_ns = (self._connection.execute(sold).scalar() or 0) * NS_PER_HOUR
            kept = BaronRow(baron=baron) if row is None else _baron(row)
            plan = decide(msgspec.structs.replace(kept, sold_until_ns=sold_until_ns), self._leases_of(baron))
            for lease in plan.rows:
                changed = update(_leases).where(_leases.c.lease_id == lease.lease_id)
                values = {"generation": lease.generation, "gpus": lease.gpus, "host_key": lease.host_key}
                self._connection.execute(changed.values(values))
        return plan

    def save_inventory(self, baron: int, inventory: Sequence[str], simulated: bool) -> None:
        """What the agent's Hello said; written only when it differs."""
        with self._connection.begin():
            row = self._connection.execute(select(_barons).where(_barons.c.baron == baron)).one_or_none()
            if row is None or (row.inventory, row.inventory_simulated) != (list(inventory), simulated):
                self._put_baron(baron, {"inventory": list(inventory), "inventory_simulated": simulated})

    def save_heartbeats(self, heartbeats_ns: Mapping[int, int]) -> None:
        """When each of these Barons was last heard of."""
        with self._connection.begin():
            for baron, last_heartbeat_ns in heartbeats_ns.items():
                self._put_baron(baron, {"last_heartbeat_ns": last_heartbeat_ns})

    def take_port(self, lease_id: int, ports: range, skip: Iterable[int]) -> int | None:
        """The lease's port: the one it has, else the free one that was used longest ago; None when all are taken or it has ended.

        `skip`: ports that another process holds; they go to the back of the line.
        """
        skipped = set(skip)
        with self._connection.begin():
            own = self._connection.execute(select(_leases.c.port).where(_is_live(lease_id))).scalar()
            if own is None or (own and own not in skipped):
                return own
            used = {row.port: row for row in self._connection.execute(select(_ports))}
            free = [port for port in ports if port not in skipped and (port not in used or not used[port].lease_id)]
            if not free:
                return None
            port = min(free, key=lambda port: (used[port].turn if port in used else 0, port))
            self._release(lease_id)
            self._set_port(port, lease_id)
        return port

    def set_port(self, lease_id: int, port: int) -> None:
        """The system chose the port (ports 0). A lease that has ended meanwhile gets none."""
        with self._connection.begin():
            if self._connection.execute(select(_leases.c.port).where(_is_live(lease_id))).scalar() is not None:
                self._set_port(port, lease_id)

    def _set_port(self, port: int, lease_id: int) -> None:
        self._hold_port(port, lease_id)
        self._connection.execute(update(_leases).where(_leases.c.lease_id == lease_id).values(port=port))

    def _hold_port(self, port: int, lease_id: int) -> None:
        held = insert(_ports).values(port=port, lease_id=lease_id, turn=0)
        self._connection.execute(held.on_conflict_do_update(index_elements=["port"], set_={"lease_id": lease_id}))

    def _release(self, lease_id: int) -> None:
        turn = select(func.coalesce(func.max(_ports.c.turn), 0) + 1).scalar_subquery()
        self._connection.execute(update(_ports).where(_ports.c.lease_id == lease_id).values(lease_id=0, turn=turn))

    def _leases_of(self, baron: int) -> list[LeaseRow]:
        mine = select(_leases).where(_leases.c.baron == baron).order_by(_leases.c.lease_id)
        return [_lease(row) for row in self._connection.execute(mine)]


def _is_live(lease_id: int) -> ColumnElement[bool]:
    return and_(_leases.c.lease_id == lease_id, _LIVE)


def _keys(delivery: bytes) -> list[str]:
    """The delivery's SSH keys. A blob that isn't ours has none: its lease fails, and the log goes on."""
    try:
        return msgspec.json.decode(delivery, type=Delivery).ssh_keys
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return []


def _bring_up_to_date(connection: Connection, path: Path, version: int) -> None:
    """Make the tables, or change an earlier version's; StoreError for one that this program doesn't know."""
    if version == SCHEMA:
        return
    if version and version not in _OLDER:
        raise StoreError(f"{path} has version {version}, this program reads {SCHEMA}: run the one that wrote it.")
    if version:
        for earlier in range(version, SCHEMA):
            for statement in _OLDER[earlier]:
                connection.exec_driver_sql(statement)
    _meta.create_all(connection)
    connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA}")


def _baron(row: Row[Any]) -> BaronRow:
    values = dict(row._mapping)
    kept = {"inventory": tuple(values["inventory"]), "presence": Presence(values["presence"])}
    return BaronRow(**(values | kept))


def _lease(row: Row[Any]) -> LeaseRow:
    values = dict(row._mapping)
    values["ssh_keys"] = tuple(values["ssh_keys"])
    values["gpus"] = None if values["gpus"] is None else tuple(values["gpus"])
    return LeaseRow(**(values | {"state": LeaseState(values["state"])}))


def _pragmas(connection: Any, _record: object) -> None:
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "busy_timeout = 5000"):
        connection.execute(f"PRAGMA {pragma}")
