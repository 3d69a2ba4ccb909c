"""Accounts, keys, SSH keys and Barons in their public form. A secret stands only in the answer that makes it."""

from __future__ import annotations

from collections.abc import Iterable

from engine import messages
from engine.ids import format_id
from engine.kinds import Presence, edge_name
from engine.messages import Reply
from engine.units import RATING_NEW
from exchange.gateway.ssh_keys import fingerprint
from exchange.gateway.views.text import View, features_out, format_time, format_time_if
from exchange.read.interface import BaronRow
from exchange.registry import rows


class Key(View, frozen=True):
    id: str
    label: str
    scopes: list[str]
    created: str
    expires: str | None


class NewKey(Key, frozen=True):
    """`token` is shown here and never again."""

    token: str


class KeyList(View, frozen=True):
    keys: list[Key]


class Account(View, frozen=True):
    """Who you are: the account, and the key that asked."""

    id: str
    name: str
    maker_fee_ppm: int
    taker_fee_ppm: int
    key_id: str
    scopes: list[str]


class NewAccount(View, frozen=True):
    seq: int
    id: str
    name: str
    key: NewKey


class SshKey(View, frozen=True):
    id: str
    name: str
    public_key: str
    fingerprint: str
    created: str


class SshKeyList(View, frozen=True):
    ssh_keys: list[SshKey]


class Baron(View, frozen=True):
    """`enrolled`: an agent has its credential; `online`: that agent is connected now; `simulated`: no real GPUs.

    `presence`: `reporting`; `quiet` (silent for a minute) and `lost` (for ten): nothing is sold on it. `draining`: its provider
    has taken it out of the market.
    """

    id: str
    name: str
    sku: str
    region: str
    enrolled: bool
    online: bool
    last_heartbeat: str | None
    verified_gpus: int
    leased_gpus: int
    simulated: bool
    features: list[str]
    rating: int
    presence: str
    draining: bool
    created: str
    seq: int


class BaronFeatures(View, frozen=True):
    """The features of a Baron, whole."""

    seq: int
    baron: str
    features: list[str]


class BaronRating(View, frozen=True):
    """The rating of a Baron, from `seq` on."""

    seq: int
    baron: str
    rating: int


class BaronPresence(View, frozen=True):
    """Whether a Baron is heard of, and whether its provider has taken it out of the market, from `seq` on."""

    seq: int
    baron: str
    presence: str
    draining: bool


class NewBaron(View, frozen=True):
    """`enrolment_token` is for `baron enroll`, once, until `expires`; it is shown here and never again."""

    seq: int
    id: str
    name: str
    sku: str
    region: str
    enrolment_token: str
    expires: str


class Barons(View, frozen=True):
    seq: int
    barons: list[Baron]
    next_cursor: str | None


class Gone(View, frozen=True):
    """What was deleted or revoked."""

    id: str


def key(row: rows.KeyRow) -> Key:
    return Key(
        id=format_id("key", row.key_id),
        label=row.label,
        scopes=scope_names(row.scopes),
        created=format_time(row.created_ns),
        expires=format_time_if(row.expires_ns),
    )


def new_key(made: rows.NewKey) -> NewKey:
    shown = key(made.key)
    return NewKey(
        id=shown.id,
        label=shown.label,
        scopes=shown.scopes,
        created=shown.created,
        expires=shown.expires,
        token=made.token,
    )


def account(row: rows.AccountRow, principal: rows.Principal) -> Account:
    return Account(
        id=format_id("acc", row.account),
        name=row.name,
        maker_fee_ppm=row.maker_fee_ppm,
        taker_fee_ppm=row.taker_fee_ppm,
        key_id=format_id("key", principal.key_id),
        scopes=scope_names(principal.scopes),
    )


def ssh_key(row: rows.SshKeyRow) -> SshKey:
    return SshKey(
        id=format_id("ssh", row.ssh_key_id),
        name=row.name,
        public_key=row.public_key,
        fingerprint=fingerprint(row.public_key),
        created=format_time(row.created_ns),
    )


def baron(entry: rows.BaronEntry, row: BaronRow | None, heartbeat_ns: int | None) -> Baron:
    """A Baron of the registry, with what the engine says of its capacity (None: nothing yet)."""
    return Baron(
        id=format_id("brn", entry.baron),
        name=entry.name,
        sku=entry.sku,
        region=entry.region,
        enrolled=entry.enrolled,
        online=heartbeat_ns is not None,
        last_heartbeat=format_time_if(heartbeat_ns or 0),
        verified_gpus=row.verified_gpus if row else 0,
        leased_gpus=row.leased_gpus if row else 0,
        simulated=row.simulated if row else False,
        features=features_out(row.features) if row else [],
        rating=row.rating if row else RATING_NEW,
        presence=edge_name(row.presence if row else Presence.REPORTING),
        draining=row.draining if row else False,
        created=format_time(entry.created_ns),
        seq=row.seq if row else 0,
    )


def baron_presence(reply: Reply) -> BaronPresence:
    """What a command said of a Baron's presence."""
    said = next(event for event in reply.events if isinstance(event, messages.BaronPresence))
    return BaronPresence(
        seq=reply.seq,
        baron=format_id("brn", said.baron),
        presence=edge_name(said.presence),
        draining=said.draining,
    )


def new_baron(made: rows.NewBaron, seq: int) -> NewBaron:
    return NewBaron(
        seq=seq,
        id=format_id("brn", made.baron.baron),
        name=made.baron.name,
        sku=made.baron.sku,
        region=made.baron.region,
        enrolment_token=made.enrolment_token,
        expires=format_time(made.expires_ns),
    )


def scope_names(scopes: Iterable[rows.Scope]) -> list[str]:
    return sorted(scope.value for scope in scopes)
