"""The SSH public keys of accounts. Functions of a connection inside a transaction.

Which lines are good, and whether all together fit a lease's delivery, the caller has checked.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, insert, select

from exchange.registry.rows import MAX_SSH_KEYS, RegistryError, SshKeyRow
from exchange.registry.tables import SSH_KEYS


def add_ssh_key(connection: Connection, account: int, name: str, public_key: str, now_ns: int) -> SshKeyRow:
    """Store a checked line; RegistryError ssh_key_exists or too_many_ssh_keys."""
    stored = ssh_keys(connection, account)
    if any(row.public_key == public_key for row in stored):
        raise RegistryError("ssh_key_exists", "That key is stored already")
    if len(stored) >= MAX_SSH_KEYS:
        raise RegistryError("too_many_ssh_keys", f"The account has {MAX_SSH_KEYS} SSH keys")
    values = {"account": account, "name": name, "public_key": public_key, "created_ns": now_ns}
    connection.execute(insert(SSH_KEYS).values(**values))
    ssh_key_id = connection.execute(select(func.max(SSH_KEYS.c.ssh_key_id))).scalar_one()
    return SshKeyRow(ssh_key_id=ssh_key_id, account=account, name=name, public_key=public_key, created_ns=now_ns)


def ssh_keys(connection: Connection, account: int) -> list[SshKeyRow]:
    """The account's keys, oldest first."""
    query = select(SSH_KEYS).where(SSH_KEYS.c.account == account).order_by(SSH_KEYS.c.ssh_key_id)
    return [SshKeyRow(**row) for row in connection.execute(query).mappings()]


def delete_ssh_key(connection: Connection, account: int, ssh_key_id: int) -> None:
    """Forget a key; leases that were let with it keep it. RegistryError unknown_ssh_key."""
    which = (SSH_KEYS.c.ssh_key_id == ssh_key_id) & (SSH_KEYS.c.account == account)
    if connection.execute(delete(SSH_KEYS).where(which)).rowcount == 0:
        raise RegistryError("unknown_ssh_key", "The account has no such SSH key")
