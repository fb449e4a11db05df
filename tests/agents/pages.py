"""What is in a page: read by Python's own parser, and by a browser."""

from __future__ import annotations

import html
import json
import shutil
import subprocess
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from PIL import Image

#: Elements that have no end tag.
VOID = frozenset({"meta", "img", "link", "br", "hr", "input"})
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SVG = "{http://www.w3.org/2000/svg}"


@dataclass
class Page(HTMLParser):
    """A page whose every element is closed in its order.

    Attributes:
        elements: each with its attributes.
        text: all that a person can read.
        tables: their cells, a list of rows each.
    """

    source: str
    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    text: str = ""
    tables: list[list[list[str]]] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, self.getpos()

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += data
        if self._open and self._open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data

    def named(self, tag: str) -> list[dict[str, str]]:
        """The attributes of each element of that name."""
        return [attributes for name, attributes in self.elements if name == tag]

    def table(self, head: str) -> list[list[str]]:
        """The rows below a table's head, which has this cell."""
        (found,) = [table for table in self.tables if head in table[0]]
        return found[1:]

    def charts(self) -> dict[str, ElementTree.Element]:
        """By their titles."""
        found = {}
        for part in self.source.split("<svg")[1:]:
            svg = ElementTree.fromstring("<svg" + part.partition("</svg>")[0] + "</svg>")
            found[svg.attrib["aria-label"]] = svg
        return found


def texts(svg: ElementTree.Element, kind: str) -> list[str]:
    """The texts of that class in a chart."""
    return [text.text or "" for text in svg.iter(f"{SVG}text") if text.get("class") == kind]


def tips(svg: ElementTree.Element, kind: str) -> list[str]:
    """What is shown where a pointer rests on the shapes of that class."""
    shapes = [shape for shape in svg.iter() if kind in shape.get("class", "").split()]
    return [tip.text or "" for shape in shapes for tip in shape.iter(f"{SVG}title")]


def _chromium(folder: Path, page: Path, *words: str) -> str:
    assert CHROMIUM is not None
    profile = folder / "profile"
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}"]
    ended = subprocess.run(
        [CHROMIUM, *options, *words, page.resolve().as_uri()], capture_output=True, text=True, timeout=100, check=True
    )
    return ended.stdout


def screenshot(page: Path, folder: Path, width: int, height: int, *, dark: bool = False) -> Image.Image:
    """What a browser shows of a page in a window of that size."""
    picture = folder / f"{page.stem}-{width}-{'dark' if dark else 'light'}.png"
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    _chromium(folder, page, f"--screenshot={picture}", f"--window-size={width},{height}", scheme)
    return Image.open(picture).convert("RGB")


def measured(page: Path, folder: Path, width: int, script: str) -> Any:
    """What a function of the page's `document` and `window` returns in a browser, as JSON; it may be asynchronous.

    The page itself stays as it is, in a frame of that width, and may refuse scripts of its own.
    """
    around = folder / "around.html"
    source = html.escape(page.read_text(encoding="utf-8"))
    around.write_text(
        f"""<!DOCTYPE html><pre id="found"></pre>
        <script>
        async function look(frame) {{
          const found = await ({script})(frame.contentDocument, frame.contentWindow);
          document.getElementById("found").textContent = JSON.stringify(found);
        }}
        </script>
        <iframe width="{width}" height="800" style="border: 0" onload="look(this)" srcdoc="{source}"></iframe>""",
        encoding="utf-8",
    )
    dom = _chromium(folder, around, "--dump-dom", "--virtual-time-budget=20000", "--window-size=1400,900")
    return json.loads(html.unescape(dom.partition('<pre id="found">')[2].partition("</pre>")[0]))
