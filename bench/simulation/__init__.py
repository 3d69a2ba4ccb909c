"""Markets in simulated time: real demand fed through the real machine and the real ledger."""
