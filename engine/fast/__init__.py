"""The rooms of the fast book: C structs and inline functions, compiled into who drives it."""
