"""Tests of an agent."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.episodes.evaluation import Evaluation, evaluate
from agents.learning.agent import DQNAgent
from agents.learning.loop import collect_and_learn
from agents.settings.config import EvaluationConfig
from bridge import Bridge, EnvSpec, connect
from bridge.pool import Pool
from tests.agents.probes import Uneven
from tests.agents.scripted import FIRST, LAST, MID, Playback, Row, behavior, small_agent, small_config
from tests.launchers import Here

SPEC = behavior()
SETTINGS = EvaluationConfig(seed=7)


def probe_spec(name: str, num_envs: int = 1, **arguments: Any) -> EnvSpec:
    Uneven.forget()
    return EnvSpec("gym", f"tests.agents.probes:{name}-v0", {"num_envs": num_envs, "env_kwargs": arguments})


def open_probe(name: str, num_envs: int = 1, **arguments: Any) -> Bridge:
    return connect(probe_spec(name, num_envs, **arguments))


def test_the_first_episodes_to_start_count_not_the_first_to_end() -> None:
    """One environment plays episodes of 1 step, the other of 10: counted by their ends, all would be short."""
    with open_probe("Uneven", num_envs=2) as bridge:
        found = evaluate(bridge, small_agent(bridge.spec), SETTINGS, episodes=6)
    assert [result.length for result in found.results] == [1, 10, 1, 1, 1, 1]
    assert found.scores == [1.0, 10.0, 1.0, 1.0, 1.0, 1.0]
    assert found.mean == pytest.approx(2.5)


def test_the_first_to_start_also_count_when_they_belong_to_several_workers() -> None:
    """A worker's episode ids are all above those of the worker before it, whenever they start."""
    specs = [probe_spec("Uneven", lengths=lengths) for lengths in ((1,), (10,))]
    with Pool(specs[0], specs, Here) as pool:
        found = evaluate(pool, small_agent(pool.spec), SETTINGS, episodes=4)
    assert [result.length for result in found.results] == [1, 10, 1, 1]


def test_fewer_episodes_than_agents_are_the_first_agents() -> None:
    rows = [[Row(i, FIRST) for i in range(3)], [Row(2, LAST, 0, 5.0)], [Row(1, LAST, 0, 6.0), Row(0, LAST, 0, 7.0)]]
    found = evaluate(Playback(SPEC, *rows), small_agent(SPEC), SETTINGS, episodes=2)
    assert [(result.episode, result.score) for result in found.results] == [(0, 7.0), (1, 6.0)]


def test_it_resets_with_its_seed_before_anything_else() -> None:
    bridge = Playback(SPEC, [Row(0, FIRST)], [Row(0, LAST)])
    evaluate(bridge, small_agent(SPEC), SETTINGS, episodes=1)
    assert bridge.calls == ["reset(7)", "send", "receive"]


def test_steps_are_counted_instead_of_episodes_when_asked() -> None:
    """5,000 steps of test, as the GridWorld course does; what has not ended by then does not count."""
    with open_probe("Uneven", num_envs=2, lengths=(2, 5)) as bridge:
        found = evaluate(bridge, small_agent(bridge.spec), SETTINGS, episodes=1, steps=24)
    assert sum(map(sum, found.action_counts)) == 24
    assert sorted(result.length for result in found.results) == [2, 2, 2, 2, 2, 2, 5, 5]


def test_steps_that_end_no_episode_go_on_until_one_does() -> None:
    with open_probe("Uneven", lengths=(50,)) as bridge:
        found = evaluate(bridge, small_agent(bridge.spec), SETTINGS, episodes=1, steps=3)
    assert found.scores == [50.0]


def test_actions_are_counted_per_branch() -> None:
    spec = behavior(branches=(2, 3))
    mask = ([False, True], [False, False, True])
    rows = [[Row(0, FIRST, mask=mask)], *[[Row(0, MID, mask=mask)]] * 4, [Row(0, LAST)]]
    found = evaluate(Playback(spec, *rows), small_agent(spec), SETTINGS, episodes=1)
    assert found.action_counts == [[0, 5], [0, 0, 5]]


