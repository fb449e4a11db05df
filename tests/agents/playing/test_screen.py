"""Pictures as characters, and text that fits."""

from __future__ import annotations

import re

import numpy as np
import pytest

from agents.playing.screen import fitted, wrapped
from agents.playing.screen_terminal import HALF, half_blocks


def colours(line: str) -> list[tuple[str, str]]:
    """Of each character the codes of its upper and lower half."""
    found = []
    current = ("", "")
    for match in re.finditer(rf"\x1b\[38;([\d;]+?);48;([\d;]+)m|{HALF}", line):
        if match[0] == HALF:
            found.append(current)
        else:
            current = (match[1], match[2])
    return found


def test_each_character_shows_two_pixels() -> None:
    picture = np.zeros((4, 3, 3), np.uint8)
    picture[0, 0], picture[1, 0], picture[3, 2] = (255, 0, 0), (0, 255, 0), (1, 2, 3)
    first, second = half_blocks(picture, columns=3, rows=2, true_colour=True)
    black = "2;0;0;0"
    assert colours(first) == [("2;255;0;0", "2;0;255;0"), (black, black), (black, black)]
    assert colours(second) == [(black, black), (black, black), (black, "2;1;2;3")]
    assert first.count("\x1b") == 2, "a colour that stays is written again"


@pytest.mark.parametrize(
    ("shape", "columns", "rows", "expected"),
    [((400, 600), 80, 30, (27, 80)), ((64, 84), 40, 100, (15, 40)), ((10, 10), 5, 1, (1, 2)), ((5, 5), 0, 9, (0, 0))],
)
def test_the_picture_keeps_its_shape(
    shape: tuple[int, int], columns: int, rows: int, expected: tuple[int, int]
) -> None:
    lines = half_blocks(np.zeros((*shape, 3), np.uint8), columns, rows, true_colour=True)
    assert (len(lines), max((line.count(HALF) for line in lines), default=0)) == expected


@pytest.mark.parametrize(
    ("pixel", "code"),
    [
        ((0, 0, 0), 16),
        ((255, 255, 255), 231),
        ((255, 0, 0), 196),
        ((62, 195, 255), 81),  # 5fd7ff
        ((70, 73, 78), 239),  # the grey 78, 78, 78
        ((137, 139, 143), 245),  # the grey 138, 138, 138
    ],
)
def test_of_256_colours_the_nearest_is_taken(pixel: tuple[int, int, int], code: int) -> None:
    (line,) = half_blocks(np.full((2, 1, 3), pixel, np.uint8), 1, 1, true_colour=False)
    assert colours(line) == [(f"5;{code}", f"5;{code}")]


def test_text_is_broken_between_words() -> None:
    assert wrapped(["one two three", "", "a"], lambda text: len(text) <= 7) == ["one two", "three", "", "a"]
    assert wrapped(["incomprehensible"], lambda text: len(text) <= 7) == ["incomprehensible"]


def test_a_picture_fits_in_its_room() -> None:
    assert fitted((600, 400), (300, 300)) == (300, 200)
    assert fitted((84, 64), (720, 540)) == (708, 540)
    assert fitted((1000, 1), (10, 10)) == (10, 1)
