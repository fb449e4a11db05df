"""Episodes as a whole: their returns and lengths, and playing them without learning.

Evaluations on fixed seeds and boards of players belong here. Who plays is given from outside: neither a network nor a
person is known here, nor a run's folder.
"""
