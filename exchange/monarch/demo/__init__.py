"""The demo: an exchange, two Barons and a market maker on this machine, for people who meet hourbook first."""
