"""Which key means which action: by the environment's name, by the number of actions, or as levels of several branches.

Keys have names: left, right, up, down, space, enter, or the lower-case character that they type. W, A, S and D are the
arrows wherever they mean nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatch

import numpy as np
import numpy.typing as npt

from agents.settings.config import ConfigError
from bridge import ActionCodec

QUIT = "q"
#: The keys of one branch with many actions, or of many branches, in their order.
NUMBERED = (*"123456789", *(letter for letter in "abcdefghijklmnoprstuvwxyz" if letter != QUIT))
WASD = {"w": "up", "a": "left", "s": "down", "d": "right"}
NAMED = ("left", "right", "up", "down", "space", "enter")
NEUTRAL = "0"

#: Per branch which actions are allowed, bool [size].
Masks = Sequence[npt.NDArray[np.bool_]]


@dataclass(frozen=True)
class Known:
    """What is known of environments by their name: the key of each action, and whether they wait for one."""

    pattern: str
    keys: tuple[str, ...] = ()
    realtime: bool = False


KNOWN = (
    Known("CartPole*", ("left", "right"), realtime=True),
    Known("MountainCar-*", ("left", "down", "right"), realtime=True),
    Known("Acrobot*", ("left", "down", "right"), realtime=True),
    Known("LunarLander-*", ("down", "left", "up", "right"), realtime=True),
    Known("FrozenLake*", ("left", "down", "right", "up")),
    Known("CliffWalking*", ("up", "right", "down", "left")),
    Known("Taxi*", ("down", "up", "right", "left", "p", "o")),
)
#: Of others with one branch, by its number of actions: those of ML-Agents' GridWorld, without and with "do nothing".
BY_COUNT = {
    1: ("space",),
    2: ("left", "right"),
    3: ("left", "down", "right"),
    4: ("up", "down", "left", "right"),
    5: ("space", "up", "down", "left", "right"),
}


class Answer(Enum):
    """What a key did."""

    DECIDED = "the action is chosen"
    CHANGED = "something was set, the action is not chosen yet"
    FORBIDDEN = "the action is not allowed now"
    UNKNOWN = "this key means nothing"


class Controls(ABC):
    """A person's choice so far; keys change it.

    Attributes:
        help: the keys, for a person.
    """

    help: str

    @abstractmethod
    def press(self, key: str, mask: Masks) -> Answer:
        """A key was pressed while `mask` says what is allowed."""

    @abstractmethod
    def action(self, mask: Masks) -> list[int]:
        """The chosen action per branch; of one that is not allowed, the nearest that is."""

    @property
    @abstractmethod
    def chosen(self) -> str:
        """The choice, for a person."""


class DirectControls(Controls):
    """One branch: each action has a key.

    Args:
        keys: of each action.
        labels: of each action.
    """

    def __init__(self, keys: Sequence[str], labels: Sequence[str]) -> None:
        self._actions = {key: action for action, key in enumerate(keys)}
        aliases = {letter: self._actions[arrow] for letter, arrow in WASD.items() if arrow in self._actions}
        self._actions = {**aliases, **self._actions}
        self._labels = labels
        self._action = 0
        shown = ", ".join(f"{key} {label}" for key, label in zip(keys, labels, strict=True))
        self.help = f"{shown} (arrows or WASD)" if aliases else shown

    def press(self, key: str, mask: Masks) -> Answer:
        action = self._actions.get(key)
        if action is None:
            return Answer.UNKNOWN
        if not mask[0][action]:
            return Answer.FORBIDDEN
        self._action = action
        return Answer.DECIDED

    def action(self, mask: Masks) -> list[int]:
        return [_nearest(self._action, mask[0])]

    @property
    def chosen(self) -> str:
        return self._labels[self._action]


class LevelControls(Controls):
    """Several branches, or one with very many actions: a key chooses the branch, up and down its level.

    Args:
        labels: per branch of each level.
        neutral: per branch the level to begin with.
    """

    help = "1 2 3 ... or left and right choose the branch, up and down its level, 0 sets all back, space acts"

    def __init__(self, labels: Sequence[Sequence[str]], neutral: Sequence[int]) -> None:
        self._labels = labels
        self._neutral = list(neutral)
        self._levels = list(neutral)
        self._branch = 0

    def press(self, key: str, mask: Masks) -> Answer:
        if key in ("space", "enter"):
            return Answer.DECIDED
        count = len(self._levels)
        if key in ("up", "down"):
            return self._move(1 if key == "up" else -1, mask[self._branch])
        if key in ("left", "right"):
            self._branch = (self._branch + (1 if key == "right" else -1)) % count
        elif key == NEUTRAL:
            self._levels = list(self._neutral)
        elif key in NUMBERED[:count]:
            self._branch = NUMBERED.index(key)
        else:
            return Answer.UNKNOWN
        return Answer.CHANGED

    def _move(self, step: int, allowed: npt.NDArray[np.bool_]) -> Answer:
        """To the next allowed level up or down."""
        level = self._levels[self._branch] + step
        while 0 <= level < len(allowed):
            if allowed[level]:
                self._levels[self._branch] = level
                return Answer.CHANGED
            level += step
        return Answer.FORBIDDEN

    def action(self, mask: Masks) -> list[int]:
        return [_nearest(level, allowed) for level, allowed in zip(self._levels, mask, strict=True)]

    @property
    def chosen(self) -> str:
        shown = []
        for branch, level in enumerate(self._levels):
            name = NUMBERED[branch] if branch < len(NUMBERED) else str(branch + 1)
            text = f"{name}: {self._labels[branch][level]}"
            shown.append(f"[{text}]" if branch == self._branch else f" {text} ")
        return " ".join(shown)


def make_controls(name: str, codec: ActionCodec, keys: Sequence[str] = ()) -> Controls:
    """The keys of an environment.

    Args:
        name: of the environment or behaviour.
        keys: of each action, in their order; empty: chosen by the name and the number of actions.

    Raises:
        ConfigError: keys that do not fit.
    """
    sizes = codec.spec.branches
    if keys:
        _check(keys, sizes)
        return DirectControls(keys, _action_labels(codec))
    if len(sizes) == 1:
        known = known_environment(name).keys
        table = known if len(known) == sizes[0] else BY_COUNT.get(sizes[0], NUMBERED[: sizes[0]])
        if len(table) == sizes[0]:
            return DirectControls(table, _action_labels(codec))
    return LevelControls(*_levels(codec))


def known_environment(name: str) -> Known:
    """What the table has about an environment of that name; an entry without keys when it has nothing."""
    return next((known for known in KNOWN if fnmatch(name, known.pattern)), Known("*"))


def _check(keys: Sequence[str], sizes: tuple[int, ...]) -> None:
    if len(sizes) != 1:
        raise ConfigError(f"--keys names one key for each action, but there are {len(sizes)} branches: leave it out.")
    wrong = [key for key in keys if key not in NAMED and (len(key) != 1 or key == QUIT or not key.isprintable())]
    if wrong:
        raise ConfigError(
            f"--keys: found {wrong[0]!r}, expected {', '.join(NAMED)} or one character other than {QUIT}."
        )
    if len(keys) != sizes[0] or len(set(keys)) != len(keys):
        raise ConfigError(f"--keys: found {','.join(keys)}, expected {sizes[0]} different keys, one for each action.")


def _nearest(wanted: int, allowed: npt.NDArray[np.bool_]) -> int:
    possible = np.flatnonzero(allowed)
    return int(possible[np.abs(possible - wanted).argmin()])


def _action_labels(codec: ActionCodec) -> list[str]:
    """Of a single branch: the action's number, or what it does to the dimensions of a continuous action."""
    if codec.native.is_discrete:
        return [str(action) for action in range(len(codec.tables[0]))]
    return [
        " ".join(f"dim {dim + 1}: {row[dim]:+g}" for dim in np.flatnonzero(row)) or "nothing" for row in codec.tables[0]
    ]


def _levels(codec: ActionCodec) -> tuple[list[list[str]], list[int]]:
    """Per branch the labels of its levels, and the level that is nearest to nothing."""
    if codec.native.is_discrete:
        return [[str(level) for level in range(len(table))] for table in codec.tables], [0] * len(codec.tables)
    values = [table.sum(axis=1) for table in codec.tables]  # a level decides one dimension
    labels = [[f"{value:+g}" if value else "0" for value in row] for row in values]
    return labels, [int(np.abs(row).argmin()) for row in values]
