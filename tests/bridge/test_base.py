"""What every bridge refuses, without a backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bridge import (
    ActionCodec,
    ActionError,
    BehaviorSpec,
    Bridge,
    CodecSettings,
    DataError,
    EnvSpec,
    ObsSpec,
    SequenceError,
    Steps,
    StepType,
    UnsupportedError,
    UsageError,
    connect,
)
from bridge.actions import NativeActions, make_codec
from bridge.types import Int32Array

SPEC = EnvSpec("scripted", "Script")


class Scripted(Bridge):
    """Three rows of which two want actions in branches of 3 and 4; what is sent is kept."""

    def __init__(self) -> None:
        codec: ActionCodec = make_codec(NativeActions(branches=(3, 4)), CodecSettings())
        observations = (ObsSpec("joints", "vector", (2,)), ObsSpec("goal", "vector", (1,), is_goal=True))
        super().__init__(SPEC, BehaviorSpec("Scripted", observations, codec.spec), codec)
        self.sent: list[Int32Array] = []
        self.next = three_rows()
        self.closed = 0
        self.fails = False

    def _reset(self, seed: int | None) -> Steps:
        return self.next

    def _send(self, actions: Int32Array) -> None:
        self.sent.append(actions)

    def _receive(self) -> Steps:
        if self.fails:
            raise RuntimeError("the engine died")
        return self.next

    def _close(self) -> None:
        self.closed += 1


def three_rows() -> Steps:
    return Steps(
        episode=np.array([4, 5, 6]),
        step_type=np.array([StepType.LAST, StepType.MID, StepType.FIRST], np.uint8),
        obs=(np.zeros((3, 2), np.float32), np.zeros((3, 1), np.float32)),
        reward=np.zeros(3, np.float32),
        discount=np.ones(3, np.float32),
        mask=(
            np.array([[True, True, True], [True, False, True], [True, True, True]]),
            np.array([[True] * 4, [True] * 4, [False, False, False, True]]),
        ),
        worker=np.array([0, 0, 2], np.int32),
        incarnation=np.zeros(3, np.int32),
    )


def test_ten_thousand_bad_actions_are_refused() -> None:
    rng = np.random.default_rng(0)
    refused = 0
    with Scripted() as bridge:
        steps = bridge.reset()
        masks = steps.deciding.mask
        while refused < 10_000:
            shape = tuple(rng.integers(0, 4, size=rng.integers(0, 4)))
            if rng.random() < 0.5:
                shape = (2, 2)
            actions = rng.integers(-3, 7, size=shape)
            if rng.random() < 0.1:
                actions = actions.astype(rng.choice([np.float64, np.float32, np.bool_, np.complex64, object, str]))
            if is_good(actions, masks):
                continue
            with pytest.raises(ActionError):
                bridge.send(actions)
            with pytest.raises(SequenceError):
                bridge.receive()
            refused += 1
        assert bridge.sent == []
        bridge.step([[2, 3], [0, 3]])
        assert bridge.sent[0].tolist() == [[2, 3], [0, 3]]
        assert bridge.sent[0].dtype == np.int32


def is_good(actions: Any, masks: tuple[Any, ...]) -> bool:
    """Written plainly, apart from the code that it checks."""
    if actions.shape != (2, 2) or actions.dtype.kind != "i":
        return False
    for row in range(2):
        for branch, size in enumerate((3, 4)):
            action = int(actions[row, branch])
            if not 0 <= action < size or not masks[branch][row, action]:
                return False
    return True


@pytest.mark.parametrize(
    ("actions", "sentence"),
    [
        ([[0, 3]], r"actions have shape \(1, 2\), expected \(2, 2\): one row per deciding agent"),
        ([0, 3], r"actions have shape \(2,\), expected \(2, 2\)"),
        ([[0, 3], [0]], "actions are ragged, expected one row per deciding agent"),
        ([[0.0, 3.0], [0.0, 3.0]], "actions have type float64, expected integers"),
        ([[0, 3], [0, 4]], "action 4 of row 1 is outside branch 1: expected 0 to 3"),
        ([[-1, 3], [0, 3]], "action -1 of row 0 is outside branch 0: expected 0 to 2"),
        ([[1, 0], [0, 3]], "action 1 of row 0 is masked in branch 0"),
        ([[0, 0], [0, 2]], "action 2 of row 1 is masked in branch 1"),
        ([[2**33, 0], [0, 3]], "action 8589934592 of row 0 is outside branch 0"),
    ],
)
def test_refusals_name_the_row_and_the_branch(actions: Any, sentence: str) -> None:
    with Scripted() as bridge:
        bridge.reset()
        with pytest.raises(ActionError, match=sentence):
            bridge.send(actions)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int64, np.uint64])
def test_any_integers_will_do(kind: Any) -> None:
    with Scripted() as bridge:
        bridge.reset()
        bridge.send(np.array([[0, 3], [0, 3]], kind))
        assert bridge.sent[0].dtype == np.int32


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_named(value: float) -> None:
    with Scripted() as bridge:
        bridge.next.obs[1][2, 0] = value
        with pytest.raises(DataError, match=r"Scripted: observation 'goal' of episode 6 \(worker 2\) is not finite"):
            bridge.reset()
        bridge.next = three_rows()
        bridge.next.reward[1] = value
        with pytest.raises(DataError, match=r"Scripted: the reward of episode 5 \(worker 0\) is not finite"):
            bridge.reset()
        with pytest.raises(SequenceError, match="reset"):
            bridge.step([[0, 3], [0, 3]])
        bridge.next = three_rows()
        bridge.reset()
        bridge.step([[0, 3], [0, 3]])


def test_after_a_failure_only_reset_is_left() -> None:
    with Scripted() as bridge:
        bridge.reset()
        bridge.fails = True
        with pytest.raises(RuntimeError):
            bridge.step([[0, 3], [0, 3]])
        with pytest.raises(SequenceError, match=r"before reset\(\)"):
            bridge.send([[0, 3], [0, 3]])
        bridge.fails = False
        bridge.reset()
        bridge.step([[0, 3], [0, 3]])


def test_the_order_of_calls() -> None:
    bridge = Scripted()
    with pytest.raises(SequenceError, match=r"send\(\) before reset\(\): call reset\(\) first"):
        bridge.send([[0, 3], [0, 3]])
    bridge.reset()
    with pytest.raises(SequenceError, match=r"receive\(\) without send\(\)"):
        bridge.receive()
    bridge.send([[0, 3], [0, 3]])
    with pytest.raises(SequenceError, match=r"send\(\) twice: call receive\(\) in between"):
        bridge.send([[0, 3], [0, 3]])
    with pytest.raises(UnsupportedError, match="Script has no picture to render"):
        bridge.render()
    bridge.close()
    bridge.close()
    assert bridge.closed == 1
    with pytest.raises(SequenceError, match="the bridge to Script is closed: connect again"):
        bridge.reset()


def test_with_closes_also_after_an_error() -> None:
    bridge = Scripted()
    with pytest.raises(KeyError), bridge:
        raise KeyError
    assert bridge.closed == 1


def test_unknown_backends_are_named() -> None:
    with pytest.raises(UsageError, match="unknown backend 'unreal'; there are gym, unity"):
        connect(EnvSpec("unreal", "Map"))
