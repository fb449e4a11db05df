"""A run's videos inside the page, each with a filmstrip."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from agents.filming.frames import frames
from agents.filming.video import Picture
from agents.reporting.reading import Run

#: Videos of a run that the page holds, of at most so many bytes each, and pictures of a filmstrip.
VIDEOS, BYTES, STRIP = 2, 4 * 2**20, 6
#: Of JPEG.
QUALITY = 85


@dataclass(frozen=True)
class Film:
    """A video.

    Attributes:
        name: of its file.
        source: the video itself as a data URL; empty for one that is too long.
        pictures: of the filmstrip, as data URLs.
    """

    name: str
    source: str
    pictures: list[str]


@dataclass(frozen=True)
class Cinema:
    """The videos of a run, and what is to be said of those that are not shown."""

    run: Run
    films: list[Film]
    note: str


def cinema_of(run: Run) -> Cinema:
    films, unreadable = [], []
    for path in run.videos[:VIDEOS]:
        try:
            films.append(_film(path))
        except (OSError, ValueError):
            unreadable.append(path.name)
    said = [f"{name} cannot be read." for name in unreadable]
    if rest := len(run.videos) - VIDEOS:
        said += [f"{rest} more in {run.videos[0].parent}."] if rest > 0 else []
    return Cinema(run, films, " ".join(said))


def _film(path: Path) -> Film:
    strip = [_url("image/jpeg", _jpeg(picture)) for picture in frames(path, STRIP)]
    data = path.read_bytes()
    return Film(path.stem, _url("video/mp4", data) if len(data) <= BYTES else "", strip)


def _jpeg(picture: Picture) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def _url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
