"""From agents that come, decide and go at their own times to a fixed number of slots.

Libraries that speak gymnasium want the same number of rows in every step, and an action for each. A slot is a place for
one agent: its rows are those of one episode from FIRST to LAST, and then those of the next episode that begins there.

- After an exchange in which no agent decides, the next one follows at once. What ended on the way is kept.
- An episode that begins goes to the slot that became free last, of the same player if there is one; those that became
  free together are filled in their order. So agents that start anew in the exchange in which they ended keep theirs.
- An agent that joins while no slot is free is refused.
- Where some agents decide and others do not, those that do must be answered now. The others' slots *wait*: refused, or
  with `hold` reported as waiting, with the latest observation, no reward and no end; their actions are ignored.
- A lost episode (`Steps.lost`: its process died) ends as truncated, with no reward and the latest observation as the
  final one; its info says `lost`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bridge.base import Bridge
from bridge.connect import connect
from bridge.errors import ActionError, ConnectionLostError, SequenceError, UnsupportedError, UsageError
from bridge.types import Array, BoolArray, EnvSpec, Float32Array, Steps, StepType, concatenate

#: So many exchanges in a row without a decision are a scene that hangs.
PATIENCE = 1000


@dataclass(frozen=True)
class End:
    """How the episode of one slot ended.

    Attributes:
        obs: the final one, an array per sensor.
        info: gymnasium's `info` of it.
    """

    obs: tuple[Array, ...]
    info: dict[str, Any]


@dataclass(frozen=True)
class Report:
    """All slots after a step.

    Attributes:
        obs: one array per sensor, [slots, ...]: what is to be decided on now.
        reward: float64 [slots], earned by the step.
        terminated, truncated: bool [slots], an episode ended in the step; never both.
        ends: by slot, where an episode ended.
        mask: bool [slots, actions of all branches end to end], True = allowed.
        waiting: bool [slots], nobody decides here now: the next action is ignored.
        replaced: bool [slots], the step's action was masked and another one was taken.
        metrics: float32 [slots] by name, NaN where nothing is said.
    """

    obs: tuple[Array, ...]
    reward: npt.NDArray[np.float64]
    terminated: BoolArray
    truncated: BoolArray
    ends: Mapping[int, End]
    mask: BoolArray
    waiting: BoolArray
    replaced: BoolArray
    metrics: Mapping[str, Float32Array]

    def info(self, slot: int) -> dict[str, Any]:
        """gymnasium's `info` of what is to be decided on now, with arrays of its own."""
        info = _info(self.mask[slot], self.metrics, slot, replaced=bool(self.replaced[slot]) and slot not in self.ends)
        return info | {"waiting": True} if self.waiting[slot] else info


