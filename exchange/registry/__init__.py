"""Accounts, keys, SSH keys, Barons and idempotency records, in SQL; never money."""
