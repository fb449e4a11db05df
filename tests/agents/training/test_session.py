"""A run from start to end: what trains, what tests, what is kept, and what goes on when it is resumed."""

from __future__ import annotations

import json
import signal
from functools import partial
from io import BytesIO
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents import train
from agents.episodes.players import RandomPlayer, episodes
from agents.learning.agent import DQNAgent
from agents.playing.demonstrations import save_demonstrations
from agents.settings.config import Config
from agents.settings.files import load_config
from agents.storage.checkpoint import find_checkpoint, read_about, restore_checkpoint, restore_weights, save_checkpoint
from agents.storage.history import read_history
from agents.storage.runs import RunFolder
from agents.system.interrupts import Interrupts
from agents.training.session import checkpoint_to_test
from agents.training.trainer import Training
from bridge import EnvSpec, connect
from tests.agents.commands import COUNTER, EVALUATE, SMALL, TRAIN, call
from tests.agents.metrics.test_metrics import points, read_curves
from tests.agents.saving import state_of
from tests.agents.witness import Witness

WITNESS = ("--env", "tests.agents.witness:Witness-v0", *SMALL)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    Witness.forget()
    return tmp_path / "runs"


def play(results: Path, *words: str, interrupts: Interrupts | None = None) -> RunFolder:
    """Trains and tests `runs/it`."""
    given = ["--run-id", "it", "--results-dir", str(results), *words]
    assert train.main(given, interrupts or Interrupts("test")) == (interrupts.exit_code if interrupts else 0)
    return RunFolder(results / "it")


def restored(run: RunFolder, config: Config | None = None) -> DQNAgent:
    """The agent of a run's latest checkpoint."""
    config = config or load_config(run.config)
    with connect(config.environment.spec(0)) as bridge:
        agent = DQNAgent(bridge.spec, config)
    restore_checkpoint(find_checkpoint(run.checkpoints, "latest"), agent)
    return agent


def result_of(run: RunFolder) -> dict[str, Any]:
    (file,) = run.evaluations.iterdir()
    result: dict[str, Any] = json.loads(file.read_text())
    return result


# ---- what a run leaves


def test_a_run_leaves_its_config_curves_checkpoint_and_test(results: Path) -> None:
    run = play(results, *WITNESS, "--steps", "200", "--seed", "3", "--learner.gamma", "0.5")
    names = sorted(path.name for path in run.path.iterdir())
    assert [name for name in names if not name.startswith("events.out.tfevents.")] == [
        ".lock",
        "checkpoints",
        "config.yaml",
        "evaluations",
        "metrics.jsonl",
        "run.json",
    ]
    config = load_config(run.config)
    assert (config.preset, config.learner.gamma, config.training.seed) == ("vector", 0.5, 3)
    assert config.environment.env == "tests.agents.witness:Witness-v0"
    assert restored(run).steps == 200
    # The first one is written at once: from then on a run that is killed can be resumed.
    assert sorted(path.name for path in run.checkpoints.iterdir()) == ["step-000000001", "step-000000200"]
    result = result_of(run)
    assert (result["run_id"], result["checkpoint"], result["episodes"]) == ("it", "step-000000200", 3)
    assert result["scores"] == [5.0] * 3


def test_the_curves_are_over_agent_steps_of_all_environments(results: Path) -> None:
    """50 steps make ten episodes, however many environments there are."""
    run = play(results, *WITNESS, "--steps", "200", "--num-envs", "2")
    assert points(run.path, "run/score") == [(50, 5.0), (100, 5.0), (150, 5.0), (200, 5.0)]
    assert points(run.path, "run/episodes") == [(50, 10.0), (100, 20.0), (150, 30.0), (200, 40.0)]
    assert [step for step, _ in points(run.path, "model/loss")] == [50, 100, 150, 200]
    epsilons = [value for _, value in points(run.path, "model/epsilon")]
    agent = restored(run)
    assert agent.steps == 200
    assert epsilons[-1] == pytest.approx(agent.exploration_level)
    assert all(later < earlier < 1 for earlier, later in pairwise(epsilons))
    assert "model/text_summary" in read_curves(run.path).Tags()["tensors"]


@pytest.mark.parametrize(
    ("words", "steps", "episodes"),
    [
        (["--steps", "33"], 33, 6),
        (["--episodes", "7"], 35, 7),
        (["--steps", "33", "--episodes", "5"], 25, 5),
        (["--steps", "20", "--episodes", "5"], 20, 4),
    ],
)
def test_a_run_ends_at_its_limit(words: list[str], steps: int, episodes: int, results: Path) -> None:
    agent = restored(play(results, *WITNESS, *words))
    assert (agent.steps, agent.episodes) == (steps, episodes)


