"""What the commands ask of the operating system: files that are there whole or not at all, locks, and signals.

Knows nothing else of `agents` and no environment. What a file means belongs to the package that writes it.
"""
