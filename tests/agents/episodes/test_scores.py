"""Returns and lengths from interleaved rows."""

from __future__ import annotations

import pytest

from agents.episodes.scores import EpisodeResult, Scores
from tests.agents.scripted import FIRST, LAST, MID, Row, behavior, steps_of

SPEC = behavior()


def observe(scores: Scores, *rows: Row) -> list[EpisodeResult]:
    return scores.observe(steps_of(SPEC, *rows))


def test_interleaved_episodes_are_summed_apart() -> None:
    scores = Scores()
    assert observe(scores, Row(1, FIRST), Row(2, FIRST)) == []
    assert observe(scores, Row(1, MID, reward=1.0), Row(2, MID, reward=10.0)) == []
    assert observe(scores, Row(2, MID, reward=20.0)) == []
    assert scores.open_episodes == {1, 2}
    (first,) = observe(scores, Row(1, LAST, reward=-4.0, terminated=True), Row(3, FIRST), Row(2, MID, reward=30.0))
    assert (first.episode, first.score, first.length, first.truncated) == (1, -3.0, 2, False)
    assert scores.open_episodes == {2, 3}
    two, three = observe(scores, Row(2, LAST, reward=40.0), Row(3, LAST, reward=5.0, terminated=True))
    assert (two.episode, two.score, two.length, two.truncated) == (2, 100.0, 4, True)
    assert (three.episode, three.score, three.length, three.truncated) == (3, 5.0, 1, False)
    assert scores.open_episodes == frozenset()


def test_an_agent_that_ends_and_decides_again_has_two_episodes() -> None:
    scores = Scores()
    observe(scores, Row(1, FIRST))
    (ended,) = observe(scores, Row(1, LAST, reward=2.0), Row(2, FIRST))
    (again,) = observe(scores, Row(2, LAST, reward=7.0))
    assert (ended.score, again.score) == (2.0, 7.0)


def test_a_reward_of_a_first_row_is_of_nobody() -> None:
    scores = Scores()
    observe(scores, Row(1, FIRST, reward=5.0))
    (ended,) = observe(scores, Row(1, LAST, reward=2.0))
    assert (ended.score, ended.length) == (2.0, 1)


def test_metrics_are_those_of_the_last_row() -> None:
    scores = Scores()
    observe(scores, Row(1, FIRST, metrics={"height": 9.0}), Row(2, FIRST))
    observe(scores, Row(1, MID, metrics={"height": 8.0}), Row(2, MID))
    one, two = observe(scores, Row(1, LAST, metrics={"height": 0.5, "success": 1.0}), Row(2, LAST))
    assert one.metrics == {"height": 0.5, "success": 1.0}
    assert two.metrics == {}, "what the environment did not say is absent, not NaN"


def test_nothing_reported_changes_nothing() -> None:
    scores = Scores()
    observe(scores, Row(1, FIRST))
    assert observe(scores) == []
    assert scores.open_episodes == {1}


def test_scores_add_up_in_double_precision() -> None:
    scores = Scores()
    observe(scores, Row(1, FIRST))
    for _ in range(1000):
        observe(scores, Row(1, MID, reward=0.1))
    (ended,) = observe(scores, Row(1, LAST, reward=0.1))
    assert ended.score == pytest.approx(100.1, abs=1e-5)
