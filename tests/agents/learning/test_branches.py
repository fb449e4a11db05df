"""Flat and per-branch views."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agents.learning.branches import BranchLayout

SIZES = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)


def test_offsets_of_branches_of_different_sizes() -> None:
    layout = BranchLayout((2, 3, 1))
    assert layout.total == 6
    assert layout.offsets.tolist() == [0, 2, 5]


@given(sizes=SIZES, rows=st.integers(0, 3))
def test_padding_keeps_every_value_in_its_branch_and_fills_the_rest(sizes: tuple[int, ...], rows: int) -> None:
    layout = BranchLayout(sizes)
    flat = np.arange(rows * layout.total).reshape(rows, layout.total)
    padded = layout.pad(flat, -1)
    assert padded.shape == (rows, len(sizes), max(sizes))
    for row in range(rows):
        values = iter(flat[row].tolist())
        for branch, size in enumerate(sizes):
            expected = [next(values) for _ in range(size)] + [-1] * (max(sizes) - size)
            assert padded[row, branch].tolist() == expected


def test_masks_of_branches_lie_side_by_side() -> None:
    layout = BranchLayout((2, 3))
    mask = (np.array([[True, False], [False, True]]), np.array([[False, False, True], [True, True, False]]))
    assert layout.flat_mask(mask).tolist() == [[True, False, False, False, True], [False, True, True, True, False]]
    assert BranchLayout((2,)).flat_mask(mask[:1]).tolist() == mask[0].tolist()


def test_a_padded_index_never_leaves_its_branch() -> None:
    layout = BranchLayout((3, 1))
    assert layout.pad_index.tolist() == [[0, 1, 2], [3, 3, 3]]
    assert layout.pad_valid.tolist() == [[True, True, True], [True, False, False]]
