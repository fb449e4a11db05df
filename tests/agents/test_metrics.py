"""Curves, read back as TensorBoard reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents.evaluation import Evaluation
from agents.metrics import TensorBoardMetrics
from agents.scores import EpisodeResult
from agents.summary import Summary

SUMMARY_TAGS = {
    *("run/score", "run/length", "run/episodes", "model/loss", "model/epsilon", "model/q", "model/td_error"),
    *("model/grad_norm", "model/updates", "replay/size", "speed/steps_per_second"),
}


def read_curves(folder: Path) -> EventAccumulator:
    curves = EventAccumulator(str(folder), size_guidance={"scalars": 0})
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
    )


def test_every_curve_is_over_agent_steps(tmp_path: Path) -> None:
    metrics = TensorBoardMetrics(tmp_path)
    metrics.summary(summary(100))
    metrics.summary(summary(250))
    metrics.close()
    assert set(read_curves(tmp_path).Tags()["scalars"]) == SUMMARY_TAGS
    expected = {
        **{"run/score": 62.5, "run/length": 5, "run/episodes": 3, "model/loss": 31.25, "model/epsilon": 0.25},
        **{"model/q": 31.25, "model/td_error": 31.25, "model/grad_norm": 31.25, "model/updates": 2},
        **{"replay/size": 6, "speed/steps_per_second": 7},
    }
    for tag, value in expected.items():
        assert [step for step, _ in points(tmp_path, tag)] == [100, 250]
        assert points(tmp_path, tag)[-1] == (250, value)


def test_what_nobody_has_seen_has_no_point(tmp_path: Path) -> None:
    """Neither NaN nor 0: a loss before the first update."""
    metrics = TensorBoardMetrics(tmp_path)
    metrics.summary(summary(100, learned=False))
    metrics.summary(summary(200))
    metrics.close()
    assert points(tmp_path, "model/loss") == [(200, 25.0)]
    assert len(points(tmp_path, "run/score")) == 2


def test_what_the_environment_says_is_a_curve(tmp_path: Path) -> None:
    """It cannot hide a curve of our own."""
    metrics = TensorBoardMetrics(tmp_path)
    metrics.summary(summary(100, success=0.5, score=-1.0))
    metrics.close()
    assert points(tmp_path, "run/success") == [(100, 0.5)]
    assert points(tmp_path, "run/score") == [(100, 25.0)]


@pytest.mark.parametrize("success_score", [None, 2.0])
def test_evaluations_are_curves(success_score: float | None, tmp_path: Path) -> None:
    metrics = TensorBoardMetrics(tmp_path)
    results = [EpisodeResult(0, 1.0, 1, False), EpisodeResult(1, 4.0, 1, False)]
    metrics.evaluation(Evaluation(results, [[2]], 0.0, 0, success_score), 40)
    metrics.close()
    assert points(tmp_path, "eval/score") == [(40, 2.5)]
    tags = read_curves(tmp_path).Tags()["scalars"]
    assert ("eval/success" in tags) == (success_score is not None)


def test_text_keeps_its_lines(tmp_path: Path) -> None:
    metrics = TensorBoardMetrics(tmp_path)
    metrics.text("model", "a  1\nbb 2")
    metrics.close()
    curves = read_curves(tmp_path)
    assert curves.Tags()["tensors"] == ["model/text_summary"]
    (event,) = curves.Tensors("model/text_summary")
    assert event.tensor_proto.string_val[0] == b"    a  1\n    bb 2"


def test_a_resumed_run_continues_its_curves(tmp_path: Path) -> None:
    """From the checkpoint at step 200 on, points are made again; the one at 200 belongs to the checkpoint."""
    first = TensorBoardMetrics(tmp_path)
    for steps in (100, 200, 300, 400):  # the last two came after the checkpoint, and were lost
        first.summary(summary(steps, before=1.0))
    first.close()
    second = TensorBoardMetrics(tmp_path, resumed_at=200)
    for steps in (310, 410):
        second.summary(summary(steps, after=1.0))
    second.close()
    for tag in SUMMARY_TAGS:
        assert [step for step, _ in points(tmp_path, tag)] == [100, 200, 310, 410]
    assert [step for step, _ in points(tmp_path, "run/before")] == [100, 200]
    assert [step for step, _ in points(tmp_path, "run/after")] == [310, 410]
