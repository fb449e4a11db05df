"""Films and GIFs, read back by others than those that wrote them."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import IMAGES, EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from agents.filming.video import BACKGROUND, Film, Picture, captioned, enlarged, gif, strip_height
from agents.metrics.gif import gif_summary


def decoded(path: Path) -> list[Picture]:
    """All pictures of a video, uint8 [H, W, 3]."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def difference(one: Any, other: Any) -> float:
    """The mean over pixels and colours, 0 to 255."""
    return float(np.abs(one.astype(float) - other.astype(float)).mean())


def scene(number: int, height: int = 96, width: int = 160) -> Picture:
    """A square that moves with the number, in colours that do, too."""
    picture = np.full((height, width, 3), (200, 220, 10 * number), np.uint8)
    picture[20:60, 10 * number : 10 * number + 40] = (250, 30, 60)
    return picture


# ---- MP4


def test_a_film_shows_each_picture_once(tmp_path: Path) -> None:
    pictures = [scene(number) for number in range(9)]
    path = tmp_path / "new" / "film.mp4"
    with Film(path, 12.5, "nine scenes") as film:
        for picture in pictures:
            film.add(picture)
    assert [file.name for file in path.parent.iterdir()] == ["film.mp4"]
    found = decoded(path)
    assert len(found) == 9
    for number, picture in enumerate(found):
        assert picture.shape == (96, 160, 3)
        distances = [difference(picture, other) for other in pictures]
        assert int(np.argmin(distances)) == number
        assert distances[number] < 4
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.average_rate, stream.frames) == (12.5, 9)
        assert float(stream.duration * stream.time_base) == pytest.approx(9 / 12.5)
        assert container.metadata["title"] == "nine scenes"


def test_a_film_of_one_picture(tmp_path: Path) -> None:
    with Film(tmp_path / "one.mp4", 8) as film:
        film.add(scene(3))
    (found,) = decoded(tmp_path / "one.mp4")
    assert difference(found, scene(3)) < 4


def test_a_film_that_is_not_finished_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"the older one")
    with contextlib.suppress(ZeroDivisionError), Film(path, 8) as film:
        film.add(scene(0))
        assert len(list(tmp_path.iterdir())) == 2
        raise ZeroDivisionError
    assert [file.name for file in tmp_path.iterdir()] == ["film.mp4"]
    assert path.read_bytes() == b"the older one"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's device that is always full")
def test_a_film_on_a_full_disk_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".film.mp4.partial").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"), Film(tmp_path / "film.mp4", 8) as film:
        film.add(scene(0))
    assert not list(tmp_path.iterdir())


# ---- captions


def test_a_caption_stands_below_the_picture() -> None:
    picture = scene(2, 300, 400)
    found = captioned(picture, ["one", "two"])
    assert found.shape == (300 + strip_height(2), 400, 3)
    assert (found[:300] == picture).all()
    strip = found[300:]
    assert (strip[0] == BACKGROUND).all()
    assert (strip[-1] == BACKGROUND).all()
    for half in np.array_split(strip, 2):
        assert half.max() > 240


def test_each_caption_looks_different() -> None:
    strips = [captioned(scene(0, 300, 400), [f"step {number}", "action 0"])[300:] for number in range(20)]
    assert len({strip.tobytes() for strip in strips}) == 20


def test_a_long_caption_ends_in_dots_within_the_picture() -> None:
    narrow = captioned(scene(0, 300, 400), ["w" * 1000])[300:]
    assert (narrow[:, -4:] == BACKGROUND).all()
    assert narrow[:, -30:-8].max() > 240
    assert (captioned(scene(0, 300, 400), [""])[300:] == BACKGROUND).all()


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(8, 12, (256, 384)), (64, 84, (256, 336)), (100, 20, (200, 320)), (301, 401, (302, 402)), (480, 480, (480, 480))],
)
def test_small_pictures_are_enlarged_to_even_sizes(height: int, width: int, expected: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(30, 256, (height, width, 3), np.uint8)
    found = enlarged(picture)
    assert found.shape == (*expected, 3)
    assert captioned(picture, ["a"]).shape == (expected[0] + strip_height(1), expected[1], 3)
    factor = max(1, 256 // height)
    left = (max(0, 320 - factor * width)) // 2
    inner = found[: factor * height, left : left + factor * width]
    assert (inner[::factor, ::factor] == picture).all()
    assert (inner[factor - 1 :: factor, factor - 1 :: factor] == picture).all()
    assert (found[:, :left] == BACKGROUND).all()
    assert (found[:, left + factor * width :] == BACKGROUND).all()


# ---- GIF


def frames_of(content: bytes) -> tuple[list[Picture], list[int]]:
    """The pictures of a GIF, and how long each is shown, in milliseconds."""
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "GIF"
        assert image.info["loop"] == 0  # for ever
        pictures, durations = [], []
        for number in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(number)
            pictures.append(np.asarray(image.convert("RGB")))
            durations.append(image.info["duration"])
    return pictures, durations


@pytest.mark.parametrize(("fps", "milliseconds"), [(8, 120), (50, 20), (1000, 20), (0.5, 2000)])
def test_a_gif_shows_each_picture_once(fps: float, milliseconds: int) -> None:
    pictures = [scene(number) for number in range(5)]
    found, durations = frames_of(gif(pictures, fps))
    assert durations == [milliseconds] * 5
    for picture, expected in zip(found, pictures, strict=True):
        assert difference(picture, expected) < 2


def test_equal_pictures_stay_as_many() -> None:
    found, durations = frames_of(gif([scene(1)] * 3 + [scene(2)], 10))
    assert sum(durations) == 400
    assert difference(found[0], scene(1)) < 2
    assert difference(found[-1], scene(2)) < 2


def test_tensorboard_reads_the_gif(tmp_path: Path) -> None:
    pictures = [captioned(scene(number), [f"step {number}"]) for number in range(4)]
    writer = SummaryWriter(str(tmp_path))
    for steps in (100, 200):
        writer.file_writer.add_summary(gif_summary("eval/episode", pictures, 8), steps)  # type: ignore[attr-defined]
    writer.close()
    read = EventAccumulator(str(tmp_path), {IMAGES: 0})
    read.Reload()
    assert read.Tags()["images"] == ["eval/episode"]
    events = read.Images("eval/episode")
    assert [event.step for event in events] == [100, 200]
    for event in events:
        assert (event.height, event.width) == pictures[0].shape[:2]
        found, _ = frames_of(event.encoded_image_string)
        assert len(found) == 4
        for picture, expected in zip(found, pictures, strict=True):
            assert difference(picture, expected) < 3
