"""Episodes of one agent of an environment, played by a person or by a policy, and the board that compares them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from agents.episodes.scores import EpisodeResult, Scores
from bridge import Bridge, Steps, StepType

#: int32 [1, branches]
Action = npt.NDArray[np.int32]


class Player(Protocol):
    """Chooses the actions of one agent."""

    def choose(self, deciding: Steps, place: int) -> Action:
        """The action for the row at `place` among those that want one, int32 [1, branches]."""


@dataclass(frozen=True)
class Episode:
    """One ended episode.

    Attributes:
        rows: its `Steps` from FIRST to LAST, one each.
        actions: int32 [1, branches], what answered each row but the last.
    """

    result: EpisodeResult
    rows: Sequence[Steps]
    actions: Sequence[Action]

    @property
    def beginning(self) -> bytes:
        """The first observation, to be compared."""
        return b"".join(values.tobytes() for values in self.rows[0].obs)


@dataclass(frozen=True)
class Played:
    """What one player did.

    Attributes:
        name: for the score board.
        beginnings: of each episode, see `Episode.beginning`.
    """

    name: str
    results: Sequence[EpisodeResult]
    beginnings: Sequence[bytes]


class RandomPlayer:
    """Uniform among the allowed actions."""

    def __init__(self, bridge: Bridge, seed: int) -> None:
        self._actions = bridge.spec.actions
        self._rng = np.random.default_rng(seed)

    def choose(self, deciding: Steps, place: int) -> Action:
        return self._actions.sample(deciding.select([place]).mask, self._rng)


def episodes(bridge: Bridge, player: Player, seed: int) -> Iterator[Episode]:
    """Plays for ever, from a reset with that seed on.

    Where several agents decide, the player has one of them, whose episodes these are, and the others act at random:
    the first one that decides, and when its episode ended, the first one that begins another.
    """
    others = np.random.default_rng(seed)
    scores = Scores()
    rows: list[Steps] = []
    actions: list[Action] = []
    steps = bridge.reset(seed)
    while True:
        for place in range(len(steps)):
            row = steps.select([place])
            begins = not rows and row.step_type[0] == StepType.FIRST
            if not begins and not (rows and row.episode[0] == rows[0].episode[0]):
                continue
            rows.append(row)
            for result in scores.observe(row):
                yield Episode(result, rows, actions)
                rows, actions = [], []
        if rows and rows[0].episode[0] in steps.lost:
            rows, actions = [], []
        deciding = steps.deciding
        chosen = bridge.spec.actions.sample(deciding.mask, others)
        if rows:
            for place in np.flatnonzero(deciding.episode == rows[0].episode[0]).tolist():
                chosen[place] = player.choose(deciding, place)[0]
                actions.append(chosen[[place]])
        steps = bridge.step(chosen)


def played(name: str, bridge: Bridge, player: Player, seed: int, count: int) -> Played:
    """So many episodes of a player that needs no watching."""
    found = [episode for _, episode in zip(range(count), episodes(bridge, player, seed), strict=False)]
    return Played(name, [episode.result for episode in found], [episode.beginning for episode in found])


def score_board(players: Sequence[Played], seed: int) -> list[str]:
    """Lines for a person: each episode's score of each player, then the mean and the best."""
    count = len(players[0].results)
    table = [["", *(player.name for player in players)]]
    for index in range(count):
        same = len({player.beginnings[index] for player in players}) == 1
        label = f"episode {index + 1}{'' if same else ' *'}"
        table.append([label, *(score_text(player.results[index].score) for player in players)])
    scores = [[result.score for result in player.results] for player in players]
    table.append(["mean", *(score_text(fmean(values)) for values in scores)])
    table.append(["best", *(score_text(max(values)) for values in scores)])
    table.append(["mean length", *(score_text(fmean(r.length for r in player.results)) for player in players)])
    lines = [f"{count} episode{'s' * (count > 1)} from seed {seed}, the same for all:", *_aligned(table)]
    if any(" *" in row[0] for row in table):
        lines.append("* began differently: this environment draws random numbers within episodes, too.")
    return lines


def score_text(value: float) -> str:
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.2f}"


def _aligned(table: Sequence[Sequence[Any]]) -> list[str]:
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