def test_it_is_greedy_at_epsilon_0_and_random_at_1() -> None:
    spec = behavior(branches=(50,))
    rows = [[Row(0, FIRST)], *[[Row(0, MID)]] * 300, [Row(0, LAST)]]
    greedy = evaluate(Playback(spec, *rows), small_agent(spec), SETTINGS, episodes=1)
    assert sorted(greedy.action_counts[0])[-1] == 301
    random = EvaluationConfig(seed=7, epsilon=1.0)
    assert max(evaluate(Playback(spec, *rows), small_agent(spec), random, episodes=1).action_counts[0]) < 30


def test_the_same_seed_gives_the_same_result_and_another_one_another() -> None:
    def result(seed: int) -> dict[str, Any]:
        with connect(EnvSpec("gym", "CartPole-v1", {"num_envs": 2})) as bridge:
            settings = EvaluationConfig(seed=seed, epsilon=0.5)
            return evaluate(bridge, small_agent(bridge.spec), settings, episodes=8).as_dict()

    assert result(1) == result(1)
    assert result(1)["scores"] != result(2)["scores"]


def test_a_bridge_that_is_used_again_gives_the_same_result_again() -> None:
    with connect(EnvSpec("gym", "CartPole-v1")) as bridge:
        agent = small_agent(bridge.spec)
        first, second = (evaluate(bridge, agent, SETTINGS, episodes=3).as_dict() for _ in range(2))
    assert first == second


def test_the_agent_is_not_changed() -> None:
    config = small_config(exploration={"hold": 5.0}, network={"normalize": True})
    with connect(EnvSpec("gym", "CartPole-v1")) as bridge:
        agent = DQNAgent(bridge.spec, config)
        for _ in zip(range(100), collect_and_learn(bridge, agent), strict=False):
            pass
        before = copy.deepcopy((agent.state_dict(), agent.weights(), agent.replay.state_dict()))
        evaluate(bridge, agent, EvaluationConfig(epsilon=0.5), episodes=3)
    state, weights, replay = agent.state_dict(), agent.weights(), agent.replay.state_dict()
    assert state == before[0]
    assert all((weights[name] == before[1][name]).all() for name in before[1])
    assert all((replay[name] == before[2][name]).all() for name in before[2])


def test_an_agent_that_cannot_learn_can_be_tested() -> None:
    with open_probe("RightAction") as bridge:
        agent = DQNAgent(bridge.spec, small_config(), learning=False)
        assert len(evaluate(bridge, agent, SETTINGS, episodes=3).results) == 3


def test_an_exchange_in_which_nobody_decides_is_no_error() -> None:
    rows = [[Row(0, FIRST)], [Row(0, LAST, 0, 1.0)], [], [Row(1, FIRST)], [Row(1, LAST, 0, 2.0)]]
    bridge = Playback(SPEC, *rows)
    found = evaluate(bridge, small_agent(SPEC), SETTINGS, episodes=2)
    assert found.scores == [1.0, 2.0]
    assert [len(actions) for actions in bridge.sent] == [1, 0, 0, 1]


def test_an_interruption_stops_between_exchanges() -> None:
    rows = [[Row(0, FIRST)], *[[Row(0, MID)]] * 5]
    bridge = Playback(SPEC, *rows)
    with pytest.raises(InterruptedError, match="interrupted"):
        evaluate(bridge, small_agent(SPEC), SETTINGS, episodes=1, should_stop=lambda: len(bridge.sent) == 3)
    assert bridge.calls[-2:] == ["send", "receive"]
    assert len(bridge.sent) == 3


