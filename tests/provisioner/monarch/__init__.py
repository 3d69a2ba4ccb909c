"""Tests of Monarch's side of leases."""
