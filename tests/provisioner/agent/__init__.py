"""Tests of the Baron's agent."""
