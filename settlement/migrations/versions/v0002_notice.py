"""When a lease's notice is over; leases of before have none."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, at 0 for what is there."""
    op.add_column("leases", sa.Column("ends_ns", sa.BigInteger(), server_default="0", nullable=False))
