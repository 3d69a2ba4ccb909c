"""The WebSocket doors: trade and market."""
