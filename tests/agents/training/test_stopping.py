"""Runs that end by themselves, and runs that begin with another one's weights or without a replay."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from agents.settings.config import ConfigError, TrainingConfig, build_config
from agents.storage.checkpoint import find_checkpoint
from agents.storage.history import read_history
from agents.storage.provenance import read_starts
from agents.storage.runs import RunFolder
from agents.training.stopping import Stopping
from tests.agents.commands import COUNTER, SMALL, TRAIN, Result, call


def stopping(*means: float, **settings: object) -> str | None:
    """Why a run with these evaluations ends after 10 steps, 2 episodes and 30 seconds."""
    rule = Stopping(TrainingConfig(**{"steps": 0, **settings}))  # type: ignore[arg-type]
    for mean in means:
        rule.evaluated(mean)
    return rule.reason(10, 2, 30.0)


def test_without_a_limit_nothing_ends() -> None:
    assert stopping(1.0, 1.0, 1.0) is None


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"steps": 11}, None),
        ({"steps": 10}, "steps"),
        ({"episodes": 3}, None),
        ({"episodes": 2}, "episodes"),
        ({"minutes": 0.51}, None),
        ({"minutes": 0.5}, "minutes"),
    ],
)
def test_limits(settings: dict[str, float], reason: str | None) -> None:
    assert stopping(**settings) == reason


@pytest.mark.parametrize(
    ("means", "reason"),
    [
        ([], None),
        ([5.0], None),
        ([9.0, 9.0], None),  # not yet three
        ([0.0, 0.0, 12.0], None),  # one lucky evaluation
        ([0.0, 5.0, 5.0, 5.0], "score"),
        ([5.0, 5.0, 5.0, 4.9], None),
    ],
)
def test_a_score_is_the_mean_of_the_latest_evaluations(means: list[float], reason: str | None) -> None:
    assert stopping(*means, stop_score=5.0, stop_window=3) == reason


@pytest.mark.parametrize(
    ("means", "reason"),
    [([1.0], None), ([1.0, 1.0], None), ([1.0, 1.0, 0.5], "patience"), ([1.0, 0.5, 2.0, 1.0], None)],
)
def test_patience_is_evaluations_without_a_better_one(means: list[float], reason: str | None) -> None:
    assert stopping(*means, patience=2) == reason


def test_a_resumed_run_remembers_its_evaluations() -> None:
    settings = TrainingConfig(steps=0, stop_score=5.0, stop_window=2, patience=2)
    for means, reason in (([], None), ([5.0], "score"), ([9.0, 0.0], "patience")):
        rule, resumed = Stopping(settings), Stopping(settings)
        for mean in means:
            rule.evaluated(mean)
        resumed.load_state_dict(json.loads(json.dumps(rule.state_dict())))
        resumed.evaluated(5.0 if reason != "patience" else 1.0)
        assert resumed.reason(0, 0, 0.0) == reason


@pytest.mark.parametrize("settings", [{"stop_score": 0}, {"patience": 1}])
def test_a_rule_without_evaluations_is_refused(settings: dict[str, int]) -> None:
    (name,) = settings
    with pytest.raises(ConfigError, match=f"^training.{name} needs evaluations in training: set evaluation.every\\.$"):
        build_config({"training": settings})
    build_config({"training": settings, "evaluation": {"every": 10}})


# ---- whole runs


def train(folder: Path, run_id: str, *words: str, capsys: pytest.CaptureFixture[str]) -> Result:
    return call(TRAIN, ["--results-dir", folder, "--run-id", run_id, *words], capsys)


#: Every evaluation scores the same.
RUN = (*COUNTER, *SMALL, "--steps", "5000", "--evaluation.every", "50", "--evaluation.every-episodes", "1")


@pytest.mark.parametrize(
    ("words", "reason", "steps", "hint"),
    [
        (("--training.patience", "3"), "patience", 200, "had 3 evaluations without a better one: give a larger"),
        (
            ("--training.stop-score", "-100", "--training.stop-window", "2"),
            "score",
            100,
            "has reached its score of -100",
        ),
        (("--training.minutes", "0.0000001"), "minutes", 1, "minutes already: give larger --training.minutes, or 0"),
    ],
)
def test_a_run_ends_by_itself(
    words: tuple[str, ...], reason: str, steps: int, hint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tmp_path, "it", *RUN, *words, capsys=capsys).code == 0
    (end,) = read_history(tmp_path / "it", "end")
    assert (end["reason"], end["steps"]) == (reason, steps)
    run = RunFolder(tmp_path / "it")
    assert find_checkpoint(run.checkpoints, "latest").name == f"step-{steps:09d}"
    if steps > 50:
        assert find_checkpoint(run.checkpoints, "best").name == f"best-{steps:09d}"
    again = train(tmp_path, "it", "--resume", capsys=capsys)
    assert again.code == 2
    assert hint in again.error
    unset = {"patience": "0", "score": "none", "minutes": "0"}[reason]
    more = train(tmp_path, "it", "--resume", words[0], unset, "--steps", str(steps + 20), capsys=capsys)
    assert more.code == 0
    assert [line["reason"] for line in read_history(run.path, "end")] == [reason, "steps"]


def test_a_run_without_replay_in_its_checkpoints_says_what_that_means(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (*COUNTER, *SMALL, "--learner.n-step", "3", "--training.save-replay", "false")
    train(tmp_path, "it", *words, "--steps", "52", capsys=capsys)
    run = RunFolder(tmp_path / "it")
    assert not list(run.path.rglob("replay.npz"))
    said = train(tmp_path, "it", "--resume", "--steps", "110", capsys=capsys)
    assert said.code == 0
    assert said.out.splitlines()[0].endswith(
        "resumed at step 52 with new episodes and an empty replay, 2 open transitions lost "
        "(the run keeps its replay out of its checkpoints)"
    )
    assert read_history(run.path, "summary")[-1]["replay/size"] < 60


def test_a_damaged_checkpoint_is_told_and_the_one_before_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path, "it", *COUNTER, *SMALL, "--steps", "100", "--training.checkpoint-episodes", "4", capsys=capsys)
    run = RunFolder(tmp_path / "it")
    with find_checkpoint(run.checkpoints, "latest").joinpath("replay.npz").open("r+b") as file:
        file.truncate(100)
    said = train(tmp_path, "it", "--resume", "--steps", "130", capsys=capsys)
    assert said.code == 0
    assert (
        "replay.npz is damaged: its SHA-256 is not the manifest's; going on with step-000000080 instead" in said.error
    )
    assert "resumed at step 80 with new episodes, 0 open transitions lost" in said.out.splitlines()[0]
    assert sorted(path.name for path in run.checkpoints.iterdir()) == [
        *("damaged-step-000000100", "step-000000120", "step-000000130")
    ]
    steps = [line["steps"] for line in read_history(run.path, "summary")]
    assert steps == [50, 100]


# ---- another run's weights


@pytest.mark.parametrize("spelling", ["run id", "run folder", "checkpoint"])
def test_a_run_begins_with_another_ones_weights(
    spelling: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path, "first", *COUNTER, *SMALL, "--steps", "60", capsys=capsys)
    latest = find_checkpoint(tmp_path / "first" / "checkpoints", "latest")
    name = {"run id": "first", "run folder": str(tmp_path / "first"), "checkpoint": str(latest)}[spelling]
    words = (*COUNTER, *SMALL, "--seed", "9", "--steps", "10", "--initialize-from", name)  # no update yet
    assert train(tmp_path, "second", *words, capsys=capsys).code == 0
    found = [
        torch.load(find_checkpoint(tmp_path / run / "checkpoints", "latest") / "tensors.pt", weights_only=True)
        for run in ("first", "second")
    ]
    for part in ("network", "target"):
        learned = {name: values for name, values in found[1][part].items() if name.endswith(("weight", "bias"))}
        assert len(learned) == 4
        for tensor, values in learned.items():
            assert torch.equal(values, found[0]["network"][tensor])
    (start,) = read_starts(RunFolder(tmp_path / "second"))
    assert start["begins_with"] == str(latest)
    assert read_history(tmp_path / "second", "start")[0]["begins_with"] == str(latest)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--initialize-from", "first", "--network.hidden", "9"), "is (3, 8) there, expected (3, 9): the same network"),
        (("--initialize-from", "nobody"), "no run 'nobody' in"),
        (("--initialize-from", "not/there"), "there is no run and no checkpoint in 'not/there'."),
        (("--initialize-from", "../x"), "there is no run and no checkpoint in '../x'."),
        (("--initialize-from", "first", "--resume"), "leave out --initialize-from"),
    ],
)
def test_weights_that_do_not_fit_are_one_line(
    words: tuple[str, ...], problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path, "first", *COUNTER, *SMALL, "--steps", "30", capsys=capsys)
    result = train(tmp_path, "second", *COUNTER, *SMALL, "--steps", "10", *words, capsys=capsys)
    assert result.code == 2
    assert problem in result.error
    assert not (tmp_path / "second").exists()


# ---- where a run comes from


def test_run_json_says_where_a_run_comes_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--build", "simulated/GridWorld", *SMALL, "--steps", "20", "--evaluation.episodes", "1", "--seed", "3"]
    assert train(tmp_path, "it", *words, capsys=capsys).code == 0
    assert train(tmp_path, "it", "--resume", "--steps", "30", capsys=capsys).code == 0
    run = RunFolder(tmp_path / "it")
    manifest = json.loads(run.manifest.read_text())
    assert (manifest["format"], manifest["run_id"]) == (1, "it")
    first, second = manifest["starts"]
    assert (first["steps"], first["begins_with"]) == (0, "")
    assert (second["steps"], second["begins_with"]) == (20, "step-000000020")
    assert first["seeds"] == {"training": 3, "evaluation": 1_000_001, "test": 1_000_000}
    assert first["packages"]["torch"] == torch.__version__
    environment = first["environment"]
    assert (environment["backend"], environment["simulated"]) == ("unity", True)
    assert list(environment["build_sha256"]) == ["GridWorld.x86_64"]
    assert Path(environment["build"]).is_file()
    assert len(environment["build_sha256"]["GridWorld.x86_64"]) == len(second["config_sha256"]) == 64
    assert first["config_sha256"] != second["config_sha256"]
