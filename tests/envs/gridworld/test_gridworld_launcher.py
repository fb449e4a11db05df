"""The launchers find their code by their own place and a Python that has what it needs, from any working directory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
BUILDS = ROOT / "unity_builds" / "simulated"
LAUNCHER = BUILDS / "GridWorld.x86_64"
LAUNCHERS = sorted(BUILDS.glob("*.x86_64"))
NO_TRAINER = 2  # the exit code of a player that was not told a port: it got as far as its own code

if sys.platform != "linux":
    pytest.skip("the launcher is what Linux starts", allow_module_level=True)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment without any package."""
    place = tmp_path_factory.mktemp("bare")
    venv.create(place, symlinks=True, with_pip=False)
    return place


def run(command: list[str], cwd: Path, **variables: str) -> tuple[int, str]:
    """Exit code and log of a command that runs the launcher, in an environment of these variables only."""
    log = cwd / "logs" / "player.log"
    result = subprocess.run(
        [*command, "-logFile", str(log)],
        cwd=cwd,
        env=variables,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    return result.returncode, log.read_text() if log.exists() else result.stderr


def own_path() -> str:
    return os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"])


def copied(folder: Path) -> Path:
    """The launcher with what it needs beside it, in a repository at `folder` that has no code."""
    return Path(shutil.copytree(BUILDS, folder / "unity_builds" / "simulated")) / LAUNCHER.name


def test_there_are_two() -> None:
    assert [launcher.stem for launcher in LAUNCHERS] == ["Depot", "GridWorld"]


@pytest.mark.parametrize("launcher", LAUNCHERS, ids=lambda path: path.stem)
def test_it_is_executable(launcher: Path) -> None:
    assert os.access(launcher, os.X_OK)
    assert launcher.read_text().startswith("#!/usr/bin/env python3\n")


@pytest.mark.parametrize("variables", [{}, {"PYTHONSAFEPATH": "1"}], ids=["plain", "safe path"])
@pytest.mark.parametrize("launcher", LAUNCHERS, ids=lambda path: path.stem)
def test_foreign_code_in_the_working_directory_does_not_confuse_it(
    tmp_path: Path, launcher: Path, variables: dict[str, str]
) -> None:
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs" / "__init__.py").write_text("raise SystemExit(77)")
    (tmp_path / "launcher.py").write_text("raise SystemExit(78)")
    code, log = run([str(launcher)], tmp_path, PATH=own_path(), **variables)
    assert code == NO_TRAINER
    assert f"Simulated {launcher.stem}, process" in log
    assert "--mlagents-port needs a number" in log


@pytest.mark.parametrize("launcher", LAUNCHERS, ids=lambda path: path.stem)
def test_a_link_to_it_works(tmp_path: Path, launcher: Path) -> None:
    (tmp_path / "Linked.x86_64").symlink_to(launcher)
    code, log = run([str(tmp_path / "Linked.x86_64")], tmp_path, PATH=own_path())
    assert code == NO_TRAINER
    assert f"Simulated {launcher.stem}, process" in log


def test_a_python_that_lacks_the_packages_hands_over_to_the_parents(bare: Path, tmp_path: Path) -> None:
    code, log = run([str(LAUNCHER)], tmp_path, PATH=str(bare / "bin"), VIRTUAL_ENV=str(bare))
    assert code == NO_TRAINER
    assert f"at {sys.executable}." in log


def test_a_python_that_lacks_the_packages_hands_over_to_the_active_environment(bare: Path, tmp_path: Path) -> None:
    shell = ["/bin/sh", "-c", '"$0" "$@"; exit $?', str(LAUNCHER)]
    code, log = run(shell, tmp_path, PATH=str(bare / "bin"), VIRTUAL_ENV=sys.prefix)
    assert code == NO_TRAINER
    assert f"at {Path(sys.prefix) / 'bin' / 'python'}." in log


def test_an_environment_beside_the_repository_is_found(bare: Path, tmp_path: Path) -> None:
    launcher = copied(tmp_path)
    (tmp_path / "envs").symlink_to(ROOT / "envs")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    shell = ["/bin/sh", "-c", '"$0" "$@"; exit $?', str(launcher)]
    code, log = run(shell, tmp_path, PATH=str(bare / "bin"))
    assert code == NO_TRAINER
    assert f"at {tmp_path / '.venv' / 'bin' / 'python'}." in log


def test_without_any_fitting_python_it_says_so_in_one_line(bare: Path, tmp_path: Path) -> None:
    launcher = copied(tmp_path)
    (tmp_path / "logs").mkdir()
    shell = ["/bin/sh", "-c", '"$0" "$@"; exit $?', str(launcher)]
    code, log = run(shell, tmp_path, PATH=str(bare / "bin"))
    assert code == 127
    assert log.count("\n") == 1
    assert log.startswith("GridWorld.x86_64: no Python >= 3.10 with grpc, numpy, PIL found")


@pytest.mark.parametrize("name", [launcher.stem for launcher in LAUNCHERS])
def test_the_module_runs_from_any_directory_with_the_root_on_the_path(tmp_path: Path, name: str) -> None:
    code, log = run([sys.executable, "-m", f"envs.{name.lower()}"], tmp_path, PYTHONPATH=str(ROOT))
    assert code == NO_TRAINER
    assert f"Simulated {name}" in log


def test_a_log_that_cannot_be_written_does_not_stop_the_player(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    command = [sys.executable, "-m", "envs.gridworld", "-logFile", str(tmp_path / "file" / "player.log")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)
    assert result.returncode == NO_TRAINER
    assert "The log goes to stderr" in result.stderr
