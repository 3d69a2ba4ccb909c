"""The ledger's tables: postings, the balances that they sum to, what each lease's charge depends on, the prices of those
whose price changed, forwards' obligations, closed months, outages, and the position.

The one description of them that queries use; migrations build the same, and a test compares the two. Postings are only
ever added, and no row is taken away. This room knows no event.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, Integer, MetaData, SmallInteger, Table

METADATA: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

# SQLite keeps rows in the order of an INTEGER key alone: positions and lease ids only grow, so both append.
KEY: Final = BigInteger().with_variant(Integer, "sqlite")

POSTINGS: Final = Table(
    "postings",
    METADATA,
    Column("position", KEY, primary_key=True, autoincrement=False),
    Column("ts_ns", BigInteger, nullable=False),
    Column("code", SmallInteger, nullable=False),
    Column("ref", BigInteger, nullable=False),
    Column("amount_micros", BigInteger, nullable=False),
    Column("debit_account", BigInteger, nullable=False),
    Column("debit_pot", SmallInteger, nullable=False),
    Column("credit_account", BigInteger, nullable=False),
    Column("credit_pot", SmallInteger, nullable=False),
    Index(None, "debit_account", "position"),
    Index(None, "credit_account", "position"),
)

BALANCES: Final = Table(
    "balances",
    METADATA,
    Column("account", BigInteger, primary_key=True, autoincrement=False),
    Column("pot", SmallInteger, primary_key=True, autoincrement=False),
    Column("amount_micros", BigInteger, nullable=False),
    # SQLite turns a sum beyond int64 into a float in silence; money never becomes one.
    CheckConstraint("typeof(amount_micros) = 'integer'", name="integer"),
)

LEASES: Final = Table(
    "leases",
    METADATA,
    Column("lease_id", KEY, primary_key=True, autoincrement=False),
    Column("renter", BigInteger, nullable=False),
    Column("provider", BigInteger, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("price_ticks", BigInteger, nullable=False),
    Column("start_ns", BigInteger, nullable=False),
    Column("term_end_ns", BigInteger, nullable=False),
    Column("minimum_s", BigInteger, nullable=False),
    Column("renter_fee_ppm", BigInteger, nullable=False),
    Column("provider_fee_ppm", BigInteger, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("reason", SmallInteger, nullable=False),
    Column("active_ns", BigInteger, nullable=False),
    Column("ended_ns", BigInteger, nullable=False),
    Column("charged_micros", BigInteger, nullable=False),
    Column("wiped", Boolean, nullable=False),
    Column("ends_ns", BigInteger, nullable=False, server_default="0"),
)

# Of leases whose price changed: from when on which price holds; the price before the first stands with its lease.
LEASE_PRICES: Final = Table(
    "lease_prices",
    METADATA,
    Column("lease_id", BigInteger, primary_key=True, autoincrement=False),
    Column("from_ns", BigInteger, primary_key=True, autoincrement=False),
    Column("price_ticks", BigInteger, nullable=False),
)

# Forwards' obligations as they were said last: what is over stays, with nothing left, for postings name it.
OBLIGATIONS: Final = Table(
    "obligations",
    METADATA,
    Column("obligation_id", KEY, primary_key=True, autoincrement=False),
    Column("provider", BigInteger, nullable=False),
    Column("holder", BigInteger, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("start_h", BigInteger, nullable=False),
    Column("end_h", BigInteger, nullable=False),
    Column("price_ticks", BigInteger, nullable=False),
    Column("escrow_micros", BigInteger, nullable=False),
    Column("bond_micros", BigInteger, nullable=False),
    Column("live", Boolean, nullable=False),
)

# The closed months of leases and obligations: what each charged, credited and paid out. A row is never changed.
BILLS: Final = Table(
    "bills",
    METADATA,
    Column("lease_id", BigInteger, primary_key=True, autoincrement=False),
    Column("month_end_ns", BigInteger, primary_key=True, autoincrement=False),
    Column("charge_micros", BigInteger, nullable=False),
    Column("run_ns", BigInteger, nullable=False),
    Column("out_ns", BigInteger, nullable=False),
    Column("credit_micros", BigInteger, nullable=False),
    Column("paid_micros", BigInteger, nullable=False),
    Column("bond_micros", BigInteger, nullable=False),
    Column("over", Boolean, nullable=False),
)

# When leases were out, as it was noted; what overlaps stands as it was said.
OUTAGES: Final = Table(
    "outages",
    METADATA,
    Column("lease_id", BigInteger, primary_key=True, autoincrement=False),
    Column("from_ns", BigInteger, primary_key=True, autoincrement=False),
    Column("to_ns", BigInteger, primary_key=True, autoincrement=False),
)

# One row, made with the table: an update that finds another sequence than the expected one changes nothing.
POSITION: Final = Table(
    "position",
    METADATA,
    Column("one", SmallInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("ts_ns", BigInteger, nullable=False),
    CheckConstraint("one = 1", name="single"),
)
