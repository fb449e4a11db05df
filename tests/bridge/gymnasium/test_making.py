"""What can be opened, and the sentences where something cannot."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import mujoco
import pytest

from bridge import EnvSpec, UsageError, connect
from tests.bridge.gymnasium.specs import OWN, needs_mujoco_2


@pytest.mark.parametrize(
    ("target", "options", "sentence"),
    [
        ("CartPol-v1", {}, "there is no gymnasium environment 'CartPol-v1'; did you mean 'CartPole-v1'?"),
        ("CartPole-v9", {}, "did you mean 'CartPole-v1'?"),
        ("LunarLander-v2", {}, "did you mean 'LunarLander-v3'?"),
        ("Zyzzyva", {}, "expected an id such as 'CartPole-v1'"),
        ("what is this", {}, "there is no gymnasium environment 'what is this'"),
        ("ALE/Pong-v5", {}, "pip install \"gymnasium[atari]\" and ask for 'ale_py:ALE/Pong-v5'"),
        ("no_such_module:X-v0", {}, "the module of 'no_such_module:X-v0' cannot be imported (ModuleNotFoundError"),
        (f"{OWN}Countr-v0", {}, "did you mean 'Counter-v0'?"),
        (f"{OWN}NeedsPackage-v0", {"env_kwargs": {"kind": "extra"}}, 'not installed: run `pip install "gymnasium[box'),
        (f"{OWN}NeedsPackage-v0", {"env_kwargs": {"kind": "module"}}, "not installed: pip install box3d"),
        ("CartPole-v1", {"num_env": 2}, "unknown option 'num_env' of backend 'gym'; did you mean 'num_envs'?"),
        ("CartPole-v1", {"num_envs": 0}, "option 'num_envs' is 0, expected a whole number from 1"),
        ("CartPole-v1", {"frame_stack": 2.5}, "option 'frame_stack' is 2.5, expected a whole number."),
        ("CartPole-v1", {"metrics": "height"}, "option 'metrics' is 'height', expected a list of strings"),
        ("CartPole-v1", {"env_kwargs": {"gravty": 1}}, "unexpected keyword argument 'gravty'"),
        ("CartPole-v1", {"codec": "one_joint"}, "codec 'one_joint' makes continuous actions"),
    ],
)
def test_what_cannot_be_opened_is_said_in_one_sentence(target: str, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        connect(EnvSpec("gym", target, options))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pusher_v4_on_mujoco_3_names_pusher_v5(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mujoco, "__version__", "3.1.6")
    monkeypatch.setattr("bridge.gymnasium.refusals.importlib.metadata.version", lambda name: mujoco.__version__)
    with pytest.raises(UsageError) as caught:
        connect(EnvSpec("gym", "Pusher-v4"))
    for part in ("Pusher-v4 needs mujoco 2.3.7", "Python 3.11", "3.1.6", "#950", "Pusher-v5", "different task"):
        assert part in str(caught.value)


def test_a_module_that_needs_a_package_names_it(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_robots.py").write_text("import box3d.arms\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    with pytest.raises(UsageError) as caught:
        connect(EnvSpec("gym", "my_robots:Arm-v0"))
    needs = "my_robots:Arm-v0 needs the package 'box3d', which is not installed: pip install box3d."
    assert str(caught.value) == needs


@needs_mujoco_2
def test_a_version_out_of_date_is_a_choice() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        connect(EnvSpec("gym", "Pusher-v4")).close()


def test_a_module_in_the_working_directory_is_found(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_course_environments.py").write_text(
        "import gymnasium\n"
        "from gymnasium.envs.classic_control import CartPoleEnv\n"
        "gymnasium.register('MyCartPole-v0', entry_point=CartPoleEnv, max_episode_steps=9)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    with connect(EnvSpec("gym", "my_course_environments:MyCartPole-v0")) as bridge:
        assert bridge.spec.max_episode_steps == 9
