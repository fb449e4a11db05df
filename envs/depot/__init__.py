"""A depot with carriers and cranes as a simulated Unity build: `python -m envs.depot --mlagents-port 5005`.

It has what GridWorld has not: two behaviours, several branches, continuous actions, agents that come and go. Imports
the standard library, numpy, grpc, Pillow and `envs.simulated` only. `docs/depot.md` is its specification.
"""
