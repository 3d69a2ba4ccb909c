"""The WebSocket doors: trading and market data."""
