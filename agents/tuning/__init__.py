"""The search for settings: what is searched, the study that chooses and keeps the trials, the training of each one.

`space` knows settings only, `study` and `journal` are the one door to Optuna, which is an extra. How an agent is
trained belongs to `training`.
"""
