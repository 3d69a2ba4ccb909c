"""The registry's tables: accounts, keys, SSH keys, Barons with their GPUs, idempotency records. Never money.

Secrets are here as SHA-256 of 256 random bits: nothing to guess, so nothing to stretch. `is_open` is false from the
registry's own commit until the engine has confirmed the account or Baron.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

VERSION: Final = 1
"""Of the tables below. There is no earlier one to come from: the change that makes a second brings its migration."""

METADATA: Final = MetaData()

_ID: Final = BigInteger().with_variant(Integer, "sqlite")


def _numbered(name: str) -> Column[int]:
    return Column(name, _ID, primary_key=True, autoincrement=True)


VERSIONS: Final = Table("version", METADATA, Column("version", Integer, primary_key=True))

ACCOUNTS: Final = Table(
    "accounts",
    METADATA,
    _numbered("account"),
    Column("name", String, nullable=False),
    Column("maker_fee_ppm", Integer, nullable=False),
    Column("taker_fee_ppm", Integer, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

KEYS: Final = Table(
    "keys",
    METADATA,
    _numbered("key_id"),
    Column("account", ForeignKey("accounts.account"), nullable=False, index=True),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("label", String, nullable=False),
    Column("scopes", String, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
    Column("revoked_ns", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

SSH_KEYS: Final = Table(
    "ssh_keys",
    METADATA,
    _numbered("ssh_key_id"),
    Column("account", ForeignKey("accounts.account"), nullable=False),
    Column("name", String, nullable=False),
    Column("public_key", String, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    UniqueConstraint("account", "public_key"),
    sqlite_autoincrement=True,
)

BARONS: Final = Table(
    "barons",
    METADATA,
    _numbered("baron"),
    Column("provider", ForeignKey("accounts.account"), nullable=False, index=True),
    Column("sku", String, nullable=False),
    Column("region", String, nullable=False),
    Column("name", String, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("token_hash", LargeBinary, unique=True),
    Column("token_expires_ns", BigInteger, nullable=False),
    Column("credential_hash", LargeBinary, unique=True),
    sqlite_autoincrement=True,
)

GPUS: Final = Table(
    "gpus",
    METADATA,
    Column("uuid", String, primary_key=True),
    Column("baron", ForeignKey("barons.baron"), nullable=False, index=True),
)

IDEMPOTENCY: Final = Table(
    "idempotency",
    METADATA,
    _numbered("id"),
    Column("account", BigInteger, nullable=False),
    Column("route", String, nullable=False),
    Column("key_hash", LargeBinary, nullable=False),
    Column("body_hash", LargeBinary, nullable=False),
    Column("status", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("secret_of", String, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    UniqueConstraint("account", "route", "key_hash"),
    Index("idempotency_by_age", "created_ns"),
    sqlite_autoincrement=True,
)
