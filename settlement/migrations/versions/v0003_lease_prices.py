"""The prices of leases whose price changed, each from its time on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table; no lease of before has another price than its own."""
    op.create_table(
        "lease_prices",
        sa.Column("lease_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("from_ns", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("price_ticks", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("lease_id", "from_ns", name="pk_lease_prices"),
    )
