"""The closed months of leases: what each charged, credited and paid out."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table; no month of before was closed."""
    op.create_table(
        "bills",
        sa.Column("lease_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("month_end_ns", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("charge_micros", sa.BigInteger(), nullable=False),
        sa.Column("run_ns", sa.BigInteger(), nullable=False),
        sa.Column("out_ns", sa.BigInteger(), nullable=False),
        sa.Column("credit_micros", sa.BigInteger(), nullable=False),
        sa.Column("paid_micros", sa.BigInteger(), nullable=False),
        sa.Column("bond_micros", sa.BigInteger(), nullable=False),
        sa.Column("over", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("lease_id", "month_end_ns", name="pk_bills"),
    )
