"""What the tests of this backend open."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import pytest

from bridge import EnvSpec

OWN = "tests.environments:"
needs_mujoco_2 = pytest.mark.skipif(not version("mujoco").startswith("2."), reason="Pusher-v4 needs mujoco 2")


def own(name: str, seed: int = 0, **options: Any) -> EnvSpec:
    return EnvSpec("gym", f"{OWN}{name}-v0", options, seed)
