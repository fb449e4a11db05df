"""Charts as SVG text: lines with bands, bars, and strips of dots.

Colours are the classes `c0` to `c7` of whatever page they stand in (`agents/reporting/templates/charts.css`), so that
they follow its light or dark mode. Every text is escaped. Sizes are in the chart's own units, which the page scales.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

WIDTH, HEIGHT = 420, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 28, 40
#: Beyond these the colours come again, dashed.
COLORS = 8
#: Of a strip chart's rows, of points, and of bars at most.
ROW, DOT, THICKEST = 42, 2.6, 48
#: Characters that fit over a row.
LABEL = 56
#: A logarithmic axis shows at least this ratio, a linear one spreads at least this part of its values.
LEAST_RATIO, LEAST_SPREAD = 10.0, 1e-3
#: Differences below this are none; far above what float arithmetic cannot divide by.
SMALLEST = 1e-200
#: A linear axis begins with 0 when the least value is below this part of the largest one.
NEAR_ZERO = 0.35


@dataclass(frozen=True)
class Line:
    """A curve.

    Attributes:
        label: in the legend, and where a pointer rests on it.
        color: its number.
        x, y: [N], y with NaN where the line has a gap.
        low, high: [N] the band around it.
        dots: whether each point is marked.
    """

    label: str
    color: int
    x: Values
    y: Values
    low: Values
    high: Values
    dots: bool = False


@dataclass(frozen=True)
class Bars:
    """Heights, one per category. [N]"""

    label: str
    color: int
    heights: Values


@dataclass(frozen=True)
class Strip:
    """A row of values, each a dot, and their mean. [N]"""

    label: str
    color: int
    values: Values


@dataclass(frozen=True)
class _Axis:
    """Values from `low` to `high` on pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = (math.log10(v) if self.is_log else v for v in (self.low, self.high, value))
        return self.start + (self.end - self.start) * (at - low) / (high - low)

    def ticks(self, count: int) -> list[float]:
        """Round numbers, about so many."""
        return _log_ticks(self.low, self.high) if self.is_log else _ticks(self.low, self.high, count)


def line_chart(
    lines: Sequence[Line], title: str, x_label: str, y_label: str, *, right: float = 0.0, log: bool = False
) -> str:
    """Curves over x from 0 to `right` at least. With `log` y is logarithmic where all values are above 0."""
    values = np.concatenate([part for line in lines for part in (line.low, line.high)])
    values = values[np.isfinite(values)]
    log = log and len(values) > 0 and bool(values.min() > SMALLEST)
    low, high = (_log_range if log else _range)(values)
    right = max([right, *(float(line.x.max()) for line in lines if len(line.x))])
    across = _Axis(0.0, right or 1.0, LEFT, WIDTH - RIGHT)
    up = _Axis(low, high, HEIGHT - BOTTOM, TOP, log)
    svg = _canvas(title, HEIGHT)
    _grid(svg, up, y_label + (" (log)" if log else ""))
    for tick in across.ticks(5):
        _text(svg, across(tick), HEIGHT - BOTTOM + 16, short(tick), "tick", "middle")
    _text(svg, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x_label, "axis", "middle")
    for line in lines:
        _draw(svg, line, across, up)
    return _markup(svg)


def bar_chart(bars: Sequence[Bars], categories: Sequence[str], title: str, x_label: str, y_label: str) -> str:
    """Bars side by side in each category, from 0 up."""
    top = max((float(bar.heights.max()) for bar in bars if len(bar.heights)), default=0.0)
    up = _Axis(0.0, 1.05 * top or 1.0, HEIGHT - BOTTOM, TOP)
    svg = _canvas(title, HEIGHT)
    _grid(svg, up, y_label)
    width = (WIDTH - LEFT - RIGHT) / max(len(categories), 1)
    every = math.ceil(len(categories) / 14)
    for number, category in enumerate(categories):
        if number % every == 0:
            _text(svg, LEFT + width * (number + 0.5), HEIGHT - BOTTOM + 16, category, "tick", "middle")
    thick = min(0.8 * width / max(len(bars), 1), THICKEST)
    for place, bar in enumerate(bars):
        for number, height in enumerate(bar.heights.tolist()):
            left = LEFT + width * (number + 0.5) + thick * (place - len(bars) / 2)
            corner = {"x": left, "y": up(height)}
            shape = {**corner, "width": max(thick - 1, 0.5), "height": up(0) - up(height)}
            said = f"{bar.label}, {categories[number]}: {height:.1f}"
            _tip(_add(svg, "rect", f"bar {_color(bar.color)}", **shape), said)
    _text(svg, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x_label, "axis", "middle")
    return _markup(svg)


