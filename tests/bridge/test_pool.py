"""The pool of workers: equal to no pool while all is well, and what happens when it is not."""

from __future__ import annotations

import itertools
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from bridge import (
    Bridge,
    ConnectionLostError,
    DataError,
    EnvSpec,
    LaunchError,
    ResumeError,
    SequenceError,
    Steps,
    UsageError,
    connect,
)
from bridge.contract import BridgeContract, assert_grammar, assert_same_record, choose, play
from bridge.pool import Pool
from bridge.remote import RemoteLauncher
from tests.launchers import Here
from tests.leftovers import ended
from tests.players.stamps import GYM_ID, PLAYER


def gym(target: str = "CartPole-v1", **options: Any) -> EnvSpec:
    return EnvSpec("gym", target, {"timeout": 20.0, **options})


def unity(**options: Any) -> EnvSpec:
    return EnvSpec("unity", "simulated/GridWorld", {"timeout": 20.0, **options})


def poisons(where: str) -> EnvSpec:
    return gym("tests.environments:Poisons-v0", env_kwargs={"where": where})


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    yield
    deadline = time.monotonic() + 2
    while threads() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not threads()
    assert not psutil.Process().children(recursive=True)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(("pool-", "unity-bridge"))]


class TestGymnasiumWorkers(BridgeContract):
    env_spec = gym(num_envs=3, workers=2)


class TestPlayersInOneProcess(BridgeContract):
    env_spec = unity(num_envs=2, max_restarts=3)
    exchanges = 80


class TestAPlayerBehindAWorker(BridgeContract):
    env_spec = unity(workers=1)
    exchanges = 80


@pytest.mark.parametrize(
    ("alone", "pooled"),
    [
        (gym(num_envs=3), gym(num_envs=3, workers=1)),
        (unity(), unity(max_restarts=1)),
        (unity(), unity(workers=1)),
    ],
)
def test_one_worker_equals_no_pool_row_for_row(alone: EnvSpec, pooled: EnvSpec) -> None:
    records = []
    for spec in (alone, pooled):
        with connect(spec) as bridge:
            assert isinstance(bridge, Pool) == (spec is pooled)
            records.append(play(bridge, 100) + play(bridge, 20) + play(bridge, 20, seed=4))
    assert_same_record(*records)


