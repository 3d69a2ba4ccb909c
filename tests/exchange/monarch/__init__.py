"""Tests of exchange monarch."""
