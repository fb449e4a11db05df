"""The one agent: deep Q-learning (Mnih et al. 2015) over any bridge, with its replay, exploration and counters."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import torch
from torch import Tensor, nn

from agents.learning.branches import BranchLayout
from agents.learning.exploration import Exploration, epsilon_greedy
from agents.learning.inputs import NetworkInputs
from agents.learning.losses import BranchOps, bootstrap_value, entropy, regret, soft_value, td_loss, td_target
from agents.learning.networks import QNetwork
from agents.learning.nstep import NStep, Transitions
from agents.learning.relabelling import Relabelling
from agents.learning.replay import Batch, Replay, ReplayMemoryError
from agents.learning.schedules import Schedule
from agents.learning.shifting import RandomShift
from agents.learning.temperature import Temperature
from agents.settings.config import Config, ConfigError
from bridge import REWARD_RULES, BehaviorSpec, Steps, StepType

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Update:
    """What one gradient step saw. Tensors without gradient, so that nobody waits for a device to read them.

    Attributes:
        loss, td_error, q: means over the batch; td_error of absolute values.
        grad_norm: before clipping.
    """

    loss: Tensor
    td_error: Tensor
    q: Tensor
    grad_norm: Tensor


class DQNAgent:
    """Acts on `Steps`, stores what they become, and learns from it; knows no backend.

    Args:
        spec: what the environment gives and takes.
        config: of the run.
        learning: False leaves out replay, target network and optimiser: an agent for evaluation only.

    Raises:
        ConfigError: settings that do not fit this environment, or a replay that would not fit into memory.
    """

    def __init__(self, spec: BehaviorSpec, config: Config, *, learning: bool = True) -> None:
        self.spec = spec
        self.config = config
        self.device = choose_device(config.training.torch_device)
        self.steps = 0  # agent steps: transitions experienced
        self.updates = 0
        self.episodes = 0  # ended
        self.layout = BranchLayout(spec.actions.branches)
        self.inputs = NetworkInputs(spec, config.network.observations, config.network.downsample)
        policy_seed, replay_seed, torch_seed = np.random.SeedSequence(config.training.seed).spawn(3)
        self._rng = np.random.default_rng(policy_seed)
        self._replay_rng = np.random.default_rng(replay_seed)
        # One for the first weights, one for those of each reset.
        self._weight_seeds: list[int] = torch_seed.generate_state(1 + len(config.learner.reset_at)).tolist()
        self._reset_seed: int | None = None  # of new weights that are due
        self.network = self._build_network(self._weight_seeds[0])
        settings = config.exploration
        self._exploration = Exploration(settings.kind, settings.hold, self.layout, self._rng)
        self._schedule = Schedule(
            settings.schedule, settings.start, settings.end, settings.duration, settings.decay, settings.delay
        )
        self._ops = BranchOps(self.layout, self.device)
        self._credit = 0.0  # updates that experience has earned
        self._copied_at = 0  # hard copies of the target so far
        self._frames: npt.NDArray[np.int64] = np.zeros(0, np.int64)  # of the deciding rows
        self._deciding: Steps | None = None
        self._learning = learning
        if learning:
            self._prepare_learning()

    # ---- acting

    @property
    def exploration_level(self) -> float:
        """The epsilon, or the temperature, of the next decision."""
        if self.config.exploration.kind == "soft":
            return self._temperature.value.item()
        count = {"steps": self.steps, "updates": self.updates, "episodes": self.episodes}
        return self._schedule(count[self.config.exploration.unit])

    def observe(self, steps: Steps) -> None:
        """Takes in one exchange's rows: they end transitions, and the deciding ones will begin new ones."""
        ended = steps.step_type == StepType.LAST
        before = self.steps
        self.steps += int((steps.step_type != StepType.FIRST).sum())
        for point, seed in zip(self.config.learner.reset_at, self._weight_seeds[1:], strict=True):
            if before < point <= self.steps:
                self._reset_seed = seed
        self.episodes += int(ended.sum())
        self._exploration.forget(steps.episode[ended])
        frames = self.store(steps)
        rewards = self.shaped(steps)
        if len(steps.lost):
            self._exploration.forget(steps.lost)
            self._complete(self._nstep.lost(steps.lost))
        self._complete(self._nstep.reported(steps.episode, steps.step_type, rewards, steps.discount, frames))
        self._frames = frames[steps.wants_action]
        self._deciding = steps.deciding
        self._follow_target("steps", self.steps)
        self._follow_target("episodes", self.episodes)

    def store(self, steps: Steps) -> npt.NDArray[np.int64]:
        """Puts the rows' observations into the replay; returns their frames there, int64 [N], -1 for one not stored."""
        frames = np.full(len(steps), -1, np.int64)
        kept = steps.discount > 0  # what counts for nothing need not be stored
        rows: Any = slice(None) if kept.all() else kept
        obs = self.inputs(steps.obs, rows)
        frames[rows] = self.replay.append(obs, self.layout.flat_mask(steps.mask)[rows])
        self._norms_take_in(obs)
        return frames

    def _complete(self, transitions: Transitions) -> None:
        self.replay.complete(transitions)
        if self.steps > self.config.learner.learning_starts:
            self._credit += len(transitions) * self.config.learner.updates_per_step

    def act(self) -> npt.NDArray[np.int32]:
        """Actions with exploration for the rows last observed that want one, int32 [M, branches]."""
        if self._deciding is None:
            raise RuntimeError("act() before observe(): the agent has seen nothing yet.")
        if self._reset_seed is not None:  # only now: until here what was learned may be tested and saved
            self._begin_anew(self._reset_seed)
            self._reset_seed = None
        rows = self._deciding
        mask = self.layout.flat_mask(rows.mask)
        values = partial(self.q_values, rows)
        actions = self._exploration.choose(values, mask, rows.episode, self.exploration_level)
        self._nstep.decided(rows.episode, self._frames, actions)
        return actions

    def q_values(self, rows: Steps) -> npt.NDArray[np.float32]:
        """float32 [N, total] of each row's observation."""
        return self._values_by(self.network, rows)

    def choose(self, rows: Steps, epsilon: float, rng: np.random.Generator) -> npt.NDArray[np.int32]:
        """Actions for deciding rows in tests, without any memory: epsilon-greedy, greedy at 0. int32 [N, branches]."""
        q = self._values_by(self.tested_network, rows)
        return epsilon_greedy(q, self.layout.flat_mask(rows.mask), epsilon, self.layout, rng)

    @property
    def tested_network(self) -> QNetwork:
        """Whose actions `choose` takes (`evaluation.network`); an agent for tests only has no other one."""
        uses_target = self._learning and self.config.evaluation.network == "target"
        return self.target_network if uses_target else self.network

    def _values_by(self, network: QNetwork, rows: Steps) -> npt.NDArray[np.float32]:
        if len(rows) == 0:
            return np.zeros((0, self.layout.total), np.float32)
        with torch.inference_mode():
            values: npt.NDArray[np.float32] = network(self._tensors(self.inputs(rows.obs))).cpu().numpy()
        return values

    def lose_open_episodes(self) -> int:
        """The environment was reset: episodes that did not end never will. Returns how many transitions that costs."""
        lost = self._nstep.pending
        self._complete(self._nstep.lost(self._nstep.open_episodes))
        self._exploration.forget_all()
        self._deciding = None
        return lost

    def go_on(self, rows: Steps) -> None:
        """After `load_state_dict`: the environment shows the rows that were to be answered when the state was saved."""
        if len(rows) != len(self._frames):
            raise ValueError(f"{len(rows)} rows want an action, expected {len(self._frames)}.")
        self._deciding = rows

    # ---- learning

    @property
    def learning_rate(self) -> float:
        """The step size of the next update."""
        return self._falling(self.config.learner.learning_rate, self.config.learner.learning_rate_end)

    @property
    def entropy_target(self) -> float | None:
        """The part of the largest entropy that the soft policy is to have at the next update; None: any."""
        start = self.config.learner.entropy_target
        return None if start is None else self._falling(start, self.config.learner.entropy_target_end)

    def _falling(self, start: float, end: float | None) -> float:
        """Linearly from `start` at the training's begin to `end` at its limit; None: it stays."""
        if end is None:
            return start
        limits = self.config.training
        parts = [
            count / limit for count, limit in ((self.steps, limits.steps), (self.episodes, limits.episodes)) if limit
        ]
        return start + min(1.0, max(parts, default=0.0)) * (end - start)

    def learn(self) -> Iterator[Update]:
        """The updates that the experience so far has earned, one by one."""
        # Drawn with replacement: also fewer transitions than a batch will do, and a small replay learns, too.
        while self._credit >= 1.0 and len(self.replay) > 0:
            self._credit -= 1.0
            batch = self.replay.sample(self.config.learner.batch_size)
            for change in self._changes:
                batch = change(batch)
            yield self._update(batch)

    def _update(self, batch: Batch) -> Update:
        settings = self.config.learner
        obs_tm1, obs_t = self._tensors(batch.obs_tm1), self._tensors(batch.obs_t)
        action_tm1 = self._tensor(batch.action_tm1).long()
        reward_t, discount_t, mask_t = map(self._tensor, (batch.reward_t, batch.discount_t, batch.mask_t))
        with torch.no_grad():
            q_target_t = self.target_network(obs_t)
            q_online_t = self.network(obs_t) if settings.double and settings.target != "none" else None
            if settings.backup == "soft":
                value_t = self._soft_value(q_target_t, q_online_t, mask_t)
            else:
                value_t = bootstrap_value(self._ops, q_target_t, q_online_t, mask_t)
            target = td_target(reward_t, discount_t, value_t)
            if settings.advantage_learning:
                q_target_tm1 = self.target_network(obs_tm1)
                mask_tm1 = self._tensor(batch.mask_tm1)
                target -= settings.advantage_learning * regret(self._ops, q_target_tm1, action_tm1, mask_tm1)
        q_tm1 = self._ops.value_of(self.network(obs_tm1), action_tm1)
        rate = settings.target_rate
        aim = target if rate == 1 else torch.lerp(q_tm1.detach(), target, rate)
        loss = td_loss(q_tm1, aim, settings.loss)
        for parameter in self._parameters:
            parameter.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        limit = settings.max_grad_norm or float("inf")
        grad_norm = nn.utils.clip_grad_norm_(self._parameters, limit)
        for group in self._optimizer.param_groups:
            group["lr"] = self.learning_rate
        self._optimizer.step()
        self.updates += 1
        if settings.target == "polyak":
            self._move_target(settings.polyak)
        self._follow_target("updates", self.updates)
        with torch.no_grad():
            return Update(loss.detach(), (target - q_tm1).abs().mean(), q_tm1.mean(), grad_norm.detach())

    def _soft_value(self, q_target_t: Tensor, q_online_t: Tensor | None, mask_t: Tensor) -> Tensor:
        """`soft_value` of the batch [batch]; the temperature follows the entropy of the policy that it has."""
        temperature = self._temperature.value
        policy_t = self._ops.policy(q_target_t if q_online_t is None else q_online_t, mask_t, temperature)
        entropy_t = entropy(policy_t)
        if (part := self.entropy_target) is not None:
            self._temperature.follow(entropy_t, part * self._ops.largest_entropy(mask_t))
        return soft_value(self._ops, q_target_t, policy_t, entropy_t, temperature)

    def _follow_target(self, unit: str, count: int) -> None:
        """A hard copy whenever `count` has passed another multiple of the period."""
        settings = self.config.learner
        if settings.target != "hard" or settings.target_unit != unit:
            return
        if count // settings.target_period > self._copied_at:
            self._copied_at = count // settings.target_period
            self._move_target(1.0)

    @torch.no_grad()
    def _move_target(self, weight: float) -> None:
        """The target's parameters go this part of the way to the online ones."""
        torch._foreach_lerp_(self._target_parameters, self._parameters, weight)

    def _begin_anew(self, seed: int) -> None:
        """Against what was learned too firmly from too little (Nikishin et al. 2022, arXiv 2205.07802): the replay's
        experience teaches new weights. What describes it, running statistics and temperature, stays."""
        fresh: list[Tensor] = list(self._build_network(seed).parameters())
        with torch.no_grad():
            torch._foreach_copy_(self._parameters, fresh)
            torch._foreach_copy_(self._target_parameters, fresh)
        self._optimizer.state.clear()

    def shaped(self, steps: Steps) -> npt.NDArray[np.float32]:
        """Rewards to learn from: with `training.failure_reward`, an early termination earns that instead."""
        failure = self.config.training.failure_reward
        if failure is None:
            return steps.reward
        failed = (steps.step_type == StepType.LAST) & (steps.discount == 0)
        return np.where(failed, np.float32(failure), steps.reward)

    # ---- state

    def weights(self) -> dict[str, Any]:
        """What acting needs: tensors by name."""
        return self.network.state_dict()

    def tensors(self) -> dict[str, Any]:
        """Networks and optimiser: nested dicts of tensors and numbers."""
        return {
            "network": self.network.state_dict(),
            "target": self.target_network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "temperature": self._temperature.state_dict(),
        }

    def load_tensors(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.target_network.load_state_dict(state["target"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._temperature.load_state_dict(state["temperature"])

    def state_dict(self) -> dict[str, Any]:
        """Counters, random states and open episodes, as JSON values."""
        return {
            "steps": self.steps,
            "updates": self.updates,
            "episodes": self.episodes,
            "credit": self._credit,
            "copied_at": self._copied_at,
            "reset_seed": self._reset_seed,
            "policy_rng": self._rng.bit_generator.state,
            "replay_rng": self._replay_rng.bit_generator.state,
            "exploration": self._exploration.state_dict(),
            "nstep": self._nstep.state_dict(),
            "frames": self._frames.tolist(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps, self.updates, self.episodes = state["steps"], state["updates"], state["episodes"]
        self._credit, self._copied_at = state["credit"], state["copied_at"]
        self._reset_seed = state.get("reset_seed")  # which older checkpoints do not have
        self._rng.bit_generator.state = state["policy_rng"]
        self._replay_rng.bit_generator.state = state["replay_rng"]
        self._exploration.load_state_dict(state["exploration"])
        self._nstep.load_state_dict(state["nstep"])
        self._frames = np.array(state["frames"], np.int64)

    # ---- parts

    def _build_network(self, seed: int) -> QNetwork:
        settings = self.config.network
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                network = QNetwork(
                    self.inputs.specs,
                    self.spec.actions.branches,
                    encoder=settings.encoder,
                    goal=settings.goal,
                    hidden=settings.hidden,
                    activation=settings.activation,
                    layer_norm=settings.layer_norm,
                    dueling=settings.dueling,
                    normalize=settings.normalize,
                )
            except ValueError as error:
                raise ConfigError(str(error)) from None
        return network.to(self.device)

    def _prepare_learning(self) -> None:
        settings = self.config.learner
        available = psutil.virtual_memory().available
        branches = self.layout.sizes
        try:
            self.replay = Replay(self.inputs.specs, branches, self.config.replay.capacity, self._replay_rng, available)
        except ReplayMemoryError as error:
            raise ConfigError(str(error)) from None
        self._changes: list[Callable[[Batch], Batch]] = []  # of every batch
        if settings.relabel:
            self._changes.append(self._build_relabelling())
        if settings.random_shift:
            self._changes.append(self._build_random_shift())
        self._nstep = NStep(settings.n_step, settings.gamma, len(branches))
        # Without a target network the online one is its own target.
        self.target_network = self.network if settings.target == "none" else copy.deepcopy(self.network)
        # Lists, since to walk through the modules takes as long as a small update.
        self._parameters: list[Tensor] = list(self.network.parameters())
        self._target_parameters: list[Tensor] = list(self.target_network.parameters())
        parameters, rate = self._parameters, settings.learning_rate
        self._temperature = Temperature(settings.temperature, rate, self.device)
        self._optimizer: torch.optim.Optimizer
        if settings.optimizer == "adam":
            self._optimizer = torch.optim.Adam(parameters, lr=rate, fused=self.device.type in ("cpu", "cuda"))
        else:
            self._optimizer = torch.optim.RMSprop(parameters, lr=rate, alpha=0.9, eps=1e-7)  # as Keras has it

    def _build_relabelling(self) -> Relabelling:
        goals = [index for index, item in enumerate(self.inputs.specs) if item.is_goal]
        if self.spec.reward_rule is None or len(goals) != 1:
            raise ConfigError(
                "learner.relabel needs the goal among network.observations and an environment with a reward rule, "
                f"found {len(goals)} goals and the rule {self.spec.reward_rule}."
            )
        rule = REWARD_RULES[self.spec.reward_rule]
        return Relabelling(self.config.learner.relabel, rule, goals[0], self._replay_rng)

    def _build_random_shift(self) -> RandomShift:
        sizes = [item.shape[1:] for item in self.inputs.specs if item.kind == "image"]
        pixels, limit = self.config.learner.random_shift, min((min(size) for size in sizes), default=0) // 2
        if pixels > limit:
            raise ConfigError(
                f"learner.random_shift moves images by up to half their size, found {pixels} pixels and "
                f"{' and '.join(f'an image of {height} x {width}' for height, width in sizes) or 'no image'} among "
                f"network.observations: {f'use {limit} at most' if sizes else 'set it to 0'}."
            )
        return RandomShift(pixels, self._replay_rng)

    def _norms_take_in(self, obs: tuple[Array, ...]) -> None:
        """Running statistics are the same in both networks: they describe the observations, not what was learned."""
        if self.config.network.normalize:
            self.network.update_norms(self._tensors(obs))
            with torch.no_grad():
                for mine, theirs in zip(self.target_network.buffers(), self.network.buffers(), strict=True):
                    mine.copy_(theirs)

    def _tensors(self, arrays: tuple[Array, ...]) -> list[Tensor]:
        return [self._tensor(array) for array in arrays]

    def _tensor(self, array: Array) -> Tensor:
        return torch.from_numpy(array).to(self.device)


def choose_device(name: str) -> torch.device:
    """The torch device of that name; for an empty one cuda if there is one, else the CPU. Raises `ConfigError`."""
    if not name:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"torch device {name!r} cannot be used here: {reason}; use cpu.") from None
    return device
