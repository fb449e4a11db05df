"""GridWorld of Unity ML-Agents as a process of its own: `python -m envs.gridworld --mlagents-port 5005`.

Imports the standard library, numpy, grpc, Pillow and `envs.simulated` only. `docs/gridworld.md` is its specification.
"""
