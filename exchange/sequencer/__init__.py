"""The one writer: stamps commands, makes them durable, applies them, releases what came of them."""
