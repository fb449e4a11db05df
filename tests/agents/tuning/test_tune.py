"""Studies as a person runs them: small ones, stopped ones, killed ones, and several processes on one."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import gymnasium
import pytest

from agents.settings.config import Config
from agents.settings.files import load_config
from agents.settings.presets import load_preset
from agents.storage.history import column, read_history
from agents.storage.provenance import read_starts
from agents.storage.runs import RunFolder
from agents.system.processes import this_process
from agents.tuning import journal
from agents.tuning.journal import JournalLock
from agents.tuning.plan import load_plan
from agents.tuning.study import TRIES, Outcome, Study
from tests.agents.commands import TRAIN, TUNE, Command, Result, call, snapshot

#: A training of three evaluations on CartPole.
CARTPOLE = (
    *("--env", "CartPole-v1", "--steps", "300", "--evaluation.every", "100", "--evaluation.every-episodes", "1"),
    *("--evaluation.policy", "best"),
    *("--learner.learning-starts", "50", "--learner.batch-size", "16", "--network.hidden", "16"),
    *("--search", "learner.learning_rate=1e-4..1e-2:log", "--search", "learner.n_step=1,3"),
)
PUSH = (
    *("--env", "tests.agents.tuning.environments:Push-v0", "--steps", "60", "--evaluation.every", "20"),
    *("--evaluation.every-episodes", "1", "--network.hidden", "8", "--learner.learning-starts", "100"),
)
GOOD, HOPELESS = "[0.5, 0.6]", "[-1.0, -0.9]"
LEVELS = ("--search", "environment.levels=[0.5,0.6],[-1,-0.9]")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tune(capsys: pytest.CaptureFixture[str], *words: str | Path, code: int = 0) -> Result:
    result = call(TUNE, words, capsys)
    assert result.code == code, result
    return result


def outcomes(folder: Path) -> list[Outcome]:
    return Study(folder, load_plan(folder)).outcomes()


def known(folder: Path) -> list[tuple[Any, ...]]:
    """What does not depend on the clock, by number."""
    found = sorted(outcomes(folder), key=lambda outcome: outcome.number)
    return [(item.number, item.state, item.score, item.steps, dict(item.labels)) for item in found]


def runs(folder: Path) -> list[RunFolder]:
    return [RunFolder(path.parent) for path in sorted(folder.glob("*/config.yaml"))]


def evaluations(run: RunFolder) -> list[float]:
    return column(read_history(run.path, "evaluation"), "eval/score")[1]


def ends(run: RunFolder) -> list[str]:
    return [line["reason"] for line in read_history(run.path, "end")]


# ---- what a study leaves


def test_a_study_of_cartpole(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (*CARTPOLE, "--trials", "3", "--pruner", "none")
    said = tune(capsys, *words).out
    folder = here / "runs" / "tune-CartPole-v1"
    found = outcomes(folder)
    assert [outcome.state for outcome in found] == ["complete"] * 3
    assert found == sorted(found, key=lambda outcome: -(outcome.score or 0))
    # Each trial is a run like any other, with the settings that the study says it had.
    assert [run.path.name for run in runs(folder)] == [f"trial-000{number}-seed-0" for number in range(3)]
    for outcome, run in zip(sorted(found, key=lambda item: item.number), runs(folder), strict=True):
        config = load_config(run.config)
        assert outcome.labels == {
            "learner.learning_rate": config.learner.learning_rate,
            "learner.n_step": config.learner.n_step,
        }
        assert (config.training.steps, config.learner.batch_size, ends(run)) == (300, 16, ["steps"])
        assert len(evaluations(run)) == 3
        assert outcome.score == max(evaluations(run))
        assert sorted(path.name for path in run.checkpoints.glob("step-*"))[-1] == "step-000000300"
    assert "mean of the best evaluation in training" in said
    best = found[0]
    assert said.index(f"{best.score:.3f}  ") < said.index("best settings: runs/tune-CartPole-v1/best.yaml")
    # The first trial has the preset's own value of what is searched, where that is searched.
    preset = load_preset("cartpole")["learner"]["learning_rate"]
    assert load_config(runs(folder)[0].config).learner.learning_rate == preset

    # The preset trains, with the best trial's settings.
    training = ("--preset", "runs/tune-CartPole-v1/best.yaml", "--run-id", "again", "--steps", "60")
    assert call(TRAIN, (*training, "--seed", "5", "--evaluation.episodes", "2"), capsys).code == 0
    again = load_config(here / "runs" / "again" / "config.yaml")
    trial = load_config(runs(folder)[best.number].config)
    changed = {"training": {"steps": 60, "seed": 5, "save_replay": True}, "evaluation": {"episodes": 2}}
    assert again == with_changes(trial, {**changed, "preset": "runs/tune-CartPole-v1/best.yaml"})

    # The same command finds nothing left to do, and with more trials it goes on.
    before = snapshot(folder)
    assert tune(capsys, *words).out.count("complete") == 3
    assert {name: data for name, data in snapshot(folder).items() if not name.startswith("journal")} == {
        name: data for name, data in before.items() if not name.startswith("journal")
    }
    tune(capsys, "--resume", "--study", "tune-CartPole-v1", "--trials", "4")
    assert len(runs(folder)) == 4
    assert (
        snapshot(folder).items() >= {name: data for name, data in before.items() if name.startswith("trial-")}.items()
    )
    # Another search is another study.
    error = tune(capsys, *words, "--search", "learner.gamma=0.9,0.99", code=2).error
    assert "study 'tune-CartPole-v1' has --search learner.gamma not searched, found 0.9,0.99: leave" in error
    error = tune(capsys, *words, "--learner.double", "false", code=2).error
    assert "study 'tune-CartPole-v1' has learner.double True, found False: leave everything but --trials" in error


def with_changes(config: Config, changes: dict[str, Any]) -> Config:
    values = config.model_dump()
    for name, change in changes.items():
        values[name] = {**values[name], **change} if isinstance(change, dict) else change
    return Config.model_validate(values)


@pytest.mark.parametrize("pruner", ["median", "asha"])
def test_a_hopeless_trial_ends_early(here: Path, capsys: pytest.CaptureFixture[str], pruner: str) -> None:
    pruning = ("--pruner", pruner, "--pruner-startup", "1", "--pruner-warmup", "20")
    tune(capsys, *PUSH, *LEVELS, *pruning, "--trials", "8", "--study", "push")
    folder = here / "runs" / "push"
    found = sorted(outcomes(folder), key=lambda outcome: outcome.number)
    first = next(outcome.number for outcome in found if outcome.labels["environment.levels"] == GOOD)
    hopeless = [item for item in found if item.labels["environment.levels"] == HOPELESS and item.number > first]
    assert hopeless
    for outcome in hopeless:
        assert (outcome.state, outcome.steps) == ("pruned", 20)
        run = RunFolder(folder / f"trial-{outcome.number:04d}-seed-0")
        assert ends(run) == ["pruned"]
        assert [line["steps"] for line in read_history(run.path, "end")] == [20]
    assert found[first].state == "complete"
    assert load_config(folder / "best.yaml").environment.levels == (0.5, 0.6)


def test_without_pruning_hopeless_trials_go_on(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tune(capsys, *PUSH, *LEVELS, "--pruner", "none", "--pruner-startup", "1", "--trials", "6", "--study", "push")
    found = outcomes(here / "runs" / "push")
    assert [outcome.state for outcome in found] == ["complete"] * 6
    assert {outcome.labels["environment.levels"] for outcome in found} == {GOOD, HOPELESS}


def test_a_trial_of_several_seeds_has_their_mean(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tune(capsys, *CARTPOLE, "--seeds", "0,2", "--trials", "1", "--evaluation.policy", "final")
    folder = here / "runs" / "tune-CartPole-v1"
    (outcome,) = outcomes(folder)
    assert [run.path.name for run in runs(folder)] == ["trial-0000-seed-0", "trial-0000-seed-2"]
    assert [load_config(run.config).training.seed for run in runs(folder)] == [0, 2]
    first, second = map(evaluations, runs(folder))
    assert outcome.score == pytest.approx((first[-1] + second[-1]) / 2)
    assert outcome.steps == 600


def test_a_trial_whose_settings_do_not_work_fails_and_the_others_go_on(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search = ("--search", "network.observations=[all],[camera]")
    said = tune(capsys, *PUSH, *search, "--trials", "4").out
    found = outcomes(here / "runs" / "tune-Push-v0")
    states = {outcome.labels["network.observations"]: outcome.state for outcome in found}
    assert states == {'["all"]': "complete", '["camera"]': "failed"}
    assert "failed: " in said
    assert "'camera'" in said
    search = ("--search", "network.observations=[image],[camera]")
    result = tune(capsys, *PUSH, *search, "--trials", "2", "--study", "none", code=1)
    assert result.error == "no trial came to its end."
    search = ("--search", "environment.codec=levels,offset")
    tune(capsys, *PUSH, *search, "--trials", "4", "--study", "codecs")
    states = {item.labels["environment.codec"]: item.state for item in outcomes(here / "runs" / "codecs")}
    assert states == {"levels": "complete", "offset": "failed"}


def test_an_environment_that_is_gone_is_no_fault_of_a_trial(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tune(capsys, *PUSH, "--search", "learner.gamma=0.1,0.9", "--trials", "1", "--study", "push")
    with monkeypatch.context() as patched:
        patched.delitem(gymnasium.registry, "Push-v0")
        said = tune(capsys, "--resume", "--study", "push", "--trials", "2", code=2).err
    assert "stopped in trial 1; go on with: python -m agents.tune --resume --study push\n" in said
    assert [item.state for item in outcomes(here / "runs" / "push")] == ["complete", "waiting"]
    tune(capsys, "--resume", "--study", "push", "--trials", "2")
    assert [item.state for item in outcomes(here / "runs" / "push")] == ["complete", "complete"]


# ---- stopped and killed


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_study_loses_the_running_trial_only(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (*CARTPOLE, "--trials", "2", "--seeds", "0-1")
    tune(capsys, *words, "--study", "whole")
    folder = here / "runs" / "killed"
    with Command(TUNE, *words, "--study", "killed", cwd=here) as command:
        # The second training of the first trial has begun.
        command.wait_for(lambda: read_history(folder / "trial-0000-seed-1", "evaluation"), timeout=200)
        command.process.send_signal(signal.SIGKILL)
        assert command.process.wait() == -signal.SIGKILL
    with (folder / journal.NAME).open("ab") as file:
        file.write(b'{"op_code": 6, "wor')  # as a process would that is killed while it writes
    finished = folder / "trial-0000-seed-0"
    before = snapshot(finished)
    tune(capsys, "--resume", "--study", "killed")
    assert known(folder) == known(here / "runs" / "whole")
    assert snapshot(finished) == before  # it is not trained again
    assert [len(read_starts(run)) for run in runs(folder)] == [1] * 4


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")
def test_a_study_that_is_stopped_says_how_to_go_on(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (*CARTPOLE, "--trials", "2", "--results-dir", "else where")
    folder = here / "else where" / "tune-CartPole-v1"
    with Command(TUNE, *words, "--steps", "3000", cwd=here) as command:
        command.wait_for(lambda: read_history(folder / "trial-0000-seed-0", "evaluation"), timeout=200)
        command.send(signal.SIGINT)
        result = command.result()
    assert result.code == 128 + signal.SIGINT
    go_on = "python -m agents.tune --resume --study tune-CartPole-v1 --results-dir 'else where'"
    assert result.error == f"stopped; go on with: {go_on}"
    assert [outcome.state for outcome in outcomes(folder)] == ["waiting"]


@pytest.mark.skipif(sys.platform == "win32", reason="what it waits for is never told there")
def test_several_processes_share_the_trials(here: Path) -> None:
    words = (*PUSH, *LEVELS, "--search", "learner.gamma=0.5..0.9", "--trials", "5", "--steps", "100", "--study", "two")
    with Command(TUNE, *words, cwd=here) as one, Command(TUNE, *words, cwd=here) as other:
        results = [one.result(200), other.result(200)]
    assert [result.code for result in results] == [0, 0], results
    begun = [
        line for result in results for line in result.out.splitlines() if line.startswith("trial ") and "," in line
    ]
    assert len([line for line in begun if "learner.gamma" in line]) == 5
    folder = here / "runs" / "two"
    found = outcomes(folder)
    assert sorted(outcome.number for outcome in found) == list(range(5))
    assert {outcome.state for outcome in found} <= {"complete", "pruned"}
    assert [len(read_starts(run)) for run in runs(folder)] == [1] * 5
    assert len({outcome.labels["learner.gamma"] for outcome in found}) == 5


def test_a_trial_that_ends_its_process_each_time_is_given_up(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tune(capsys, *PUSH, *LEVELS, "--trials", "1", "--study", "push")
    folder = here / "runs" / "push"
    study = Study(folder, load_plan(folder))
    for _ in range(TRIES):
        trial = study.claim(2)
        assert trial is not None
        assert study.outcome(trial).number == 1
        assert study.outcome(trial).state == "running"
        trial.set_user_attr("owner", {**this_process(), "started": 0.0})  # a process that is no more
    assert study.claim(2) is None
    assert study.claim(3) is not None
    (failed,) = (outcome for outcome in study.outcomes() if outcome.state == "failed")
    assert (failed.number, failed.why) == (1, "it ended its process 3 times")


def test_a_process_elsewhere_keeps_its_trial(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tune(capsys, *PUSH, *LEVELS, "--trials", "1", "--study", "push")
    folder = here / "runs" / "push"
    study = Study(folder, load_plan(folder))
    trial = study.claim(2)
    assert trial is not None
    assert study.claim(2) is None  # this process lives
    trial.set_user_attr("owner", {**this_process(), "host": "another machine", "started": 0.0})
    assert study.claim(2) is None


def test_the_journal_is_written_by_one_process_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "PATIENCE", 0.1)
    one, other = JournalLock(tmp_path), JournalLock(tmp_path)
    with one.held():
        with one.held():
            pass
        with pytest.raises(OSError, match=r"^process \d+ on .* keeps the study .* for longer than 0\.1 s\.$"):
            other.acquire()
    with other.held():
        pass


# ---- what is refused


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([*PUSH, "--search", "learner.gama=0..1"], "unknown setting 'learner.gama'; did you mean 'learner.gamma'?"),
        ([*PUSH, "--search", "learner.double=0..1"], "but this is true or false: give choices"),
        (
            [*PUSH, "--search", "learner.gamma=0.1,0.9", "--learner.gamma", "0.5"],
            "learner.gamma is searched and given by its own option, too: leave out --learner.gamma or --search.",
        ),
        (["--search", "learner.gamma=0.1,0.9"], "nothing to train on"),
        ([*PUSH, "--steps", "0"], "trials are compared at equal agent steps: give --steps instead of --episodes."),
        (["--env", "CartPole-v1", "--episodes", "9"], "trials are compared at equal agent steps: give --steps instead"),
        ([*PUSH, "--evaluation.every", "61"], "evaluation.every is 61 in a training of 60 steps: give a number from 1"),
        ([*PUSH, "--seed", "1", "--seeds", "1-2"], "--seed and --seeds say the same: give one of them."),
        ([*PUSH, "--seeds", "2-1"], "argument --seeds: found '2-1', expected different seeds, as 0-2 or 0,3,7."),
        ([*PUSH, "--trials", "0"], "argument --trials: found '0', expected a whole number from 1."),
        ([*PUSH, "--study", "a/b"], "study 'a/b' is no plain name"),
        ([*PUSH, "--study", "taken"], "taken is there and is no study: choose another --study."),
        (["--resume"], "--resume needs --study: the study to go on with."),
        (["--resume", "--study", "no"], "no study 'no' in runs; there is none yet."),
        (["--resume", "--study", "no", "--steps", "9"], "--resume goes on with what the study was asked for: give"),
    ],
)
def test_a_wrong_command_is_one_sentence(
    here: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    (here / "runs" / "taken").mkdir(parents=True)
    (here / "runs" / "taken" / "file").touch()
    before = snapshot(here)
    result = tune(capsys, *words, code=2)
    assert sentence in result.error
    assert result.out == ""
    assert snapshot(here) == before


def test_a_damaged_study_is_one_sentence(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = here / "runs" / "it"
    folder.mkdir(parents=True)
    for text in ("{", "[]", "{}", json.dumps({"format": 1}), json.dumps({"format": 2})):
        (folder / "study.json").write_text(text)
        assert "study.json cannot be read: " in tune(capsys, "--resume", "--study", "it", code=2).error


def test_without_optuna_a_sentence_names_the_extra(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "optuna" or name.startswith("agents.tuning.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "optuna", None)
    error = tune(capsys, *PUSH, code=2).error
    assert error == (
        "python -m agents.tune: the search for settings needs the package optuna, which is not installed: pip install "
        'optuna (or install this project with its extra: pip install -e ".[tune]").'
    )
