"""The REST routes, a file for each thing that they serve."""
