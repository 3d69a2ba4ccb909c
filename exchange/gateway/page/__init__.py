"""The exchange's web page: static files that use the public API alone, and the room that serves them."""
