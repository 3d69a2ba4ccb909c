"""The composition root: configuration and the monarch command."""
