"""Monarch's side of leases: desired state, the gate and the protocol with agents."""
