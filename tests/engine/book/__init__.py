"""The order book: both of its implementations against the rulebook, against each other, and against what can never be."""
