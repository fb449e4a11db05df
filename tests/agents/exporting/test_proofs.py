"""What the comparison with the agent finds that no look at the file alone can."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from agents.exporting import loader
from agents.exporting.loader import Expected
from agents.exporting.proofs import Comparer, decisions_proof, score_proof
from agents.learning.agent import DQNAgent
from bridge import Bridge, CodecSettings, EnvSpec, NativeActions, connect
from bridge.actions import make_codec
from tests.agents.exporting.files import GRIDWORLD, NUMBERS, config_of, model_of, random_rows, spec_of, untrained


def move_q(model: ModelProto, by: npt.ArrayLike) -> None:
    """Other Q-values than the agent's."""
    (head,) = [node for node in model.graph.node if node.output == ["q_values"]]
    (bias,) = [item for item in model.graph.initializer if item.name == head.input[2]]
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.asarray(by, np.float32), bias.name))


class Environment:
    """A CartPole and an agent on it that nobody trained."""

    def __init__(self) -> None:
        self.bridge: Bridge = connect(EnvSpec("gym", "CartPole-v1"))
        self.agent: DQNAgent = untrained(self.bridge.spec, config_of(network={"normalize": True}))
        self.model: ModelProto = model_of(self.agent, self.bridge.codec)


@pytest.fixture(scope="module")
def cartpole() -> Environment:
    return Environment()


def test_an_honest_file_is_proved(cartpole: Environment) -> None:
    proof = decisions_proof(cartpole.model, cartpole.agent, cartpole.bridge, 500)
    assert proof.passed, proof.found
    assert proof.found.startswith("500 of 500 recorded decisions equal; largest difference of a Q-value ")
    settings = config_of(evaluation={"episodes": 10, "epsilon": 0.5}).evaluation
    proof, evaluation = score_proof(cartpole.model, cartpole.agent, cartpole.bridge, settings)
    assert proof.passed
    assert "10 of 10 with the very same return" in proof.found
    assert evaluation.epsilon == 0


def test_other_weights_are_found(cartpole: Environment) -> None:
    other = untrained(cartpole.agent.spec, cartpole.agent.config, seed=1)
    proof = decisions_proof(model_of(other, cartpole.bridge.codec), cartpole.agent, cartpole.bridge, 200)
    assert not proof.passed
    assert "the first that is not: the agent takes [" in proof.found


def test_a_q_value_that_is_a_little_off_is_found(cartpole: Environment) -> None:
    """Although it chooses nearly always alike."""
    faulty = ModelProto()
    faulty.CopyFrom(cartpole.model)
    move_q(faulty, 1e-3)
    proof = decisions_proof(faulty, cartpole.agent, cartpole.bridge, 100)
    assert not proof.passed
    assert proof.found.startswith("100 of 100 recorded decisions equal; largest difference")


def test_a_worse_score_is_found(cartpole: Environment) -> None:
    """The file always pushes left."""
    faulty = ModelProto()
    faulty.CopyFrom(cartpole.model)
    move_q(faulty, [1e4, 0])
    settings = config_of(evaluation={"episodes": 5}).evaluation
    agent = BestOfTwo(cartpole.agent)
    proof, evaluation = score_proof(faulty, agent, cartpole.bridge, settings)
    assert not proof.passed
    assert evaluation.mean < 12


class BestOfTwo(DQNAgent):
    """Balances the pole without having learned it."""

    def __init__(self, agent: DQNAgent) -> None:
        self.__dict__.update(agent.__dict__)

    def choose(self, rows, epsilon, rng):  # type: ignore[no-untyped-def]
        position, velocity, angle, speed = rows.obs[0].T
        return (angle + 0.5 * speed + 0.05 * velocity + 0.01 * position > 0).astype(np.int32)[:, None]


def without_offset(model: ModelProto) -> None:
    """The agent's action is put out as if it were the build's."""
    model.graph.initializer.append(numpy_helper.from_array(np.float32(1), "one"))
    for name in ("discrete_actions", "deterministic_discrete_actions"):
        (node,) = [node for node in model.graph.node if node.output == [name]]
        node.output[0] = f"{name}_of_build"
        model.graph.node.extend(
            [
                helper.make_node("Cast", [f"{name}_of_build"], [f"{name}_float"], to=TensorProto.FLOAT),
                helper.make_node("Sub", [f"{name}_float", "one"], [f"{name}_less"]),
                helper.make_node("Cast", [f"{name}_less"], [name], to=TensorProto.INT64),
            ]
        )


def test_a_missing_offset_is_named() -> None:
    spec = spec_of(GRIDWORLD, NUMBERS)
    agent = untrained(spec, config_of())
    model = model_of(agent, GRIDWORLD)
    without_offset(model)
    assert loader.check(model, Expected.of(spec, GRIDWORLD.native))[0].startswith("'discrete_actions' holds")
    comparer = Comparer(model, agent, GRIDWORLD)
    comparer.compare(random_rows(spec, GRIDWORLD, 100))
    proof = comparer.result.proof()
    assert not proof.passed
    assert "the file is off by -1 each time, as without the action offset" in proof.found


def test_ties_that_go_the_other_way_are_no_fault() -> None:
    """Two actions that are worth the same: the agent takes the first, the file the second."""
    codec = make_codec(NativeActions(branches=(3,)), CodecSettings())
    spec = spec_of(codec, NUMBERS)
    agent = untrained(spec, config_of())
    head = agent.network.advantage
    head.weight.data[1], head.bias.data[1] = head.weight.data[0], head.bias.data[0]
    model = model_of(agent, codec)
    move_q(model, [0, 2e-5, 0])
    comparer = Comparer(model, agent, codec)
    rows = random_rows(spec, codec, 200)
    rows.mask[0][:] = True
    comparer.compare(rows)
    assert comparer.result.ties > 20
    assert comparer.result.proof().passed
    move_q(model, [0, 2e-3, 0])
    comparer = Comparer(model, agent, codec)
    comparer.compare(rows)
    assert not comparer.result.proof().passed
