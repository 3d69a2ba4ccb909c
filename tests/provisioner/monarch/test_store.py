"""The provisioner's database: the log taken in once, and ports handed round."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from engine.kinds import EndReason, Kind, LeaseState, ObligationChange, Presence
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
from provisioner.contact import Contact, Instant
from provisioner.desired import Plan, reconcile
from provisioner.ports import Access, Delivery
from provisioner.records import Applied, BaronRow, LeaseRow
from provisioner.settings import MAX_LAZY_SEQS, Timings
from provisioner.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "provisioner.db")
    yield opened
    opened.close()


def scheduled(lease_id: int, delivery: bytes = b"") -> LeaseScheduled:
    return LeaseScheduled(
        lease_id=lease_id,
        obligation_id=1,
        order_id=1,
        renter=1,
        provider=2,
        baron=1,
        instrument=2,
        kind=Kind.ONDEMAND,
        quantity=1,
        price_ticks=1,
        start_ns=10,
        term_end_ns=0,
        minimum_s=60,
        renter_fee_ppm=0,
        provider_fee_ppm=0,
        state=LeaseState.PROVISIONING,
        delivery=delivery or msgspec.json.encode(Delivery(ssh_keys=["ssh-ed25519 A"])),
    )


def changed(lease_id: int, state: LeaseState, *, wiped: bool = False, access: bytes = b"") -> LeaseChanged:
    return LeaseChanged(
        lease_id=lease_id,
        renter=1,
        provider=2,
        baron=1,
        state=state,
        reason=EndReason.NONE,
        active_ns=20,
        ended_ns=0,
        charged_micros=0,
        wiped=wiped,
        access=access,
        detail="",
    )


def reply(seq: int, *events: Event) -> Reply:
    return Reply(seq, seq, events)


def test_what_was_taken_in_is_skipped_and_lasts(store: Store, tmp_path: Path) -> None:
    batch = [
        reply(1, BaronRegistered(baron=1, provider=2, sku="A", region="B")),
        reply(2, CapacityChanged(baron=1, verified_gpus=8, leased_gpus=0, simulated=True)),
        reply(5, scheduled(7)),
    ]
    applied = store.apply(batch)
    assert (applied.barons, applied.opened, applied.ended) == (frozenset({1}), frozenset({7}), frozenset())
    store.apply([reply(6, changed(7, LeaseState.ENDED))])
    again = store.apply(batch)
    assert again == Applied()
    (lease,) = store.leases(1)
    assert (lease.state, lease.ssh_keys) == (LeaseState.ENDED, ("ssh-ed25519 A",))
    store.close()
    reopened = Store.open(tmp_path / "provisioner.db")
    assert (reopened.position, reopened.leases(1)) == (6, [lease])
    (baron,) = reopened.barons()
    assert (baron.registered, baron.verified_gpus, baron.simulated) == (True, 8, True)
    reopened.close()


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_a_notice_is_kept_and_an_earlier_database_is_brought_up_to_date(tmp_path: Path, version: int) -> None:
    path = tmp_path / "provisioner.db"
    store = Store.open(path)
    store.apply([reply(1, BaronRegistered(baron=1, provider=2, sku="A", region="B"), scheduled(7), scheduled(8))])
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        if version < 2:
            connection.execute("ALTER TABLE leases DROP COLUMN ends_ns")
        if version < 3:
            connection.execute("ALTER TABLE leases DROP COLUMN provisioning_ns")
            connection.execute("ALTER TABLE barons DROP COLUMN presence")
        if version < 4:
            connection.execute("DROP TABLE obligations")
        connection.execute(f"PRAGMA user_version = {version}")
    store = Store.open(path)
    assert [row.presence for row in store.barons()] == [Presence.REPORTING]
    ending = msgspec.structs.replace(changed(7, LeaseState.ENDING), reason=EndReason.UNPAID, ends_ns=99)
    assert store.apply([reply(2, ending)]).opened == {7}
    assert [(lease.state, lease.ends_ns) for lease in store.live_leases()] == [
        (LeaseState.ENDING, 99),
        (LeaseState.PROVISIONING, 0),
    ]
    store.close()


def test_the_logs_word_on_a_barons_presence_is_kept(store: Store) -> None:
    said = BaronPresence(baron=1, presence=Presence.LOST, draining=True)
    assert store.apply([reply(1, BaronRegistered(baron=1, provider=2, sku="A", region="B"), said)]).barons == {1}
    assert [row.presence for row in store.barons()] == [Presence.LOST]
    store.apply([reply(2, msgspec.structs.replace(said, presence=Presence.REPORTING))])
    assert [row.presence for row in store.barons()] == [Presence.REPORTING]


def test_provisioning_that_had_to_wait_counts_from_the_end_of_the_wait(store: Store) -> None:
    waiting = msgspec.structs.replace(scheduled(7), state=LeaseState.SCHEDULED)
    assert store.apply([reply(1, waiting, scheduled(8))]).opened == {8}
    assert store.apply([reply(30, *(changed(one, LeaseState.PROVISIONING) for one in (7, 8)))]).opened == {7, 8}
    store.apply([reply(40, changed(7, LeaseState.PROVISIONING))])
    assert [lease.provisioning_ns for lease in store.leases(1)] == [30, 0]


def test_a_forwards_lease_has_the_keys_that_come_later(store: Store) -> None:
    waiting = msgspec.structs.replace(scheduled(7, b"no keys yet"), state=LeaseState.SCHEDULED)
    store.apply([reply(1, waiting)])
    assert [lease.ssh_keys for lease in store.leases(1)] == [()]
    delivery = msgspec.json.encode(Delivery(ssh_keys=["ssh-ed25519 B"]))
    addressed = msgspec.structs.replace(changed(7, LeaseState.PROVISIONING), delivery=delivery)
    assert store.apply([reply(30, addressed)]).opened == {7}
    store.apply([reply(40, changed(7, LeaseState.ACTIVE))])
    assert [lease.ssh_keys for lease in store.leases(1)] == [("ssh-ed25519 B",)]


def owed(obligation_id: int, end_h: int, change: ObligationChange, *, live: bool, baron: int = 1) -> ObligationChanged:
    return ObligationChanged(
        obligation_id=obligation_id,
        provider=2,
        holder=1,
        baron=baron,
        instrument=3,
        quantity=1,
        start_h=10,
        end_h=end_h,
        price_ticks=1,
        escrow_micros=0,
        bond_micros=0,
        lease_id=0,
        addressed=False,
        live=live,
        change=change,
    )


def test_hours_that_were_sold_ahead_are_kept_until_they_are_delivered_or_bought_back_or_past(store: Store) -> None:
    def sold_until_h() -> int:
        seen: list[BaronRow] = []

        def decide(baron: BaronRow, leases: list[LeaseRow]) -> Plan:
            seen.append(baron)
            return reconcile(baron, leases, Contact(baron, Instant(0, 0)).view(Instant(0, 0)), Timings(), 0)

        store.plan(1, decide)
        return seen[0].sold_until_ns // NS_PER_HOUR

    assert sold_until_h() == 0
    store.apply([reply(1, *(owed(one, 20 + one, ObligationChange.SOLD, live=True) for one in (1, 2, 3, 4)))])
    store.apply([reply(2, owed(5, 99, ObligationChange.SOLD, live=True, baron=2))])
    assert sold_until_h() == 24
    store.apply([reply(3, owed(4, 24, ObligationChange.HOME, live=False))])
    assert sold_until_h() == 23
    store.apply([reply(4, owed(3, 23, ObligationChange.FAILED, live=False))])
    assert sold_until_h() == 23
    store.apply([reply(5, owed(2, 20, ObligationChange.RESOLD, live=True))])
    store.apply([Reply(6, 23 * NS_PER_HOUR, (owed(1, 21, ObligationChange.DELIVERED, live=False),))])
    assert sold_until_h() == 0


def test_a_lease_that_shrank_has_fewer_gpus_and_an_old_log_says_nothing_of_it(store: Store) -> None:
    store.apply([Reply(seq=1, ts_ns=10, events=(msgspec.structs.replace(scheduled(7), quantity=4),))])
    shrunk = msgspec.structs.replace(changed(7, LeaseState.ACTIVE), quantity=3)
    store.apply([Reply(seq=2, ts_ns=20, events=(shrunk,))])
    assert [lease.quantity for lease in store.leases(1)] == [3]
    store.apply([Reply(seq=3, ts_ns=30, events=(changed(7, LeaseState.ACTIVE),))])
    assert [lease.quantity for lease in store.leases(1)] == [3]


def test_a_price_moves_the_terms_end(store: Store) -> None:
    store.apply([reply(1, scheduled(7))])
    priced = LeasePriced(lease_id=7, price_ticks=3, from_ns=50, term_end_ns=90)
    assert store.apply([reply(2, priced)]) == Applied(barons=frozenset({1}))
    assert [lease.term_end_ns for lease in store.leases(1)] == [90]
    assert store.apply([reply(3, msgspec.structs.replace(priced, lease_id=8))]) == Applied()


def test_gpus_that_an_earlier_database_assigned_are_unknown_until_they_are_written_down(
    store: Store, tmp_path: Path
) -> None:
    store.expect(4)
    store.apply([reply(4, scheduled(7)), reply(5, scheduled(8))])
    store.expect(5)
    assert [lease.gpus for lease in store.leases(1)] == [None, ()]
    store.close()
    reopened = Store.open(tmp_path / "provisioner.db")
    reopened.expect(6)
    reopened.apply([reply(6, scheduled(9))])
    assert [lease.gpus for lease in reopened.leases(1)] == [None, (), ()]

    def decide(baron: BaronRow, leases: list[LeaseRow]) -> Plan:
        learnt = msgspec.structs.replace(leases[0], gpus=("GPU-a",), generation=3)
        return Plan(
            known=(),
            over=(),
            rows=(learnt,),
            specs=(),
            forget=(),
            running=(),
            reachable=(),
            commands=(),
            outages=(),
            baron=baron,
        )

    reopened.plan(1, decide)
    assert (reopened.leases(1)[0].gpus, reopened.leases(1)[0].generation) == (("GPU-a",), 3)
    reopened.close()


def test_a_rebuild_that_was_cut_off_goes_on(store: Store, tmp_path: Path) -> None:
    store.expect(4)
    store.apply([reply(2, scheduled(7))])
    store.close()
    reopened = Store.open(tmp_path / "provisioner.db")
    reopened.expect(6)
    reopened.apply([reply(3, scheduled(8)), reply(6, scheduled(9))])
    assert [lease.gpus for lease in reopened.leases(1)] == [None, None, ()]
    reopened.close()


def test_a_position_without_effects_is_written_down_now_and_then(store: Store, tmp_path: Path) -> None:
    store.apply([reply(1, scheduled(7))])
    store.apply([reply(2)])
    assert store.position == 2
    second = Store.open(tmp_path / "provisioner.db")
    assert second.position == 1
    second.close()
    store.apply([reply(MAX_LAZY_SEQS + 1)])
    second = Store.open(tmp_path / "provisioner.db")
    assert second.position == MAX_LAZY_SEQS + 1
    second.close()


def test_a_batch_is_taken_in_whole_or_not_at_all(store: Store) -> None:
    broken = msgspec.structs.replace(scheduled(8), quantity=2**70)
    with pytest.raises(OverflowError):
        store.apply([reply(1, scheduled(7)), reply(2, broken)])
    assert (store.position, store.leases(1)) == (0, [])
    store.apply([reply(1, scheduled(7))])
    assert [lease.lease_id for lease in store.leases(1)] == [7]


def test_ports_go_round_and_never_to_two_leases(store: Store) -> None:
    store.apply([reply(seq, scheduled(seq)) for seq in range(1, 7)])
    ports = range(100, 103)
    assert [store.take_port(lease_id, ports, ()) for lease_id in (1, 2, 1)] == [100, 101, 100]
    assert store.take_port(3, ports, {102}) is None
    assert store.take_port(3, ports, ()) == 102
    assert store.take_port(4, ports, ()) is None
    store.apply([reply(10, changed(2, LeaseState.ENDED))])
    store.apply([reply(11, changed(1, LeaseState.ENDED))])
    assert [store.take_port(lease_id, ports, ()) for lease_id in (4, 5, 6)] == [101, 100, None]
    assert store.take_port(2, ports, ()) is None
    assert {lease.lease_id: lease.port for lease in store.live_leases()} == {3: 102, 4: 101, 5: 100, 6: 0}


def test_a_port_that_another_process_holds_is_given_up(store: Store) -> None:
    store.apply([reply(1, scheduled(1)), reply(2, scheduled(2))])
    ports = range(100, 103)
    assert store.take_port(1, ports, ()) == 100
    assert store.take_port(1, ports, {100}) == 101
    assert store.take_port(2, ports, ()) == 102
    assert store.take_port(2, ports, {102}) == 100


def test_port_and_key_are_learnt_from_what_renters_were_told(store: Store) -> None:
    access = Access(host="127.0.0.1", port=4321, user="gpu", host_key="ssh-ed25519 A")
    events: list[Event] = [scheduled(7), changed(7, LeaseState.ACTIVE, access=msgspec.json.encode(access))]
    store.apply([reply(1, *events), reply(2, scheduled(8), changed(8, LeaseState.ACTIVE, access=b"another's"))])
    assert [(lease.port, lease.host_key) for lease in store.leases(1)] == [(4321, "ssh-ed25519 A"), (0, "")]
    assert store.take_port(7, range(100, 103), ()) == 4321


def test_a_wiped_lease_leaves_nothing(store: Store) -> None:
    store.apply([reply(1, scheduled(7)), reply(2, changed(7, LeaseState.FAILED))])
    store.apply([reply(3, changed(7, LeaseState.FAILED, wiped=True))])
    assert (store.leases(1), store.live_leases()) == ([], [])
