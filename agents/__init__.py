"""Learning, and everything a person runs: `python -m agents.train`, `python -m agents.evaluate`."""
