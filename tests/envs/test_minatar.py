"""MinAtar's games through the bridge: planes of true and false are images."""

from __future__ import annotations

import importlib

import gymnasium
import numpy as np
import pytest

from bridge import EnvSpec, UsageError, connect
from bridge.contract import BridgeContract

CHANNELS = {"Asterix": 4, "Breakout": 4, "Freeway": 7, "Seaquest": 10, "SpaceInvaders": 6}


class TestBreakout(BridgeContract):
    env_spec = EnvSpec("gym", "envs.minatar:MinAtar/Breakout-v1", {"num_envs": 2}, seed=3)


@pytest.mark.parametrize("game", CHANNELS)
def test_a_game_is_an_image_of_its_planes(game: str) -> None:
    with connect(EnvSpec("gym", f"envs.minatar:MinAtar/{game}-v1")) as bridge:
        (image,) = bridge.spec.observations
        (rows,) = bridge.reset(seed=5).obs
    assert (image.kind, image.shape) == ("image", (CHANNELS[game], 10, 10))
    assert set(np.unique(rows)) == {0, 255}


def test_breakout_shows_its_paddle_and_its_wall() -> None:
    with connect(EnvSpec("gym", "envs.minatar:MinAtar/Breakout-v1")) as bridge:
        ((planes,),) = bridge.reset(seed=5).obs
    paddle, wall = np.argwhere(planes[0]), np.argwhere(planes[3])
    assert paddle.tolist() == [[9, 4]]
    assert wall.tolist() == [[row, column] for row in (1, 2, 3) for column in range(10)]


def test_a_game_cannot_be_put_back_into_a_state() -> None:
    """Its random numbers are its own: what looks the same after a restart would go on differently."""
    with connect(EnvSpec("gym", "envs.minatar:MinAtar/Breakout-v1")) as bridge:
        bridge.reset()
        assert bridge.snapshot() is None


def test_a_game_is_drawn_in_colours() -> None:
    with connect(EnvSpec("gym", "envs.minatar:MinAtar/Breakout-v1", {"render": True})) as bridge:
        ((planes,),) = bridge.reset(seed=5).obs
        picture = bridge.render()
    assert picture.shape == (10, 10, 3)
    brick, floor = picture[1, 0], picture[8, 0]
    assert (floor == 0).all()
    assert brick.max() > 100
    assert (picture[planes[3] > 0] == brick).all()


def test_without_the_module_it_is_named() -> None:
    with pytest.raises(UsageError, match=r"pip install minatar and ask for 'envs\.minatar:MinAtar/Asterix-v9'"):
        connect(EnvSpec("gym", "MinAtar/Asterix-v9"))


def test_a_seed_begins_the_same_episode_whatever_was_played_before() -> None:
    importlib.import_module("envs.minatar")
    fresh, used = gymnasium.make("MinAtar/Breakout-v1"), gymnasium.make("MinAtar/Breakout-v1")
    for seed in range(40):  # one in ten first actions is sticky
        used.reset(seed=1000 + seed)
        used.step(2)
        planes = []
        for environment in (fresh, used):
            environment.reset(seed=seed)
            planes.append(environment.step(0)[0])
            environment.unwrapped.game.last_action = 0  # type: ignore[attr-defined]
        np.testing.assert_array_equal(*planes)
