"""The public form of everything that the gateway answers with."""
