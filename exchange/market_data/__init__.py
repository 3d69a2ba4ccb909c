"""Public market data: books and trades as events make them, for WebSocket and REST."""
