"""Charts: whatever the numbers are, everything is drawn inside, and where its axis says."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agents.reporting.plots import (
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Bars,
    Line,
    Strip,
    bar_chart,
    line_chart,
    short,
    strip_chart,
)
from tests.agents.pages import SVG, texts, tips

ACROSS, UP = ("x", "x1", "x2", "cx"), ("y", "y1", "y2", "cy")
NUMBERS = st.floats(-1e12, 1e12, allow_nan=False) | st.sampled_from([0.0, 1e-9, -1e-9, 1.0])


def line(x: list[float], y: list[float], *, band: float = 0.0, dots: bool = False) -> Line:
    values = np.array(y, float)
    return Line("a <curve>", 0, np.array(x, float), values, values - band, values + band, dots)


def inside(svg: ElementTree.Element, height: float) -> None:
    for shape in svg.iter():
        points = [(float(x), float(y)) for x, y in re.findall(r"([-\d.]+) ([-\d.]+)", shape.get("d", ""))]
        points += [(float(value), 0.0) for name in ACROSS if (value := shape.get(name))]
        points += [(0.0, float(value)) for name in UP if (value := shape.get(name))]
        for x, y in points:
            assert 0 <= x <= WIDTH
            assert 0 <= y <= height
        assert "nan" not in " ".join(shape.attrib.values())


def drawn(text: str) -> ElementTree.Element:
    svg = ElementTree.fromstring(text)
    inside(svg, float(svg.attrib["viewBox"].split()[3]))
    return svg


@settings(deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=20), st.booleans(), st.booleans())
@example([0.0, 5e-324], False, False)
@example([1e-323], True, False)
def test_any_curve_is_inside_its_chart(values: list[float], log: bool, dots: bool) -> None:
    curve = line(list(range(len(values))), values, band=abs(values[0]) / 2, dots=dots)
    svg = drawn(line_chart([curve], "any", "agent steps", "score", log=log))
    assert len(texts(svg, "tick")) >= 3


@settings(deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=20))
@example([0.0, 5e-324])
def test_any_scores_are_inside_their_strip(values: list[float]) -> None:
    svg = drawn(strip_chart([Strip("a", 0, np.array(values)), Strip("b" * 200, 9, np.array(values))], "any", "score"))
    assert len(tips(svg, "dot")) == 2 * len(values)


def test_a_curve_goes_where_its_axes_say() -> None:
    svg = drawn(line_chart([line([0, 50, 100], [0, 5, 10])], "t", "agent steps", "score"))
    (path,) = [shape for shape in svg.iter(f"{SVG}path") if "line" in shape.attrib["class"]]
    points = [(float(x), float(y)) for x, y in re.findall(r"([-\d.]+) ([-\d.]+)", path.attrib["d"])]
    beside = [text for text in svg.iter(f"{SVG}text") if text.get("text-anchor") == "end"]
    ticks = {text.text: float(text.attrib["y"]) - 4 for text in beside}
    assert [x for x, _ in points] == [LEFT, (LEFT + WIDTH - RIGHT) / 2, WIDTH - RIGHT]
    assert [y for _, y in points] == pytest.approx([ticks[name] for name in ("0", "5", "10")], abs=0.2)
    assert points[2][1] > TOP
    assert tips(svg, "line") == ["a <curve>"]


def test_a_logarithmic_axis_has_decades() -> None:
    svg = drawn(line_chart([line([0, 1, 2], [0.001, 0.1, 10.0])], "t", "x", "loss", log=True))
    assert {"0.001", "0.01", "0.1", "1", "10"} <= set(texts(svg, "tick"))
    (path,) = [shape for shape in svg.iter(f"{SVG}path") if "line" in shape.attrib["class"]]
    heights = [float(y) for _, y in re.findall(r"([-\d.]+) ([-\d.]+)", path.attrib["d"])]
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2], abs=0.2)
    assert "loss (log)" in texts(svg, "axis")


def test_what_is_not_above_zero_has_no_logarithmic_axis() -> None:
    svg = drawn(line_chart([line([0, 1], [0.0, 10.0])], "t", "x", "loss", log=True))
    assert "loss" in texts(svg, "axis")


def test_a_gap_stays_a_gap_and_a_single_point_a_point() -> None:
    svg = drawn(line_chart([line([0, 1, 2, 3, 4, 5], [1, 2, np.nan, 3, np.nan, 4], band=0.5)], "t", "x", "y"))
    kinds = [shape.attrib["class"].split()[0] for shape in svg.iter() if "c0" in shape.get("class", "")]
    assert sorted(kinds) == ["band"] * 3 + ["line"] + ["point"] * 2


def test_bars_are_as_high_as_they_say_and_side_by_side() -> None:
    bars = [Bars("a", 0, np.array([10.0, 40.0])), Bars("b", 1, np.array([20.0]))]
    svg = drawn(bar_chart(bars, ["left", "right"], "t", "action", "%"))
    shapes = list(svg.iter(f"{SVG}rect"))
    heights = [float(shape.attrib["height"]) for shape in shapes]
    assert heights[1] == pytest.approx(4 * heights[0], abs=0.3)
    assert heights[2] == pytest.approx(2 * heights[0], abs=0.3)
    assert all(float(s.attrib["y"]) + float(s.attrib["height"]) == pytest.approx(HEIGHT - 40, abs=0.2) for s in shapes)
    places = sorted((float(s.attrib["x"]), float(s.attrib["x"]) + float(s.attrib["width"])) for s in shapes)
    assert all(end <= begin for (_, end), (begin, _) in pairwise(places))
    assert tips(svg, "bar") == ["a, left: 10.0", "a, right: 40.0", "b, left: 20.0"]


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (950, "950"), (2500, "2.5k"), (-50_000, "-50k"), (1.5e6, "1.5M"), (1e-5, "1e-05")]
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert short(value) == text
