"""The agent's small C programs and how they are built."""
