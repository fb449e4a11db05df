"""Observation spaces: what becomes of each, and which are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from bridge import EnvSpec, UnsupportedError, connect
from bridge.contract import play
from tests.bridge.gymnasium.specs import own


def test_parts_become_observations() -> None:
    with connect(own("Parts")) as bridge:
        specs = {item.name: item for item in bridge.spec.observations}
        steps = bridge.reset()
    values = {item.name: array[0] for item, array in zip(bridge.spec.observations, steps.obs, strict=True)}
    assert {name: (item.kind, item.shape) for name, item in specs.items()} == {
        "camera": ("image", (1, 5, 6)),
        "desired_goal": ("vector", (3,)),
        "flags": ("vector", (3,)),
        "observation": ("vector", (6,)),
        "pair.0": ("vector", (5,)),
        "pair.1": ("vector", (1,)),
        "room": ("vector", (4,)),
    }
    assert [name for name, item in specs.items() if item.is_goal] == ["desired_goal"]
    np.testing.assert_array_equal(values["camera"], np.arange(30).reshape(1, 5, 6))
    np.testing.assert_array_equal(values["observation"], (np.arange(6) / 6).astype(np.float32))
    assert values["room"].tolist() == [1, 0, 0, 0]
    assert values["flags"].tolist() == [1, 0, 1]
    assert values["pair.0"].tolist() == [0, 1, 0, 0, 1]
    assert values["pair.1"].tolist() == [7]


def test_a_lone_observation_has_a_name() -> None:
    with connect(EnvSpec("gym", "FrozenLake-v1")) as bridge:
        assert bridge.spec.observations[0].name == "observation"
        assert bridge.spec.observations[0].shape == (16,)
        assert bridge.reset().obs[0].sum() == 1


def test_stacked_vectors_are_oldest_first() -> None:
    with connect(own("Counter", frame_stack=3)) as bridge:
        record = play(bridge, 3)
    assert [steps.obs[0][0, ::4].tolist() for steps in record] == [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3]]


def test_stacked_images_become_channels_oldest_first() -> None:
    with connect(own("Noise", frame_stack=2, env_kwargs={"shape": (8, 6, 3)})) as bridge:
        assert bridge.spec.observations[0].shape == (6, 8, 6)
        record = play(bridge, 1)
        np.testing.assert_array_equal(record[1].obs[0][0, :3], record[0].obs[0][0, 3:])
        assert (record[1].obs[0][0, 3:] != record[0].obs[0][0, 3:]).any()


@pytest.mark.parametrize("kind", ["Text", "Graph", "Sequence", "empty", "float image"])
def test_other_observations_are_refused(kind: str) -> None:
    space: spaces.Space[Any] = {
        "Text": spaces.Text(5),
        "Graph": spaces.Graph(spaces.Discrete(2), None),
        "Sequence": spaces.Sequence(spaces.Discrete(2)),
        "empty": spaces.Box(0, 1, (0,)),
        "float image": spaces.Box(-1, 1, (8, 8, 3)),
    }[kind]
    with pytest.raises(UnsupportedError, match=r"observation .*; there are Box|is empty|wrap the environment"):
        connect(own("Spaces", env_kwargs={"observation": space}))
