"""Forwards' obligations: hours that are owed, with what is left in escrow and bond for them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table; before it nothing was owed but by leases."""
    key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    numbers = ("provider", "holder", "quantity", "start_h", "end_h", "price_ticks", "escrow_micros", "bond_micros")
    op.create_table(
        "obligations",
        sa.Column("obligation_id", key, autoincrement=False, nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in numbers),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("obligation_id", name="pk_obligations"),
    )
