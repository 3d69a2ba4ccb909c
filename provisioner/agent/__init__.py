"""The program that a Baron runs: devices, sandboxes and the way out to Monarch."""
