"""Episodes of one agent, and a person who answers by keys on a screen that is a script."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from agents.episodes.players import Played, RandomPlayer, episodes, played, score_board
from agents.episodes.scores import EpisodeResult
from agents.playing.keyboard import make_controls
from agents.playing.person import Person, Quit
from agents.playing.screen import Picture
from bridge import Bridge, EnvSpec, Steps, StepType, connect


def gym(name: str, **options: object) -> Bridge:
    return connect(EnvSpec("gym", f"tests.environments:{name}-v0", {"render": name == "Counter", **options}))


class Constant:
    """Always the same action."""

    def __init__(self, *action: int) -> None:
        self.action = np.array([action], np.int32)
        self.seen: list[int] = []

    def choose(self, deciding: Steps, place: int) -> np.ndarray:
        self.seen.append(int(deciding.episode[place]))
        return self.action


class Script:
    """A screen: each look at the keys gives the next entry, and then nothing any more.

    Attributes:
        shown: lines of each drawing.
        pictures: of each drawing.
    """

    def __init__(self, *typed: Sequence[str]) -> None:
        self.typed = list(typed)
        self.shown: list[Sequence[str]] = []
        self.pictures: list[Picture | None] = []

    def __enter__(self) -> Script:
        return self

    def __exit__(self, *_: object) -> None: ...

    def show(self, picture: Picture | None, lines: Sequence[str]) -> None:
        self.pictures.append(picture)
        self.shown.append(list(lines))

    def keys(self, timeout: float) -> list[str]:
        if self.typed:
            return list(self.typed.pop(0))
        time.sleep(timeout)
        return []


def person(bridge: Bridge, screen: Script, seconds: float | None = None) -> Person:
    return Person(bridge, screen, make_controls(bridge.spec.name, bridge.codec), seconds, 2)


def test_an_episode_has_its_rows_and_actions() -> None:
    with gym("Counter") as bridge:
        first, second = islice(episodes(bridge, Constant(2), seed=3), 2)
    assert [row.step_type[0] for row in first.rows] == [StepType.FIRST, *[StepType.MID] * 4, StepType.LAST]
    assert [row.obs[0][0].tolist() for row in first.rows] == [[t, 0, t, 2 * (t > 0)] for t in range(6)]
    assert [row.obs[0][0, 1] for row in second.rows] == [1] * 6
    assert np.concatenate(first.actions).tolist() == [[2]] * 5
    assert (first.result.score, first.result.length) == (15, 5)


def test_of_several_agents_the_player_has_one() -> None:
    player = Constant(0)
    with gym("Counter", num_envs=3, env_kwargs={"length": 0}, render=False) as bridge:
        found = list(islice(episodes(bridge, player, seed=0), 20))
    ids = [episode.result.episode for episode in found]
    assert list(dict.fromkeys(player.seen)) == ids, "an episode was not played from its beginning to its end"
    for episode in found:
        assert [row.obs[0][0, 2] for row in episode.rows] == list(range(len(episode.rows)))
        assert len(episode.actions) == len(episode.rows) - 1 == episode.result.length


def test_a_random_player_keeps_to_the_mask_of_its_own_row() -> None:
    with gym("Counter", num_envs=3, render=False) as bridge:
        rows = replace(bridge.reset(), mask=(np.eye(3, dtype=np.bool_),))
        player = RandomPlayer(bridge, 0)
        assert [player.choose(rows, place).tolist() for place in (2, 0, 1)] == [[[2]], [[0]], [[1]]]


def test_gridworld_with_several_areas() -> None:
    options = {"codec": "offset", "env_args": ("--areas", "3")}
    with connect(EnvSpec("unity", "simulated/GridWorld", options)) as bridge:
        found = list(islice(episodes(bridge, RandomPlayer(bridge, 0), seed=0), 5))
    for episode in found:
        assert len({int(row.episode[0]) for row in episode.rows}) == 1
        assert episode.result.score == pytest.approx(sum(float(row.reward[0]) for row in episode.rows))


def test_one_seed_begins_alike_for_all() -> None:
    with connect(EnvSpec("gym", "CartPole-v1")) as bridge:
        mine = played("you", bridge, Constant(0), 7, 4)
        random = played("random", bridge, RandomPlayer(bridge, 7), 7, 4)
        assert mine.beginnings == random.beginnings
        assert len(set(mine.beginnings)) == 4
        assert [result.length for result in mine.results] != [result.length for result in random.results]
    assert not any("*" in line for line in score_board([mine, random], 7))


def results(*scores: float) -> list[EpisodeResult]:
    return [EpisodeResult(number, score, 10, truncated=False) for number, score in enumerate(scores)]


def test_the_score_board() -> None:
    players = [
        Played("you", results(9, 8), [b"a", b"b"]),
        Played("random", results(22, -0.125), [b"a", b"c"]),
        Played("my-run", results(500, 500), [b"a", b"b"]),
    ]
    assert score_board(players, 5) == [
        "2 episodes from seed 5, the same for all:",
        "              you  random  my-run",
        "episode 1       9      22     500",
        "episode 2 *     8   -0.12     500",
        "mean         8.50   10.94     500",
        "best            9      22     500",
        "mean length    10      10      10",
        "* began differently: this environment draws random numbers within episodes, too.",
    ]


def test_a_person_decides_each_step() -> None:
    screen = Script(["left", "right"], ["x"], ["down", "left"], ["right", "left"], [], ["down"], ["q"])
    with gym("Counter") as bridge:
        player = person(bridge, screen)
        going = episodes(bridge, player, seed=0)
        first = next(going)
        player.ended(first)
        with pytest.raises(Quit):
            next(going)
    # Counter has three actions, on left, down and right. The "left" too many was typed before the episode ended.
    assert np.concatenate(first.actions)[:, 0].tolist() == [0, 2, 1, 0, 2]
    assert [lines[-3] for lines in screen.shown if lines[-1] == "Not a key."] == [
        "Episode 1 of 2   step 2   score 3   action 2"
    ]
    assert any("Episode 1: score 15 in 5 steps." in lines[-1] for lines in screen.shown)
    assert [int(picture[0, 0, 0]) for picture in screen.pictures if picture is not None][:4] == [0, 1, 2, 2]


def test_without_keys_the_last_action_goes_on() -> None:
    screen = Script(["right"], ["space"], [], [], ["left"])
    with gym("Counter") as bridge:
        player = person(bridge, screen, seconds=0.02)
        (episode,) = islice(episodes(bridge, player, seed=0), 1)
    actions = np.concatenate(episode.actions)[:, 0].tolist()
    assert actions[0] in (0, 2)
    assert actions[-1] == 0
    assert actions == sorted(actions, reverse=True), "an action came that nobody chose"


@pytest.mark.parametrize("name", ["Masked", "MaskedBranches"])
def test_a_person_in_real_time_never_does_what_is_forbidden(name: str) -> None:
    screen = Script(["space"], ["left"], ["down", "up"], ["up", "right"])
    with gym(name) as bridge:  # which fails when it happens
        player = person(bridge, screen, seconds=0.001)
        assert next(episodes(bridge, player, seed=0)).result.length == 5
    assert screen.pictures[0] is None
    assert screen.shown[0][0].startswith("No picture comes from this environment")


def test_all_cameras_of_an_agent_are_seen() -> None:
    screen = Script(["q"])
    with connect(EnvSpec("unity", "simulated/Depot", {"behavior": "Carrier"})) as bridge, pytest.raises(Quit):
        next(episodes(bridge, person(bridge, screen), seed=0))
    (picture,) = screen.pictures
    assert picture is not None
    assert picture.shape == (160 + 4 + 168, 224, 3)  # 16 x 16 by 10 above 24 x 32 by 7


def test_several_agents_are_seen_one_by_one() -> None:
    screen = Script(*[["up"], ["down"]] * 60)
    with connect(EnvSpec("unity", "simulated/GridWorld", {"codec": "offset", "env_args": ("--areas", "2")})) as bridge:
        episode = next(episodes(bridge, person(bridge, screen), seed=0))
    assert screen.pictures
    assert all(picture is not None and picture.ndim == 3 for picture in screen.pictures)
    assert episode.result.length == len(episode.actions)
