"""From Q-values to actions: greedy, epsilon-greedy, Boltzmann, held random actions and held noise. numpy only.

One draw per agent and branch, among the allowed actions only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.learning.branches import BranchLayout

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
ActionArray = npt.NDArray[np.int32]


def greedy(q: FloatArray, mask: BoolArray, layout: BranchLayout) -> ActionArray:
    """The allowed action of the highest value per branch. q, mask: [N, total] -> int32 [N, branches]."""
    best: ActionArray = layout.pad(np.where(mask, q, -np.inf), -np.inf).argmax(axis=2).astype(np.int32)
    return best


def uniform(mask: BoolArray, layout: BranchLayout, rng: np.random.Generator) -> ActionArray:
    """Uniform among the allowed actions of each branch. mask [N, total] -> int32 [N, branches]."""
    draws = np.where(mask, rng.random(mask.shape), -1.0)
    drawn: ActionArray = layout.pad(draws, -2.0).argmax(axis=2).astype(np.int32)
    return drawn


def gumbel(shape: tuple[int, ...], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Noise of the standard Gumbel distribution."""
    return -np.log(-np.log(rng.uniform(1e-12, 1.0, shape)))


def _best_with(
    noise: npt.NDArray[np.float64], q: FloatArray, mask: BoolArray, temperature: float, layout: BranchLayout
) -> ActionArray:
    """Softmax of q / temperature per branch, if the noise is Gumbel's (the Gumbel-max trick)."""
    return greedy((q / temperature + noise).astype(np.float32), mask, layout)


def epsilon_greedy(
    q: FloatArray, mask: BoolArray, epsilon: float, layout: BranchLayout, rng: np.random.Generator
) -> ActionArray:
    """With probability epsilon, drawn for each agent and branch by itself, uniform; otherwise greedy."""
    random = _random_or_none(mask, epsilon, layout, rng)
    return np.where(random >= 0, random, greedy(q, mask, layout))


def _random_or_none(mask: BoolArray, epsilon: float, layout: BranchLayout, rng: np.random.Generator) -> ActionArray:
    """Uniform with probability epsilon, otherwise -1."""
    explore = rng.random((len(mask), len(layout.sizes))) < epsilon
    return np.where(explore, uniform(mask, layout, rng), np.int32(-1))


class Exploration:
    """Chooses actions for the deciding agents; remembers, per open episode and branch, what is being held.

    Args:
        kind: `epsilon`; `boltzmann` and `soft` are one thing here: where the temperature comes from is not.
        hold: the mean number of decisions, with geometric times, that something random is held; 1 holds nothing.
            With epsilon it is a random action (Dabney et al. 2021, arXiv 2006.01782), and the fraction of random
            decisions stays epsilon. With Boltzmann it is the Gumbel noise that chooses among a branch's actions (gSDE
            keeps its noise so, Raffin et al. 2021, arXiv 2005.05719): for given values every decision is still drawn
            by the softmax, but several in a row prefer the same actions.
    """

    def __init__(self, kind: str, hold: float, layout: BranchLayout, rng: np.random.Generator) -> None:
        self._by_noise = kind != "epsilon"
        self._hold = hold
        self._layout = layout
        self._rng = rng
        #: By episode: actions [branches], -1 where none is held; or noise [total].
        self._held: dict[int, npt.NDArray[Any]] = {}

    def choose(
        self, values: Callable[[], FloatArray], mask: BoolArray, episodes: npt.NDArray[np.int64], level: float
    ) -> ActionArray:
        """Actions int32 [N, branches] for the open `episodes` [N], whose mask is [N, total].

        Args:
            values: computes q [N, total]; not asked where all that is done is random.
            level: epsilon or temperature.
        """
        if level <= 0:
            return greedy(values(), mask, self._layout)
        holds = self._hold > 1
        if self._by_noise:
            noise = self._held_noise(mask.shape, episodes) if holds else gumbel(mask.shape, self._rng)
            return _best_with(noise, values(), mask, level, self._layout)
        if holds:
            random = self._held_actions(mask, episodes, level)
        else:
            random = _random_or_none(mask, level, self._layout, self._rng)
        is_random = random >= 0
        return random if is_random.all() else np.where(is_random, random, greedy(values(), mask, self._layout))

    def forget(self, episodes: npt.NDArray[np.int64]) -> None:
        """Those episodes ended."""
        for episode in episodes.tolist():
            self._held.pop(episode, None)

    def forget_all(self) -> None:
        self._held.clear()

    def state_dict(self) -> dict[str, Any]:
        return {"noise": self._by_noise, "held": {str(episode): held.tolist() for episode, held in self._held.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._held = {}
        if state.get("noise", False) == self._by_noise:  # else the run goes on with another kind
            kind = np.float64 if self._by_noise else np.int32
            self._held = {int(episode): np.asarray(held, kind) for episode, held in state["held"].items()}

    def _held_actions(self, mask: BoolArray, episodes: npt.NDArray[np.int64], level: float) -> ActionArray:
        """Random actions that begin or go on, -1 where there is none. [N, branches]"""
        branches = len(self._layout.sizes)
        nothing = np.full(branches, -1, np.int32)
        held = np.array([self._held.get(episode, nothing) for episode in episodes.tolist()], np.int32)
        held = held.reshape(-1, branches)  # also when nobody decides
        allowed = self._layout.pad(mask, False)
        rows, columns = np.ogrid[: len(mask), :branches]
        going_on = (held >= 0) & allowed[rows, columns, held]
        # The chance to begin, such that a fraction `level` of all decisions is random in the long run.
        begin = level / (level + self._hold * (1.0 - level))
        begins = ~going_on & (self._rng.random(held.shape) < begin)
        held = np.where(begins, uniform(mask, self._layout, self._rng), np.where(going_on, held, -1)).astype(np.int32)
        stays = self._rng.random(held.shape) >= 1.0 / self._hold
        for episode, after in zip(episodes.tolist(), np.where(stays, held, -1), strict=True):
            self._held[episode] = after
        return held

    def _held_noise(self, shape: tuple[int, ...], episodes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Each branch's noise is drawn anew with probability 1 / hold. [N, total]"""
        fresh = gumbel(shape, self._rng)
        ends = self._rng.random((len(fresh), len(self._layout.sizes))) < 1.0 / self._hold
        held = [self._held.get(episode, drawn) for episode, drawn in zip(episodes.tolist(), fresh, strict=True)]
        noise = np.where(np.repeat(ends, self._layout.sizes, axis=1), fresh, np.reshape(held, shape))
        self._held.update(zip(episodes.tolist(), noise, strict=True))
        return noise
