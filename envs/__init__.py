"""Environments of our own: simulated Unity builds and gymnasium wrappers."""
