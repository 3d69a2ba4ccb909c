"""The ledger's schema, step by step; run by every opening of the ledger."""
