"""A person plays: in a terminal, which is a pseudo-terminal here, and in a window on a display of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image, ImageGrab

from agents import play
from agents.cli.commandline import run_command
from tests.agents.commands import COUNTER, SMALL, TRAIN, Result, bare_environment, run
from tests.leftovers import kill_family

if sys.platform != "win32":
    from tests.agents.terminal import LEFT, RIGHT, UP, Terminal

PLAY = play.PROGRAM.split()[-1]
needs_pty = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are of POSIX")
needs_display = pytest.mark.skipif(
    not (shutil.which("Xvfb") and shutil.which("xdotool")), reason="Xvfb and xdotool are not installed"
)
#: In the first episode of this seed the agent stands at (0, 0), the plus at (2, 1), and the plus is right.
GRIDWORLD = ("--build", "simulated/GridWorld", "--seed", "1000000")


def demonstrations(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def board(lines: list[str]) -> dict[str, list[str]]:
    """The score board's rows by their names, its head under `players`."""
    start = next(index for index, line in enumerate(lines) if "the same for all" in line)
    head, *rows = (re.split(r" {2,}", line.strip()) for line in lines[start + 1 :])
    return {"players": head, **{name: values for name, *values in rows}}


@needs_pty
def test_gridworld_is_played_by_arrows_and_letters(tmp_path: Path) -> None:
    with Terminal(PLAY, *GRIDWORLD, "--terminal", "--save", "mine.npz", cwd=tmp_path) as terminal:
        terminal.wait_for("Goal VectorlSensor: 1 0")
        terminal.wait_for("Episode 1 of 5   step 0   score 0 ")
        terminal.type("s")
        terminal.wait_for("Not allowed here.")
        terminal.type("x")
        terminal.wait_for("Not a key.")
        terminal.type(RIGHT)
        terminal.wait_for("step 1   score -0.01   action 3")
        terminal.type("d" + UP)  # the second one waits for its turn
        terminal.wait_for("Episode 2 of 5   step 0   score 0 ")
        terminal.wait_for("Episode 1: score 0.98 in 3 steps.")
        terminal.type("q")
        assert terminal.end() == 0
        assert terminal.left_as_it_was()
        said = board(terminal.afterwards)
    assert said["players"] == ["you", "random"]
    assert said["episode 1"][0] == "0.98"
    saved = demonstrations(tmp_path / "mine.npz")
    assert saved["action"][:, 0].tolist() == [3, 3, 0, -1]
    assert saved["discount"].tolist() == [1, 1, 1, 0]
    assert saved["observation_2"][:, :4].tolist() == [[0, 0, 2, 1], [1, 0, 2, 1], [2, 0, 2, 1], [2, 1, 2, 1]]
    assert json.loads(str(saved["about"]))["scores"] == [pytest.approx(0.98)]


@needs_pty
def test_cartpole_goes_on_by_itself_and_three_players_are_compared(tmp_path: Path) -> None:
    words = ("--env", "CartPole-v1", *SMALL, "--evaluation.num-envs", "1", "--steps", "60", "--run-id", "novice")
    trained = run(TRAIN, *words, cwd=tmp_path)
    assert trained.code == 0, trained.err
    words = ("--run-id", "novice", "--terminal", "--fps", "5", "--episodes", "2", "--save", "mine.npz")
    with Terminal(PLAY, *words, cwd=tmp_path, env={"COLORTERM": "truecolor"}) as terminal:
        terminal.wait_for("Episode 1 of 2   step 0   score 0   action 0")
        terminal.wait_for("Space begins.")
        terminal.type(" ")
        terminal.wait_for("step 2 ")
        terminal.type("d")
        terminal.wait_for("action 1")
        terminal.wait_for("Episode 2 of 2   step 0")
        terminal.type(LEFT)
        terminal.wait_for("action 0")
        terminal.type(" ")
        assert terminal.end() == 0
        assert terminal.left_as_it_was()
        assert "\x1b[38;2;" in terminal.output
        said = board(terminal.afterwards)
    assert said["players"] == ["you", "random", "novice"]
    assert not any("*" in name for name in said), "the episodes of the three began differently"
    saved = demonstrations(tmp_path / "mine.npz")
    lengths = [str(int((saved["episode"] == episode).sum()) - 1) for episode in (0, 1)]
    assert [said["episode 1"][0], said["episode 2"][0]] == lengths
    first, second = (saved["action"][saved["episode"] == episode, 0].tolist() for episode in (0, 1))
    assert first[:2] == [0, 0]
    assert first[-2:] == [1, -1]
    assert set(second[:-1]) == {0}
    evaluated = run("agents.evaluate", "--run-id", "novice", "--episodes", "2", cwd=tmp_path)
    assert evaluated.code == 0, evaluated.err
    (result,) = (tmp_path / "runs/novice/evaluations").glob("*2-episodes*.json")
    played = [float(said[f"episode {number}"][2]) for number in (1, 2)]
    assert played == json.loads(result.read_text())["scores"], "the trained agent played other episodes"


