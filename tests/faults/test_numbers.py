"""NaN, infinity and absurd numbers from an environment: what is refused, what is cut, what training makes of it."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlagents_envs.communicator_objects.observation_pb2 import ObservationProto

from agents.learning.agent import DQNAgent
from agents.learning.loop import Exchanged, collect_and_learn
from agents.storage.checkpoint import save_checkpoint
from bridge import EnvSpec, connect
from bridge.base import LARGEST, Bridge
from bridge.errors import DataError
from bridge.types import Steps
from tests.agents.scripted import everything, small_agent
from tests.bridge.unity.scripted import brain, info, report, vector, write_player

NOT_FINITE = [float("nan"), float("inf"), float("-inf")]
ABSURD = 1e30


def picture(*values: float) -> ObservationProto:
    """An uncompressed gray image that begins with these values."""
    message = ObservationProto(shape=[1, 20, 20], name="Camera", dimension_properties=[1, 2, 2])
    message.float_data.data.extend([*values, *[0.5] * (400 - len(values))])
    return message


def unity(folder: Path, where: str, value: float) -> Bridge:
    """A build whose agent 8 reports `value` in the third exchange after the reset."""
    good = [info(7, vector(1, 2), picture()), info(8, vector(3, 4), picture())]
    bad = {
        "vector": info(8, vector(3, value), picture()),
        "image": info(8, vector(3, 4), picture(0, value)),
        "reward": info(8, vector(3, 4), picture(), reward=value),
        "group reward": info(8, vector(3, 4), picture(), group_reward=value),
        "last vector": info(8, vector(value, 4), picture(), done=True),
    }
    scene = [report({"Hunter": good}, [brain("Hunter", 3)]), *[report({"Hunter": good})] * 2]
    scene += [report({"Hunter": [good[0], bad[where]]}), *[report({"Hunter": good})] * 30]
    return connect(EnvSpec("unity", str(write_player(folder, scene)), {"timeout": 10.0}))


def gym(where: str, value: float, workers: int = 0) -> Bridge:
    """The same of environment 1 of the two of each process."""
    options = {"num_envs": 2 * max(workers, 1), "workers": workers}
    kwargs = {"where": where, "value": value, "step": 3}
    return connect(EnvSpec("gym", "tests.players.garbage_gym:Garbage-v0", {**options, "env_kwargs": kwargs}))


UNITY_PLACES = {
    "vector": "observation 'numbers'",
    "image": "sensor 'Camera'",
    "reward": "reward",
    "group reward": "reward",
    "last vector": "observation 'numbers'",
}
GYM_PLACES = {"numbers": "observation 'numbers'", "picture": "observation 'picture'", "reward": "reward"}


def played(bridge: Bridge, exchanges: int = 5) -> list[Steps]:
    """The rows of each exchange; asserts that all numbers in them are finite."""
    found = [bridge.reset()]
    for _ in range(exchanges):
        found.append(bridge.step(np.zeros((int(found[-1].wants_action.sum()), 1), np.int32)))
        assert np.isfinite(found[-1].obs[0]).all()
        assert np.isfinite(found[-1].reward).all()
    return found


@pytest.mark.parametrize("value", NOT_FINITE)
@pytest.mark.parametrize("where", UNITY_PLACES)
def test_unity_numbers_that_are_not_finite_are_refused_and_named(tmp_path: Path, where: str, value: float) -> None:
    with unity(tmp_path, where, value) as bridge, pytest.raises(DataError) as caught:
        played(bridge)
    for name in ("Hunter", "episode 1 (worker 0)", UNITY_PLACES[where], "exchange 3 after the reset"):
        assert name in str(caught.value)
    assert "agent 8" in str(caught.value) or where != "image"


@pytest.mark.parametrize("value", [*NOT_FINITE, 1e300])  # the last one is infinite in float32
@pytest.mark.parametrize("where", GYM_PLACES)
def test_gymnasium_numbers_that_are_not_finite_are_refused_and_named(where: str, value: float) -> None:
    with gym(where, value) as bridge, pytest.raises(DataError) as caught:
        played(bridge)
    for name in ("Garbage-v0", "episode 1 (worker 0", GYM_PLACES[where], "exchange 3 after the reset"):
        assert name in str(caught.value)


def test_an_observation_that_is_missing_is_named() -> None:
    with gym("missing", 0.0) as bridge, pytest.raises(DataError) as caught:
        played(bridge)
    assert "episode 1 (worker 0, environment 1)" in str(caught.value)
    assert "observation 'numbers' is missing, but its space declares it" in str(caught.value)


@pytest.mark.parametrize("where", GYM_PLACES)
def test_a_worker_s_numbers_that_are_not_finite_are_refused_and_named(where: str) -> None:
    with gym(where, float("nan"), workers=2) as bridge, pytest.raises(DataError) as caught:
        played(bridge)
    for name in ("Garbage-v0", "episode ", "(worker ", GYM_PLACES[where], "exchange 3 after the reset"):
        assert name in str(caught.value)


@pytest.mark.parametrize("where", ["vector", "reward", "image"])
def test_absurd_numbers_of_unity_are_cut_or_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    with unity(tmp_path, where, -ABSURD) as bridge, caplog.at_level(logging.WARNING, "bridge"):
        if where == "image":
            with pytest.raises(DataError, match=r"values -1e\+30 to 0.5 came, expected 0 to 1"):
                played(bridge)
            return
        found = played(bridge)
    values = [steps.obs[0] if where == "vector" else steps.reward for steps in found]
    assert min(value.min() for value in values) == -LARGEST
    (record,) = caplog.records
    assert "has numbers up to 1e+30, cut to 1.7e+07" in record.getMessage()


@pytest.mark.parametrize("where", ["numbers", "reward", "picture"])
def test_absurd_numbers_of_gymnasium_are_cut_or_refused(where: str) -> None:
    with gym(where, ABSURD) as bridge:
        if where == "picture":
            with pytest.raises(DataError, match=r"values from 0 to 1e\+30, declared 0 to 1"):
                played(bridge)
            return
        found = played(bridge)
    values = [steps.obs[0] if where == "numbers" else steps.reward for steps in found]
    assert max(value.max() for value in values) == LARGEST


def numbers_in(value: object) -> Iterator[np.ndarray[Any, Any]]:
    """Every array, tensor and number in nested containers."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for part in value:
            yield from numbers_in(part)
    elif hasattr(value, "detach"):
        yield value.detach().cpu().numpy()
    elif isinstance(value, int | float | np.ndarray | np.number) and not isinstance(value, bool):
        yield np.asarray(value, np.float64)


