"""Workers that are killed, that hang and that are slow: what the others notice, what is lost, what is learned from."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from agents.learning.agent import DQNAgent
from agents.settings.config import build_config
from bridge import Bridge, EnvSpec, Steps, connect
from tests.faults.counts import counts
from tests.players.stamps import GYM_ID, PLAYER, Checker

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")

#: Two workers with 3 agents each.
UNITY = EnvSpec("unity", str(PLAYER), {"num_envs": 2, "max_restarts": 1000, "timeout": 20.0})
GYM = EnvSpec("gym", GYM_ID, {"num_envs": 6, "workers": 2, "max_restarts": 1000, "timeout": 20.0})
SPECS = pytest.mark.parametrize("spec", [UNITY, GYM], ids=["unity", "gym"])
AGENTS = 3
#: Agent steps between two faults.
BETWEEN = 400


def with_options(spec: EnvSpec, **options: Any) -> EnvSpec:
    return EnvSpec(spec.backend, spec.target, {**spec.options, **options}, spec.seed)


class Run:
    """Plays at random before the eyes of a checker."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        self.checker = Checker()
        self.rng = np.random.default_rng(0)
        self.steps = bridge.reset()
        self.checker.observe(self.steps)

    def play_until(self, done: Callable[[Steps], bool], seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not done(self.steps):
            assert time.monotonic() < deadline
            self.exchange()

    def play(self, agent_steps: int) -> None:
        end = self.checker.decisions + agent_steps
        while self.checker.decisions < end:
            self.exchange()

    def exchange(self) -> None:
        actions = self.bridge.spec.actions.sample(self.steps.deciding.mask, self.rng)
        self.checker.act(actions)
        self.steps = self.bridge.step(actions)
        self.checker.observe(self.steps)

    def workers(self) -> dict[int, int]:
        """The process behind each worker, once all of them have reported."""
        processes: dict[int, int] = {}

        def look(steps: Steps) -> bool:
            for worker, process in zip(steps.worker.tolist(), steps.obs[0][:, 0].tolist(), strict=True):
                processes[worker] = int(process)
            return len(processes) == 2

        self.play_until(look)
        return processes


@counts(3, 50)
@SPECS
def test_killed_workers_cost_their_open_transitions_and_nothing_else(spec: EnvSpec, count: int) -> None:
    with connect(spec) as bridge:
        run = Run(bridge)
        slowest = 0.0
        for kill in range(1, count + 1):
            run.play(int(run.rng.integers(1, 2 * BETWEEN)))
            before = run.workers()
            victim = int(run.rng.integers(2))
            began = time.monotonic()
            os.kill(before[victim], signal.SIGKILL)
            run.play_until(lambda _, kill=kill: len(bridge.ledger) == kill)
            slowest = max(slowest, time.monotonic() - began)
            run.play_until(lambda steps, victim=victim: victim in steps.worker)
            after = run.workers()
            assert after[victim] != before[victim]
            assert after[1 - victim] == before[1 - victim], "never restarted"
        run.play(BETWEEN)
        run.checker.verify()
        assert len(bridge.ledger) == count
        assert bridge.ledger.lost == run.checker.lost
        assert max(run.checker.losses) <= AGENTS
        assert slowest < 0.5, "seconds until a death is seen"


@counts(1, 20)
@SPECS
def test_a_worker_that_hangs_is_replaced(spec: EnvSpec, count: int) -> None:
    with connect(with_options(spec, timeout=6.0)) as bridge:
        run = Run(bridge)
        for hang in range(1, count + 1):
            run.play(BETWEEN)
            processes = run.workers()
            os.kill(processes[hang % 2], signal.SIGSTOP)
            run.play_until(lambda steps, hang=hang: len(bridge.ledger) == hang)
            run.play_until(lambda steps, hang=hang: hang % 2 in steps.worker)
            assert not _exists(processes[hang % 2]), "killed"
        run.play(BETWEEN)
        run.checker.verify()
        assert all("did not answer within 6 s" in fault.reason for fault in bridge.ledger.faults)


SLOW = {
    "unity": {"env_args": ("--fail", "slow-after-steps:30:9")},
    "gym": {"env_kwargs": {"slow_after": 30, "slow_seconds": 9.0}},
}


@counts(2, 20)
@SPECS
def test_a_step_slower_than_the_timeout_is_never_used(spec: EnvSpec, count: int) -> None:
    """Every incarnation of both workers is slow once, and answers after it was given up."""
    with connect(with_options(spec, timeout=6.0, **SLOW[spec.backend])) as bridge:
        run = Run(bridge)
        run.play_until(lambda _: len(bridge.ledger) >= count, seconds=20.0 * count)
        run.checker.verify()
        assert all("did not answer within 6 s" in fault.reason for fault in bridge.ledger.faults)


@counts(3, 50)
@SPECS
def test_the_replay_holds_every_transition_that_is_not_declared_lost(spec: EnvSpec, count: int) -> None:
    """Also with several steps in one: what was known before the last decision is kept."""
    settings = {
        "environment": {"env": "stamped"},
        "learner": {"n_step": 3, "learning_starts": 10**9},
        "replay": {"capacity": 50_000},
        "training": {"steps": 50_000},
    }
    with connect(spec) as bridge:
        agent = DQNAgent(bridge.spec, build_config(settings))
        decisions = lost = 0
        steps = bridge.reset()
        agent.observe(steps)
        for _ in range(count):
            target, faults = decisions + BETWEEN, len(bridge.ledger)
            while decisions < target or len(bridge.ledger) == faults:
                if decisions >= target and len(steps):
                    os.kill(int(steps.obs[0][0, 0]), signal.SIGKILL)
                actions = agent.act()
                decisions += len(actions)
                steps = bridge.step(actions)
                lost += len(steps.lost)
                agent.observe(steps)
        waiting = sum(map(len, agent.state_dict()["nstep"]["open"].values()))
        assert decisions == len(agent.replay) + waiting + lost
        assert lost == bridge.ledger.lost > 0
        batch = agent.replay.sample(20_000)
        (before,), (after,) = batch.obs_tm1, batch.obs_t
        goes_on = batch.discount_t > 0
        np.testing.assert_array_equal(before[goes_on, :3], after[goes_on, :3], "process, agent, episode")
        assert (before[goes_on, 3] < after[goes_on, 3]).all()


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
