"""The part of benchmarks/mlagents_learn.py that needs no ML-Agents: from TensorBoard files to a table."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as Python sees it when it is run: its own folder comes first on the path."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("learning", "mlagents_learn"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("mlagents_learn")


def write_events(folder: Path, events: list[tuple[str, int, float, float]]) -> None:
    """(tag, step, value, wall time) as ML-Agents writes them."""
    writer = EventFileWriter(str(folder))
    for tag, step, value, wall_time in events:
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
        writer.add_event(Event(wall_time=wall_time, step=step, summary=summary))
    writer.close()


def test_the_curve_is_steps_returns_and_seconds(benchmark: ModuleType, tmp_path: Path) -> None:
    write_events(
        tmp_path,
        [
            ("Environment/Episode Length", 5000, 20.0, 150.0),
            (benchmark.REWARD, 5000, -0.5, 150.0),
            (benchmark.REWARD, 10000, 0.25, 201.5),
        ],
    )
    curve = benchmark.read_curve(tmp_path)
    assert [(steps, reward) for steps, reward, _ in curve] == [(5000, -0.5), (10000, 0.25)]
    assert curve[1][2] - curve[0][2] == pytest.approx(51.5)


def test_a_run_without_points_has_an_empty_curve(benchmark: ModuleType, tmp_path: Path) -> None:
    write_events(tmp_path, [("Policy/Entropy", 5000, 1.6, 150.0)])
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
