"""The picture, pixel for pixel: hashes of label arrays that were compared with frames recorded from Unity."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from envs.gridworld.render import PALETTE, Label, labels, rgb
from envs.gridworld.rules import Board
from envs.simulated.camera import png


def sha256(array: NDArray[np.uint8]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def recorded_states() -> list[tuple[Board, tuple[int, int]]]:
    """The 53 states of the recording: board and agent."""
    with (Path(__file__).parent / "demo_states.csv").open() as file:
        return [
            (
                Board(5, ((int(row["plus_x"]), int(row["plus_z"])),), ((int(row["ex_x"]), int(row["ex_z"])),)),
                (int(row["agent_x"]), int(row["agent_z"])),
            )
            for row in csv.DictReader(file)
        ]


def test_labels_of_the_recorded_states_are_those_of_unity() -> None:
    stack = np.stack([labels(board, agent) for board, agent in recorded_states()])
    assert (stack.shape, stack.dtype) == ((53, 64, 84), np.uint8)
    assert sha256(stack) == "bf805f42e3dfd83f4426a33c628879d086b1af9e05fcf4e0b95e306b1c4673b9"


def test_colours_of_the_recorded_states() -> None:
    stack = np.stack([rgb(board, agent) for board, agent in recorded_states()])
    assert sha256(stack) == "0c76397177be4817092ebdd1492045269a4937f3d7bb76f6a99fdaf7450dca04"


@pytest.mark.parametrize(
    ("size", "pixels", "digest"),
    [
        (3, (272, 156, 162), "b7c340afc0e94c5f"),
        (4, (156, 112, 104), "ad21c26a90c95cca"),
        (5, (120, 59, 64), "a3f2d73c73803d96"),
        (6, (72, 38, 40), "51403f1551411562"),
        (7, (56, 25, 33), "682982bc32e8fb7c"),
        (8, (48, 28, 28), "aeb5b781bcc39b85"),
        (9, (24, 13, 18), "b61d3abed7a7050e"),
        (10, (20, 12, 16), "b60d83ce53c2f90b"),
    ],
)
def test_labels_at_every_size(size: int, pixels: tuple[int, int, int], digest: str) -> None:
    picture = labels(Board(size, pluses=((1, 0),), exes=((0, 1),)), agent=(0, 0))
    counted = tuple(int((picture == label).sum()) for label in (Label.AGENT, Label.PLUS, Label.EX))
    assert counted == pixels
    assert sha256(picture)[:16] == digest


@pytest.mark.parametrize("size", range(3, 11))
def test_the_floor_fills_columns_10_to_73_and_walls_are_one_cell_thick(size: int) -> None:
    picture = labels(Board(size, (), ()), agent=(0, 0))
    floor = np.isin(picture, (Label.FLOOR, Label.AGENT))
    assert floor[:, 10:74].all()
    assert not floor[:, :10].any()
    assert not floor[:, 74:].any()
    beyond = max(0, 10 - round(64 / size))
    assert (picture[:, :beyond] == Label.BEYOND).all()
    assert (picture[:, beyond:10] == Label.WALL).all()
    assert (PALETTE[Label.BEYOND] == PALETTE[Label.WALL]).all()


def test_every_cell_shows_every_thing_inside_itself_only() -> None:
    for size in range(3, 11):
        edges = np.arange(size + 1) * 64 / size
        for x, z in itertools.product(range(size), repeat=2):
            for pluses, exes, label in ((((x, z),), (), Label.PLUS), ((), ((x, z),), Label.EX)):
                rows, columns = np.nonzero(labels(Board(size, pluses, exes), agent=(-9, -9)) == label)
                assert len(rows)
                assert edges[x] - 0.5 < columns.min() - 10 <= columns.max() - 10 < edges[x + 1]
                assert edges[size - 1 - z] - 0.5 < rows.min() <= rows.max() < edges[size - z]


def test_the_agent_covers_a_goal_and_leaves_its_middle_open() -> None:
    picture = labels(Board(5, pluses=((2, 2),), exes=()), agent=(2, 2))
    assert (picture == Label.AGENT).sum() == (labels(Board(5, (), ()), (2, 2)) == Label.AGENT).sum()
    assert picture[32, 42] == Label.PLUS


def test_a_plus_at_size_5_looks_as_drawn() -> None:
    picture = labels(Board(5, pluses=((0, 0),), exes=()), agent=(4, 4))[51:64, 10:23] == Label.PLUS
    assert ["".join(".#"[int(pixel)] for pixel in row) for row in picture] == [
        *[".....###....."] * 5,
        *["#############"] * 3,
        *[".....###....."] * 5,
    ]


def test_png_is_eight_bit_rgb_and_loses_nothing() -> None:
    picture = rgb(Board(5, ((1, 0),), ((0, 1),)), (0, 0))
    with Image.open(io.BytesIO(png(picture))) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (84, 64))
        assert (np.asarray(image) == picture).all()
