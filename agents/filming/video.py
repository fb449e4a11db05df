"""Films for a person: pictures with a caption below them, as MP4 files or as the bytes of a GIF."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Picture = npt.NDArray[np.uint8]

#: Pictures are enlarged by a whole factor up to this height, and set between bars up to this width, in pixels.
HEIGHT, WIDTH = 256, 320
#: Of the caption, in pixels.
LINE_HEIGHT, MARGIN = 22, 8
BACKGROUND, INK = (24, 24, 24), (255, 255, 255)
#: x264's constant quality: 0 keeps everything, 51 nothing; up to about 18 nobody sees a difference.
QUALITY = 16


def captioned(picture: Picture, lines: Sequence[str]) -> Picture:
    """The picture, enlarged if it is small, with a strip of text below it.

    Args:
        picture: uint8 [H, W, 3].
        lines: of the text; what is longer than the picture is wide is cut, and ends in three dots.

    Returns:
        uint8 [H', W', 3], both even, as H.264 needs it.
    """
    above = enlarged(picture)
    strip = Image.new("RGB", (above.shape[1], strip_height(len(lines))), BACKGROUND)
    draw = ImageDraw.Draw(strip)
    font = ImageFont.load_default(LINE_HEIGHT - MARGIN)
    for number, line in enumerate(lines):
        text = _fitting(line, font, above.shape[1] - 2 * MARGIN)
        draw.text((MARGIN, MARGIN // 2 + number * LINE_HEIGHT), text, INK, font)
    return np.concatenate([above, np.asarray(strip)])


def enlarged(picture: Picture) -> Picture:
    """A picture without its caption, as `captioned` shows it: even sizes, at least `HEIGHT` or almost, and `WIDTH`."""
    factor = max(1, HEIGHT // len(picture))
    picture = picture.repeat(factor, axis=0).repeat(factor, axis=1)
    height, width = picture.shape[:2]
    bars = max(0, WIDTH - width)
    result = np.empty((height + height % 2, width + bars + (width + bars) % 2, 3), np.uint8)
    result[:] = BACKGROUND
    result[:height, bars // 2 : bars // 2 + width] = picture
    return result


def strip_height(lines: int) -> int:
    """Of a caption of so many lines, in pixels; even."""
    return lines * LINE_HEIGHT + MARGIN


def _fitting(line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    text, kept = line, len(line)
    while kept and font.getlength(text) > width:
        kept -= 1
        text = f"{line[:kept]}..."
    return text


class Film:
    """An MP4 file (H.264, which every browser and notebook plays), complete at the end of `with`, else not there.

    Args:
        path: of the file; its folder is made, and an older file replaced.
        fps: pictures per second.
        title: kept in the file.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: Path, fps: float, title: str = "") -> None:
        self._path = path
        self._fps = Fraction(fps).limit_denominator(1000)
        self._title = title
        self._partial = path.with_name(f".{path.name}.partial")

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # Python writes: FFmpeg says nothing of a disk that is full when it closes its own file.
        self._file = self._partial.open("wb")
        self._container = av.open(self._file, "w", format="mp4")
        self._container.metadata["title"] = self._title
        self._stream = self._container.add_stream("libx264", rate=self._fps, options={"crf": str(QUALITY)})
        self._stream.pix_fmt = "yuv420p"  # all that browsers play
        self._is_empty = True
        return self

    def add(self, picture: Picture) -> None:
        """uint8 [H, W, 3] with even H and W, the same each time."""
        if self._is_empty:
            self._stream.height, self._stream.width = picture.shape[:2]
            self._is_empty = False
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        self._container.mux(self._stream.encode(frame))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._container.mux(self._stream.encode(None))
                self._container.close()
                self._file.close()
                self._partial.replace(self._path)
        finally:
            with contextlib.suppress(av.FFmpegError, OSError):  # what could not be written cannot be finished
                self._container.close()
            with contextlib.suppress(OSError):
                self._file.close()
            self._partial.unlink(missing_ok=True)


def gif(pictures: Sequence[Picture], fps: float) -> bytes:
    """An endless GIF of uint8 [H, W, 3] pictures, at most 256 colours each. A GIF counts in hundredths of a second."""
    first, *others = (Image.fromarray(picture).quantize(dither=Image.Dither.NONE) for picture in pictures)
    file = io.BytesIO()
    first.save(
        file, "GIF", save_all=True, append_images=others, duration=max(2, round(100 / fps)) * 10, loop=0, optimize=False
    )
    return file.getvalue()