@needs_pty
@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM", "q"])
def test_the_terminal_is_left_as_it_was(how: str, tmp_path: Path) -> None:
    with Terminal(PLAY, *COUNTER, "--terminal", "--save", "mine.npz", cwd=tmp_path) as terminal:
        terminal.wait_for("Episode 1 of 5")
        assert terminal.settings() != terminal.before
        terminal.type(LEFT * 5)
        terminal.wait_for("Episode 1: score 15 in 5 steps.")
        if how == "Ctrl-C":
            terminal.type("\x03")
        elif how == "SIGTERM":
            terminal.process.send_signal(signal.SIGTERM)
        else:
            terminal.type("q")
        code = terminal.end()
        assert terminal.left_as_it_was()
    assert code == {"Ctrl-C": 130, "SIGTERM": 143, "q": 0}[how]
    assert demonstrations(tmp_path / "mine.npz")["action"][:, 0].tolist() == [0, 0, 0, 0, 0, -1]


@needs_pty
def test_the_terminal_survives_a_crash(tmp_path: Path) -> None:
    with Terminal(PLAY, "--env", "tests.environments:Crashes-v0", "--terminal", cwd=tmp_path) as terminal:
        terminal.wait_for("Episode 1 of 5")
        terminal.type(LEFT * 4)
        assert terminal.end() == 1
        assert terminal.left_as_it_was()
        assert terminal.afterwards[-1] == "ZeroDivisionError: division by zero"


def command(words: list[str], capsys: pytest.CaptureFixture[str]) -> Result:
    """Runs it in this process, where there is neither a terminal nor a window."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        run_command(lambda interrupts: play.main(words, interrupts), play.PROGRAM)
    said = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return Result(ended.value.code, said.out, said.err)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "nothing to train on: give --build NAME for Unity, --env ID for gymnasium, or a --preset."),
        (["--run-id", "x", "--env", "y"], "found --run-id and --env: the run knows its environment; leave one of them"),
        ([*COUNTER, "--fps", "0"], "argument --fps: found 0, expected a number above 0."),
        ([*COUNTER, "--realtime", "--turn-based"], "argument --turn-based: not allowed with argument --realtime"),
        ([*COUNTER, "--save", "here.npz"], "--save here.npz exists: name another file."),
        ([*COUNTER, "--save", "no/mine.npz"], "--save no/mine.npz: there is no folder no; make it first."),
        ([*COUNTER, "--keys", "a,b"], "--keys: found a,b, expected 3 different keys, one for each action."),
        ([*COUNTER, "--keys", "a,q,b"], "--keys: found 'q', expected left, right, up, down, space, enter or one"),
        ([*COUNTER], "nowhere to play: there is no display (DISPLAY and WAYLAND_DISPLAY are not set), and standard"),
        ([*COUNTER, "--terminal"], "nowhere to play: standard output is no terminal."),
    ],
)
def test_mistakes(
    words: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    Path("here.npz").touch()
    result = command(words, capsys)
    assert result.code == 2
    assert sentence in result.error


@contextlib.contextmanager
def display() -> Iterator[dict[str, str]]:
    """A screen that nobody sees: the environment variables that lead to it."""
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "800x720x24", "-nolisten", "tcp"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    try:
        with os.fdopen(read) as file:
            yield {"DISPLAY": f":{file.readline().strip()}"}
    finally:
        server.terminate()
        server.wait()


def screenshot(where: dict[str, str]) -> Image.Image:
    return ImageGrab.grab(xdisplay=where["DISPLAY"])


def wait_until(what: Any, process: psutil.Popen, timeout: float = 60.0) -> None:
    deadline = time.monotonic() + timeout
    while not what():
        assert process.poll() is None, "it ended"
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)


@needs_display
def test_gridworld_is_played_in_a_window(tmp_path: Path) -> None:
    agent, plus, ex = (62, 195, 255), (140, 238, 151), (238, 92, 75)  # colours of docs/gridworld.md
    with display() as where, (tmp_path / "said").open("wb") as said:
        process = psutil.Popen(
            [sys.executable, "-m", PLAY, *GRIDWORLD, "--episodes", "1", "--save", "mine.npz"],
            cwd=tmp_path,
            env={**bare_environment(), **where, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        try:

            def left_edge() -> int:
                """Where the agent is, in pixels from the left; -1 while there is no picture."""
                found = np.all(np.asarray(screenshot(where)) == agent, axis=2).any(axis=0)
                return int(found.argmax()) if found.any() else -1

            def press(key: str) -> None:
                subprocess.run(["xdotool", "key", key], env={**bare_environment(), **where}, check=True)

            wait_until(lambda: left_edge() >= 0, process)
            colours = {tuple(pixel) for pixel in np.asarray(screenshot(where)).reshape(-1, 3)[::7].tolist()}
            assert {plus, ex} <= colours
            for key in ("Right", "d"):
                before = left_edge()
                press(key)
                wait_until(lambda before=before: left_edge() > before, process)
            press("Up")
            assert process.wait(60) == 0
        finally:
            kill_family(process)
    assert board((tmp_path / "said").read_text().splitlines())["episode 1"][0] == "0.98"
    assert demonstrations(tmp_path / "mine.npz")["action"][:, 0].tolist() == [3, 3, 0, -1]
