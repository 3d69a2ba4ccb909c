"""A whole exchange on this machine, and a sandbox without one: what `bench.provision` compares."""
