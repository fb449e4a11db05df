"""Run folders: their names, and what is never overwritten."""

from __future__ import annotations

import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from agents.settings.config import ConfigError
from agents.storage.runs import RunFolder, check_free, existing_run, new_run, new_run_of
from tests.agents.commands import snapshot


def make_run(results: Path, name: str) -> RunFolder:
    run = new_run(results, name, force=False)
    run.config.write_text("preset: x")
    run.checkpoints.mkdir()
    (run.checkpoints / "data").write_text("hours of work")
    return run


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("CartPole-v1", "CartPole-v1"),
        ("GridWorld", "GridWorld"),
        ("simulated/GridWorld", "GridWorld"),
        ("/builds/My Scene.x86_64", "My-Scene"),
        ("C:\\builds\\Scene.exe", "Scene"),
        ("GridWorld.app/", "GridWorld"),
        ("ale_py:ALE/Pong-v5", "Pong-v5"),
        ("my_module:Env-v0", "Env-v0"),
        ("..", "run"),
        ("場景", "run"),
        ("x" * 500, "x" * 80),
    ],
)
def test_a_run_is_named_by_its_environment_and_the_time(target: str, name: str, tmp_path: Path) -> None:
    run = new_run_of(target, tmp_path / "runs")
    assert re.fullmatch(re.escape(name) + r"-\d{8}-\d{6}", run.path.name)
    assert run.path.is_dir()
    run.config.touch()
    assert existing_run(tmp_path / "runs", run.path.name) == run


def test_runs_of_the_same_second_have_names_of_their_own(tmp_path: Path) -> None:
    together = Barrier(8)

    def begin(_: int) -> Path:
        together.wait()
        return new_run_of("CartPole-v1", tmp_path).path

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            runs = [path for _ in range(40) for path in pool.map(begin, range(8))]
    finally:
        sys.setswitchinterval(before)
    assert len(set(runs)) == len(runs) == len(list(tmp_path.iterdir())) == 320


@pytest.mark.parametrize("name", ["a", "A1", "0", "seed-c_1.5+x=2", "x" * 121])
def test_plain_names_are_run_ids(name: str, tmp_path: Path) -> None:
    assert new_run(tmp_path, name, force=False).path == tmp_path / name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "a\\b", "/x", "-x", ".x", "_x", "a b", "a\n", "a:b", "~", "é", "x" * 122]
)
def test_no_other_name_is_a_run_id(name: str, tmp_path: Path) -> None:
    before = snapshot(tmp_path.parent)
    for attempt in (check_free, new_run):
        with pytest.raises(ConfigError, match="is no plain name"):
            attempt(tmp_path, name, force=True)
    with pytest.raises(ConfigError, match="is no plain name"):
        existing_run(tmp_path, name)
    assert snapshot(tmp_path.parent) == before


def test_a_taken_name_is_refused(tmp_path: Path) -> None:
    make_run(tmp_path, "mine")
    before = snapshot(tmp_path)
    for attempt in (check_free, new_run):
        with pytest.raises(ConfigError, match="add --resume to go on with it, --force to overwrite it"):
            attempt(tmp_path, "mine", force=False)
    assert snapshot(tmp_path) == before


def test_checking_deletes_nothing(tmp_path: Path) -> None:
    make_run(tmp_path, "mine")
    before = snapshot(tmp_path)
    check_free(tmp_path, "mine", force=True)
    check_free(tmp_path, "other", force=True)
    assert snapshot(tmp_path) == before


def test_force_empties_that_run_only(tmp_path: Path) -> None:
    make_run(tmp_path, "mine")
    make_run(tmp_path, "mine-2")
    run = new_run(tmp_path, "mine", force=True)
    assert [path.name for path in run.path.iterdir()] == [".lock"]
    assert (tmp_path / "mine-2" / "checkpoints" / "data").read_text() == "hours of work"


def test_force_takes_an_empty_folder(tmp_path: Path) -> None:
    """A run that was stopped in its first moment."""
    (tmp_path / "mine").mkdir()
    assert new_run(tmp_path, "mine", force=True).path.is_dir()


def test_force_deletes_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").write_text("years of work")
    (tmp_path / "file").write_text("a file")
    make_run(tmp_path, "mine")
    (tmp_path / "link").symlink_to(tmp_path / "mine", target_is_directory=True)
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    before = snapshot(tmp_path)
    for name in ("thesis", "file", "link", "nowhere"):
        with pytest.raises(ConfigError, match="is no run folder"):
            new_run(tmp_path, name, force=True)
    assert snapshot(tmp_path) == before


def test_an_unknown_run_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no run 'x' in .*; there is none yet"):
        existing_run(tmp_path, "x")
    make_run(tmp_path, "a")
    make_run(tmp_path, "b")
    (tmp_path / "empty").mkdir()
    for name in ("x", "empty"):
        with pytest.raises(ConfigError, match=r"there are a, b\."):
            existing_run(tmp_path, name)


def test_a_place_where_nothing_can_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for results in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError, match=r"--results-dir .* cannot be made"):
            new_run_of("CartPole-v1", results)
        with pytest.raises(ConfigError, match=r"--results-dir .* cannot be made"):
            new_run(results, "x", force=False)
