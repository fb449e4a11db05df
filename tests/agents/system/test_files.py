"""Files that are there as a whole or not at all, also where the disk is full."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.metrics.events import EventFile
from agents.storage.history import NAME, History
from agents.system.files import append_whole, write_whole
from tests.agents.full_disk import no_file_larger_than


@pytest.mark.parametrize("size", [0, 3, 5, 14])
def test_what_does_not_fit_is_not_added(size: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    append_whole(path, b"first")
    with no_file_larger_than(size), pytest.raises(OSError, match="File too large"):
        append_whole(path, b" and second")
    assert path.read_bytes() == b"first"
    append_whole(path, b" and second")
    assert path.read_bytes() == b"first and second"


@pytest.mark.parametrize("size", [0, 3, 9])
def test_what_does_not_fit_replaces_nothing(size: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, "first")
    with no_file_larger_than(size), pytest.raises(OSError, match="File too large"):
        write_whole(path, "second text")
    assert path.read_text() == "first"
    assert [item.name for item in tmp_path.iterdir()] == ["file"]
    write_whole(path, "zweiter Text: ü")
    assert path.read_text(encoding="utf-8") == "zweiter Text: ü"


def test_the_history_has_whole_lines_on_a_full_disk(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.append("summary", 1, 1, {})
    whole = (tmp_path / NAME).read_bytes()
    with no_file_larger_than(len(whole) + 20), pytest.raises(OSError, match="File too large"):
        history.append("summary", 2, 2, {"text": "x" * 100})
    assert (tmp_path / NAME).read_bytes() == whole
    with no_file_larger_than(10), pytest.raises(OSError, match="File too large"):
        History(tmp_path, resumed_at=5)
    assert (tmp_path / NAME).read_bytes() == whole


def test_an_event_file_has_whole_records_on_a_full_disk(tmp_path: Path) -> None:
    with no_file_larger_than(20), pytest.raises(OSError, match="File too large"):
        EventFile(tmp_path)
    assert [path.stat().st_size for path in tmp_path.iterdir()] == [0]
