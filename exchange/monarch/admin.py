"""`monarch admin bootstrap`: the exchange's first account and its key, straight into the registry.

It runs beside a Monarch or before the first one: the account is pending until a Monarch enters it in the engine.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from sqlalchemy import select

from engine.ids import format_id
from exchange.log.files import make_folder
from exchange.monarch.config import Config
from exchange.monarch.places import Places
from exchange.registry import accounts
from exchange.registry.database import open_database
from exchange.registry.rows import RegistryError, Scope
from exchange.registry.tables import ACCOUNTS


class AdminExists(Exception):
    """There is an administrator already; its key was shown once."""


class Made(NamedTuple):
    account: str
    key: str


def bootstrap(config: Config) -> Made:
    """Make the administrator's account with a key of every scope; AdminExists when there is one."""
    places = Places(config.home)
    make_folder(places.home)
    engine = open_database(places.registry)
    try:
        with engine.begin() as connection:
            fees_ppm = (config.fees.maker_ppm, config.fees.taker_ppm)
            account, key = accounts.create_admin(connection, tuple(Scope), fees_ppm, time.time_ns())
    except RegistryError as error:
        raise AdminExists(
            f"{error.wrong}; its key was shown once, and with it you can make others: POST /v1/keys"
        ) from error
    finally:
        engine.dispose()
    return Made(format_id("acc", account.account), key.token)


def has_accounts(config: Config) -> bool:
    """Whether the exchange, which has started once, has any account; without one nobody can do anything on it."""
    engine = open_database(Places(config.home).registry)
    try:
        with engine.connect() as connection:
            return connection.execute(select(ACCOUNTS.c.account).limit(1)).first() is not None
    finally:
        engine.dispose()
