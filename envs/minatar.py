"""MinAtar's games (Young and Tian 2019, arXiv 1903.03176): `--env envs.minatar:MinAtar/Breakout-v1`.

Five Atari games in ten by ten cells, one channel per kind of thing. Importing this registers them with gymnasium; it
needs the extra `minatar`, a package under the GPL. `v1` has only the actions that a game uses, `v0` the same six in
every game.
"""

from __future__ import annotations

from minatar.gym import register_envs

register_envs()
