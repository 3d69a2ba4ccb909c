"""What Alembic runs to migrate: the connection comes from the ledger's opening, and nothing is read from a file.

It must never open a database of its own: the opening holds the one connection that may write.
"""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from settlement.tables import METADATA

connection = context.config.attributes["connection"]
if not isinstance(connection, Connection):
    raise TypeError("migrations run on the ledger's own connection; open the ledger instead")
context.configure(connection=connection, target_metadata=METADATA)
context.run_migrations()
