"""The compiled machine: the same law on records that C reads, one room after another."""
