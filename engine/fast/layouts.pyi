"""Types of what C sees of the records."""

def layouts() -> dict[str, tuple[int, dict[str, int]]]:
    """Size of each C record, and where each of its fields begins."""

def codes() -> dict[tuple[str, str], int]:
    """The numbers that the rooms use, by the name of the enumeration and the member that they stand for."""