def test_checkpoints_are_written_as_often_as_wanted(results: Path) -> None:
    Witness.watched = results / "it" / "checkpoints"
    run = play(results, *WITNESS, "--steps", "6")
    assert Witness.made[0].seen == [[], *[["step-000000001"]] * 5]
    assert find_checkpoint(run.checkpoints, "latest").name == "step-000000006"
    play(results, *WITNESS, "--steps", "6", "--force", "--training.checkpoint-seconds", "1e-9")
    names = [f"step-{steps:09d}" for steps in range(1, 6)]
    assert Witness.made[2].seen == [[], names[:1], *map(list, pairwise(names))]
    play(results, *WITNESS, "--steps", "12", "--force", "--training.checkpoint-episodes", "1")
    assert Witness.made[4].seen[6:] == [
        *[["step-000000001", "step-000000005"]] * 4,
        *[["step-000000005", "step-000000010"]] * 2,
    ]
    words = ("--training.checkpoint-seconds", "1e-9", "--training.keep-checkpoints", "3")
    run = play(results, *WITNESS, "--steps", "6", "--force", *words)
    assert sorted(path.name for path in run.checkpoints.iterdir()) == [f"step-{steps:09d}" for steps in (4, 5, 6)]


# ---- who plays where


def test_test_evaluations_and_training_have_environments_of_their_own(results: Path) -> None:
    """The seed's were one."""
    words = ("--evaluation.every", "50", "--evaluation.every-episodes", "4")
    play(results, *WITNESS, *words, "--steps", "150")
    training, evaluating, testing = Witness.made
    assert training.steps == 150
    assert evaluating.steps == 3 * 20
    assert testing.steps == 15
    # No episode of one begins as an episode of another; all evaluations play the same ones.
    begins = [set(witness.begins) for witness in (training, evaluating, testing)]
    assert len(set.union(*begins)) == sum(map(len, begins))
    assert len(begins[0]) == 31
    assert evaluating.begins[:5] == evaluating.begins[5:10] == evaluating.begins[10:15]
    # When the test began, the others were gone.
    assert (training.closed, evaluating.closed, testing.closed) == (2, 2, 3)


def test_environments_of_tests_have_no_more_workers_than_environments(tmp_path: Path) -> None:
    words = ("--num-envs", "2", "--workers", "2", "--evaluation.every", "20", "--evaluation.every-episodes", "1")
    run = play(tmp_path, *COUNTER, *SMALL, *words, "--steps", "30")
    assert [line["steps"] for line in read_history(run.path, "evaluation")] == [20]
    assert result_of(run)["episodes"] == 3


def test_seeds_decide_where_episodes_begin(results: Path) -> None:
    play(results, *WITNESS, "--steps", "40")
    play(results, *WITNESS, "--steps", "40", "--force")
    play(results, *WITNESS, "--steps", "40", "--force", "--seed", "1")
    play(results, *WITNESS, "--steps", "40", "--force", "--evaluation.seed", "77")
    begins = [witness.begins for witness in Witness.made]
    assert begins[0] == begins[2] != begins[4]
    assert begins[1] == begins[3] == begins[5] != begins[7]


