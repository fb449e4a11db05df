"""Any bridge as a gymnasium environment, for learners that are not ours. `docs/door.md` is the guide.

    envs = BridgeVectorEnv(EnvSpec("unity", "GridWorld"))

The adapter for Stable-Baselines3 is in `bridge.door.sb3`, which needs the extra `sb3`.
"""

from bridge.door.single import BridgeEnv
from bridge.door.vector import BridgeVectorEnv

__all__ = ["BridgeEnv", "BridgeVectorEnv"]
