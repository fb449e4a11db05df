"""Several seeds of one command: small programs in place of trainings, then trainings as processes of their own."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import shlex
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import pytest

from agents.cli.commandline import seed_list, without
from agents.settings.files import load_config
from agents.storage.checkpoint import find_checkpoint, read_counters
from agents.storage.history import read_history
from agents.storage.runs import RunFolder
from agents.system.interrupts import Interrupts
from agents.training.seeds import SeedResult, SeedRun, results_table, run_seeds
from tests.agents.commands import COUNTER, ROOT, SMALL, TRAIN, Command, call

NOTE = "import os, pathlib, signal, sys, time\nnote = lambda word: print(word, file=pathlib.Path('notes').open('a'))\n"


def programs(folder: Path, *codes: str) -> list[SeedRun]:
    """Seeds 0, 1 and so on, each with a program that may `note` a word in a file."""
    return [SeedRun(seed, RunFolder(folder / f"run{seed}"), ["-c", NOTE + code]) for seed, code in enumerate(codes)]


def notes() -> list[str]:
    return Path("notes").read_text().splitlines()


def started(runs: Sequence[SeedRun], parallel: int) -> tuple[dict[int, int], Interrupts]:
    with Interrupts("program") as interrupts:
        return run_seeds(runs, parallel, interrupts), interrupts


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_in_turn_each_waits_for_the_one_before(here: Path) -> None:
    code = "note('begin'); time.sleep(0.2); note('end')"
    assert started(programs(here, code, code, code), 1)[0] == {0: 0, 1: 0, 2: 0}
    assert notes() == ["begin", "end"] * 3


def test_side_by_side_as_many_as_asked_for(here: Path) -> None:
    """The first two wait for each other; the third for one of them."""
    meet = "note('here')\nwhile pathlib.Path('notes').read_text().count('here') < 2: time.sleep(0.01)\nnote('left')"
    assert started(programs(here, meet, meet, "note('last')"), 2)[0] == {0: 0, 1: 0, 2: 0}
    assert notes()[:2] == ["here", "here"]
    assert notes().index("last") > notes().index("left")


def test_side_by_side_each_line_has_its_name(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    talk = "print('a\\nb'); sys.stderr.write('oh\\n')"
    assert started(programs(here, talk, talk), 2)[0] == {0: 0, 1: 0}
    out, err = capfd.readouterr()
    assert sorted(out.splitlines()) == ["run0 | a", "run0 | b", "run1 | a", "run1 | b"]
    assert sorted(err.splitlines()) == ["run0 | oh", "run1 | oh"]


def test_side_by_side_a_terminal_of_another_encoding_shows_what_it_can(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = io.TextIOWrapper(io.BytesIO(), encoding="cp949", newline="\n")
    monkeypatch.setattr(sys, "stdout", shown)
    monkeypatch.setenv("PYTHONIOENCODING", "cp949")
    talk = "print('\\uac00 \\xe9', flush=True)\ntime.sleep(0.1)\nprint('end')"
    assert started(programs(here, talk), 2)[0] == {0: 0}
    shown.seek(0)
    assert shown.read() == "run0 | \uac00 ?\nrun0 | end\n"


def test_one_that_fails_does_not_stop_the_others(here: Path) -> None:
    runs = programs(here, "note(0); sys.exit(3)", "note(1); sys.exit(4)", "note(2)")
    assert started(runs, 1)[0] == {0: 3, 1: 4, 2: 0}
    assert notes() == ["0", "1", "2"]


def test_when_nobody_reads_the_output_the_others_do_not_begin(here: Path) -> None:
    assert started(programs(here, "sys.exit(141)", "note(1)"), 1)[0] == {0: 141}
    assert not Path("notes").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_one_that_is_killed_has_the_code_that_shells_show(here: Path) -> None:
    assert started(programs(here, "os.kill(os.getpid(), signal.SIGKILL)", "note(1)"), 1)[0] == {0: 137, 1: 0}
    assert notes() == ["1"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_each_once_and_nothing_begins_after_it(number: signal.Signals, here: Path) -> None:
    """The second one would make a training leave at once."""
    wait = f"""
def stop(number, frame):
    note(number)
    time.sleep(0.3)
    sys.exit(128 + number)
