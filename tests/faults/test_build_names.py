"""What may stand behind `--build`: exactly the file that was meant is launched, or one line says why not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agents import train
from agents.cli.commandline import config_values
from agents.settings.config import build_config
from bridge import EnvSpec, connect
from bridge.errors import LaunchError, UsageError
from bridge.unity.builds import find_build
from tests.agents.commands import TRAIN, call
from tests.bridge.unity.scripted import brain, info, report, write_player

if not sys.platform.startswith("linux"):
    pytest.skip("names and builds that other systems do not allow", allow_module_level=True)

ELF, PE, MACHO = b"\x7fELF\x02\x01", b"MZ\x90\x00", b"\xcf\xfa\xed\xfe"

#: Folders and files of odd names; each holds a player that can be launched.
ODD = [
    "a b",
    " a ",
    "[1]",
    "*",
    "?",
    "{a,b}",
    "a.app.b",
    "a.app",
    "a.exe",
    "my.x86_64.apps",
    "a.x86",
    "Größe-格子",
    "-x",
    "--seed",
    "$HOME",
    "~",
    "a;b&c|d",
    "'\"",
    "%s%n",
    "a\\b",
    "#",
    ".hidden",
]


@pytest.mark.parametrize("odd", ODD)
def test_exactly_the_given_file_is_launched(tmp_path: Path, odd: str) -> None:
    good, wrong = ([report({name: [info(0)]}, [brain(name, 3)])] for name in ("Good", "Wrong"))
    decoy = write_player(tmp_path / "decoy", wrong)
    for folder in {"1", "a", "b", "ab", "a.b", "my.apps", "x"} - {odd}:  # what a careless reader makes of the names
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{folder} Player.x86_64").symlink_to(decoy)
    player = write_player(tmp_path / odd, good, name=f"{odd} Player.x86_64")
    values = config_values(train.make_parser().parse([f"--build={player}"]))
    assert build_config(values).environment.build == str(player), "nothing is made of it on its way"
    if odd[0] not in ".~":  # which say where to look
        assert find_build(f"{odd} Player", str(player.parent)).path == player
    with connect(EnvSpec("unity", str(player), {"timeout": 10.0})) as bridge:
        assert bridge.spec.name == "Good"


def test_a_symbolic_link_is_followed_and_keeps_its_name(tmp_path: Path) -> None:
    player = write_player(tmp_path / "real", [report({"B": [info(0)]}, [brain("B", 3)])])
    link = tmp_path / "Link.x86_64"
    link.symlink_to(player)
    assert find_build(str(link)).path == link


def program(path: Path, head: bytes = ELF, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + b"rest" if head else b"")
    path.chmod(mode)
    return path


def link(path: Path, target: Path) -> Path:
    path.symlink_to(target)
    return path


def folder(path: Path, *names: str) -> Path:
    path.mkdir()
    for name in names:
        program(path / name)
    return path


#: By what is wrong: makes it below a folder and returns the value; and words of the message.
BAD: dict[str, tuple[Callable[[Path], str | Path], str]] = {
    "empty": (lambda _: "", "name of the build is empty"),
    "a space": (lambda _: " ", "name of the build is empty"),
    "absent": (lambda _: "Absent", "no build 'Absent'"),
    "absent path": (lambda at: at / "absent" / "Scene.x86_64", "no build"),
    "below a file": (lambda at: program(at / "Scene.x86_64") / "Scene", "no build"),
    "this folder": (lambda _: ".", "expected one .x86_64 in it"),
    "the folder above": (lambda _: "..", "expected one .x86_64 in it"),
    "the root": (lambda _: "/", "is no build"),
    "an empty folder": (lambda at: folder(at / "Scene"), "it holds nothing"),
    "a folder with two": (lambda at: folder(at / "Scene", "one.x86_64", "two.x86_64"), "one.x86_64, two.x86_64"),
    "a folder called like a build": (lambda at: folder(at / "Scene.x86_64"), "is no build"),
    "not executable": (lambda at: program(at / "Scene.x86_64", mode=0o644), 'chmod +x "'),
    "a text": (lambda at: program(at / "Scene.txt", b"hello", mode=0o644), "may not be executed"),
    "for Windows": (lambda at: program(at / "Scene.exe", PE), "is a build for Windows"),
    "for Windows, renamed": (lambda at: program(at / "Scene.x86_64", PE), "is a build for Windows"),
    "for macOS": (lambda at: program(at / "Scene.app/Contents/MacOS/Scene", MACHO).parents[2], "is a build for macOS"),
    "for macOS, its name": (
        lambda at: program(at / "S.app/Contents/MacOS/S", MACHO).parents[2].with_suffix(""),
        "macOS",
    ),
    "for macOS, renamed": (lambda at: program(at / "Scene", MACHO), "is a build for macOS"),
    "a broken link": (lambda at: link(at / "Scene.x86_64", at / "gone"), "no build"),
    "a link to itself": (lambda at: link(at / "Scene.x86_64", at / "Scene.x86_64"), "no build"),
    "a link to a folder": (lambda at: link(at / "Scene.x86_64", folder(at / "Real")), "is no build"),
    "a null character": (lambda _: "Scene\0", "no build"),
    "somebody's home": (lambda _: "~no-such-user/Scene", "home folder that does not exist"),
    "too long": (lambda _: "S" * 5000, "File name too long"),
    "too long a path": (lambda at: at / ("S" * 300) / "Scene.x86_64", "File name too long"),
    "half a character": (lambda _: "Scene\udcff", "no build"),
    "a pattern": (lambda at: program(at / "Scene.x86_64").with_name("Sc*ne"), "no build"),
    "a choice": (lambda at: program(at / "Scene.x86_64").with_name("[S]cene"), "no build"),
    "a variable": (lambda _: "$HOME/Scene", "no build"),
    "a web address": (lambda _: "https://example.org/Scene.x86_64", "no build"),
    "a device": (lambda _: "/dev/null", "no build"),
    "several lines": (lambda _: "Scene\nScene", "no build"),
}
#: Found, but the system cannot run them.
NO_PROGRAM: dict[str, tuple[bytes, str]] = {
    "nothing in it": (b"", "Exec format error; expected a build for linux"),
    "no program": (b"no program", "Exec format error; expected a build for linux"),
    "a script without its interpreter": (
        b"#!/no/such/shell\n",
        "No such file or directory; expected a build for linux",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_value_is_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make, words = BAD[name]
    value = str(make(tmp_path))
    with pytest.raises(UsageError) as caught:
        find_build(value)
    message = str(caught.value)
    assert words in message
    assert "\n" not in message
    result = call(TRAIN, [f"--build={value}"], capsys)
    assert result.code == 2
    assert not value or message in result.error, "the command says the same, in one line"


@pytest.mark.parametrize("name", NO_PROGRAM)
def test_a_file_that_the_system_cannot_run_is_one_line(name: str, tmp_path: Path) -> None:
    content, words = NO_PROGRAM[name]
    with pytest.raises(LaunchError) as caught:
        connect(EnvSpec("unity", str(program(tmp_path / "Scene.x86_64", content)), {"timeout": 2.0}))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