class Slots:
    """A bridge as a fixed number of slots.

    Args:
        bridge: what to connect to, or an open bridge, which is taken over: reset here, and closed by `close`.
        agents: the number of slots; None: as many as the first exchange reports agents.
        hold: let slots wait (see above) instead of refusing the scene.
        replace_masked: take the first allowed action of the branch in place of a masked one; otherwise refuse it.

    Attributes:
        bridge: the bridge.
        count: the number of slots.

    Raises:
        UsageError: `agents` below 1.
        BridgeError: whatever `connect` and `reset` raise.
    """

    def __init__(
        self,
        bridge: EnvSpec | Bridge,
        *,
        agents: int | None = None,
        hold: bool = False,
        replace_masked: bool = True,
    ) -> None:
        if agents is not None and agents < 1:
            raise UsageError(f"agents is {agents}, expected a number from 1, or None to count them.")
        self._own = isinstance(bridge, EnvSpec)
        self.bridge = connect(bridge) if isinstance(bridge, EnvSpec) else bridge
        self._hold = hold
        self._replace = replace_masked
        self._fresh: Steps | None = None  # the rows by which the agents were counted, until `reset` hands them out
        try:
            if agents is None:
                self._fresh = self._until_decision(self.bridge.reset())
                agents = len(self._fresh.deciding)
        except BaseException:
            if self._own:
                self.bridge.close()
            raise
        self.count = agents
        self._steps: Steps | None = None  # the rows that want an action
        self._asking: list[int] = []  # the slot of each
        self._begin()

    def reset(self, seed: int | None = None) -> Report:
        """New episodes in all slots; see `Bridge.reset` for the seed.

        Raises:
            UnsupportedError: more agents than slots, or fewer without `hold`.
        """
        fresh, self._fresh, self._steps = self._fresh, None, None
        as_launched = seed is None or (self._own and seed == self.bridge.env_spec.seed)
        steps = fresh if fresh is not None and as_launched else self._until_decision(self.bridge.reset(seed))
        self._begin()
        return self._report(steps, np.zeros(self.count, np.bool_))

    def step(self, actions: npt.ArrayLike, *, stop_at_end: bool = False) -> Report:
        """Exchanges until an agent decides.

        Args:
            actions: integers [slots, branches], or [slots] where there is one branch.
            stop_at_end: or until an episode ends, even if nobody decides yet.

        Raises:
            SequenceError: before `reset`, or after a failure.
            ActionError: wrong shape, type or range, or a masked action and not `replace_masked`. Nothing was sent.
            UnsupportedError: more agents than slots; some agents decide and others do not, without `hold`.
            ConnectionLostError: for `PATIENCE` exchanges nobody decided.
        """
        if self._steps is None:
            raise SequenceError("step() before reset(), or after a failure: call reset() first.")
        sent, replaced = self._answers(actions, self._steps)
        self.bridge.send(sent)
        self._steps = None
        return self._report(self._until_decision(self.bridge.receive(), stop_at_end=stop_at_end), replaced)

    def close(self) -> None:
        """Ends the environment. Idempotent."""
        self.bridge.close()

    def _begin(self) -> None:
        """All slots are free and have seen nothing."""
        self._slots: dict[int, int] = {}  # open episode -> its slot
        self._free = list(range(self.count))  # in the order in which they are to be filled
        self._workers = [-1] * self.count  # who reported a slot's latest episode
        self._obs = tuple(spec.zeros(self.count) for spec in self.bridge.spec.observations)

    def _until_decision(self, steps: Steps, *, stop_at_end: bool = False) -> Steps:
        """These rows and those of the exchanges that follow, up to the first in which an agent decides."""
        parts = [steps]
        nobody = np.zeros((0, len(self.bridge.spec.actions.branches)), np.int32)
        while not parts[-1].wants_action.any() and not (stop_at_end and len(parts[-1])):
            if len(parts) == PATIENCE:
                if self._hold and any(map(len, parts)):
                    break
                raise ConnectionLostError(
                    f"no agent of {self.bridge.spec.name!r} decided in {PATIENCE} exchanges, expected one: reset, or "
                    "see why the scene goes on without its agents."
                )
            parts.append(self.bridge.step(nobody))
        return concatenate(parts)

    def _answers(self, actions: npt.ArrayLike, steps: Steps) -> tuple[Array, BoolArray]:
        """The actions of the rows that want one, [M, branches], and in which slots they were replaced."""
        found = np.asarray(actions)
        branches = self.bridge.spec.actions.branches
        if found.shape == (self.count,) and len(branches) == 1:
            found = found[:, None]
        if found.shape != (self.count, len(branches)) or found.dtype.kind not in "iu":
            raise ActionError(
                f"actions are {found.dtype} of shape {found.shape}, expected integers of shape "
                f"{(self.count, len(branches))}: one row per slot."
            )
        chosen = found[self._asking]
        replaced = np.zeros(self.count, np.bool_)
        if self._replace:
            rows = np.arange(len(chosen))
            for branch, allowed in enumerate(steps.mask):
                known = (chosen[:, branch] >= 0) & (chosen[:, branch] < branches[branch])  # the bridge refuses others
                masked = known & ~allowed[rows, np.where(known, chosen[:, branch], 0)]
                chosen[masked, branch] = allowed[masked].argmax(axis=1)
                replaced[np.array(self._asking, np.intp)[masked]] = True
        return chosen, replaced

    def _report(self, steps: Steps, replaced: BoolArray) -> Report:
        ended, deciding = steps.select(~steps.wants_action), steps.deciding
        over = [self._slots.pop(episode) for episode in ended.episode.tolist()]
        lost = [self._slots.pop(episode) for episode in steps.lost.tolist()]
        ends = self._ends(ended, over, lost, replaced)
        self._free = over + lost + self._free
        self._asking = [self._place(deciding, row) for row in range(len(deciding))]
        waiting = np.ones(self.count, np.bool_)
        waiting[self._asking] = False
        if waiting.any() and not self._hold:
            raise UnsupportedError(
                f"{len(deciding)} agents of {self.bridge.spec.name!r} decide while {int(waiting.sum())} slots wait, "
                f"expected a decision in each of {self.count}: give the number of agents that decide together, or "
                "hold=True to let slots wait (docs/door.md)."
            )
        for values, last, new in zip(self._obs, ended.obs, deciding.obs, strict=True):
            values[over] = last  # stays where no episode follows at once
            values[self._asking] = new
        reward = np.zeros(self.count, np.float64)
        reward[self._asking] = deciding.reward
        reward[over] = ended.reward  # also where the next episode begins: FIRST has earned nothing
        terminated, truncated = np.zeros((2, self.count), np.bool_)
        terminated[over] = ended.discount == 0
        truncated[over] = ended.discount != 0
        truncated[lost] = True
        mask = np.ones((self.count, sum(self.bridge.spec.actions.branches)), np.bool_)
        mask[self._asking] = np.concatenate(deciding.mask, axis=1)
        metrics = {name: np.full(self.count, np.nan, np.float32) for name in deciding.metrics}
        for name, values in metrics.items():
            values[self._asking] = deciding.metrics[name]
        self._steps = deciding
        obs = tuple(values.copy() for values in self._obs)  # the caller's own
        return Report(obs, reward, terminated, truncated, ends, mask, waiting, replaced, metrics)

    def _ends(self, ended: Steps, over: Sequence[int], lost: Sequence[int], replaced: BoolArray) -> dict[int, End]:
        mask = np.concatenate(ended.mask, axis=1)
        ends = {}
        for row, slot in enumerate(over):
            info = _info(mask[row], ended.metrics, row, replaced=bool(replaced[slot]))
            ends[slot] = End(tuple(values[row] for values in ended.obs), info)
        for slot in lost:
            info = {"action_mask": np.ones(mask.shape[1], np.int8), "lost": True}
            ends[slot] = End(tuple(values[slot].copy() for values in self._obs), info)
        return ends

    def _place(self, deciding: Steps, row: int) -> int:
        """The slot of a row that wants an action."""
        episode, worker = int(deciding.episode[row]), int(deciding.worker[row])
        if deciding.step_type[row] != StepType.FIRST:
            return self._slots[episode]
        if not self._free:
            raise UnsupportedError(
                f"an agent of {self.bridge.spec.name!r} joined while all {self.count} slots were taken, expected at "
                "most that many agents at a time: open BridgeVectorEnv with more, agents=N."
            )
        slot = next((slot for slot in self._free if self._workers[slot] == worker), self._free[0])
        self._free.remove(slot)
        self._workers[slot] = worker
        self._slots[episode] = slot
        return slot


def _info(mask: BoolArray, metrics: Mapping[str, Float32Array], row: int, *, replaced: bool) -> dict[str, Any]:
    info: dict[str, Any] = {"action_mask": mask.astype(np.int8)}
    if replaced:
        info["action_replaced"] = True
    return info | {name: float(values[row]) for name, values in metrics.items() if not np.isnan(values[row])}
