"""The ledger as it began: postings, balances, leases, position.

There is no way back: the book of record is never unmade, only restored from a copy of its file.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the four tables, and the position at zero."""
    op.create_table(
        "postings",
        sa.Column("position", _KEY, autoincrement=False, nullable=False),
        sa.Column("ts_ns", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.SmallInteger(), nullable=False),
        sa.Column("ref", sa.BigInteger(), nullable=False),
        sa.Column("amount_micros", sa.BigInteger(), nullable=False),
        sa.Column("debit_account", sa.BigInteger(), nullable=False),
        sa.Column("debit_pot", sa.SmallInteger(), nullable=False),
        sa.Column("credit_account", sa.BigInteger(), nullable=False),
        sa.Column("credit_pot", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_postings"),
    )
    op.create_index("ix_postings_debit_account_position", "postings", ["debit_account", "position"])
    op.create_index("ix_postings_credit_account_position", "postings", ["credit_account", "position"])
    op.create_table(
        "balances",
        sa.Column("account", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("pot", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("amount_micros", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("typeof(amount_micros) = 'integer'", name="ck_balances_integer"),
        sa.PrimaryKeyConstraint("account", "pot", name="pk_balances"),
    )
    op.create_table(
        "leases",
        sa.Column("lease_id", _KEY, autoincrement=False, nullable=False),
        sa.Column("renter", sa.BigInteger(), nullable=False),
        sa.Column("provider", sa.BigInteger(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("price_ticks", sa.BigInteger(), nullable=False),
        sa.Column("start_ns", sa.BigInteger(), nullable=False),
        sa.Column("term_end_ns", sa.BigInteger(), nullable=False),
        sa.Column("minimum_s", sa.BigInteger(), nullable=False),
        sa.Column("renter_fee_ppm", sa.BigInteger(), nullable=False),
        sa.Column("provider_fee_ppm", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("reason", sa.SmallInteger(), nullable=False),
        sa.Column("active_ns", sa.BigInteger(), nullable=False),
        sa.Column("ended_ns", sa.BigInteger(), nullable=False),
        sa.Column("charged_micros", sa.BigInteger(), nullable=False),
        sa.Column("wiped", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("lease_id", name="pk_leases"),
    )
    position = op.create_table(
        "position",
        sa.Column("one", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("ts_ns", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("one = 1", name="ck_position_single"),
        sa.PrimaryKeyConstraint("one", name="pk_position"),
    )
    op.bulk_insert(position, [{"one": 1, "seq": 0, "ts_ns": 0}])
