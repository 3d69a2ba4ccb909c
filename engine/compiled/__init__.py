"""The compiled machine: the shard's records and tables as C, and the hot rooms of the law on them."""
