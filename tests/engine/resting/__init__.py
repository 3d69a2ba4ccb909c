"""The order book's test base, which every implementation passes, and the plain and the fast one against each other."""
