"""The rooms of the auditor: what it has seen, and the laws by their subject."""
