"""Tests of exchange gateway."""
