"""Play by hand: a screen, keys and what they mean, and the episodes of a person as demonstrations for an agent.

Whatever needs somebody at the keyboard belongs here; episodes that anybody plays belong to `episodes`.
"""
