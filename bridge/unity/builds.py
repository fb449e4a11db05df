"""Finds the file to launch for `--build NAME`, and says what is wrong when there is none.

`NAME` is `editor` (play mode of the Unity Editor), a path to a build, or the name of one below a folder of builds.

Search order. Paths are looked up relative to the working directory first (those that begin with a dot only there).
Names are looked up in the folder of the option `builds_dir`, or, without it, in `unity_builds` of the working directory
and then in the `unity_builds` beside this package. In each of them the first of these that exists is it, NAME being the
last part of what was given:

    any system   the file NAME itself
    Linux        NAME.x86_64, NAME/NAME.x86_64, NAME_Linux/NAME.x86_64, NAME_Linux/*.x86_64, NAME/*.x86_64
    macOS        NAME.app, NAME_Darwin.app, NAME/NAME.app, NAME_Darwin/NAME.app, NAME_Darwin/*.app, NAME/*.app
    Windows      NAME/NAME.exe, NAME_Windows/NAME.exe, NAME.exe, NAME_Windows/*.exe, NAME/*.exe

(`*`: only if there is exactly one, Unity's crash handler aside.) Nothing else is tried: a build for another operating
system, or one that may not be executed, is an error. Only where no build NAME of any kind lies in those folders, a NAME
that `unity_builds/simulated` beside this package has means the simulated build, and a line of the log says so;
`simulated/NAME` is always that one.
"""

from __future__ import annotations

import difflib
import logging
import os
import plistlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from bridge.errors import UsageError
from bridge.unity.player import Launch

LOG = logging.getLogger("bridge.unity")
EDITOR = "editor"
BUILDS = "unity_builds"
#: The folder of simulated builds in that of builds, and where their code lies beside this package.
SIMULATED, SIMULATED_CODE = "simulated", "envs"
#: Where the package `bridge` lies: the checkout, or site-packages.
HOME = Path(__file__).resolve().parents[2]

SYSTEMS = {"linux": "Linux", "darwin": "macOS", "win32": "Windows"}
#: By system: the extension of a build, the suffix of its folder in the layout of course downloads.
EXTENSIONS = {"linux": ".x86_64", "darwin": ".app", "win32": ".exe"}
SUFFIXES = {"linux": "_Linux", "darwin": "_Darwin", "win32": "_Windows"}
#: Endings of files in the folders of builds that are none.
NO_BUILDS = (".md", ".py")
MAGIC = {
    b"\x7fELF": "linux",
    b"MZ": "win32",
    b"\xcf\xfa\xed\xfe": "darwin",
    b"\xce\xfa\xed\xfe": "darwin",
    b"\xca\xfe\xba\xbe": "darwin",
}


def find_build(target: str, builds_dir: str | None = None) -> Launch:
    """How to launch the build that `target` names, on this operating system.

    Raises:
        UsageError: there is none, or it is for another operating system, or it may not be executed.
    """
    if target == EDITOR:
        return Launch(None, ())
    if not target.strip():
        raise UsageError("the name of the build is empty; expected a name, a path, or editor.")
    try:
        return _found(target, builds_dir)
    except OSError as error:  # too long, for instance
        raise UsageError(
            f"no build {target!r} can be looked for ({error.strerror}); expected a name, a path, or editor."
        ) from error


def _found(target: str, builds_dir: str | None) -> Launch:
    wanted = _home_expanded(target)
    roots = [_home_expanded(builds_dir)] if builds_dir is not None else [Path(BUILDS), HOME / BUILDS]
    if target.startswith("."):
        roots = []
    bases = _unique([Path(), *roots] if _is_path(target) else roots)
    for base in bases:
        for found in _candidates(base / wanted, sys.platform):
            return _launch(found)
    # A simulated build's launcher is named as a build for Linux is, but runs wherever Python does.
    simulated = wanted.parent == Path(SIMULATED)
    foreign = [found for base in bases for found in _foreign(base / wanted) if not simulated]
    if foreign:
        raise _wrong_system(foreign[0], _system_of_name(foreign[0]))
    launch = _simulated(wanted.name) if simulated or wanted.parent == Path() else None
    if launch is None or any((base / wanted).exists() for base in bases):
        raise _nothing(target, wanted, bases)
    if not simulated:
        folders = " or ".join(str(base.absolute()) for base in bases)
        LOG.warning("no %s build in %s: using the simulated one (%s).", wanted, folders, launch.path)
    return launch


def _is_path(target: str) -> bool:
    """Whether the working directory counts: a folder is named, or the extension of a build."""
    separators = (os.sep, os.altsep or os.sep, "/", "~")
    named = any(mark in target for mark in separators) or Path(target).suffix in EXTENSIONS.values()
    return named or target.startswith(".")


