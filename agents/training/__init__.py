"""A run from its start to its test: what is saved, tested and told when, and when it ends.

It puts the other packages together. How an agent learns belongs to `learning`, how a file is written to `storage`.
"""
