"""Benchmarks and simulations, each a command that prints a table and writes JSON.

A module directly in this folder is a bench: `python -m bench NAME` and `python -m bench.NAME` run its `main`. What benches
are made of stands in the folders below.
"""
