"""Deep Q-learning over any bridge, and tabular Q-learning to compare it with.

What changes an agent by experience, up to the loop of collecting and learning, whose events the others follow, belongs
here. Files, curves, films and command lines do not.
"""