signal.signal({number}, stop)
note('here')
while pathlib.Path('notes').read_text().count('here') < 2: time.sleep(0.01)
"""
    asks = f"{wait}os.kill(os.getppid(), {number})\ntime.sleep(60)"
    codes, interrupts = started(programs(here, asks, f"{wait}time.sleep(60)", "note('late')"), 2)
    assert (codes, interrupts.received) == (dict.fromkeys(range(2), 128 + number), number)
    assert notes() == ["here", "here", f"{int(number)}", f"{int(number)}"]


@pytest.mark.parametrize(
    ("text", "found"), [("0-4", (0, 1, 2, 3, 4)), ("3-3", (3,)), ("7", (7,)), ("0,3,7", (0, 3, 7)), ("5,1", (5, 1))]
)
def test_seeds(text: str, found: tuple[int, ...]) -> None:
    assert seed_list(text) == found


@pytest.mark.parametrize("text", ["", "a", "4-0", "0,0", "-1", "1,", "0-4,7", "1.5"])
def test_what_is_no_seeds_says_so(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"found {re.escape(repr(text))}, expected different seeds"):
        seed_list(text)


def test_a_command_line_without_some_options() -> None:
    """Up to what goes to the build."""
    words = shlex.split("--env X --seeds 0-1 --a_b=1 --force --seeds=3 --steps -5 --env-args --seeds 7 --force")
    rest = shlex.split("--env X --steps -5 --env-args --seeds 7 --force")
    assert without(words, {"--seeds": True, "--a-b": True, "--force": False}) == rest


def test_the_table_has_median_and_worst() -> None:
    tests = [{"mean": mean, "deviation": 0.5, "minimum": mean - 1, "success_rate": rate} for mean, rate in SCORES]
    table = results_table([SeedResult(seed, test, 9.6) for seed, test in enumerate(tests)][::-1])
    assert table.splitlines()[2] == "| 0 | 3.000 | 0.500 | 2.000 | 25.0% | 10 |"
    assert table.splitlines()[4] == "| 2 | -4.000 | 0.500 | -5.000 |  | 10 |"
    assert table.splitlines()[-1] == "median 1.000, worst -4.000 of 3 seeds"


SCORES = [(3.0, 0.25), (1.0, 0.0), (-4.0, None)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--seeds", "0-1", "--seed", "3"), "--seed and --seeds say the same"),
        (("--seeds", "0-1", "--resume"), "--resume needs --run-id"),
        (("--seeds", "0-1", "--parallel", "2", "--base-port", "6000"), "--base-port is for one run at a time"),
        (("--seeds", "0-1", "--parallel", "0"), "expected a whole number from 1"),
        (("--seeds", "0-1", "--run-id", "a/b"), "'a/b-seed0' is no plain name"),
        (("--seeds", "0-1", "--run-id", "taken"), "run 'taken-seed1' exists in runs"),
        (("--seeds", "0-1", "--learner.gamma", "2"), "learner.gamma: found '2'"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_started(
    words: Sequence[str], said: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "runs" / "taken-seed1").mkdir(parents=True)
    result = call(TRAIN, [*COUNTER, *words], capsys)
    assert (result.code, result.out) == (2, "")
    assert said in result.error
    assert [path.name for path in (here / "runs").iterdir()] == ["taken-seed1"]


WORDS = (*COUNTER, *SMALL, "--run-id", "a", "--learner.updates-per-step", "0.1")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_seeds_are_stopped_and_go_on(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped side by side; resumed, one more begun and one tested again in turn; then there is nothing to do."""
    runs = [RunFolder(here / "runs" / f"a-seed{seed}") for seed in range(3)]
    with Command(TRAIN, *WORDS, "--seeds", "0-1", "--parallel", "2", "--steps", "0", cwd=here) as command:
        for run_folder in runs[:2]:
            command.wait_for(lambda folder=run_folder: list(folder.checkpoints.glob("step-*")), timeout=240)
        command.send(signal.SIGINT)
        stopped = command.result(timeout=240)
    assert stopped.code == 130
    assert len(re.findall(r"^a-seed[01] \| stopped and saved at step", stopped.err, re.MULTILINE)) == 2
    again = f"go on with: python -m agents.train --run-id a --resume {shlex.join(WORDS[: WORDS.index('--run-id')])}"
    assert f"not finished: seeds 0, 1; {again}" in stopped.err
    assert [line["reason"] for run in runs[:2] for line in read_history(run.path, "end")] == ["interrupted"] * 2
    before = [read_counters(find_checkpoint(run.checkpoints, "latest"))[0] for run in runs[:2]]

    more = (*WORDS, "--seeds", "0-2", "--steps", str(max(before) + 50))
    with Command(TRAIN, *more, "--resume", cwd=here) as command:
        resumed = command.result(timeout=240)
    assert resumed.code == 0, resumed.err
    for steps in before:
        assert f"resumed at step {steps:,}" in resumed.out
    assert [load_config(item.config).training.seed for item in runs] == [0, 1, 2]
    means = [read_history(item.path, "test")[-1]["test/score"] for item in runs]
    summary = f"median {median(means):.3f}, worst {min(means):.3f} of 3 seeds"
    assert resumed.out.splitlines()[-1] == summary

    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # for what this process starts
    shutil.rmtree(runs[1].evaluations)
    tested = call(TRAIN, [*more, "--resume"], capsys)
    assert (tested.code, tested.out.splitlines()[-1]) == (0, summary)
    assert len(list(runs[1].evaluations.iterdir())) == 1
    assert not tested.err
    files = {path: os.stat(path).st_mtime_ns for path in (here / "runs").rglob("*") if path.is_file()}
    done = call(TRAIN, [*more, "--resume"], capsys)
    assert (done.code, done.out.splitlines()[-1]) == (0, summary)
    assert files == {path: os.stat(path).st_mtime_ns for path in files}


def test_results_of_before_are_not_those_of_runs_that_could_not_be_overwritten(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # for what this process starts
    assert call(TRAIN, [*WORDS, "--steps", "30", "--seeds", "1"], capsys).code == 0
    wrong = call(TRAIN, [*WORDS, "--steps", "30", "--seeds", "1", "--force", "--network.observations", "no"], capsys)
    assert (wrong.code, wrong.out) == (2, "")
    again = f"begin again with: python -m agents.train --run-id a --force --seeds 1 {shlex.join(COUNTER)}"
    assert wrong.error.startswith(f"not finished: seed 1; {again}")
    assert "--seeds" not in wrong.error.partition("--seeds 1")[2]


def test_a_seed_that_was_killed_before_it_wrote_anything_is_begun(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # for what this process starts
    run = RunFolder(here / "runs" / "a-seed1")
    with contextlib.ExitStack() as stack:
        run.path.mkdir(parents=True)
        stack.enter_context(run.held())
    assert call(TRAIN, [*WORDS, "--steps", "30", "--seeds", "1", "--resume"], capsys).code == 0
    assert read_history(run.path, "test")
