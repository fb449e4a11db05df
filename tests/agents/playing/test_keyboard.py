"""Which key means which action, and what terminals send for a key."""

from __future__ import annotations

import numpy as np
import pytest

from agents.playing.keyboard import Answer, DirectControls, LevelControls, make_controls
from agents.playing.keyboard_terminal import KeyDecoder
from agents.settings.config import ConfigError
from bridge import ActionCodec, CodecSettings, NativeActions
from bridge.actions import make_codec

PUSHER = NativeActions(low=(-2.0,) * 7, high=(2.0,) * 7)
TORQUES = (-1.0, -0.5, 0.0, 0.5, 1.0)


def discrete(*branches: int, offset: int = 0) -> ActionCodec:
    settings = CodecSettings("offset", offset) if offset else CodecSettings()
    return make_codec(NativeActions(branches), settings)


def free(codec: ActionCodec) -> list[np.ndarray]:
    return [mask[0] for mask in codec.all_allowed(1)]


@pytest.mark.parametrize(
    ("name", "codec", "keys"),
    [
        ("CartPole-v1", discrete(2), ["left", "right"]),
        ("CartPole-v1", discrete(2), ["a", "d"]),
        ("GridWorld", discrete(5, offset=1), ["up", "down", "left", "right"]),
        ("GridWorld", discrete(5, offset=1), ["w", "s", "a", "d"]),
        ("GridWorld", discrete(5), ["space", "up", "down", "left", "right"]),
        ("FrozenLake-v1", discrete(4), ["left", "down", "right", "up"]),
        ("MountainCar-v0", discrete(3), ["left", "down", "right"]),
        ("Other", discrete(6), ["1", "2", "3", "4", "5", "6"]),
        ("Taxi-v3", discrete(6), ["s", "w", "d", "a", "p", "o"]),
        ("Pusher-v4", make_codec(PUSHER, CodecSettings("one_joint")), [*"123456789abcde"]),
    ],
)
def test_each_action_has_its_key(name: str, codec: ActionCodec, keys: list[str]) -> None:
    controls = make_controls(name, codec)
    mask = free(codec)
    chosen = []
    for key in keys:
        assert controls.press(key, mask) is Answer.DECIDED
        chosen += controls.action(mask)
    assert chosen == list(range(len(keys)))
    assert controls.press("?", mask) is Answer.UNKNOWN
    assert controls.action(mask) == [len(keys) - 1], "an unknown key changed something"


def test_the_help_names_keys_and_what_they_do() -> None:
    assert make_controls("CartPole-v1", discrete(2)).help == "left 0, right 1 (arrows or WASD)"
    pusher = make_controls("Pusher-v4", make_codec(PUSHER, CodecSettings("one_joint")))
    assert pusher.help.startswith("1 dim 1: +1, 2 dim 1: -1, 3 dim 2: +1, ")


def test_what_is_forbidden_is_not_done() -> None:
    controls = make_controls("GridWorld", discrete(5, offset=1))
    mask = [np.array([True, True, False, True])]
    assert controls.press("left", mask) is Answer.FORBIDDEN
    assert controls.action(mask) == [0]
    assert controls.press("right", mask) is Answer.DECIDED
    assert controls.action([np.array([True, True, True, False])]) == [2], "not the nearest that is allowed"


def test_joints_have_levels() -> None:
    codec = make_codec(PUSHER, CodecSettings("levels", levels=TORQUES))
    controls, mask = make_controls("Pusher-v4", codec), free(codec)
    assert codec.encode(np.array([controls.action(mask)], np.int32)).tolist() == [[0.0] * 7]
    for key in ("4", "up", "right", "down", "down"):
        assert controls.press(key, mask) is Answer.CHANGED
    assert codec.encode(np.array([controls.action(mask)], np.int32)).tolist() == [[0, 0, 0, 0.5, -1, 0, 0]]
    assert controls.chosen == " 1: 0   2: 0   3: 0   4: +0.5  [5: -1]  6: 0   7: 0 "
    assert controls.press("down", mask) is Answer.FORBIDDEN
    assert controls.press("8", mask) is Answer.UNKNOWN
    assert controls.press("space", mask) is Answer.DECIDED
    assert controls.press("0", mask) is Answer.CHANGED
    assert controls.action(mask) == [2] * 7
    for _ in range(4):
        controls.press("left", mask)
    controls.press("up", mask)
    assert controls.action(mask) == [3, 2, 2, 2, 2, 2, 2]


def test_levels_step_over_what_is_forbidden() -> None:
    controls = make_controls("Carrier", discrete(5, 3, 2))
    mask = [np.array([True, False, False, True, False]), np.array([False, True, True]), np.array([True, False])]
    assert controls.action(mask) == [0, 1, 0]
    assert controls.press("up", mask) is Answer.CHANGED
    assert controls.action(mask) == [3, 1, 0]
    assert controls.press("up", mask) is Answer.FORBIDDEN
    assert controls.press("down", mask) is Answer.CHANGED
    assert controls.action(mask) == [0, 1, 0]


def test_very_many_actions_are_levels() -> None:
    assert isinstance(make_controls("Other", discrete(34)), DirectControls)
    assert isinstance(make_controls("Other", discrete(35)), LevelControls)


def test_keys_of_ones_own() -> None:
    controls, mask = make_controls("CartPole-v1", discrete(2), ["x", "left"]), free(discrete(2))
    assert controls.press("left", mask) is Answer.DECIDED
    assert controls.action(mask) == [1]
    assert controls.press("right", mask) is Answer.UNKNOWN


@pytest.mark.parametrize(
    ("keys", "codec", "message"),
    [
        (["x"], discrete(2), "found x, expected 2 different keys"),
        (["x", "x"], discrete(2), "found x,x, expected 2 different keys"),
        (["x", "q"], discrete(2), "found 'q', expected left, right, up, down, space, enter or one character"),
        (["x", "home"], discrete(2), "found 'home', expected"),
        (["x", "y"], discrete(2, 2), "but there are 2 branches"),
    ],
)
def test_keys_that_do_not_fit(keys: list[str], codec: ActionCodec, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_controls("Other", codec, keys)


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        ("\x1b[A\x1b[B\x1b[C\x1b[D", ["up", "down", "right", "left"]),
        ("\x1bOA\x1bOD", ["up", "left"]),
        (" \r\nQz1", ["space", "enter", "enter", "q", "z", "1"]),
        ("\x1b[1;5Ca\x1b[3~b\x1b[200~c", ["a", "b", "c"]),  # Ctrl-right, delete, a paste
        ("\x1bx\x1b\x1b[A", ["x", "up"]),  # the escape key before another
        ("\t\x00\x7fy", ["y"]),
        ("ä→", ["ä", "→"]),
        ("\x1b[" + "1" * 100, ["1"] * 70),  # no sequence at all
    ],
)
def test_a_terminals_bytes_are_keys_however_they_arrive(sent: str, keys: list[str]) -> None:
    assert KeyDecoder().feed(sent) == keys
    decoder = KeyDecoder()
    assert [key for character in sent for key in decoder.feed(character)] == keys
