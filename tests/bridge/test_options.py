"""Options of an `EnvSpec`: a value of a wrong type is told in one sentence, before anything starts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bridge import EnvSpec, UsageError, connect
from bridge.gymnasium.options import GymnasiumOptions
from bridge.options import parse_options
from bridge.unity.options import UnityOptions

UNITY: list[tuple[str, Any, str]] = [
    ("env_args", 5, "is 5, expected a list of strings."),
    ("env_args", "--areas 9", "is '--areas 9', expected a list of strings."),
    ("env_args", ["--areas", 9], "is ['--areas', 9], expected a list of strings."),
    ("env_params", [("gridSize", 7)], "expected a mapping of names to numbers."),
    ("env_params", {"gridSize": "big"}, "is {'gridSize': 'big'}, expected a mapping of names to numbers."),
    ("env_params", {7: 7}, "expected a mapping of names to numbers."),
    ("time_scale", "fast", "is 'fast', expected a number or None."),
    ("no_graphics", "false", "is 'false', expected True or False."),
    ("base_port", "6005", "is '6005', expected a whole number or None."),
    ("base_port", 6005.0, "is 6005.0, expected a whole number or None."),
    ("behavior", 3, "is 3, expected a string or None."),
    ("levels", 3, "is 3, expected a list of numbers."),
    ("timeout", "soon", "is 'soon', expected a number."),
    ("timeout", True, "is True, expected a number."),
    ("num_envs", None, "is None, expected a whole number."),
]
GYM: list[tuple[str, Any, str]] = [
    ("env_kwargs", 5, "is 5, expected a mapping of names to values."),
    ("metrics", "height", "is 'height', expected a list of strings."),
    ("camera", 5, "is 5, expected a string, a mapping of names to numbers or None."),
    ("levels", np.float64(1.0), "expected a list of numbers."),
    ("timeout", None, "is None, expected a number."),
]


@pytest.mark.parametrize(
    ("backend", "target", "name", "value", "sentence"),
    [*(("unity", "simulated/GridWorld", *case) for case in UNITY), *(("gym", "CartPole-v1", *case) for case in GYM)],
)
def test_a_wrong_type_is_one_sentence(backend: str, target: str, name: str, value: object, sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        connect(EnvSpec(backend, target, {name: value}))
    assert str(refused.value).startswith(f"option {name!r} ")
    assert str(refused.value).endswith(sentence)


def test_options_that_are_no_mapping() -> None:
    with pytest.raises(UsageError, match=r"options of backend 'gym' are 5, expected a mapping of names to values\.$"):
        connect(EnvSpec("gym", "CartPole-v1", 5))  # type: ignore[arg-type]


def test_what_is_as_good_as_the_declared_type_is_taken() -> None:
    options = {"env_args": ["--areas", "9"], "levels": np.linspace(-1, 1, 3), "time_scale": 5, "timeout": np.float32(9)}
    assert parse_options(UnityOptions, options, "unity").codec_settings.levels == (-1.0, 0.0, 1.0)
    options = {"camera": {"distance": 3}, "metrics": ["height"], "env_kwargs": {"size": 3}, "render": True}
    assert parse_options(GymnasiumOptions, options, "gym").camera == {"distance": 3}
