"""Which file a name or path means: the search order, other systems' builds, odd names."""

from __future__ import annotations

import logging
import plistlib
import sys
from pathlib import Path

import pytest

from bridge.errors import UsageError
from bridge.unity import builds
from bridge.unity.builds import find_build

ELF, PE, MACHO = b"\x7fELF\x02\x01", b"MZ\x90\x00", b"\xcf\xfa\xed\xfe"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory's `unity_builds`, with no other folder of builds to be seen."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "platform", "linux")
    home = tmp_path / "home"
    launchers = home / "unity_builds" / "simulated"
    launchers.mkdir(parents=True)
    for name in ("GridWorld.x86_64", "Depot.x86_64", "launcher.py"):
        (launchers / name).write_text("#!/usr/bin/env python3\n")
    monkeypatch.setattr(builds, "HOME", home)
    folder = tmp_path / "unity_builds"
    folder.mkdir()
    return folder


def program(path: Path, head: bytes = ELF) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + b"rest")
    path.chmod(0o755)
    return path


def application(path: Path, executable: str = "Player") -> Path:
    program(path / "Contents" / "MacOS" / executable, MACHO)
    (path / "Contents" / "Info.plist").write_bytes(plistlib.dumps({"CFBundleExecutable": executable}))
    return path


LINUX = [
    "Scene",
    "Scene.x86_64",
    "Scene/Scene.x86_64",
    "Scene_Linux/Scene.x86_64",
    "Scene_Linux/Other.x86_64",
    "Scene/Other.x86_64",
]
WINDOWS = ["Scene/Scene.exe", "Scene_Windows/Scene.exe", "Scene.exe", "Scene_Windows/Other.exe", "Scene/Other.exe"]
MACOS = [
    "Scene.app",
    "Scene_Darwin.app",
    "Scene/Scene.app",
    "Scene_Darwin/Scene.app",
    "Scene_Darwin/Other.app",
    "Scene/Other.app",
]
LAYOUTS = [
    *(("linux", ELF, layout) for layout in LINUX),
    *(("win32", PE, layout) for layout in WINDOWS),
    *(("darwin", MACHO, layout) for layout in MACOS),
]


