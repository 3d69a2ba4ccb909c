"""Tests of exchange registry."""
