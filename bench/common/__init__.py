"""What every bench needs: its rows, its table, its JSON."""
