"""What `agents.doctor` finds before training, from the installation to a short play.

`findings` and `installation` need the standard library only: they must work where nothing else can be imported.
Whatever changes an environment, a run or an installation does not belong here.
"""
