"""The commands as a person runs them: in this process, or as processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from agents import evaluate, monitor, record, report, train, tune
from agents.cli.commandline import run_command
from tests.leftovers import kill_family

ROOT = Path(__file__).parents[2]
TRAIN, EVALUATE, RECORD = "agents.train", "agents.evaluate", "agents.record"
REPORT, MONITOR, TUNE = "agents.report", "agents.monitor", "agents.tune"
MODULES = {TRAIN: train, EVALUATE: evaluate, RECORD: record, REPORT: report, MONITOR: monitor, TUNE: tune}

#: An environment that costs nothing, whose episodes last 5 steps, and an agent that costs little.
COUNTER = ("--env", "tests.environments:Counter-v0")
SMALL = (
    *("--network.hidden", "8", "--replay.capacity", "500", "--learner.batch-size", "4"),
    *("--learner.learning-starts", "20", "--evaluation.episodes", "3"),
)


@dataclass(frozen=True)
class Result:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """What went wrong, which is one line."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        return lines[0]


def call(module: str, words: Sequence[str | Path], capsys: pytest.CaptureFixture[str]) -> Result:
    """Runs a command in this process; warnings are errors here."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        run_command(lambda interrupts: MODULES[module].main(list(map(str, words)), interrupts), MODULES[module].PROGRAM)
    said = capsys.readouterr()
    code = ended.value.code
    assert isinstance(code, int)
    return Result(code, said.out, said.err)


def bare_environment() -> dict[str, str]:
    """Nothing of an activated virtual environment; the packages are found as if they were installed."""
    kept = {name: os.environ[name] for name in ("HOME", "TMPDIR", "SYSTEMROOT") if name in os.environ}
    return {**kept, "PATH": os.defpath, "PYTHONPATH": str(ROOT)}


class Command:
    """A command as a process of its own, its output in files; killed at the end of `with`, with what it started."""

    def __init__(self, module: str, *words: str | Path, cwd: Path) -> None:
        self._files = {name: cwd / f".{name}-{time.monotonic_ns()}" for name in ("out", "err")}
        with self._files["out"].open("wb") as out, self._files["err"].open("wb") as err:
            self.process = psutil.Popen(
                [sys.executable, "-m", module, *map(str, words)],
                cwd=cwd,
                env=bare_environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        self._family: list[psutil.Process] = []

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *_: object) -> None:
        kill_family(self.process)

    def read(self, name: str) -> str:
        return self._files[name].read_text(encoding="utf-8")

    def wait_for(self, what: str | Callable[[], object], timeout: float = 60.0) -> None:
        """Until it has written this to stdout, or this becomes true."""
        deadline = time.monotonic() + timeout
        while not (what in self.read("out") if isinstance(what, str) else what()):
            assert self.process.poll() is None, self.read("err")
            assert time.monotonic() < deadline, f"{what} did not come: {self.read('out')}{self.read('err')}"
            time.sleep(0.01)

    def _children(self) -> list[psutil.Process]:
        try:
            found: list[psutil.Process] = self.process.children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return found

    def imports(self) -> bool:
        """Whether it has begun to import what takes seconds; guessed where the system does not tell."""
        maps = Path(f"/proc/{self.process.pid}/maps")
        if not maps.exists():
            return time.time() - self.process.create_time() > 1.0
        return "numpy" in maps.read_text()

    def processes(self) -> int:
        """How many others it, and those, have started."""
        return len(self._children())

    def send(self, number: signal.Signals) -> None:
        self._family += self._children()
        self.process.send_signal(number)

    def result(self, timeout: float = 60.0) -> Result:
        """Waits for the end. Nothing that it had started may be left."""
        code = self.process.wait(timeout)
        _, left = psutil.wait_procs(self._family, timeout=2.0)
        assert [process for process in left if process.status() != psutil.STATUS_ZOMBIE] == []
        return Result(code, self.read("out"), self.read("err"))


def run(module: str, *words: str | Path, cwd: Path) -> Result:
    """Runs a command as a process of its own to its end."""
    with Command(module, *words, cwd=cwd) as command:
        return command.result()


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Every file and folder below, with its content."""
    found = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in found}