def test_nobody_is_tested_on_training_s_episodes(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = call(TRAIN, [*WITNESS, "--seed", "1000000", "--results-dir", results], capsys)
    assert result.code == 2
    assert "seed 1000000 is that of training: test on another one" in result.error
    assert all(witness.closed for witness in Witness.made)


def test_the_seed_of_evaluations_is_apart(results: Path) -> None:
    """Training on the very seed of the evaluations would still not see their episodes."""
    play(results, *WITNESS, "--steps", "30", "--seed", "1000001", "--evaluation.every", "10")
    training, evaluating, testing = Witness.made
    assert not set(training.begins) & set(evaluating.begins)
    assert not set(training.begins) & set(testing.begins)


def test_evaluating_leaves_training_as_it_was(results: Path) -> None:
    """No random number, no transition, no step of it counts."""
    plain = restored(play(results, *WITNESS, "--steps", "120"))
    words = ("--evaluation.every", "10", "--evaluation.every-episodes", "2")
    watched = restored(play(results, *WITNESS, *words, "--steps", "120", "--force"))
    assert state_of(plain) == state_of(watched)


# ---- the best policy


def test_the_best_evaluation_is_kept_and_tested(results: Path) -> None:
    words = ("--evaluation.every", "20", "--evaluation.every-episodes", "1", "--evaluation.policy", "best")
    run = play(results, *WITNESS, *words, "--steps", "90")
    best = find_checkpoint(run.checkpoints, "best")
    assert best.name == "best-000000080"  # all are equally good: the latest has learned from more
    assert read_about(best) == {"score": 5.0}
    assert result_of(run)["checkpoint"] == best.name
    assert [step for step, _ in points(run.path, "eval/score")] == [20, 40, 60, 80]
    # Tested with those weights, not with the final ones.
    agents = [restored(run), restored(run)]
    restore_weights(best, agents[1])
    weights = [agent.weights()["advantage.weight"] for agent in agents]
    assert not torch.equal(*weights)


def test_a_run_shorter_than_its_first_evaluation_is_tested_all_the_same(results: Path) -> None:
    words = ("--evaluation.every", "1000", "--evaluation.policy", "best")
    run = play(results, *WITNESS, *words, "--steps", "30")
    assert result_of(run)["checkpoint"] == "step-000000030"


def test_what_is_tested(tmp_path: Path) -> None:
    run = play(tmp_path, *WITNESS, "--steps", "30", "--evaluation.every", "20")
    config = load_config(run.config)
    best = config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"policy": "best"})})
    assert checkpoint_to_test(config, run).name == "step-000000030"
    assert checkpoint_to_test(best, run).name == "best-000000020"


# ---- going on


def test_a_resumed_run_begins_where_it_stopped(results: Path) -> None:
    run = play(results, *WITNESS, "--steps", "137")
    before = state_of(restored(run))
    config = load_config(run.config)
    longer = config.model_copy(update={"training": config.training.model_copy(update={"steps": 1000})})
    with connect(config.environment.spec(0)) as bridge:
        agent = DQNAgent(bridge.spec, longer)
        training = Training(longer, bridge, agent, run, find_checkpoint(run.checkpoints, "latest"))
    assert state_of(training.agent) == before
    assert training.agent.steps == 137
    assert load_config(run.config).training.steps == 1000


def test_a_resumed_run_goes_on(results: Path) -> None:
    """Steps, epsilon and curves go on; the seed's began again at every resume."""
    words = ("--exploration.duration", "1000", "--exploration.end", "0")
    play(results, *WITNESS, *words, "--steps", "200")
    run = play(results, "--resume", "--steps", "400")
    run = play(results, "--resume", "--steps", "500")
    scores = points(run.path, "run/score")
    assert [step for step, _ in scores] == [50, 100, 150, 200, 250, 300, 350, 400, 450, 500]
    assert [round(value, 4) for _, value in points(run.path, "model/epsilon")] == [
        *(0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5)
    ]
    assert [value for _, value in points(run.path, "run/episodes")] == [10.0 * n for n in range(1, 11)]
    updates = [value for _, value in points(run.path, "model/updates")]
    assert all(later > earlier for earlier, later in pairwise(updates))
    agent = restored(run)
    assert (agent.steps, agent.episodes) == (500, 100)
    assert len(agent.replay) > 400  # what was seen before the stops is still there
    assert len(read_curves(run.path).Tensors("model/text_summary")) == 1


def test_a_resumed_run_keeps_the_rhythm_of_its_evaluations(results: Path) -> None:
    words = ("--evaluation.every", "40", "--evaluation.every-episodes", "1")
    play(results, *WITNESS, *words, "--steps", "70")
    for steps in ("75", "90", "170"):
        run = play(results, "--resume", "--steps", steps)
    assert [step for step, _ in points(run.path, "eval/score")] == [40, 80, 120, 160]


def test_a_resumed_run_remembers_its_best(results: Path) -> None:
    words = ("--evaluation.every", "40", "--evaluation.every-episodes", "1")
    run = play(results, *WITNESS, *words, "--steps", "50")
    agent = restored(run)
    agent.steps = 44
    save_checkpoint(run.checkpoints, agent, "best", {"score": 99.0})
    play(results, "--resume", "--steps", "100")
    assert find_checkpoint(run.checkpoints, "best").name == "best-000000044"