def _home_expanded(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{path!r} names a home folder that does not exist ({error}); expected a path.") from error


def _candidates(wanted: Path, platform: str) -> Iterator[Path]:
    """What exists for this system, in the order of the module's docstring."""
    extension, suffix, name = EXTENSIONS.get(platform, ".x86_64"), SUFFIXES.get(platform, "_Linux"), wanted.name
    if not name:  # "." or ".."
        return
    beside = wanted.parent
    if wanted.is_file() or (wanted.suffix == ".app" and wanted.is_dir() and platform == "darwin"):
        yield wanted
    named = {
        "linux": [f"{name}{extension}", f"{name}/{name}{extension}", f"{name}{suffix}/{name}{extension}"],
        "darwin": [
            f"{name}{extension}",
            f"{name}{suffix}{extension}",
            f"{name}/{name}{extension}",
            f"{name}{suffix}/{name}{extension}",
        ],
        "win32": [f"{name}/{name}{extension}", f"{name}{suffix}/{name}{extension}", f"{name}{extension}"],
    }
    for relative in named.get(platform, named["linux"]):
        if _is_build(beside / relative, extension):
            yield beside / relative
    for folder in (beside / f"{name}{suffix}", wanted):
        only = [path for path in _listed(folder) if path.suffix == extension and _is_build(path, extension)]
        only = [path for path in only if not path.name.startswith("UnityCrashHandler")]
        if len(only) == 1:
            yield only[0]


def _foreign(wanted: Path) -> Iterator[Path]:
    for platform in EXTENSIONS:
        if platform != sys.platform:
            yield from _candidates(wanted, platform)


def _is_build(path: Path, extension: str) -> bool:
    return path.is_dir() if extension == ".app" else path.is_file()


def _listed(folder: Path) -> Sequence[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _unique(folders: Sequence[Path]) -> list[Path]:
    return list({folder.resolve(): folder for folder in reversed(folders)}.values())[::-1]


def _launch(found: Path) -> Launch:
    """The launch of a found file, as an absolute path: exactly that file, whatever its name looks like."""
    path = found.absolute()
    executable = _executable_of_app(path) if path.is_dir() else path
    head = _head(executable)
    if head.startswith(b"#!") and b"python" in head.splitlines()[0]:
        # A simulated build. Its shebang would find another Python, or none (Windows).
        return Launch(path, (sys.executable, str(executable)), simulated=True)
    system = next((name for magic, name in MAGIC.items() if head.startswith(magic)), None)
    if system is None and not head.startswith(b"#!"):
        system = _system_of_name(path)
    if system not in (None, sys.platform):
        raise _wrong_system(path, system)
    if not os.access(executable, os.X_OK):
        raise UsageError(f'{executable} may not be executed; expected an executable file: chmod +x "{executable}"')
    return Launch(path, (str(executable),))


def _executable_of_app(app: Path) -> Path:
    """The program inside a macOS application: the one that its Info.plist names, or the only one there."""
    folder = app / "Contents" / "MacOS"
    try:
        name = plistlib.loads((app / "Contents" / "Info.plist").read_bytes())["CFBundleExecutable"]
        named = [folder / str(name)]
    except (OSError, KeyError, ValueError):
        named = [folder / app.stem, *_listed(folder)]
    for path in named:
        if path.is_file():
            return path
    raise UsageError(f"{app} has no program in {folder}; expected a macOS application: build or copy it again.")


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(128)
    except OSError as error:
        raise UsageError(
            f'{path} cannot be read ({error.strerror}); expected an executable file: chmod +rx "{path}"'
        ) from error


def _system_of_name(path: Path) -> str | None:
    return next((name for name, extension in EXTENSIONS.items() if path.suffix == extension), None)


def _wrong_system(found: Path, system: str | None) -> UsageError:
    here = SYSTEMS.get(sys.platform, sys.platform)
    return UsageError(
        f"{found} is a build for {SYSTEMS.get(system or '', 'another system')}, but this is {here}; expected a "
        f"{EXTENSIONS.get(sys.platform, '.x86_64')} build: build the scene for {here} in Unity (Build Settings)."
    )


def _simulated(name: str) -> Launch | None:
    """The simulated build of a name: its launcher in a checkout, its module where only the packages are installed."""
    launcher = HOME / BUILDS / SIMULATED / f"{name}.x86_64"
    if launcher.is_file():
        return Launch(launcher, (sys.executable, str(launcher)), simulated=True)
    package = HOME / SIMULATED_CODE / name.lower()
    if not (package / "__main__.py").is_file():
        return None
    # -P: the working directory may have a folder "envs" of its own.
    search = os.pathsep.join(filter(None, [str(HOME), os.environ.get("PYTHONPATH")]))
    command = (sys.executable, "-P", "-m", f"{SIMULATED_CODE}.{package.name}")
    return Launch(package, command, {"PYTHONPATH": search}, simulated=True)


def _nothing(target: str, wanted: Path, bases: Sequence[Path]) -> UsageError:
    looked = ", ".join(str(base.absolute()) for base in bases)
    for base in bases:
        if (base / wanted).is_dir():
            inside = ", ".join(path.name for path in _listed(base / wanted)[:5]) or "nothing"
            extension = EXTENSIONS.get(sys.platform, ".x86_64")
            return UsageError(
                f"the folder {(base / wanted).absolute()} is no build (it holds {inside}); expected one "
                f"{extension} in it: name the build's file."
            )
    folders = [base / SIMULATED if wanted.parent == Path(SIMULATED) else base for base in bases if base.name]
    files = [path for folder in folders for path in _listed(folder) if path.suffix not in NO_BUILDS]
    present = sorted({path.name.split(".")[0] for path in files} - {"__pycache__"})
    near = difflib.get_close_matches(wanted.name, present, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(present) or 'no builds'}."
    return UsageError(f"no build {target!r} in {looked}; {hint}")
