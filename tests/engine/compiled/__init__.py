"""The compiled machine's parts, each held against the law's own."""
