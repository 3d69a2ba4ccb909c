"""The durable log: one interface, append a batch and read from a position."""
