"""MinAtar's games (Young and Tian 2019, arXiv 1903.03176): `--env envs.minatar:MinAtar/Breakout-v1`.

Five Atari games in ten by ten cells, one channel per kind of thing. Importing this registers them with gymnasium; it
needs the extra `minatar`, a package under the GPL. `v1` has only the actions that a game uses, `v0` the same six in
every game.
"""

from __future__ import annotations

from typing import Any

import gymnasium
from minatar.gym import BaseEnv, register_envs


class Game(BaseEnv):  # type: ignore[misc]
    """MinAtar's, whose reset also forgets the last action: a sticky first one would repeat that of another episode."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self.game.last_action = 0
        state: tuple[Any, dict[str, Any]] = super().reset(seed=seed, options=options)
        return state


register_envs()
for spec in gymnasium.registry.values():
    if spec.namespace == "MinAtar":
        spec.entry_point = f"{__name__}:{Game.__name__}"
