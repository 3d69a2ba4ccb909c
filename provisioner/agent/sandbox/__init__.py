"""A lease as a sandbox with a real sshd inside."""
