"""The file computes what the network does, whatever the network is made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch

from agents.exporting import names
from agents.exporting.loader import Expected, check
from agents.exporting.model import native_columns, with_q_values
from agents.exporting.policy import OnnxPolicy
from agents.learning.exploration import greedy
from bridge import ActionCodec, CodecSettings, NativeActions, ObsSpec
from bridge.actions import make_codec
from tests.agents.exporting.files import (
    GOAL,
    GRIDWORLD,
    IMAGE,
    NUMBERS,
    SMALL_IMAGE,
    config_of,
    model_of,
    random_rows,
    spec_of,
    untrained,
)

SEVERAL = make_codec(NativeActions(branches=(3, 2, 4)), CodecSettings())
SEVERAL_OFFSET = make_codec(NativeActions(branches=(3, 4, 5)), CodecSettings("offset", 1))
LEVELS = make_codec(NativeActions(low=(-1.0,) * 3, high=(1.0,) * 3), CodecSettings("levels", levels=(-1, -0.3, 0, 1)))
ONE_LEVEL = make_codec(NativeActions(low=(-1.0,), high=(1.0,)), CodecSettings("levels", levels=(-1, 0, 0.5)))
ONE_JOINT = make_codec(NativeActions(low=(-2.0,) * 3, high=(2.0,) * 3), CodecSettings("one_joint"))

EVERYTHING = (IMAGE, GOAL, SMALL_IMAGE, NUMBERS)
CASES: dict[str, tuple[ActionCodec, tuple[ObsSpec, ...], dict[str, Any]]] = {
    "vector": (SEVERAL, (NUMBERS,), {}),
    "no hidden layer": (GRIDWORLD, (NUMBERS,), {"hidden": []}),
    "norm": (SEVERAL, EVERYTHING, {"normalize": True}),
    "gate": (GRIDWORLD, EVERYTHING, {"goal": "gate", "normalize": True}),
    "product": (GRIDWORLD, EVERYTHING, {"goal": "product", "downsample": 2, "encoder": "small", "normalize": True}),
    "several goals": (GRIDWORLD, (GOAL, IMAGE, ObsSpec("second", "vector", (3,), is_goal=True)), {"goal": "product"}),
    "keypoints": (GRIDWORLD, EVERYTHING, {"goal": "product", "downsample": 2, "encoder": "keypoints"}),
    "minatar": (GRIDWORLD, (ObsSpec("planes", "image", (4, 10, 10)),), {"encoder": "minatar"}),
    "deep": (SEVERAL_OFFSET, (IMAGE,), {"encoder": "nature", "hidden": [16, 12], "activation": "elu"}),
    "layer norm": (LEVELS, (NUMBERS, GOAL), {"layer_norm": True, "activation": "elu", "hidden": [16, 8]}),
    "dueling": (SEVERAL, (NUMBERS,), {"dueling": True}),
    "dueling with offset": (SEVERAL_OFFSET, (NUMBERS,), {"dueling": True}),
    "one dimension": (ONE_LEVEL, (NUMBERS,), {"dueling": True, "normalize": True}),
    "one joint": (ONE_JOINT, (NUMBERS, IMAGE), {"downsample": 1}),
    "unused": (GRIDWORLD, EVERYTHING, {"observations": ["map"], "downsample": 2, "encoder": "small"}),
    "unused image": (LEVELS, EVERYTHING, {"observations": ["numbers", "goal"]}),
    "odd size thinned": (SEVERAL, (ObsSpec("odd", "image", (2, 61, 47)),), {"downsample": 3, "encoder": "small"}),
}


@pytest.mark.parametrize("plain", [False, True], ids=["unity", "plain"])
@pytest.mark.parametrize("case", CASES)
def test_the_file_is_the_network(case: str, plain: bool) -> None:
    codec, observations, network = CASES[case]
    spec = spec_of(codec, *observations)
    network = {"hidden": [16], **network}
    agent = untrained(spec, config_of(network=network))
    model = model_of(agent, codec, plain=plain)
    onnx.checker.check_model(model, full_check=True)
    rows = random_rows(spec, codec, 200)
    q = agent.q_values(rows)
    policy = OnnxPolicy(with_q_values(model), spec, codec)
    (found,) = policy.run(rows, names.Q_VALUES)
    columns = native_columns(codec) if codec.native.is_discrete else np.arange(agent.layout.total)
    np.testing.assert_allclose(found[:, columns], q, rtol=1e-4, atol=2e-5)
    chosen = greedy(q, agent.layout.flat_mask(rows.mask), agent.layout)
    assert all(len(np.unique(chosen[:, branch])) > 1 for branch in range(chosen.shape[1]))
    for output in policy.run(rows, *policy.outputs, rng=np.random.default_rng(0)):
        np.testing.assert_array_equal(output, codec.encode(chosen))
    np.testing.assert_array_equal(policy.choose(rows, 0.0, np.random.default_rng(0)), chosen)
    if not plain:
        assert check(model, Expected.of(spec, codec.native)) == []


def test_a_tiny_variance_is_computed_as_torch_does() -> None:
    """An element that hardly ever changed: any other order of operations rounds differently."""
    spec = spec_of(SEVERAL, NUMBERS)
    agent = untrained(spec, config_of(network={"normalize": True}))
    with torch.no_grad():
        agent.network.get_buffer("norms.0.var").zero_()
        agent.network.get_buffer("norms.0.mean").fill_(2.5)
    rows = random_rows(spec, SEVERAL, 50)
    rows.obs[0][:] = 2.5 + 1e-4 * rows.obs[0]
    (found,) = OnnxPolicy(with_q_values(model_of(agent, SEVERAL)), spec, SEVERAL).run(rows, names.Q_VALUES)
    np.testing.assert_allclose(found, agent.q_values(rows), rtol=1e-3, atol=1e-3)


def test_pictures_are_rounded_as_the_bridge_does() -> None:
    """A camera in Unity may give any number from 0 to 1; the bridge gave the agent whole ones up to 255."""
    spec = spec_of(GRIDWORLD, SMALL_IMAGE)
    agent = untrained(spec, config_of(network={"normalize": True}))
    session = OnnxPolicy(with_q_values(model_of(agent, GRIDWORLD)), spec, GRIDWORLD)._session
    rows = random_rows(spec, GRIDWORLD, 10)
    between = rows.obs[0] / 255 + np.random.default_rng(0).uniform(-0.49, 0.49, rows.obs[0].shape) / 255
    feeds = {"obs_0": between.clip(0, 1).astype(np.float32), names.MASKS: np.ones((10, 5), np.float32)}
    (found,) = session.run([names.Q_VALUES], feeds)
    np.testing.assert_allclose(found[:, 1:], agent.q_values(rows), rtol=1e-4, atol=2e-5)


def test_where_only_an_action_that_the_agent_lacks_is_allowed_it_is_taken() -> None:
    spec = spec_of(GRIDWORLD, NUMBERS)
    model = model_of(untrained(spec, config_of()), GRIDWORLD)
    policy = OnnxPolicy(model, spec, GRIDWORLD)
    feeds = {"obs_0": np.ones((1, 5), np.float32), names.MASKS: np.array([[1, 0, 0, 0, 0]], np.float32)}
    assert [array.tolist() for array in policy._session.run(list(policy.outputs), feeds)] == [[[0]], [[0]]]


def test_a_plain_file_needs_no_masks() -> None:
    spec = spec_of(SEVERAL, NUMBERS)
    agent = untrained(spec, config_of())
    policy = OnnxPolicy(model_of(agent, SEVERAL, plain=True), spec, SEVERAL)
    rows = random_rows(spec, SEVERAL, 20)
    (found,) = policy._session.run([names.ACTION], {"numbers": rows.obs[0]})
    everything = np.ones((20, 9), np.bool_)
    np.testing.assert_array_equal(found, greedy(agent.q_values(rows), everything, agent.layout))


def test_nobody_deciding_is_no_decision() -> None:
    spec = spec_of(SEVERAL, NUMBERS)
    policy = OnnxPolicy(model_of(untrained(spec, config_of()), SEVERAL), spec, SEVERAL)
    assert policy.choose(random_rows(spec, SEVERAL, 0), 0.0, np.random.default_rng(0)).shape == (0, 3)
