"""The two commands as processes of their own: what a person sees, and that they leave cleanly at any moment."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import struct
import sys
import time
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from agents.reporting.reading import read_run
from agents.reporting.tables import starts
from agents.settings.files import load_config
from agents.storage.checkpoint import find_checkpoint, read_about
from agents.storage.runs import RunFolder
from agents.system.interrupts import SIGNALS
from tests.agents.commands import COUNTER, EVALUATE, SMALL, TRAIN, Command, Result, bare_environment, run
from tests.agents.metrics.test_metrics import points

CARTPOLE = (
    *("--env", "CartPole-v1", "--network.hidden", "16", "--evaluation.episodes", "3"),
    *("--learner.updates-per-step", "0.1", "--learner.learning-starts", "300", "--training.summary-episodes", "10"),
)
#: The simulated build, with a cheap network.
GRIDWORLD = (
    *("--build", "simulated/GridWorld", "--network.hidden", "8", "--training.summary-episodes", "10"),
    *("--replay.capacity", "1000", "--learner.updates-per-step", "0.05", "--learner.learning-starts", "50"),
)


def only_run(folder: Path) -> RunFolder:
    (path,) = (folder / "runs").iterdir()
    return RunFolder(path)


def shape_of(text: str) -> str:
    """The text with every number as 0."""
    return re.sub(r"-?\d[\d,]*(\.\d+)?(e[+-]\d+)?", "0", text)


def without_connections(err: str) -> str:
    """stderr without the bridge's lines about players."""
    return re.sub(r"^connected to .*\n", "", err, flags=re.MULTILINE)


# ---- what a person sees


def test_cartpole_from_any_folder_twice_at_once(tmp_path: Path) -> None:
    """Without --backend, an activated environment or a run id; the same command in the same second has two runs."""
    words = (*CARTPOLE, "--steps", "800")
    with Command(TRAIN, *words, cwd=tmp_path) as first, Command(TRAIN, *words, cwd=tmp_path) as second:
        results = [first.result(), second.result()]
    assert [(result.code, result.err) for result in results] == [(0, "")] * 2
    runs = [RunFolder(path) for path in sorted((tmp_path / "runs").iterdir())]
    assert len(runs) == 2
    assert all(re.fullmatch(r"CartPole-v1-\d{8}-\d{6}(-2)?", run.path.name) for run in runs)
    lines = results[0].out.splitlines()
    assert re.fullmatch(r"run runs/CartPole-v1-[\d-]+ \| preset cartpole \| CartPole-v1 \| device \w+", lines[0])
    assert lines[1:5] == [
        "body.0             80  Linear(in_features=4, out_features=16, bias=True)",
        "body.1             32  LayerNorm((16,), eps=1e-05, elementwise_affine=True, bias=True)",
        "advantage          34  Linear(in_features=16, out_features=2, bias=True)",
        "total             146  parameters",
    ]
    assert re.fullmatch(r"replay: 100,000 observations, [\d.]+ MiB", lines[5])
    assert lines[6] == "curves: tensorboard --logdir runs"
    *episodes, header, found, actions, saved = lines[7:]
    assert [shape_of(line) for line in episodes[-2:]] == [
        "episode 0 | step 0 | score 0 | loss 0 | epsilon 0 | 0 steps/s"
    ] * 2
    assert [int(line.split()[1].replace(",", "")) for line in episodes] == list(range(10, 10 * len(episodes) + 1, 10))
    assert episodes[0].split(" | ")[3] == "loss -"  # before the first update
    assert header == "test of step-000000800:"
    assert shape_of(found).startswith("mean 0, deviation 0, minimum 0, maximum 0, success 0% over 0 episodes")
    assert actions.startswith("actions taken: 0: ")
    file = tmp_path / saved.removeprefix("saved as ")
    result = json.loads(file.read_text())
    assert found.startswith(f"mean {result['mean']:.3f}, deviation {result['deviation']:.3f}")
    assert load_config(RunFolder(file.parents[1]).config).preset == "cartpole"
    assert (result["episodes"], len(result["scores"])) == (3, 3)
    again = run(EVALUATE, "--run-id", runs[0].path.name, cwd=tmp_path)
    assert (again.code, again.err, again.out.splitlines()[:-1]) == (0, "", [header, found, actions])


