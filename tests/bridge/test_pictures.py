"""Pictures for a person: of which row they are, from where, and with what they are drawn."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge import Bridge, EnvSpec, Steps, StepType, UnsupportedError, UsageError, connect
from tests.renderers import drawing

PUSHER = {"codec": "one_joint", "render": True}
NEAR = {"distance": 3.0, "azimuth": 135.0, "elevation": -22.5}


def counter(**options: Any) -> EnvSpec:
    return EnvSpec("gym", "tests.environments:Counter-v0", {"render": True, **options})


def shown(bridge: Bridge, steps: Steps) -> list[int]:
    """The number in the picture of each row."""
    return [int(bridge.render(row)[0, 0, 0]) for row in range(len(steps))]


def test_a_last_row_shows_how_its_episode_ended() -> None:
    with connect(counter(env_kwargs={"length": 2})) as bridge:
        assert shown(bridge, bridge.reset()) == [0]
        assert shown(bridge, bridge.step([[0]])) == [1]
        steps = bridge.step([[0]])
        assert steps.step_type.tolist() == [StepType.LAST, StepType.FIRST]
        assert shown(bridge, steps) == [2, 0]
        assert bridge.render().max() == 0


def test_only_the_first_environment_draws() -> None:
    with connect(counter(num_envs=2, env_kwargs={"length": 1})) as bridge:
        bridge.reset()
        steps = bridge.step([[0], [0]])
        assert [int(bridge.render(row).max()) for row in (0, 2)] == [1, 0]
        for row in (1, 3):
            with pytest.raises(UnsupportedError, match=f"row {row} is not of the first environment"):
                bridge.render(row)
        with pytest.raises(UsageError, match="the latest Steps have 4 rows"):
            bridge.render(len(steps))


def test_in_a_pool_each_process_draws_its_own_row() -> None:
    with connect(counter(num_envs=2, workers=2, env_kwargs={"length": 0})) as bridge:  # lengths at random
        steps = bridge.reset(3)
        lone_ends = 0
        for _ in range(12):
            steps = bridge.step(np.zeros((2, 1), np.int32))
            assert shown(bridge, steps) == steps.obs[0][:, 2].tolist()
            lone_ends += len(steps) == 3
        assert lone_ends > 2


def test_a_camera_needs_a_picture() -> None:
    with pytest.raises(UsageError, match="option 'camera' needs render=True"):
        connect(counter(render=False, camera=NEAR))
    with pytest.raises(UsageError, match="Counter-v0 has no camera to choose, only MuJoCo environments have"):
        connect(counter(camera=NEAR))


@pytest.fixture
def no_screen(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("MUJOCO_GL", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a screen")
def test_without_egl_and_osmesa_there_is_a_sentence(no_screen: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "OpenGL.py").write_text("raise ImportError")  # both need PyOpenGL
    no_screen.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(UsageError) as caught:
        connect(EnvSpec("gym", "Pusher-v4", PUSHER))
    assert str(caught.value).startswith("Pusher-v4 cannot draw here: there is no screen, and neither EGL nor OSMesa")
    assert "\n" not in str(caught.value)
    assert "MUJOCO_GL" not in os.environ
    connect(EnvSpec("gym", "CartPole-v1", {"render": True})).close()  # needs neither


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a screen")
def test_without_egl_it_is_osmesa(no_screen: pytest.MonkeyPatch, tmp_path: Path) -> None:
    no_screen.setenv("__EGL_VENDOR_LIBRARY_DIRS", str(tmp_path))  # no drivers lie there
    try:
        connect(EnvSpec("gym", "Pusher-v4", PUSHER)).close()
    except UsageError as error:
        pytest.skip(str(error))
    assert os.environ["MUJOCO_GL"] == "osmesa"


def test_a_chosen_camera_sees_something_else() -> None:
    def picture(camera: Any) -> Any:
        with drawing(EnvSpec("gym", "Pusher-v4", {**PUSHER, "camera": camera})) as bridge:
            bridge.reset(0)
            return bridge.render()

    own, near = picture(None), picture(NEAR)
    assert own.shape == near.shape == (480, 480, 3)
    assert (own != near).any(axis=2).mean() > 0.1
    assert (picture({**NEAR, "azimuth": 45.0}) != near).any(axis=2).mean() > 0.1
    with pytest.raises(UsageError, match="there is no camera 'front': the model of Pusher-v4 has none with a name"):
        picture("front")
    with pytest.raises(UsageError, match="a camera has no 'height'; there are distance, azimuth, elevation"):
        picture({"height": 2})
