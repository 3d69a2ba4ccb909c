"""The ledger and its proofs, a consumer of the event log."""