def test_gridworld_trains_and_is_tested_again(tmp_path: Path) -> None:
    """On the port that was asked for, with arguments for the build; evaluated from its run id alone."""
    with Command(
        TRAIN, *GRIDWORLD, "--steps", "300", "--evaluation.episodes", "3", "--evaluation.every", "150",
        "--evaluation.every-episodes", "1", "--run-id", "g", "--base-port", "6511", "--env-args", "--areas", "9",
        cwd=tmp_path,
    ) as command:  # fmt: skip
        result = command.result(120)
    assert (result.code, without_connections(result.err)) == (0, "")
    assert re.search(r"^connected to .* on port 6511 ", result.err, re.MULTILINE)
    run_folder = RunFolder(tmp_path / "runs" / "g")
    config = load_config(run_folder.config)
    assert (config.environment.env_args, config.environment.base_port) == (("--areas", "9"), 6511)
    about = read_about(find_checkpoint(run_folder.checkpoints, "latest"))
    assert (about["starts"], about["evaluated"], about["faults"]) == (1, 306, [])
    steps = [step for step, _ in points(run_folder.path, "run/score")]
    assert steps
    assert all(step % 9 == 0 for step in steps)  # nine agents decide at once
    assert "episode 10 | step " in result.out
    lines = result.out.splitlines()
    assert any(line.startswith("evaluation at step 153: mean ") for line in lines)
    again = run(EVALUATE, "--run-id", "g", cwd=tmp_path)
    assert (again.code, without_connections(again.err)) == (0, "")
    assert again.out.splitlines() == lines[-4:]


def test_a_command_is_kept_and_reported_as_it_was_typed(tmp_path: Path) -> None:
    words = [*COUNTER, *SMALL, "--steps", "10", "--results-dir", "my runs", "--run-id", "it"]
    assert run(TRAIN, *words, cwd=tmp_path).code == 0
    found = read_run(RunFolder(tmp_path / "my runs" / "it"))
    assert found.starts[0]["command"] == [sys.executable, "-m", TRAIN, *words]
    (row,) = starts([found]).rows
    assert row[-1] == shlex.join([sys.executable, "-m", TRAIN, *words])


pty = pytest.importorskip("pty", reason="needs a terminal") if sys.platform != "win32" else None


