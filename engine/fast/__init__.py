"""The rooms of the fast book: C structs and inline functions, compiled into `engine.book_fast` and into who drives it."""
