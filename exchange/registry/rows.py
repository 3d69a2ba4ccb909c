"""What the registry answers with: frozen rows of accounts, keys, SSH keys, Barons and idempotency records.

Never money, and never a secret but the one in the answer that first shows it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

MAX_SSH_KEYS: Final = 16
"""Of an account; also of one rental."""


class Scope(StrEnum):
    """What a key may do (rulebook §1)."""

    READ = "read"
    TRADE = "trade"
    RENT = "rent"
    PROVIDE = "provide"
    ADMIN = "admin"


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asking: the account of a valid key, and what that key may do. expires_ns 0: never."""

    account: int
    key_id: int
    scopes: frozenset[Scope]
    expires_ns: int = 0


class AccountRow(msgspec.Struct, frozen=True, kw_only=True):
    """`open`: the engine has confirmed it."""

    account: int
    name: str
    maker_fee_ppm: int
    taker_fee_ppm: int
    open: bool
    created_ns: int


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its token. expires_ns, revoked_ns: 0 for never."""

    key_id: int
    account: int
    label: str
    scopes: frozenset[Scope]
    created_ns: int
    expires_ns: int
    revoked_ns: int


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key just made; `token` is said here and never again."""

    key: KeyRow
    token: str


class SshKeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """`public_key` is the checked line `type base64`, without comment."""

    ssh_key_id: int
    account: int
    name: str
    public_key: str
    created_ns: int


class BaronIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """A Baron as agents are told apart by; the shape that the provisioner's directory wants."""

    baron: int
    provider: int
    sku: str
    region: str


class HeldGpu(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU that is another Baron's, and whose that Baron is; the shape that the provisioner's directory wants."""

    uuid: str
    baron: int
    provider: int


class BaronEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A Baron as its provider registered it. `enrolled`: an agent holds its credential."""

    baron: int
    provider: int
    sku: str
    region: str
    name: str
    open: bool
    enrolled: bool
    created_ns: int


class NewBaron(msgspec.Struct, frozen=True, kw_only=True):
    """A Baron just made; `enrolment_token` is said here and never again."""

    baron: BaronEntry
    enrolment_token: str
    expires_ns: int


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """The place of an idempotent request: whose, which route, which Idempotency-Key (hashed), with which body (hashed)."""

    account: int
    route: str
    key_hash: bytes
    body_hash: bytes


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """The first answer of a slot. `secret_of` is the id of what was made with a secret: then there is no body to repeat."""

    body_hash: bytes
    status: int
    body: bytes
    secret_of: str


class RegistryError(Exception):
    """The registry refuses; `code` is in the gateway's table of errors, `wrong` says what was wrong."""

    def __init__(self, code: str, wrong: str) -> None:
        super().__init__(wrong)
        self.code = code
        self.wrong = wrong
