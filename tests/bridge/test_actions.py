"""Action codecs: golden tables and round trips."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import ActionError, CodecSettings, UnsupportedError, UsageError
from bridge.actions import ActionCodec, NativeActions, make_codec

TORQUES = NativeActions(low=(-2.0,) * 7, high=(2.0,) * 7)


def golden(native: NativeActions, settings: CodecSettings, actions: list[list[int]]) -> list[list[float]]:
    codec = make_codec(native, settings)
    encoded = codec.encode(np.array(actions, np.int32))
    assert codec.decode(encoded).tolist() == actions
    found: list[list[float]] = encoded.tolist()
    return found


def test_one_joint_is_the_code_of_the_course() -> None:
    # joint = a // 2, odd = -1, even = +1
    found = golden(TORQUES, CodecSettings("one_joint"), [[action] for action in range(14)])
    for action in range(14):
        expected = [0.0] * 7
        expected[action // 2] = -1.0 if action % 2 == 1 else 1.0
        assert found[action] == expected


def test_levels_are_a_branch_per_dimension() -> None:
    settings = CodecSettings("levels", levels=(-1, -0.5, 0, 2))
    codec = make_codec(TORQUES, settings)
    assert codec.spec.branches == (4,) * 7
    assert codec.encode(np.array([[0, 1, 2, 3, 2, 1, 0]], np.int32)).dtype == np.float32
    assert golden(TORQUES, settings, [[0, 1, 2, 3, 2, 1, 0]]) == [[-1, -0.5, 0, 2, 0, -0.5, -1]]


def test_levels_default_to_five_over_each_range() -> None:
    native = NativeActions(low=(-2.0, 0.0), high=(2.0, 1.0))
    found = golden(native, CodecSettings(), [[0, 4], [1, 3], [2, 2], [3, 1], [4, 0]])
    assert found == [[-2, 1], [-1, 0.75], [0, 0.5], [1, 0.25], [2, 0]]


def test_identity_and_offset() -> None:
    native = NativeActions(branches=(5, 3))
    assert golden(native, CodecSettings(), [[0, 0], [4, 2]]) == [[0, 0], [4, 2]]
    assert golden(native, CodecSettings("offset"), [[0, 0], [3, 1]]) == [[1, 1], [4, 2]]
    assert make_codec(native, CodecSettings("offset")).spec.branches == (4, 2)
    assert make_codec(native, CodecSettings("offset", offset=2)).spec.branches == (3, 1)
    assert make_codec(native, CodecSettings()).encode(np.zeros((1, 2), np.int32)).dtype == np.int32


branches = st.lists(st.integers(1, 6), min_size=1, max_size=5).map(tuple)
bounds = st.lists(
    st.tuples(st.floats(-5, -1, width=32), st.floats(1, 5, width=32)), min_size=1, max_size=5
)  # every one of them holds -1..1
level_lists = st.lists(st.integers(-8, 8), unique=True, min_size=1, max_size=6).map(
    lambda ks: [k / 8 for k in sorted(ks)]
)


@st.composite
def codecs(draw: st.DrawFn) -> ActionCodec:
    name = draw(st.sampled_from(["identity", "offset", "one_joint", "levels", "auto"]))
    if name in ("identity", "offset"):
        sizes = draw(branches)
        offset = draw(st.integers(0, min(sizes) - 1))
        return make_codec(NativeActions(branches=sizes), CodecSettings(name, offset=offset))
    low, high = zip(*draw(bounds), strict=True)
    levels = tuple(draw(level_lists)) if name == "levels" else ()
    return make_codec(NativeActions(low=low, high=high), CodecSettings(name, levels=levels))


@given(codecs(), st.integers(0, 2**32 - 1), st.integers(0, 8))
def test_every_action_survives_the_round_trip(codec: ActionCodec, seed: int, rows: int) -> None:
    actions = codec.spec.sample(codec.all_allowed(rows), np.random.default_rng(seed))
    native = codec.encode(actions)
    assert native.shape == (rows, codec.tables[0].shape[1])
    np.testing.assert_array_equal(codec.decode(native), actions)
    rebuilt = sum(table[actions[:, branch]] for branch, table in enumerate(codec.tables))
    np.testing.assert_array_equal(native, rebuilt)  # the formula that exporters write down


@given(codecs())
def test_no_two_actions_are_the_same_to_the_environment(codec: ActionCodec) -> None:
    for table in codec.tables:
        assert len(np.unique(table, axis=0)) == len(table)


def test_what_no_action_encodes_is_refused() -> None:
    codec = make_codec(TORQUES, CodecSettings("one_joint"))
    with pytest.raises(ActionError, match="no action of codec 'one_joint' encodes"):
        codec.decode(np.full((1, 7), 0.5, np.float32))
    with pytest.raises(ActionError):
        codec.decode(np.zeros((1, 7), np.float32))


def test_masks_of_the_environment_become_masks_of_the_agent() -> None:
    codec = make_codec(NativeActions(branches=(3, 2)), CodecSettings("offset"))
    native = [np.array([[True, False, True], [False, True, False]]), np.array([[True, True], [True, True]])]
    assert [allowed.tolist() for allowed in codec.mask(native)] == [
        [[False, True], [True, False]],
        [[True], [True]],
    ]
    assert [allowed.shape for allowed in codec.all_allowed(4)] == [(4, 2), (4, 1)]


@pytest.mark.parametrize(
    ("native", "settings", "error", "sentence"),
    [
        (TORQUES, CodecSettings("levls"), UsageError, "unknown action codec 'levls'; there are auto, identity"),
        (TORQUES, CodecSettings("identity"), UsageError, "this environment's are continuous; use levels"),
        (NativeActions((2,)), CodecSettings("levels"), UsageError, "this environment's are discrete; use identity"),
        (NativeActions((2, 4)), CodecSettings("offset", offset=2), UsageError, "leaves no action in a branch of 2"),
        (NativeActions((2,)), CodecSettings("offset", offset=-1), UsageError, "action offset -1"),
        (TORQUES, CodecSettings("levels", levels=(0, 0, 1)), UsageError, "must rise without repeats"),
        (TORQUES, CodecSettings("levels", levels=(1, 0)), UsageError, "must rise without repeats"),
        (TORQUES, CodecSettings("levels", levels=(0, 3)), UsageError, "leave the environment's range -2 to 2"),
        (NativeActions(low=(-0.4,), high=(0.4,)), CodecSettings("one_joint"), UsageError, "range -0.4 to 0.4"),
        (NativeActions(low=(-np.inf,), high=(np.inf,)), CodecSettings(), UnsupportedError, "name the levels"),
    ],
)
def test_what_does_not_fit_is_refused(
    native: NativeActions, settings: CodecSettings, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error) as caught:
        make_codec(native, settings)
    assert sentence in str(caught.value)
