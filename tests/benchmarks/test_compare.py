"""Comparisons with peers: figures from curves whose numbers are known, and tiny real runs of both sides."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import numpy as np
import psutil
import pytest

from agents.settings.config import ConfigError, NetworkConfig, build_config
from agents.settings.files import load_config
from agents.settings.presets import load_preset
from agents.storage.history import read_history
from agents.system.interrupts import Interrupts
from tests.leftovers import kill_family

ROOT = Path(__file__).parents[2]
TINY = ("--steps", "600", "--every", "200", "--episodes", "2")
Script = Callable[[str], ModuleType]
#: Agent steps, seconds, mean, minimum: at the goal of 10 once, then twice in a row.
CURVE = [
    [100, 1.0, 3.0, 1.0],
    [200, 2.0, 12.0, 8.0],
    [300, 3.0, 9.0, 2.0],
    [400, 4.0, 10.0, 9.5],
    [500, 6.0, 11.0, 4.0],
]


def write(path: Path, *curves: list[list[float]], **changes: Any) -> Path:
    """A results file with a row per curve."""
    evaluation = {"every": 100, "episodes": 5, "seed": 1}
    rows = [
        {"seed": seed, "arguments": [], "evaluation": evaluation, "curve": curve, "machine": "a machine", "load": seed}
        for seed, curve in enumerate(curves)
    ]
    path.write_text("".join(json.dumps({**row, **changes}) + "\n" for row in rows))
    return path


def cells(table: str) -> dict[str, list[str]]:
    """By the first cell of the line."""
    lines = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("|")]
    return {first.strip(): [cell.strip() for cell in rest] for first, *rest in lines}


@pytest.mark.parametrize(
    ("threshold", "held", "expected"),
    [
        (10.0, 1, (200, 2.0)),
        (10.0, 2, (400, 4.0)),
        (10.0, 3, (math.inf, math.inf)),
        (3.0, 5, (100, 1.0)),
        (12.5, 1, (math.inf, math.inf)),
    ],
)
def test_a_goal_is_reached_at_the_first_of_those_that_hold_it(
    script: Script, threshold: float, held: int, expected: tuple[float, float]
) -> None:
    assert script("table").reached(CURVE, threshold, held) == expected


def test_medians_and_worst_of_the_seeds(script: Script, tmp_path: Path) -> None:
    later = [[step + 100, 2 * seconds, mean, least] for step, seconds, mean, least in CURVE]
    never = [[step, seconds, 0.0, -1.0] for step, seconds, *_ in CURVE]
    files = [write(tmp_path / "a.jsonl", CURVE, later, later), write(tmp_path / "b.jsonl", CURVE, CURVE, never)]
    files.append(write(tmp_path / "c.jsonl", CURVE, never))
    table = script("table").table_of(files, 10.0, 2)
    found = cells(table)
    assert found[""] == [
        *("seeds", "steps to 10", "worst", "seconds", "worst", "final score", "worst", "worst episode"),
        "steps per second",
    ]
    assert found["a"] == ["3", "500", "500", "8.0", "8.0", "11.00", "11.00", "4.00", "50"]
    assert found["b"] == ["3", "400", "never (1 of 3)", "4.0", "never (1 of 3)", "11.00", "0.00", "-1.00", "83"]
    assert found["c"] == ["2", *["never (1 of 2)"] * 4, "5.50", "0.00", "-1.00", "83"]
    for said in ("the first of 2 evaluations in a row", "every 100 steps, 5 episodes", "step 500 to 600", "a machine"):
        assert said in table
    assert "run began: 0.0 to 2.0" in table
    assert len(cells(script("table").table_of(files, None, 2))["a"]) == 5


def test_what_has_no_curves_is_an_error_that_says_so(script: Script, tmp_path: Path) -> None:
    table_of = script("table").table_of
    with pytest.raises(ConfigError, match=r"nothing\.jsonl has no results"):
        table_of([tmp_path / "nothing.jsonl"], None, 3)
    with pytest.raises(ConfigError, match=r"a\.jsonl has no learning curves: measure it with evaluations"):
        table_of([write(tmp_path / "a.jsonl", CURVE, [])], None, 3)


def test_other_evaluations_show(script: Script, tmp_path: Path) -> None:
    other = write(tmp_path / "b.jsonl", CURVE, evaluation={"every": 100, "episodes": 20, "seed": 1})
    table = script("table").table_of([write(tmp_path / "a.jsonl", CURVE), other], None, 3)
    assert table.count("Evaluations: every 100 steps, ") == 2


def test_a_drawing_is_a_file_of_its_own(script: Script, tmp_path: Path) -> None:
    """Over seconds a point lies at the median of its seeds' seconds."""
    slow = [[step, 3 * seconds, mean - 2, least] for step, seconds, mean, least in CURVE]
    path = write(tmp_path / "a <b>.jsonl", CURVE, slow)
    svg = script("plot").drawing_of([path, path], "curves", seconds=True, threshold=5.0)
    root = ElementTree.fromstring(svg)
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("a <b> (2 seeds)") == 2
    assert {"threshold 5", "seconds of training"} <= set(texts)
    assert "--color-0" in svg
    line = script("plot")._line(path, 0, seconds=True)
    assert (line.x.tolist(), line.y.tolist()) == ([2, 4, 6, 8, 12], [2, 11, 8, 9, 10])
    assert (line.low[0], line.high[0]) == (1, 3)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("learning", ("a", "--jobs", "0")),
        ("peers", ("sb3-dqn", "CartPole-v1", "--steps", "100", "--every", "0")),
        ("table", ("a.jsonl", "--held", "0")),
    ],
)
def test_a_count_of_nothing_is_refused(
    script: Script, name: str, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with Interrupts(name) as interrupts, pytest.raises(SystemExit):
        script(name).main(words, interrupts)
    assert f"argument {words[-2]}: found '0', expected a whole number from 1." in capsys.readouterr().err


def run(name: str, *words: str | Path, results: Path) -> subprocess.CompletedProcess[str]:
    places = ("--results", results, "--runs-dir", results / "runs")
    more = words.index("--") if "--" in words else len(words)
    command = [sys.executable, ROOT / "benchmarks" / name, *words[:more], *places, *words[more:]]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_both_sides_in_turns_each_seed_once(script: Script, tmp_path: Path) -> None:
    words = ("compare.py", "CartPole-v1", "--peers", "sb3-dqn", *TINY, "--threshold", "5", "--held", "2")
    done = run(*words, "--seeds", "0,3", "--", "--learner.learning-starts", "100", results=tmp_path)
    assert done.returncode == 0, done.stderr
    files = [tmp_path / f"CartPole-v1.{name}.jsonl" for name in ("ours", "sb3-dqn")]
    read_rows = script("measure").read_rows
    for path in files:
        rows = read_rows(path)
        assert [row["seed"] for row in rows] == [0, 3]
        for row in rows:
            steps, seconds, means, least = zip(*row["curve"], strict=True)
            assert steps == (200, 400, 600)
            assert 0 < seconds[0] < seconds[1] < seconds[2] < row["seconds"] + 1
            assert all(low <= mean for low, mean in zip(least, means, strict=True))
            assert row["evaluation"] == {"every": 200, "episodes": 2, "seed": 1_000_001}
            assert {"torch", "numpy"} <= row["versions"].keys()
        mark = script("measure").preset_mark("cartpole") if path is files[0] else None
        assert [row.get("preset") for row in rows] == [mark, mark]
        assert rows[0]["curve"] != rows[1]["curve"]
    assert list(cells(done.stdout)) == ["", "---", "CartPole-v1.ours", "CartPole-v1.sb3-dqn"]
    runs = tmp_path / "runs"
    logs = sorted(runs.glob("*.log"), key=lambda path: path.stat().st_mtime)
    assert [log.stem.rpartition("-seed")[::2] for log in logs] == [
        (f"CartPole-v1.{name}", seed) for seed in "03" for name in ("ours", "sb3-dqn")
    ]

    folder = runs / "CartPole-v1.ours-seed3"
    assert load_config(folder / "config.yaml").training.seed == 3
    evaluations = read_history(folder, "evaluation")
    took = [line["eval/seconds"] for line in evaluations]
    assert all(took)
    last = read_rows(files[0])[1]["curve"][-1]
    assert last[1] == pytest.approx(evaluations[-1]["time"] - sum(took), abs=0.01)

    before = [path.read_bytes() for path in files]
    again = run(*words, "--seeds", "0,3", "--", "--learner.learning-starts", "100", results=tmp_path)
    assert (again.returncode, again.stdout) == (0, done.stdout)
    other = run(*words, "--seeds", "4", "--", "--learner.learning-starts", "50", results=tmp_path)
    assert other.returncode == 2
    assert "holds results of other arguments" in other.stderr
    assert len(other.stderr.splitlines()) == 1
    assert [path.read_bytes() for path in files] == before


def test_results_of_a_preset_that_has_changed_are_not_continued(script: Script, tmp_path: Path) -> None:
    measure = script("measure")
    preset = tmp_path / "mine.yaml"
    preset.write_text("learner: {n_step: 3}\n")
    path = write(tmp_path / "results.jsonl", CURVE, preset=measure.preset_mark(str(preset)))
    contender = measure.Contender(path, [], lambda seed, should_stop: {})
    preset.write_text("# The same.\nenvironments: [CartPole-v1]\nlearner: {n_step: 3}\n")
    assert len(contender.rows()) == 1
    preset.write_text("learner: {n_step: 4}\n")
    with pytest.raises(ConfigError, match=r"results.jsonl holds results of a preset '.*' that is gone or has changed"):
        contender.rows()
    with Interrupts("test") as interrupts, pytest.raises(ConfigError, match="delete its lines to measure anew"):
        measure.measure_all([contender], [7], interrupts)
    preset.unlink()
    with pytest.raises(ConfigError, match="gone or has changed"):
        contender.rows()


def test_a_run_whose_preset_changes_meanwhile_is_not_stored(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learning = script("learning")
    calls = count()
    monkeypatch.setattr(learning, "preset_mark", lambda name: {"name": name, "sha256": str(next(calls))})
    words = ("--env", "CartPole-v1", "--steps", "100", "--evaluation.every", "0", "--evaluation.episodes", "1")
    with pytest.raises(ConfigError, match="'cartpole' was changed during the run of mine-seed0: it is not stored"):
        learning.train("mine", [*words, "--evaluation.policy", "final"], tmp_path, 0, lambda: False)


def test_a_preset_that_changes_between_two_seeds_ends_the_measuring(script: Script, tmp_path: Path) -> None:
    measure = script("measure")
    preset = tmp_path / "mine.yaml"
    preset.write_text("learner: {n_step: 3}\n")

    def measured(seed: int, should_stop: Callable[[], bool]) -> dict[str, Any]:
        mark = measure.preset_mark(str(preset))
        preset.write_text("learner: {n_step: 4}\n")
        return {"preset": mark}

    contender = measure.Contender(tmp_path / "results.jsonl", [], measured)
    with Interrupts("test") as interrupts, pytest.raises(ConfigError, match="gone or has changed"):
        measure.measure_all([contender], [0, 1], interrupts)
    assert [row["seed"] for row in measure.read_rows(contender.path)] == [0]


@pytest.mark.parametrize(("peer", "env"), [("sb3-td3", "Pendulum-v1"), ("sb3-dqn-seed-a", "Pusher-v4")])
def test_every_kind_of_peer_learns(script: Script, peer: str, env: str, tmp_path: Path) -> None:
    if env == "Pusher-v4" and sys.version_info >= (3, 12):
        pytest.skip("Pusher-v4 needs mujoco 2, which has no wheel past Python 3.11")
    done = run("peers.py", peer, env, "--seeds", "1", *TINY, results=tmp_path)
    assert done.returncode == 0, (tmp_path / "runs" / f"{env}.{peer}-seed1.log").read_text()
    (row,) = script("measure").read_rows(tmp_path / f"{env}.{peer}.jsonl")
    assert [point[0] for point in row["curve"]] == [200, 400, 600]
    assert all(mean < 0 for _, _, mean, _ in row["curve"])


def test_the_peer_explores_as_long_as_published(script: Script) -> None:
    """SB3 takes a part of the training, which may have another length."""
    sb3_run, peers = script("sb3_run"), script("peers")
    settings = peers.PEERS["sb3-dqn"][1]["CartPole-v1"]
    with sb3_run.make_environment("CartPole-v1", None) as env:
        model = sb3_run.make_model({"algorithm": "DQN", "seed": 0, "steps": 20_000, "settings": settings}, env)
    assert (model.exploration_fraction, model.exploration_final_eps, model.gamma) == (0.4, 0.04, 0.99)
    assert [layer.out_features for layer in model.q_net.q_net if hasattr(layer, "out_features")] == [256, 256, 2]


def test_minatars_peer_has_the_network_of_its_paper(script: Script) -> None:
    sb3_run, peers = script("sb3_run"), script("peers")
    name = "envs.minatar:MinAtar/Breakout-v1"
    with sb3_run.make_environment(name, None) as env:
        task = {"algorithm": "DQN", "seed": 0, "steps": 1000, "settings": peers.PEERS["sb3-dqn"][1][name]}
        model = sb3_run.make_model(task, env)
        seen, _ = env.reset(seed=0)
    assert (seen.shape, seen.dtype, sorted(set(seen.ravel().tolist()))) == ((4, 10, 10), np.uint8, [0, 255])
    shapes = [tuple(values.shape) for label, values in model.q_net.named_parameters() if label.endswith("weight")]
    assert shapes == [(16, 4, 3, 3), (128, 1024), (3, 128)]
    assert peers.file_name(name) == "MinAtar-Breakout-v1"
    assert peers.PEERS["sb3-dqn"][1]["envs.minatar:MinAtar/Seaquest-v1"] is peers.MINATAR


def test_the_peer_has_our_one_joint_actions(script: Script) -> None:
    with script("sb3_run").make_environment("Pendulum-v1", "one_joint") as env:
        assert env.action_space.n == 2
        assert [env.func(action).tolist() for action in (0, 1)] == [[1.0], [-1.0]]


@pytest.mark.parametrize(
    ("preset", "peer", "env"),
    [("seed-a", "sb3-dqn-seed-a", "Pusher-v4"), (str(ROOT / "benchmarks/cartpole_zoo.yaml"), "sb3-dqn", "CartPole-v1")],
)
def test_settings_called_equal_are(script: Script, preset: str, peer: str, env: str) -> None:
    config = build_config(load_preset(preset))
    theirs = script("peers").PEERS[peer][1][env]
    learner, exploration = config.learner, config.exploration
    ours = {
        "learning_rate": learner.learning_rate,
        "batch_size": learner.batch_size,
        "buffer_size": config.replay.capacity,
        "learning_starts": learner.learning_starts,
        "gamma": learner.gamma,
        "exploration_initial_eps": exploration.start,
        "exploration_final_eps": exploration.end,
        "exploration_steps": exploration.duration,
        "net_arch": list(config.network.hidden),
    }
    assert ours == {"exploration_initial_eps": 1.0, **{name: theirs[name] for name in ours if name in theirs}}
    assert learner.updates_per_step == theirs["gradient_steps"] / theirs["train_freq"]
    assert config.network.model_dump() == {**NetworkConfig().model_dump(), "hidden": config.network.hidden}
    assert (learner.double, learner.target, learner.n_step, learner.backup) == (False, "hard", 1, "max")
    assert (config.environment.num_envs, exploration.kind, exploration.schedule, exploration.hold) == (
        *(1, "epsilon", "linear", 1),
    )
    assert learner.max_grad_norm == {10: 10, 1e9: 0}[theirs.get("max_grad_norm", 10)]  # SB3's default; none


def test_a_run_that_fails_is_an_error_that_names_its_log(tmp_path: Path) -> None:
    done = run("peers.py", "sb3-sac", "CartPole-v1", *TINY, "--seeds", "0", results=tmp_path)
    assert done.returncode == 1
    log = tmp_path / "runs" / "CartPole-v1.sb3-sac-seed0.log"
    assert done.stderr.splitlines()[-1].endswith(f"ended with code 1: see {log}.")
    assert "Traceback" not in done.stderr
    assert "action space" in log.read_text()
    assert list(tmp_path.glob("*.jsonl")) == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_an_interruption_ends_the_run_and_leaves_no_row(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "benchmarks" / "peers.py", "sb3-dqn", "CartPole-v1", "--steps", "1000000"]
    command += ["--every", "500000", "--results", tmp_path, "--runs-dir", tmp_path, "--seeds", "0"]
    log = tmp_path / "CartPole-v1.sb3-dqn-seed0.log"
    process = psutil.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while not log.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    finally:
        kill_family(process)
        process.stderr.close()
    assert process.returncode == 128 + signal.SIGTERM
    assert said.splitlines() == ["benchmarks/peers.py: interrupted."]
    assert list(tmp_path.iterdir()) == [log]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_signal_that_another_thread_receives_ends_the_measuring(script: Script, tmp_path: Path) -> None:
    """It does not wake the main thread, which handles it."""
    told: list[bool] = []

    def measure(seed: int, should_stop: Callable[[], bool]) -> dict[str, Any]:
        time.sleep(0.2)  # the main thread waits by then
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        deadline = time.monotonic() + 10
        while not should_stop() and time.monotonic() < deadline:
            time.sleep(0.01)
        told.append(should_stop())
        raise InterruptedError

    module = script("measure")
    contender = module.Contender(tmp_path / "x.jsonl", [], measure)
    with Interrupts("measure") as interrupts, pytest.raises(KeyboardInterrupt):
        module.measure_all([contender], [0], interrupts)
    assert told == [True]
    assert not contender.path.exists()
