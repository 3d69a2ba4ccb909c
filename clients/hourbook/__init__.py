"""Client of hourbook, the exchange for GPU-hours."""
