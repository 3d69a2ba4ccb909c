"""The public doors: REST and WebSocket."""