@pytest.mark.parametrize(("system", "head", "layout"), LAYOUTS)
def test_every_documented_layout_is_found(
    root: Path, monkeypatch: pytest.MonkeyPatch, system: str, head: bytes, layout: str
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    assert builds.__doc__ is not None
    made = root / layout
    made = application(made) if system == "darwin" else program(made, head)
    if system == "win32":
        program(made.parent / "UnityCrashHandler64.exe", PE)
    launch = find_build("Scene")
    assert launch.path == made
    executable = made / "Contents" / "MacOS" / "Player" if system == "darwin" else made
    assert launch.command == (str(executable),)


@pytest.mark.parametrize(("system", "head", "layouts"), [("linux", ELF, LINUX[1:]), ("win32", PE, WINDOWS)])
def test_earlier_layouts_win(
    root: Path, monkeypatch: pytest.MonkeyPatch, system: str, head: bytes, layouts: list[str]
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    for layout in reversed(layouts[:3]):
        program(root / layout, head)
        assert find_build("Scene").path == root / layout


def test_the_working_directory_comes_before_the_package_and_builds_dir_replaces_both(
    root: Path, tmp_path: Path
) -> None:
    beside = program(builds.HOME / "unity_builds" / "Scene.x86_64")
    assert find_build("Scene").path == beside
    here = program(root / "Scene.x86_64")
    assert find_build("Scene").path == here
    other = program(tmp_path / "my builds" / "Scene.x86_64")
    assert find_build("Scene", str(other.parent)).path == other
    with pytest.raises(UsageError, match="no build 'Scenery'"):
        find_build("Scenery", str(other.parent))


def test_paths_are_relative_to_the_working_directory_or_absolute(root: Path, tmp_path: Path) -> None:
    made = program(tmp_path / "elsewhere" / "Scene_Linux" / "Scene.x86_64")
    for target in (str(made), "elsewhere/Scene_Linux/Scene.x86_64", "./elsewhere/Scene", str(made.with_suffix(""))):
        assert find_build(target).path == made
    here = program(tmp_path / "Scene.x86_64")
    assert find_build("Scene.x86_64").path == here
    with pytest.raises(UsageError, match="no build 'Scene'"):
        find_build("Scene")  # a bare name does not mean the working directory


def test_the_editor_is_attached_to(root: Path) -> None:
    assert find_build("editor").is_editor


@pytest.mark.parametrize("name", ["GridWorld", "Depot"])
def test_a_build_that_is_simulated_falls_back_to_that_and_says_so(
    root: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    launcher = builds.HOME / "unity_builds" / "simulated" / f"{name}.x86_64"
    with caplog.at_level(logging.WARNING, "bridge.unity"):
        launch = find_build(name)
    assert launch.command == (sys.executable, str(launcher))
    assert launch.simulated
    (record,) = caplog.records
    assert f"no {name} build in" in record.getMessage()
    assert "using the simulated one" in record.getMessage()
    caplog.clear()
    made = program(root / f"{name}.x86_64")
    assert find_build(name).path == made
    assert find_build(f"simulated/{name}").path == launcher
    assert not caplog.records


@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
@pytest.mark.parametrize("name", ["GridWorld", "simulated/GridWorld", "Depot", "simulated/Depot"])
def test_a_simulated_build_runs_on_every_system(
    root: Path, monkeypatch: pytest.MonkeyPatch, system: str, name: str
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    launcher = builds.HOME / "unity_builds" / "simulated" / f"{Path(name).name}.x86_64"
    assert find_build(name).command == (sys.executable, str(launcher))


def test_where_only_the_packages_are_installed_the_module_is_run(root: Path) -> None:
    (builds.HOME / "unity_builds" / "simulated" / "GridWorld.x86_64").unlink()
    package = builds.HOME / "envs" / "gridworld"
    package.mkdir(parents=True)
    with pytest.raises(UsageError, match="no build 'simulated/GridWorld'"):
        find_build("simulated/GridWorld")
    (package / "__main__.py").write_text("")
    launch = find_build("simulated/GridWorld")
    assert launch.command == (sys.executable, "-P", "-m", "envs.gridworld")
    assert launch.environment["PYTHONPATH"].startswith(str(builds.HOME))


def test_no_other_build_falls_back(root: Path) -> None:
    with pytest.raises(UsageError, match="there are simulated"):
        find_build("PushBlock")
    with pytest.raises(UsageError, match="there are Depot, GridWorld"):
        find_build("simulated/PushBlock")
    with pytest.raises(UsageError, match="did you mean 'Depot'"):
        find_build("simulated/Depto")


@pytest.mark.parametrize(
    ("layout", "head", "system"),
    [("GridWorld_Windows/GridWorld.exe", PE, "Windows"), ("GridWorld.app/Contents/MacOS/GridWorld", MACHO, "macOS")],
)
def test_a_build_for_another_system_is_an_error_and_never_a_fallback(
    root: Path, layout: str, head: bytes, system: str
) -> None:
    program(root / layout, head)
    with pytest.raises(UsageError, match=f"GridWorld.* is a build for {system}, but this is Linux; expected a .x86_64"):
        find_build("GridWorld")
    real = program(builds.HOME / "unity_builds" / "GridWorld.x86_64")
    assert find_build("GridWorld").path == real, "one for this system, wherever it lies, is no fallback"


def test_an_application_without_a_program_is_an_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    (root / "Scene.app").mkdir()
    with pytest.raises(UsageError, match="has no program"):
        find_build("Scene")


def test_a_near_name_is_proposed(root: Path) -> None:
    program(root / "PushBlock.x86_64")
    with pytest.raises(UsageError, match="did you mean 'PushBlock'"):
        find_build("PushBlok")
