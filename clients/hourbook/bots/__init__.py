"""Example bots: programs that trade through the public API like anybody else."""