def assert_all_finite(agent: DQNAgent, folder: Path) -> None:
    """Replay, weights, optimiser and checkpoint."""
    batch = everything(agent.replay)
    for values in numbers_in([vars(batch), agent.tensors()]):
        assert np.isfinite(values).all()
    saved = save_checkpoint(folder, agent, "step", {})
    for file in saved.glob("*.json"):
        for number in numbers_in(json.loads(file.read_text())):
            assert np.isfinite(number).all()


VECTOR_ONLY = {"observations": ["numbers"]}
LEARNERS: dict[str, dict[str, Any]] = {
    "huber": {"learner": {"loss": "huber"}},
    "mse, gradients not clipped": {"learner": {"loss": "mse", "max_grad_norm": 0}},
    "rmsprop": {"learner": {"loss": "mse", "optimizer": "rmsprop", "max_grad_norm": 0}},
    "normalised": {"network": {"normalize": True, "observations": ["numbers"]}},
}


@pytest.mark.parametrize("where", ["numbers", "reward"])
@pytest.mark.parametrize("learner", LEARNERS)
def test_an_agent_that_trains_on_absurd_numbers_stays_finite(tmp_path: Path, learner: str, where: str) -> None:
    options = {"num_envs": 2, "env_kwargs": {"where": where, "value": ABSURD, "step": 3, "every": True}}
    with connect(EnvSpec("gym", "tests.players.garbage_gym:Garbage-v0", options)) as bridge:
        agent = small_agent(bridge.spec, **{"network": VECTOR_ONLY, **LEARNERS[learner]})
        events = (event for event in collect_and_learn(bridge, agent) if isinstance(event, Exchanged))
        for _ in itertools.islice(events, 200):
            pass
        assert agent.updates > 300
        assert_all_finite(agent, tmp_path)


@pytest.mark.parametrize("value", NOT_FINITE)
def test_what_a_training_learned_before_a_bad_number_stays_finite(tmp_path: Path, value: float) -> None:
    with unity(tmp_path / "player", "vector", value) as bridge:
        agent = small_agent(bridge.spec, network=VECTOR_ONLY)
        with pytest.raises(DataError):
            for _ in collect_and_learn(bridge, agent):
                pass
    assert len(agent.replay) > 0
    assert_all_finite(agent, tmp_path)
