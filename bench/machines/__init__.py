"""What `python -m bench machine` is made of: flows of commands for a whole shard."""
