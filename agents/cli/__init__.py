"""What the commands share: options made from the configuration, exit codes, messages, packages that may be missing.

A command itself is a module `agents.<name>`, or a package that it alone starts. Nothing that learns, plays or is kept
belongs here.
"""
