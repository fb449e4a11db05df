"""Pictures of episodes, with what is true of each, and the videos that they make.

The one package that reads and writes videos. Whose episodes they are is given from outside: it knows no network.
"""
