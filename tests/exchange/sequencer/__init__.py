"""Tests of exchange sequencer."""
