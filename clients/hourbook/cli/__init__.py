"""The `hourbook` command: what people type to rent, trade, provide and look at their money."""
