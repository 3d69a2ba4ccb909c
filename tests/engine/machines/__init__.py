"""The compiled machine against the plain one, which is the law."""
