"""From Q-values to actions: greedy, epsilon-greedy, Boltzmann, held random actions and held noise. numpy only.

One draw per agent and branch, among the allowed actions only.
"""

from __future__ import annotations

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


def boltzmann(
    q: FloatArray, mask: BoolArray, temperature: float, layout: BranchLayout, rng: np.random.Generator
) -> ActionArray:
    """Softmax of q / temperature per branch, by the Gumbel-max trick; temperature 0 is greedy."""
    if temperature <= 0:
        return greedy(q, mask, layout)
    return _best_with(gumbel(q.shape, rng), q, mask, temperature, layout)


def gumbel(shape: tuple[int, ...], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Noise of the standard Gumbel distribution."""
    return -np.log(-np.log(rng.uniform(1e-12, 1.0, shape)))


def _best_with(
    noise: npt.NDArray[np.float64], q: FloatArray, mask: BoolArray, temperature: float, layout: BranchLayout
) -> ActionArray:
    return greedy((q / temperature + noise).astype(np.float32), mask, layout)


def epsilon_greedy(
    q: FloatArray, mask: BoolArray, epsilon: float, layout: BranchLayout, rng: np.random.Generator
) -> ActionArray:
    """With probability epsilon, drawn for each agent and branch by itself, uniform; otherwise greedy."""
    explore = rng.random((len(q), len(layout.sizes))) < epsilon
    return np.where(explore, uniform(mask, layout, rng), greedy(q, mask, layout))


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

    def choose(self, q: FloatArray, mask: BoolArray, episodes: npt.NDArray[np.int64], level: float) -> ActionArray:
        """int32 [N, branches] for q, mask [N, total] of the open `episodes` [N]; `level` is epsilon or temperature."""
        if level <= 0:
            return greedy(q, mask, self._layout)
        if self._hold <= 1:
            plain = boltzmann if self._by_noise else epsilon_greedy
            return plain(q, mask, level, self._layout, self._rng)
        if self._by_noise:
            return _best_with(self._held_noise(q.shape, episodes), q, mask, level, self._layout)
        return self._held_or_greedy(q, mask, episodes, level)

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

    def _held_or_greedy(
        self, q: FloatArray, mask: BoolArray, episodes: npt.NDArray[np.int64], level: float
    ) -> ActionArray:
        branches = len(self._layout.sizes)
        nothing = np.full(branches, -1, np.int32)
        held = np.array([self._held.get(episode, nothing) for episode in episodes.tolist()], np.int32)
        held = held.reshape(-1, branches)  # also when nobody decides
        allowed = self._layout.pad(mask, False)
        rows, columns = np.ogrid[: len(q), :branches]
        going_on = (held >= 0) & allowed[rows, columns, held]
        # The chance to begin, such that a fraction `level` of all decisions is random in the long run.
        begin = level / (level + self._hold * (1.0 - level))
        begins = ~going_on & (self._rng.random(held.shape) < begin)
        held = np.where(begins, uniform(mask, self._layout, self._rng), np.where(going_on, held, -1)).astype(np.int32)
        actions = np.where(held >= 0, held, greedy(q, mask, self._layout))
        stays = self._rng.random(held.shape) >= 1.0 / self._hold
        for episode, after in zip(episodes.tolist(), np.where(stays, held, -1), strict=True):
            self._held[episode] = after
        return actions

    def _held_noise(self, shape: tuple[int, ...], episodes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Each branch's noise is drawn anew with probability 1 / hold. [N, total]"""
        fresh = gumbel(shape, self._rng)
        ends = self._rng.random((len(fresh), len(self._layout.sizes))) < 1.0 / self._hold
        held = [self._held.get(episode, drawn) for episode, drawn in zip(episodes.tolist(), fresh, strict=True)]
        noise = np.where(np.repeat(ends, self._layout.sizes, axis=1), fresh, np.reshape(held, shape))
        self._held.update(zip(episodes.tolist(), noise, strict=True))
        return noise