# ---- signals


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_training_with_a_checkpoint(
    number: signal.Signals, code: int, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Witness.plan = {(0, 40): partial(signal.raise_signal, number)}
    result = call(TRAIN, [*WITNESS, "--run-id", "it", "--results-dir", results], capsys)
    hint = f"resume with: python -m agents.train --run-id it --results-dir {results} --resume"
    assert (result.code, result.error) == (code, f"stopped and saved at step 40; {hint}")
    assert [witness.closed for witness in Witness.made] == [1]
    run = RunFolder(results / "it")
    assert restored(run).steps == 40  # the step that it came in was finished
    assert not run.evaluations.exists()
    play(results, "--resume", "--steps", "60")
    assert restored(run).steps == 60


def test_a_signal_in_an_evaluation_postpones_it(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Witness.plan = {(1, 3): partial(signal.raise_signal, signal.SIGINT)}
    words = [*WITNESS, "--evaluation.every", "40", "--steps", "70", "--run-id", "it", "--results-dir", results]
    result = call(TRAIN, words, capsys)
    assert result.code == 130
    assert result.error.startswith("stopped and saved at step 40; resume with: ")
    assert [witness.closed for witness in Witness.made] == [2, 2]
    run = play(results, "--resume")
    assert [step for step, _ in points(run.path, "eval/score")] == [41]
    assert restored(run).steps == 70


def test_a_signal_in_the_test_leaves_the_training_complete(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Witness.plan = {(1, 3): partial(signal.raise_signal, signal.SIGTERM)}
    result = call(TRAIN, [*WITNESS, "--steps", "30", "--run-id", "it", "--results-dir", results], capsys)
    command = f"python -m agents.evaluate --run-id it --results-dir {results}"
    assert result.code == 143
    assert result.error == f"stopped in the test; the training is complete and saved; test with: {command}"
    assert [witness.closed for witness in Witness.made] == [1, 2]
    assert restored(RunFolder(results / "it")).steps == 30
    assert call(EVALUATE, command.split()[3:], capsys).code == 0


def test_a_signal_ends_evaluate(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    play(results, *WITNESS, "--steps", "30", "--evaluation.episodes", "1")
    Witness.plan = {(2, 3): partial(signal.raise_signal, signal.SIGINT)}
    there = ["--run-id", "it", "--results-dir", results]
    result = call(EVALUATE, [*there, "--episodes", "5"], capsys)
    assert (result.code, result.error, result.out) == (130, "python -m agents.evaluate: interrupted.", "")
    assert Witness.made[2].closed
    assert len(list((results / "it" / "evaluations").iterdir())) == 1


# ---- when something breaks


def test_a_lost_environment_leaves_a_checkpoint(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    env = "tests.environments:Broken-v0"
    words = ["--env", env, "--environment.env-kwargs", "{kind: nan reward}", *SMALL, "--results-dir", results]
    result = call(TRAIN, [*words, "--run-id", "it"], capsys)
    assert result.code == 1
    hint, error = result.err.splitlines()
    assert hint.startswith("stopped at step 1; resume with: python -m agents.train --run-id it")
    assert error.startswith("python -m agents.train: Broken-v0: the reward of episode 0 (worker 0) is not finite")
    assert restored(RunFolder(results / "it")).steps == 1


def test_a_broken_agent_is_not_saved(results: Path) -> None:
    """Its older checkpoint is worth more."""
    run = play(results, *WITNESS, "--steps", "30")
    config = load_config(run.config)
    longer = config.model_copy(update={"training": config.training.model_copy(update={"steps": 1000})})
    Witness.forget()
    with connect(config.environment.spec(0)) as bridge:
        checkpoint = find_checkpoint(run.checkpoints, "latest")
        training = Training(longer, bridge, DQNAgent(bridge.spec, longer), run, checkpoint)
        Witness.plan = {(0, 20): partial(setattr, training.agent.replay, "_reward", np.zeros(3, np.float32))}
        with pytest.raises(IndexError):
            training.train(Interrupts("test"))
    assert training.agent.steps > 45
    assert sorted(path.name for path in run.checkpoints.iterdir()) == ["step-000000001", "step-000000030"]
    assert restored(run).steps == 30


# ---- evaluating


def test_evaluating_twice_finds_the_same(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*COUNTER, *SMALL, "--environment.env-kwargs", "{length: 0}", "--results-dir", results, "--run-id", "it"]
    assert call(TRAIN, [*words, "--steps", "60"], capsys).code == 0
    said = [
        call(EVALUATE, ["--run-id", "it", "--results-dir", results, "--episodes", "20", *more], capsys)
        for more in ([], [], ["--seed", "5"])
    ]
    assert [result.code for result in said] == [0, 0, 0]
    assert said[0] == said[1]
    assert said[0].out.splitlines()[1] != said[2].out.splitlines()[1]
    files = sorted(path.name for path in (results / "it" / "evaluations").iterdir())
    assert files == [
        f"step-000000060-{name}.json"
        for name in ("20-episodes-seed-1000000", "20-episodes-seed-5", "3-episodes-seed-1000000")
    ]


def test_evaluation_json_has_what_was_found(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    env = "tests.environments:Succeeds-v0"
    words = ["--env", env, *SMALL, "--results-dir", results, "--run-id", "it", "--steps", "60"]
    assert call(TRAIN, words, capsys).code == 0
    found = result_of(RunFolder(results / "it"))
    # Its reward is the number of the observation: 1 to 5, then (after a reset) 7 to 11, and so on.
    assert found["scores"] == [15.0, 45.0, 75.0]
    assert (found["mean"], found["minimum"], found["maximum"]) == (45.0, 15.0, 75.0)
    assert found["deviation"] == pytest.approx(np.std([15, 45, 75]))
    assert found["success_rate"] == pytest.approx(2 / 3)
    assert (found["epsilon"], found["seed"], found["mean_length"]) == (0.0, 1_000_000, 5.0)
    (counts,) = found["action_counts"]
    assert (len(counts), sum(counts)) == (3, 15)
    assert found["environment"] == env


def test_evaluate_plays_the_checkpoint_that_it_is_told(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--evaluation.every", "40", "--evaluation.every-episodes", "1", "--evaluation.policy", "best")
    play(results, *WITNESS, *words, "--steps", "50")
    there = ["--run-id", "it", "--results-dir", results, "--episodes", "2"]
    for more, name in (([], "best-000000040"), (["--checkpoint", "latest"], "step-000000050")):
        result = call(EVALUATE, [*there, *more], capsys)
        assert (result.code, result.err) == (0, "")
        assert result.out.splitlines()[0] == f"test of {name}:"
        assert f"{name}-2-episodes-seed-1000000.json" in result.out


def test_evaluating_changes_nothing_else(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = play(results, *WITNESS, "--steps", "30")
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    there = ["--run-id", "it", "--results-dir", results]
    assert (
        call(EVALUATE, [*there, "--episodes", "2", "--num-envs", "2", "--evaluation.epsilon", "0.5"], capsys).code == 0
    )
    after = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    assert {path: after[path] for path in before} == before
    assert len(after) == len(before) + 1


def test_each_new_best_evaluation_is_an_animation_in_tensorboard(results: Path) -> None:
    words = ("--env", "CartPole-v1", "--network.hidden", "8", "--replay.capacity", "500", "--evaluation.episodes", "1")
    run = play(results, *words, "--evaluation.every", "60", "--evaluation.clip", "true", "--steps", "130")
    events = EventAccumulator(str(run.path), size_guidance={"images": 0}).Reload()
    assert events.Images("eval/episode"), "the first evaluation is the best one so far"
    for event in events.Images("eval/episode"):
        with Image.open(BytesIO(event.encoded_image_string)) as animation:
            assert animation.format == "GIF"
            assert animation.n_frames > 1


def test_an_environment_without_pictures_trains_without_animations(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--evaluation.every", "40", "--evaluation.every-episodes", "1", "--evaluation.clip", "true")
    run = play(results, *WITNESS, *words, "--steps", "90")
    said = capsys.readouterr()
    assert (said.out + said.err).count("no animations of evaluations: ") == 1
    assert [step for step, _ in points(run.path, "eval/score")] == [40, 80]


def test_the_replay_begins_with_demonstrations(results: Path, tmp_path: Path) -> None:
    with connect(EnvSpec("gym", "CartPole-v1")) as bridge:
        by_hand = list(islice(episodes(bridge, RandomPlayer(bridge, 1), seed=5), 3))
        save_demonstrations(tmp_path / "mine.npz", bridge, by_hand, seed=5)
    words = ("--env", "CartPole-v1", "--network.hidden", "8", "--replay.capacity", "500", "--evaluation.episodes", "1")
    run = play(results, *words, "--replay.demonstrations", str(tmp_path / "mine.npz"), "--steps", "30")
    demonstrated = sum(len(episode.actions) for episode in by_hand)
    assert demonstrated < len(restored(run).replay) <= demonstrated + 30


def test_a_temperature_is_called_one(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    play(results, *WITNESS, "--steps", "100")
    assert "| epsilon 0." in capsys.readouterr().out
    play(results, *WITNESS, "--steps", "100", "--learner.backup", "soft", "--exploration.kind", "soft", "--force")
    assert "| temperature 0." in capsys.readouterr().out