def in_terminal(words: list[str], cwd: Path) -> tuple[int, str]:
    """Runs a command in a terminal of 120 columns; its exit code and all that was written."""
    assert pty is not None
    import fcntl  # noqa: PLC0415
    import termios  # noqa: PLC0415

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    process = psutil.Popen(words, cwd=cwd, env=bare_environment(), stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = b""
    try:
        while data := os.read(ours, 65536):
            said += data
    except OSError:  # the other end was closed
        pass
    os.close(ours)
    return process.wait(), said.decode()


def screen(said: str) -> list[str]:
    """The lines that stand on the screen in the end."""
    lines = []
    for line in said.replace("\r\n", "\n").split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return lines


@pytest.mark.skipif(pty is None, reason="needs a terminal")
def test_a_terminal_has_a_bar_below_whole_lines(tmp_path: Path) -> None:
    words = [
        sys.executable,
        "-m",
        TRAIN,
        *CARTPOLE,
        "--steps",
        "1500",
        "--evaluation.every",
        "700",
        "--evaluation.every-episodes",
        "1",
        "--run-id",
        "c",
    ]
    code, said = in_terminal(words, tmp_path)
    assert code == 0
    bars = re.findall(r"\d+%\|.*?\| \d+/1500 \[.*?<.*?step/s.*?\]", said)
    assert len(bars) > 5  # with the time left
    assert any("score" in bar and "loss" in bar and "eps" in bar for bar in bars)
    lines = screen(said)
    assert lines[0].startswith("run runs/c | preset cartpole")
    kinds = ("episode ", "evaluation at step ")
    (bar,) = [index for index, line in enumerate(lines) if line.startswith("100%|")]
    assert all(line.startswith(kinds) for line in lines[7:bar])
    assert all("%|" not in line for line in lines[:bar])
    assert [line.split()[0] for line in lines[bar + 1 :] if line] == ["test", "mean", "actions", "saved"]
    assert "test:   0%" in said


# ---- leaving


def last_words(result: Result, number: signal.Signals) -> str:
    """The one line with which a command leaves on a signal."""
    assert result.code == 128 + number
    (line,) = without_connections(result.err).splitlines()
    return line


def assert_saved(folder: Path, said: str) -> int:
    """The hint is a command that works; returns the step that was saved."""
    found = re.fullmatch(
        r"stopped and saved at step ([\d,]+); resume with: python -m agents.train --run-id (\S+) --resume", said
    )
    assert found, said
    steps = int(found[1].replace(",", ""))
    assert find_checkpoint(folder / "runs" / found[2] / "checkpoints", "latest").name == f"step-{steps:09d}"
    return steps


def test_stopped_and_resumed_is_one_run(tmp_path: Path) -> None:
    words = (*CARTPOLE, "--exploration.duration", "100000", "--steps", "1000000", "--run-id", "c")
    with Command(TRAIN, *words, cwd=tmp_path) as command:
        command.wait_for("episode 30 ")
        command.send(signal.SIGINT)
        stopped = command.result()
    steps = assert_saved(tmp_path, last_words(stopped, signal.SIGINT))
    run_folder = only_run(tmp_path)
    before = {tag: points(run_folder.path, tag) for tag in ("run/score", "model/epsilon", "model/updates")}
    resumed = run(TRAIN, "--run-id", "c", "--resume", "--steps", str(steps + 1000), cwd=tmp_path)
    assert (resumed.code, resumed.err) == (0, "")
    assert resumed.out.splitlines()[0].endswith(f"resumed at step {steps:,} exactly where it was")
    for tag, earlier in before.items():
        later = points(run_folder.path, tag)
        assert later[: len(earlier)] == earlier
        assert len(later) > len(earlier) > 2
        assert all(after[0] > step[0] for step, after in pairwise(later))
    epsilons = [value for _, value in points(run_folder.path, "model/epsilon")]
    assert all(later < earlier for earlier, later in pairwise(epsilons))
    for step, value in points(run_folder.path, "model/epsilon"):
        assert value == pytest.approx(1 - 0.95 * step / 100_000, abs=1e-5)
    assert find_checkpoint(run_folder.checkpoints, "latest").name == f"step-{steps + 1000:09d}"


@pytest.mark.parametrize(("seconds", "number"), [(0.0, signal.SIGINT), (0.2, signal.SIGTERM), (1.0, signal.SIGINT)])
def test_a_signal_during_the_start(seconds: float, number: signal.Signals, tmp_path: Path) -> None:
    """Imports take seconds; whoever mistyped does not wait for them."""
    with Command(TRAIN, *CARTPOLE, "--steps", "1000000", cwd=tmp_path) as command:
        command.wait_for(command.imports)
        time.sleep(seconds)
        command.send(number)
        sent = time.monotonic()
        result = command.result(20)
    assert time.monotonic() - sent < 10
    assert last_words(result, number)


#: What makes a run stay in one phase.
PHASES = {
    "training": ("--steps", "1000000"),
    "saving": ("--steps", "1000000", "--training.checkpoint-seconds", "1e-9"),
    "evaluating": ("--steps", "1000000", "--evaluation.every", "10", "--evaluation.every-episodes", "1000000"),
    "testing": (
        "--steps",
        "30",
        "--evaluation.every",
        "0",
        "--evaluation.policy",
        "final",
        "--evaluation.episodes",
        "9" * 6,
    ),
}


def wait_for_phase(phase: str, command: Command, folder: Path) -> None:
    command.wait_for("curves: ")
    least = {"testing": 30, "saving": 10}.get(phase)
    if least is not None:
        saved = folder.glob
        command.wait_for(lambda: any(int(path.name[5:]) >= least for path in saved("runs/*/checkpoints/step-*")))


@pytest.mark.parametrize(("number", "seconds"), [(signal.SIGINT, 0.011), (signal.SIGTERM, 0.13)])
def test_a_signal_while_saving_leaves_what_was_saved(number: signal.Signals, seconds: float, tmp_path: Path) -> None:
    with Command(TRAIN, *CARTPOLE, *SMALL, *PHASES["saving"], cwd=tmp_path) as command:
        wait_for_phase("saving", command, tmp_path)
        time.sleep(seconds)
        command.send(number)
        result = command.result(20)
    steps = assert_saved(tmp_path, last_words(result, number))
    names = sorted(path.name for path in only_run(tmp_path).checkpoints.iterdir())
    assert names == [names[0], f"step-{steps:09d}"]


@pytest.mark.skipif(sys.platform != "linux", reason="the build is a script for Linux")
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_a_build_starts_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    """This one takes its time, in a process of its own."""
    build = tmp_path / "Slow.x86_64"
    build.write_text("#!/bin/sh\nsleep 60\n")
    build.chmod(0o755)
    with Command(TRAIN, "--build", "./Slow.x86_64", cwd=tmp_path) as command:
        command.wait_for(lambda: command.processes() > 1)
        command.send(number)
        sent = time.monotonic()
        result = command.result(20)
    assert time.monotonic() - sent < 10
    assert result.code == 128 + number
    assert result.err.endswith("python -m agents.train: interrupted.\n")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("phase", "number"),
    [("training", signal.SIGINT), ("evaluating", signal.SIGTERM), ("testing", signal.SIGINT)],
)
def test_a_signal_leaves_no_player(phase: str, number: signal.Signals, tmp_path: Path) -> None:
    with Command(TRAIN, *GRIDWORLD, *PHASES[phase], cwd=tmp_path) as command:
        wait_for_phase(phase, command, tmp_path)
        time.sleep(1.0)
        assert command.processes()
        command.send(number)
        sent = time.monotonic()
        result = command.result(20)
    assert time.monotonic() - sent < 10
    said = last_words(result, number)
    if phase == "testing":
        assert said.startswith("stopped in the test; the training is complete and saved; test with: python -m agents.")
    else:
        assert_saved(tmp_path, said)


