"""Tests of provisioner."""
