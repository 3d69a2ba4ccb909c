"""Tests of exchange read."""
