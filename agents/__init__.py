"""Learning, and everything a person runs: `python -m agents.train`, `python -m agents.evaluate`.

The modules of this folder are the commands, which nothing imports. A package may import those above it in this list:

- `system`, `settings`: files and signals; the configuration.
- `episodes`, `filming`, `learning`: what is played, what is seen of it, what is learned from it.
- `storage`, `metrics`, `training`: a run's files, its curves, and the run itself.
- `cli`: what the commands share. `checks`, `playing`, `exporting`, `reporting`, `tuning`: what one or
  two of them need alone.
"""