def strip_chart(strips: Sequence[Strip], title: str, x_label: str) -> str:
    """A row for each strip, all on one x axis."""
    low, high = _range(np.concatenate([strip.values for strip in strips]))
    across = _Axis(low, high, RIGHT, WIDTH - RIGHT)
    height = ROW * len(strips) + BOTTOM
    svg = _canvas(title, height)
    for tick in across.ticks(6):
        _add(svg, "line", "grid", x1=across(tick), x2=across(tick), y1=0, y2=height - BOTTOM)
        _text(svg, across(tick), height - BOTTOM + 16, short(tick), "tick", "middle")
    _text(svg, WIDTH / 2, height - 6, x_label, "axis", "middle")
    for row, strip in enumerate(strips):
        middle, color = ROW * row + 28, _color(strip.color)
        label = strip.label if len(strip.label) <= LABEL else f"{strip.label[: LABEL - 1]}…"
        _tip(_text(svg, RIGHT, middle - 14, label, "label", "start"), strip.label)
        for number, value in enumerate(strip.values.tolist()):
            aside = 12 * (number * 0.618034 % 1 - 0.5)  # spread out, and the same each time
            _tip(_add(svg, "circle", f"dot {color}", cx=across(value), cy=middle + aside, r=DOT), f"{value:.4g}")
        mean = float(strip.values.mean())
        place = across(mean)
        _tip(_add(svg, "line", f"mean {color}", x1=place, x2=place, y1=middle - 9, y2=middle + 9), f"mean {mean:.4g}")
    return _markup(svg)


def short(value: float) -> str:
    """A number beside an axis: 2500 is 2.5k."""
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.4g}{letter}"
    return f"{value:.4g}"


def _draw(svg: ElementTree.Element, line: Line, across: _Axis, up: _Axis) -> None:
    color = _color(line.color)
    if np.any(line.high > line.low):
        for part in _parts(np.isfinite(line.low) & np.isfinite(line.high)):
            upper = _points(across, up, line.x[part], line.high[part])
            lower = _points(across, up, line.x[part], line.low[part])
            _add(svg, "path", f"band {color}", d=f"M{' L'.join([*upper, *reversed(lower)])} Z")
    for part in _parts(np.isfinite(line.y)):
        points = _points(across, up, line.x[part], line.y[part])
        if len(points) > 1:
            _tip(_add(svg, "path", f"line {color}", d=f"M{' L'.join(points)}"), line.label)
        if line.dots or len(points) == 1:
            for x, y in zip(line.x[part].tolist(), line.y[part].tolist(), strict=True):
                dot = _add(svg, "circle", f"point {color}", cx=across(x), cy=up(y), r=DOT)
                _tip(dot, f"{line.label}, {short(x)}: {y:.4g}")


def _points(across: _Axis, up: _Axis, x: Values, y: Values) -> list[str]:
    return [f"{across(a):.1f} {up(b):.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True)]


def _parts(known: npt.NDArray[np.bool_]) -> Iterator[slice]:
    """The stretches in which all are known."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]])))
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        yield slice(start, end)


def _range(values: Values) -> tuple[float, float]:
    """What a linear axis shows: from 0 on if that is near."""
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    if high - low <= max(LEAST_SPREAD * max(abs(low), abs(high)), SMALLEST):
        half = abs(high) / 2 if abs(high) > SMALLEST else 0.5
        low, high = low - half, high + half
    pad = 0.05 * (high - low)
    shown_low = 0.0 if 0 <= low <= NEAR_ZERO * high else low - pad
    shown_high = 0.0 if 0 <= -high <= NEAR_ZERO * -low else high + pad
    return shown_low, shown_high


def _log_range(values: Values) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    widen = max(1.1, math.sqrt(LEAST_RATIO * low / high))
    return low / widen, high * widen


def _ticks(low: float, high: float, count: int) -> list[float]:
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    factors = (1,) if last - first > 3 else (1, 2, 5)
    every = math.ceil((last - first) / 6)
    ticks = [factor * 10.0**power for power in range(first, last + 1, every) for factor in factors]
    return [tick for tick in ticks if low <= tick <= high]


def _grid(svg: ElementTree.Element, up: _Axis, y_label: str) -> None:
    _text(svg, 4, 14, y_label, "axis", "start")
    for tick in up.ticks(5):
        _add(svg, "line", "grid", x1=LEFT, x2=WIDTH - RIGHT, y1=up(tick), y2=up(tick))
        _text(svg, LEFT - 6, up(tick) + 4, short(tick), "tick", "end")


def _canvas(title: str, height: int) -> ElementTree.Element:
    box = {"viewBox": f"0 0 {WIDTH} {height}", "role": "img", "aria-label": title}
    return ElementTree.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "class": "chart", **box})


def _color(number: int) -> str:
    return f"c{number % COLORS}" + (" dashed" if number >= COLORS else "")


def _add(parent: ElementTree.Element, name: str, kind: str, **shape: float | str) -> ElementTree.Element:
    said = {key: value if isinstance(value, str) else f"{value:.1f}" for key, value in shape.items()}
    return ElementTree.SubElement(parent, name, {"class": kind, **said})


def _text(parent: ElementTree.Element, x: float, y: float, text: str, kind: str, anchor: str) -> ElementTree.Element:
    element = _add(parent, "text", kind, x=x, y=y)
    element.set("text-anchor", anchor)
    element.text = text
    return element


def _tip(element: ElementTree.Element, text: str) -> None:
    """Shown where a pointer rests."""
    ElementTree.SubElement(element, "title").text = text


def _markup(svg: ElementTree.Element) -> str:
    return ElementTree.tostring(svg, encoding="unicode")