def test_progress_is_the_number_of_ended_episodes() -> None:
    told: list[int] = []
    with open_probe("Uneven", lengths=(2,)) as bridge:
        evaluate(bridge, small_agent(bridge.spec), SETTINGS, episodes=3, progress=told.append)
    assert told == [0, 1, 1, 2, 2, 3]


def ended(*scores: float, **metrics: list[float]) -> Evaluation:
    """The evaluation of one-step episodes with these scores and last metrics."""
    rows: list[list[Row]] = [[Row(0, FIRST)]]
    for index, score in enumerate(scores):
        said = {name: values[index] for name, values in metrics.items()}
        rows.append([Row(index, LAST, 0, score, metrics=said), Row(index + 1, FIRST)])
    settings = EvaluationConfig(success_score=0.5)
    return evaluate(Playback(SPEC, *rows), small_agent(SPEC), settings, episodes=len(scores))


def test_success_is_what_the_environment_says() -> None:
    assert ended(1.0, 1.0, 1.0, 0.0, success=[0.0, 1.0, 0.0, 0.0]).success_rate == 0.25


def test_success_is_otherwise_a_score_of_at_least_the_one_given() -> None:
    assert ended(0.4, 0.5, 0.6, 2.0).success_rate == 0.75
    assert Evaluation(ended(1.0).results, [[1, 0]], 0.0, 7).success_rate is None


def test_metrics_of_successes_come_through_the_bridge() -> None:
    with connect(EnvSpec("gym", "tests.environments:Succeeds-v0")) as bridge:
        found = evaluate(bridge, small_agent(bridge.spec), SETTINGS, episodes=3)
    assert [result.metrics["success"] for result in found.results] == [1.0, 0.0, 1.0]
    assert found.success_rate == pytest.approx(2 / 3)


def test_what_the_environment_says_is_averaged_over_the_episodes_in_which_it_does(tmp_path: Path) -> None:
    nan = float("nan")
    found = ended(1.0, 2.0, 3.0, success=[1.0, 0.0, 0.0], height=[0.25, nan, 0.75], pushed=[1.0, 1.0, 0.0])
    assert found.metrics == {"height": 0.5, "pushed": pytest.approx(2 / 3)}
    assert found.lines()[1] == "height 0.5 (in 2 episodes), pushed 0.6667"
    path = tmp_path / "some.json"
    found.save(path)
    saved = json.loads(path.read_text(encoding="utf-8"))
    assert saved["metrics"] == found.metrics
    assert saved["episode_metrics"][1] == {"success": 0.0, "pushed": 1.0}
    assert ended(1.0).metrics == {}


def test_numbers_that_are_infinite_say_nothing() -> None:
    assert ended(1.0, 2.0, height=[float("inf"), 0.5]).metrics == {"height": 0.5}


def test_the_result_is_saved_as_json_and_shown_as_text(tmp_path: Path) -> None:
    found = ended(1.0, 0.0, 2.0, -1.0)
    path = tmp_path / "evaluations" / "some.json"
    found.save(path)
    saved = json.loads(path.read_text(encoding="utf-8"))
    assert saved == found.as_dict()
    assert (saved["mean"], saved["minimum"], saved["maximum"]) == (0.5, -1.0, 2.0)
    assert saved["deviation"] == pytest.approx(np.std([1.0, 0.0, 2.0, -1.0]))
    assert (saved["episodes"], saved["mean_length"], saved["success_rate"]) == (4, 1.0, 0.5)
    assert saved["scores"] == [1.0, 0.0, 2.0, -1.0]
    first, second = found.lines()
    assert first.startswith("mean 0.500, deviation 1.118, minimum -1.000, maximum 2.000, success 50.0% over 4 episodes")
    assert sum(found.action_counts[0]) == 4
    assert second == "actions taken: " + ", ".join(f"{i}: {n}" for i, n in enumerate(found.action_counts[0]))
    assert "over 1 episode (" in ended(1.0).lines()[0]
