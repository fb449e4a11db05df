"""benchmarks/mlagents_learn.py without ML-Agents: a stand-in for the trainer writes what the real one writes."""

import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter


@pytest.fixture
def benchmark(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("mlagents_learn")


def write_events(folder: Path, events: list[tuple[str, int, float, float]]) -> None:
    """(tag, step, value, seconds from now) as ML-Agents writes them; a file begins with an event of now."""
    writer = EventFileWriter(str(folder))
    now = time.time()
    for tag, step, value, seconds in events:
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
        writer.add_event(Event(wall_time=now + seconds, step=step, summary=summary))
    writer.close()


def test_the_curve_is_steps_returns_and_seconds(benchmark: ModuleType, tmp_path: Path) -> None:
    events = [("Environment/Episode Length", 5000, 20.0, 500.0)]
    events += [(benchmark.REWARD, 5000, -0.5, 500.0), (benchmark.REWARD, 10000, 0.25, 1015.0)]
    write_events(tmp_path, events)
    curve = benchmark.read_curve(tmp_path)
    assert [(steps, reward) for steps, reward, _ in curve] == [(5000, -0.5), (10000, 0.25)]
    assert [seconds for _, _, seconds in curve] == pytest.approx([500.0, 1015.0], abs=100.0)


def test_a_run_without_points_has_an_empty_curve(benchmark: ModuleType, tmp_path: Path) -> None:
    assert benchmark.read_curve(tmp_path / "nothing") == []
    write_events(tmp_path, [("Policy/Entropy", 5000, 1.6, 50.0)])
    assert benchmark.read_curve(tmp_path) == []


def test_seeds_stand_side_by_side_where_they_have_a_point(benchmark: ModuleType) -> None:
    rows = [
        {"seed": 1, "curve": [[5000, 0.5, 50.0]]},
        {"seed": 0, "curve": [[5000, -0.5, 60.0], [10000, 0.25, 120.0]]},
    ]
    assert benchmark.table(rows).splitlines()[-2:] == [
        "| 5,000 | -0.50 | 60 | 0.50 | 50 |",
        "| 10,000 | 0.25 | 120 | | |",
    ]


STAND_IN = """\
#!{python}
import signal, sys
from pathlib import Path
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

folder = Path(sys.argv[sys.argv.index("--results-dir") + 1]) / sys.argv[sys.argv.index("--run-id") + 1]
try:
    writer = EventFileWriter(str(folder / "GridWorld"))
    for step in (5000, 10000):
        value = Summary.Value(tag="Environment/Cumulative Reward", simple_value=step / 20000)
        writer.add_event(Event(wall_time=1e9 + step, step=step, summary=Summary(value=[value])))
        writer.flush()
    signal.pause()
except KeyboardInterrupt:
    (folder / "GridWorld.onnx").touch()
"""


def run_benchmark(benchmark: ModuleType, trainer: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command with another trainer, started as a script starts a background command: with SIGINT ignored."""
    program = folder / "venv" / "bin" / "mlagents-learn"
    program.parent.mkdir(parents=True)
    program.write_text(trainer)
    program.chmod(0o755)
    monkeypatch.setattr(benchmark, "RESULTS", folder)
    monkeypatch.setattr(benchmark, "POLL", 0.1)
    monkeypatch.setattr(benchmark, "PATIENCE", 30.0)
    monkeypatch.setattr(benchmark, "versions", lambda venv: {"mlagents": "none"})
    runs = ["--runs-dir", str(folder / "runs"), "--steps", "10000"]
    monkeypatch.setattr(sys, "argv", ["mlagents_learn.py", "--venv", str(folder / "venv"), *runs])
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        benchmark.main()
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(sys.platform == "win32", reason="process groups and their signals")
def test_a_run_is_interrupted_at_its_steps_and_stored_once(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_benchmark(benchmark, STAND_IN.format(python=sys.executable), tmp_path, monkeypatch)
    (row,) = map(json.loads, (tmp_path / "mlagents-ppo.jsonl").read_text().splitlines())
    assert (row["seed"], [point[:2] for point in row["curve"]]) == (0, [[5000, 0.25], [10000, 0.5]])
    assert "| 10,000 | 0.50 |" in capsys.readouterr().out
    (tmp_path / "venv" / "bin" / "mlagents-learn").write_text("not to be run again")
    benchmark.main()
    assert len((tmp_path / "mlagents-ppo.jsonl").read_text().splitlines()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="process groups and their signals")
def test_a_trainer_that_fails_is_an_error_that_names_its_log(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RuntimeError, match=r"ended with code 3 and 0 points.*mlagents-ppo-seed0\.log"):
        run_benchmark(benchmark, f"#!{sys.executable}\nraise SystemExit(3)\n", tmp_path, monkeypatch)
    assert not (tmp_path / "mlagents-ppo.jsonl").exists()