def test_a_second_signal_leaves_at_once(tmp_path: Path) -> None:
    """Also with a build that has stopped to answer."""
    with Command(TRAIN, *GRIDWORLD, "--steps", "1000000", cwd=tmp_path) as command:
        command.wait_for("episode 10 ")
        player = psutil.Process(command.process.pid).children()[0]
        player.suspend()
        command.send(signal.SIGINT)
        time.sleep(0.3)
        assert command.process.poll() is None
        command.send(signal.SIGTERM)
        sent = time.monotonic()
        result = command.result(20)
    assert time.monotonic() - sent < 2
    assert result.code == 128 + signal.SIGTERM
    # Before that, the first signal's line may stand, if the build had still answered before it was suspended.
    *_, said = without_connections(result.err).splitlines()
    assert said == "python -m agents.train: left at once; what came after the latest checkpoint is lost."


@pytest.mark.skipif(not hasattr(psutil.Process, "rlimit"), reason="needs limits of another process")
def test_a_full_disk_ends_in_two_lines(tmp_path: Path) -> None:
    """What happened and how to go on. The checkpoint before stays, and nothing half-written."""
    words = (*CARTPOLE, "--steps", "1000000", "--training.checkpoint-seconds", "0.2")
    with Command(TRAIN, *words, cwd=tmp_path) as command:
        command.wait_for(lambda: list(tmp_path.glob("runs/*/checkpoints/step-*")))
        command.process.rlimit(psutil.RLIMIT_FSIZE, (60_000, 60_000))  # bytes, which the replay soon has
        result = command.result(30)
    assert result.code == 1
    hint, error = result.err.splitlines()
    assert re.match(r"stopped at step [\d,]+; resume with: python -m agents.train --run-id \S+ --resume", hint)
    assert error.startswith("python -m agents.train: [Errno 27] File too large")
    checkpoints = only_run(tmp_path).checkpoints
    assert "evaluated" in read_about(find_checkpoint(checkpoints, "latest"))
    assert [path for path in checkpoints.iterdir() if path.name.startswith(".")] == []