def test_environments_are_spread_evenly_over_workers() -> None:
    with connect(gym(num_envs=5, workers=2)) as bridge:
        assert bridge.reset().worker.tolist() == [0, 0, 0, 1, 1]
        assert len(psutil.Process().children()) == 2


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (gym(num_envs=2, workers=3), "'workers' is 3, expected at most num_envs, 2"),
        (unity(num_envs=4, workers=2), "'workers' is 2, expected 0 or num_envs, 4"),
        (gym(workers=-1), "'workers' is -1, expected a whole number from 0"),
        (gym(timeout=0), "'timeout' is 0, expected seconds above 0"),
        (gym("CartPol-v1", workers=1), "did you mean 'CartPole-v1'"),
        (gym(workers=1, env_kwargs={"wings": 2}), "cannot be made"),
        (gym(worker=1), "did you mean 'workers'"),
    ],
)
def test_wrong_options_are_usage_errors(spec: EnvSpec, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        connect(spec)


def test_workers_that_differ_are_refused() -> None:
    with pytest.raises(UsageError, match="environments of one pool differ"):
        Pool(gym(), [gym("CartPole-v1"), gym("Acrobot-v1")], Here)


def processes(steps: Steps) -> list[int]:
    """The process that stamped each row."""
    return [int(process) for process in steps.obs[0][:, 0]]


def play_until(bridge: Bridge, steps: Steps, done: Any, seconds: float = 20.0) -> list[Steps]:
    """Plays at random until `done(steps)`; returns what came, `steps` first."""
    rng = np.random.default_rng(0)
    record, deadline = [steps], time.monotonic() + seconds
    while not done(record[-1]):
        assert time.monotonic() < deadline
        record.append(bridge.step(choose(bridge, record[-1], rng)))
    return record


STAMPED = [
    EnvSpec("gym", GYM_ID, {"num_envs": 4, "workers": 2, "max_restarts": 100, "timeout": 20.0}),
    EnvSpec("unity", str(PLAYER), {"num_envs": 2, "max_restarts": 100, "timeout": 20.0}),
]
BACKENDS = ["gym", "unity"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("spec", STAMPED, ids=BACKENDS)
def test_a_killed_worker_is_replaced_and_the_other_one_goes_on(spec: EnvSpec, caplog: pytest.LogCaptureFixture) -> None:
    with connect(spec) as bridge:
        steps = bridge.reset()
        killed, other = processes(steps)[0], processes(steps)[-1]
        os.kill(killed, signal.SIGKILL)
        record = play_until(bridge, steps, lambda steps: set(steps.incarnation.tolist()) == {0, 1})
        assert_grammar(record)
        rows = np.concatenate([steps.worker for steps in record])
        assert (rows == 1).sum() > (rows == 0).sum(), "the other one did not wait"
        assert {process for steps in record for process in processes(steps.select(steps.worker == 1))} == {other}
        (lost,) = [steps for steps in record if len(steps.lost)]
        at_start = steps.episode[steps.worker == 0].tolist()
        assert sorted(lost.lost.tolist()) == at_start
        (fault,) = bridge.ledger.faults
        assert (fault.worker, fault.incarnation, fault.lost) == (0, 0, len(at_start))
        assert "SIGKILL" in fault.reason or "is gone" in fault.reason
    assert "worker 0, incarnation 0, is started again" in caplog.text


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("spec", STAMPED, ids=BACKENDS)
def test_the_others_do_not_wait_for_one_that_hangs(spec: EnvSpec) -> None:
    with connect(EnvSpec(spec.backend, spec.target, {**spec.options, "timeout": 4.0})) as bridge:
        steps = bridge.reset()
        os.kill(processes(steps)[0], signal.SIGSTOP)
        began = time.monotonic()
        record = play_until(bridge, steps, lambda steps: len(steps.lost) > 0)
        assert 3.5 < time.monotonic() - began < 6, "the timeout"
        without = sum(0 not in steps.worker for steps in record)
        assert without > 50, "the other worker's exchanges meanwhile"
        play_until(bridge, record[-1], lambda steps: 0 in steps.worker)
        assert "did not answer within 4 s" in bridge.ledger.faults[0].reason


def test_a_slow_worker_joins_again_with_its_late_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slower than the patience of the others, faster than its timeout: nothing is lost."""
    monkeypatch.setattr("bridge.pool.PATIENCE_SECONDS", 0.1)
    slow = gym(GYM_ID, workers=1, env_kwargs={"slow_after": 5, "slow_seconds": 1.0})
    with Pool(slow, [slow, gym(GYM_ID)], Here) as bridge:
        steps = bridge.reset()
        record = play_until(bridge, steps, lambda steps: 0 not in steps.worker)
        record += play_until(bridge, record.pop(), lambda steps: 0 in steps.worker)
        assert_grammar(record)
        assert len(bridge.ledger) == 0
        stamps = np.concatenate([steps.obs[0][steps.worker == 0] for steps in record])
        assert (np.diff(stamps[:, 3]) <= 1).all(), "no observation is missing"


@pytest.mark.parametrize(
    ("bad", "good", "what"),
    [
        (unity(env_args=("--fail", "nan-after-steps:5")), unity(), "the reward of "),
        (poisons("reward"), poisons("nowhere"), "the reward of "),
        (poisons("observation"), poisons("nowhere"), "observation"),
    ],
)
def test_garbage_costs_only_the_worker_that_reported_it(bad: EnvSpec, good: EnvSpec, what: str) -> None:
    launch = partial(RemoteLauncher, folder=None, timeout=20.0)
    with Pool(good, [bad, good], launch, max_restarts=100) as bridge:
        record = play_until(bridge, bridge.reset(), lambda _: len(bridge.ledger) >= 2)
        for steps in record:
            assert np.isfinite(steps.reward).all()
            assert all(np.isfinite(values).all() for values in steps.obs)
        assert_grammar(record)
        assert {fault.worker for fault in bridge.ledger.faults} == {0}
        assert what in bridge.ledger.faults[0].reason


def test_an_error_of_the_environment_itself_is_a_fault_with_its_traceback() -> None:
    spec = gym("tests.environments:Crashes-v0", workers=1, max_restarts=1)
    with connect(spec) as bridge:
        steps = bridge.reset()
        with pytest.raises(ConnectionLostError, match=r"failed 2 times within 600 s, expected at most 1") as caught:
            play_until(bridge, steps, lambda _: False)
    assert "raised ZeroDivisionError" in str(caught.value)
    assert "tests/environments.py" in str(caught.value)


def test_without_restarts_the_first_fault_is_raised_as_it_is() -> None:
    with connect(gym("tests.environments:Crashes-v0", workers=1)) as bridge:
        steps = bridge.reset()
        with pytest.raises(ConnectionLostError, match="raised ZeroDivisionError"):
            play_until(bridge, steps, lambda _: False)
    spec = unity(env_args=("--fail", "nan-after-steps:3"), num_envs=2)
    with connect(spec) as bridge:
        steps = bridge.reset()
        with pytest.raises(DataError):
            play_until(bridge, steps, lambda _: False)


@pytest.mark.parametrize(
    "spec",
    [
        gym(num_envs=2, workers=1),
        gym(workers=1, max_restarts=1),
        unity(workers=1),
        unity(max_restarts=1),
    ],
    ids=["worker", "worker, one restart too many", "player behind a worker", "player, one restart too many"],
)
def test_a_reset_with_a_seed_replaces_what_is_not_restarted(spec: EnvSpec) -> None:
    with connect(spec) as bridge:
        expected = play(bridge, 20, seed=5)
        with pytest.raises(ConnectionLostError):
            play_while_children_are_killed(bridge)
        with pytest.raises(ConnectionLostError, match="lost before"):
            bridge.reset()
        assert_same_record(expected, play(bridge, 20, seed=5), renumbered=True)
    assert not psutil.Process().children()


def play_while_children_are_killed(bridge: Bridge) -> None:
    steps = bridge.reset()
    for faults in itertools.count(1):
        kill_a_child()
        steps = play_until(bridge, steps, lambda _, faults=faults: len(bridge.ledger) == faults)[-1]


def kill_a_child() -> None:
    killed = psutil.Process().children()[0]
    killed.kill()
    killed.wait()


class Flaky(Here):
    """Every launch after the first one fails, `failures` times."""

    launches: Iterator[int]
    failures = 2

    def connect(self) -> Bridge:
        if 0 < next(self.launches) <= self.failures:
            raise LaunchError("no luck.")
        return super().connect()


def test_a_launch_that_fails_is_tried_again_after_longer_and_longer_times(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    Flaky.launches = itertools.count()
    broken = gym("tests.environments:Crashes-v0", workers=1)
    with Pool(broken, [broken], Flaky, max_restarts=3) as bridge:
        steps = bridge.reset()
        began = time.monotonic()
        play_until(bridge, steps, lambda steps: 3 in steps.incarnation)
        assert time.monotonic() - began > 3.0, "1 s, then 2 s"
    assert "is started again in 2 s" in caplog.text


def test_a_worker_that_never_starts_is_an_error_at_once() -> None:
    with pytest.raises(LaunchError, match="return code 3"):
        connect(unity(num_envs=2, max_restarts=5, env_args=("--fail", "exit-before-connect:3")))


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("spec", STAMPED, ids=BACKENDS)
def test_a_seeded_reset_after_faults_repeats_the_same_rows(spec: EnvSpec) -> None:
    fresh = EnvSpec(spec.backend, {"gym": "CartPole-v1", "unity": "simulated/GridWorld"}[spec.backend], spec.options)
    with connect(fresh) as bridge:
        record = play(bridge, 30, seed=3)
    with connect(fresh) as bridge:
        steps = bridge.reset()
        for child in psutil.Process().children():
            child.kill()
        again = play(bridge, 30, seed=3)
        assert len(steps) == len(again[0])
        steps = bridge.reset()
        psutil.Process().children()[0].kill()
        play_until(bridge, steps, lambda steps: len(steps.lost) > 0)
        once_more = play(bridge, 30, seed=3)
    assert_same_record(record, again, renumbered=True)
    assert_same_record(record, once_more, renumbered=True)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("spec", STAMPED, ids=BACKENDS)
def test_close_ends_hung_workers_and_those_being_started_within_five_seconds(spec: EnvSpec) -> None:
    bridge = connect(spec)
    steps = bridge.reset()
    bridge.send(choose(bridge, steps, np.random.default_rng(0)))
    for child in psutil.Process().children():
        child.suspend()
    began = time.monotonic()
    bridge.close()
    bridge.close()
    assert time.monotonic() - began < 5

    bridge = connect(spec)
    steps = bridge.reset()
    for child in psutil.Process().children():
        child.kill()
    bridge.send(choose(bridge, steps, np.random.default_rng(0)))
    with pytest.raises(KeyboardInterrupt):
        _interrupted(bridge)
    began = time.monotonic()
    bridge.close()
    assert time.monotonic() - began < 5


def _interrupted(bridge: Bridge) -> None:
    """Ctrl-C while all workers are being started again."""
    threading.Timer(0.15, signal.raise_signal, [signal.SIGINT]).start()
    for _ in range(1000):
        steps = bridge.receive()
        bridge.send(choose(bridge, steps, np.random.default_rng(0)))


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_worker_ends_with_its_parent_also_when_its_environment_hangs() -> None:
    code = f"""
import os, psutil, signal, numpy as np
from bridge import EnvSpec, connect
bridge = connect(EnvSpec("gym", {GYM_ID!r}, {{"workers": 1, "env_kwargs": {{"slow_after": 0, "slow_seconds": 600}}}}))
steps = bridge.reset()
bridge.send(bridge.spec.actions.sample(steps.mask, np.random.default_rng(0)))
print(psutil.Process().children()[0].pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    program = psutil.Popen([sys.executable, "-c", code], stdout=-1)
    worker = int(program.stdout.readline())
    program.wait()
    program.stdout.close()
    deadline = time.monotonic() + 5
    while psutil.pid_exists(worker):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_answer_that_is_an_error_is_the_answer() -> None:
    """Nothing else is on its way after it."""
    with connect(gym(workers=1)) as bridge:
        bridge.reset()
        snapshot = bridge.snapshot()
    assert snapshot is not None
    snapshot["workers"][0]["digest"] = "another"
    with connect(gym(workers=1)) as bridge:
        with pytest.raises(ResumeError, match="observes something else"):
            bridge.resume(snapshot)
        began = time.monotonic()
        assert len(bridge.reset()) == 1
        assert time.monotonic() - began < 10, "half the timeout"


@pytest.mark.parametrize(("taken", "found"), [(gym(), gym(workers=1)), (gym(workers=1), gym())])
def test_a_snapshot_of_another_kind_is_refused(taken: EnvSpec, found: EnvSpec) -> None:
    with connect(taken) as bridge:
        bridge.reset()
        snapshot = bridge.snapshot()
    assert snapshot is not None
    with connect(found) as bridge, pytest.raises(ResumeError, match="the snapshot is of 0 "):
        bridge.resume(snapshot)


def test_a_worker_that_died_leaves_no_snapshot_and_costs_no_more_than_that() -> None:
    with connect(gym(num_envs=2, workers=2, max_restarts=1)) as bridge:
        steps = bridge.reset()
        kill_a_child()
        assert bridge.snapshot() is None
        play_until(bridge, steps, lambda steps: len(steps.lost) > 0)
        assert len(bridge.ledger) == 1


def test_close_in_another_thread_ends_a_receive_and_starts_nothing() -> None:
    hangs = {"slow_after": 0, "slow_seconds": 600}
    bridge = connect(gym(GYM_ID, num_envs=2, workers=2, max_restarts=3, env_kwargs=hangs))
    bridge.send(choose(bridge, bridge.reset(), np.random.default_rng(0)))
    closer = threading.Timer(0.3, bridge.close)
    closer.start()
    with pytest.raises(SequenceError, match="is closed"):
        bridge.receive()
    closer.join()
    assert len(bridge.ledger) == 0


class Delayed(Here):
    """The third launch fails as soon as it is `due`."""

    launches: Iterator[int]
    due: threading.Event

    def connect(self) -> Bridge:
        if next(self.launches) == 2:
            self.due.wait(20)
            raise LaunchError("no luck.")
        return super().connect()


@pytest.mark.parametrize("seed", [None, 3])
def test_a_reset_while_a_worker_is_started_again_waits_for_one_that_works(seed: int | None) -> None:
    Delayed.launches, Delayed.due = itertools.count(), threading.Event()
    spec = gym(workers=1)
    with Pool(spec, [spec, spec], Delayed, max_restarts=3) as bridge:
        steps = bridge.reset()
        psutil.Process().children()[0].kill()
        play_until(bridge, steps, lambda _: len(bridge.ledger) == 1)
        Delayed.due.set()
        steps = bridge.reset(seed)
        assert len(steps) == 2
        assert [fault.lost for fault in bridge.ledger.faults] == [1, 0]


def test_what_cannot_be_started_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LaunchError, match=r"no log can be written .* see the option log_folder\.$"):
        connect(gym(workers=1, log_folder=str(tmp_path / "file" / "logs")))
    with pytest.raises(UsageError, match="cannot be sent to a worker process"):
        connect(gym(workers=1, env_kwargs={"sutton_barto_reward": lambda: None}))


def test_a_folder_of_the_same_name_in_the_working_directory_is_no_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bridge").mkdir()
    (tmp_path / "bridge" / "__init__.py").write_text("raise SystemExit(3)")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))  # also where an import hook of an installation is not
    monkeypatch.chdir(tmp_path)
    with connect(gym(workers=1)) as bridge:
        assert len(bridge.reset()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_player_that_hangs_ends_with_its_worker() -> None:
    bridge = connect(unity(workers=1))
    bridge.send(choose(bridge, bridge.reset(), np.random.default_rng(0)))
    (player,) = psutil.Process().children()[0].children()
    player.suspend()
    bridge.close()
    assert ended(player)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_player_that_hangs_ends_with_the_parent_of_its_worker() -> None:
    code = """
import time, psutil
from bridge import EnvSpec, connect
bridge = connect(EnvSpec("unity", "simulated/GridWorld", {"workers": 1}))
(player,) = psutil.Process().children()[0].children()
player.suspend()
print(player.pid, flush=True)
time.sleep(600)
"""
    program = psutil.Popen([sys.executable, "-c", code], stdout=-1)
    player = psutil.Process(int(program.stdout.readline()))
    program.kill()
    program.wait()
    program.stdout.close()
    assert ended(player)
