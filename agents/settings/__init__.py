"""What a person can choose: the one configuration, its presets, and how a command line becomes one.

Its names, bounds and defaults, and what a resumed run keeps, belong here; how an option is spelled belongs to `cli`,
what a value does to the package that is given it.
"""
