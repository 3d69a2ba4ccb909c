"""Tests of exchange log."""
