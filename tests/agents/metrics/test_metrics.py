"""Curves, read back as TensorBoard reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents.episodes.evaluation import Evaluation
from agents.episodes.scores import EpisodeResult
from agents.metrics.curves import Metrics
from agents.metrics.summary import Summary
from agents.storage.history import read_history
from bridge import Fault

SUMMARY_TAGS = {
    *("run/score", "run/length", "run/episodes", "model/loss", "model/epsilon", "model/q", "model/td_error"),
    *("model/grad_norm", "model/updates", "replay/size", "speed/steps_per_second"),
    *("time/acting", "time/environment", "time/learning", "time/storing"),
}
TIMES = {"acting": 0.125, "environment": 0.5, "learning": 0.25, "storing": 0.0625}


def read_curves(folder: Path) -> EventAccumulator:
    curves = EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0})
    curves.Reload()
    return curves


def points(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in read_curves(folder).Scalars(tag)]


def summary(steps: int, *, learned: bool = True, **metrics: float) -> Summary:
    value = steps / 8 if learned else None
    return Summary(
        steps=steps,
        updates=2,
        episodes=3,
        score=steps / 4,
        length=5.0,
        level=0.25,
        replay_size=6,
        steps_per_second=7.0,
        loss=value,
        td_error=value,
        q=value,
        grad_norm=value,
        metrics=metrics,
        actions=[[3, 1], [0, 0, 4]],
        time_parts=TIMES,
    )


def test_every_curve_is_over_agent_steps(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path)
    metrics.summary(summary(100))
    metrics.summary(summary(250))
    assert set(read_curves(tmp_path).Tags()["scalars"]) == SUMMARY_TAGS
    expected = {
        **{"run/score": 62.5, "run/length": 5, "run/episodes": 3, "model/loss": 31.25, "model/epsilon": 0.25},
        **{"model/q": 31.25, "model/td_error": 31.25, "model/grad_norm": 31.25, "model/updates": 2},
        **{"replay/size": 6, "speed/steps_per_second": 7},
        **{f"time/{phase}": part for phase, part in TIMES.items()},
    }
    assert expected.keys() == SUMMARY_TAGS
    for tag, value in expected.items():
        assert [step for step, _ in points(tmp_path, tag)] == [100, 250]
        assert points(tmp_path, tag)[-1] == (250, value)


def test_what_nobody_has_seen_has_no_point(tmp_path: Path) -> None:
    """Neither NaN nor 0: a loss before the first update."""
    metrics = Metrics(tmp_path)
    metrics.summary(summary(100, learned=False))
    metrics.summary(summary(200))
    assert points(tmp_path, "model/loss") == [(200, 25.0)]
    assert len(points(tmp_path, "run/score")) == 2


def test_what_the_environment_says_is_a_curve(tmp_path: Path) -> None:
    """It cannot hide a curve of our own."""
    metrics = Metrics(tmp_path)
    metrics.summary(summary(100, success=0.5, score=-1.0))
    assert points(tmp_path, "run/success") == [(100, 0.5)]
    assert points(tmp_path, "run/score") == [(100, 25.0)]


def test_actions_are_histograms_with_a_bucket_each(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path)
    metrics.summary(summary(100))
    metrics.evaluation(Evaluation([EpisodeResult(0, 1.0, 1, False)], [[2, 7]], 0.0, 0), 100, 7, 0.5, is_best=True)
    curves = read_curves(tmp_path)
    assert set(curves.Tags()["histograms"]) == {"actions/branch_0", "actions/branch_1", "eval_actions/branch_0"}
    (event,) = curves.Histograms("actions/branch_1")
    found = event.histogram_value
    assert (event.step, found.num, found.sum) == (100, 4, 8)
    assert (list(found.bucket_limit), list(found.bucket)) == ([0.5, 1.5, 2.5], [0, 0, 4])
    (event,) = curves.Histograms("eval_actions/branch_0")
    assert list(event.histogram_value.bucket) == [2, 7]


def test_faults_are_curves_from_the_first_one_on(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path)
    metrics.summary(summary(100))
    metrics.fault(Fault(1, 0, "died", 3, 9.0), 1, 3, 120, 5)
    metrics.fault(Fault(0, 0, "hung", 2, 9.5), 2, 5, 130, 5)
    assert points(tmp_path, "faults/count") == [(120, 1), (130, 2)]
    assert points(tmp_path, "faults/lost_transitions") == [(120, 3), (130, 5)]


def test_lines_and_curves_say_the_same(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path)
    metrics.summary(summary(100, success=0.5))
    metrics.summary(summary(200, learned=False))
    for line in read_history(tmp_path):
        assert line["actions"] == [[3, 1], [0, 0, 4]]
        for tag in read_curves(tmp_path).Tags()["scalars"]:
            known = dict(points(tmp_path, tag)).get(line["steps"])
            assert known == (line["episodes"] if tag == "run/episodes" else line.get(tag)), tag


@pytest.mark.parametrize("success_score", [None, 2.0])
def test_evaluations_are_curves(success_score: float | None, tmp_path: Path) -> None:
    metrics = Metrics(tmp_path)
    results = [EpisodeResult(0, 1.0, 1, False), EpisodeResult(1, 4.0, 1, False)]
    metrics.evaluation(Evaluation(results, [[2]], 0.0, 0, success_score), 40, 7, 0.5, is_best=True)
    assert points(tmp_path, "eval/score") == [(40, 2.5)]
    tags = read_curves(tmp_path).Tags()["scalars"]
    assert ("eval/success" in tags) == (success_score is not None)
    assert read_history(tmp_path)[0]["eval/seconds"] == 0.5


def test_what_the_environment_says_in_evaluations_is_a_curve(tmp_path: Path) -> None:
    """It cannot hide a curve of our own."""
    metrics = Metrics(tmp_path)
    results = [EpisodeResult(0, 1.0, 1, False, {"height": 0.25, "score": 9.0}), EpisodeResult(1, 4.0, 1, False)]
    metrics.evaluation(Evaluation(results, [[2]], 0.0, 0), 40, 7, 0.5, is_best=True)
    assert points(tmp_path, "eval/height") == [(40, 0.25)]
    assert points(tmp_path, "eval/score") == [(40, 2.5)]
    metrics.test(Evaluation(results, [[2]], 0.0, 0, about={"checkpoint": "c"}), 50, 7)
    assert points(tmp_path, "test/height") == [(50, 0.25)]
    assert [line[key] for line, key in zip(read_history(tmp_path), ("eval/height", "test/height"), strict=True)] == [
        0.25,
        0.25,
    ]


def test_text_keeps_its_lines(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path)
    metrics.start(0, 0, {}, "a  1\nbb 2", {})
    curves = read_curves(tmp_path)
    assert curves.Tags()["tensors"] == ["model/text_summary"]
    (event,) = curves.Tensors("model/text_summary")
    assert event.tensor_proto.string_val[0] == b"    a  1\n    bb 2"


def test_a_resumed_run_continues_its_curves(tmp_path: Path) -> None:
    """From the checkpoint at step 200 on, points are made again; the one at 200 belongs to the checkpoint."""
    first = Metrics(tmp_path)
    for steps in (100, 200, 300, 400):  # the last two came after the checkpoint, and were lost
        first.summary(summary(steps, before=1.0))
    second = Metrics(tmp_path, resumed_at=200)
    for steps in (310, 410):
        second.summary(summary(steps, after=1.0))
    for tag in SUMMARY_TAGS:
        assert [step for step, _ in points(tmp_path, tag)] == [100, 200, 310, 410]
    assert [step for step, _ in points(tmp_path, "run/before")] == [100, 200]
    assert [step for step, _ in points(tmp_path, "run/after")] == [310, 410]
