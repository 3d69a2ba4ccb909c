"""Tests of exchange gateway ws."""
