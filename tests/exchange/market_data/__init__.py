"""Tests of exchange market data."""
