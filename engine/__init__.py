"""The deterministic core of the exchange: books, holds, leases and metering, pure functions of its commands."""
