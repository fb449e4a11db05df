"""Several seeds of one command, each a process with a run of its own, in turn or side by side; a table at the end."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from threading import Thread
from typing import IO, Any, Literal, TextIO

import psutil

from agents.settings.config import ConfigError
from agents.settings.files import load_config
from agents.settings.resolve import resumed_config
from agents.storage.checkpoint import CheckpointError, find_checkpoint
from agents.storage.history import read_history
from agents.storage.runs import RunFolder
from agents.system.interrupts import BROKEN_PIPE, Interrupts, end_children
from agents.training.session import checkpoint_to_test, result_file
from agents.training.trainer import has_ended

#: Of a run: nothing to go on with; to be resumed; trained, but its test has no result; all done.
State = Literal["new", "unfinished", "untested", "finished"]
#: Seconds between two looks at the runs.
POLL = 0.05


@dataclass(frozen=True)
class SeedRun:
    """One seed, its run, and the arguments of Python that train or test it."""

    seed: int
    run: RunFolder
    command: Sequence[str]


@dataclass(frozen=True)
class SeedResult:
    """What a seed's test found, as its file says, and the seconds that its training took."""

    seed: int
    test: dict[str, Any]
    seconds: float


def state_of(run: RunFolder, values: dict[str, Any]) -> State:
    """How far a run is that is to go on with these values of a command line.

    Raises:
        ConfigError: it cannot go on with them.
    """
    if not run.config.is_file():
        return "new"
    saved = load_config(run.config)
    config = resumed_config(saved, values)
    try:
        checkpoint = find_checkpoint(run.checkpoints, "latest")
    except CheckpointError:
        return "new"
    try:
        if not has_ended(config, checkpoint):
            return "unfinished"
        return "finished" if result_file(saved, run, checkpoint_to_test(saved, run)).is_file() else "untested"
    except CheckpointError:  # damaged: the run says so itself, and goes on with an earlier one
        return "unfinished"


def run_seeds(runs: Sequence[SeedRun], parallel: int, interrupts: Interrupts) -> dict[int, int]:
    """Starts them in their order, so many at a time; a signal is passed on to those that are there.

    One that fails does not keep the others from being trained, unless nobody reads the output any more.

    Returns:
        The exit codes by seed, in the order in which they ended; those that were not started have none.
    """
    waiting = deque(runs)
    running: dict[int, psutil.Popen] = {}
    readers: list[Thread] = []
    codes: dict[int, int] = {}
    told = False
    with interrupts.held(), contextlib.ExitStack() as stack:
        stack.callback(end_children)  # none is left but after a failure here
        while True:
            if interrupts.requested() or BROKEN_PIPE in codes.values():
                waiting.clear()
            if not waiting and not running:
                break
            while waiting and len(running) < parallel:
                item = waiting.popleft()
                running[item.seed] = _start(item, readers, apart=parallel > 1)
            if interrupts.received is not None and not told:
                told = True
                for process in running.values():
                    _pass_on(process, interrupts.received)
            for seed, process in list(running.items()):
                if process.poll() is not None:
                    del running[seed]
                    codes[seed] = process.returncode if process.returncode >= 0 else 128 - process.returncode
            time.sleep(POLL)
    for reader in readers:
        reader.join()
    return codes


def _start(item: SeedRun, readers: list[Thread], *, apart: bool) -> psutil.Popen:
    """A process in a group of its own: a terminal's Ctrl-C reaches this one alone, which passes it on once.

    Args:
        readers: get the threads that repeat its output.
        apart: repeat its output line by line with its run's name in front; otherwise it has the terminal to itself.
    """
    pipe = subprocess.PIPE if apart else None
    process = psutil.Popen(
        [sys.executable, *item.command],
        stdin=subprocess.DEVNULL,
        stdout=pipe,
        stderr=pipe,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"} if apart else None,
        process_group=0 if os.name == "posix" else None,
    )
    if apart:
        for source, target in ((process.stdout, sys.stdout), (process.stderr, sys.stderr)):
            readers.append(Thread(target=_repeat, args=(source, target, item.run.path.name)))
            readers[-1].start()
    return process


def _repeat(source: IO[bytes], target: TextIO, name: str) -> None:
    """UTF-8 in; out in what the target has, with a `?` for what it does not have."""
    with source, contextlib.suppress(OSError):  # nobody reads any more: neither do we, and the run ends by that
        for line in source:
            said = line.decode(errors="replace").rstrip()
            target.write(f"{name} | {said.encode(target.encoding, 'replace').decode(target.encoding)}\n")
            target.flush()


def _pass_on(process: psutil.Popen, number: int) -> None:
    """Windows sends Ctrl-C to all processes of a console itself."""
    if os.name == "posix":
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def results_of(runs: Mapping[int, RunFolder]) -> list[SeedResult]:
    """Of the seeds whose tests have results."""
    found = []
    for seed, run in runs.items():
        try:
            config = load_config(run.config)
            path = result_file(config, run, checkpoint_to_test(config, run))
            test = json.loads(path.read_text(encoding="utf-8"))
        except (CheckpointError, ConfigError, OSError, ValueError):
            continue
        ends = read_history(run.path, "end")
        found.append(SeedResult(seed, test, ends[-1]["time"] if ends else 0.0))
    return found


def results_table(results: Sequence[SeedResult]) -> str:
    """In Markdown, with the median and the worst of the means below. There must be at least one."""
    lines = ["| seed | mean | deviation | minimum | success | seconds |", "|---|---|---|---|---|---|"]
    for result in sorted(results, key=lambda result: result.seed):
        test = result.test
        rate = "" if test["success_rate"] is None else f"{test['success_rate']:.1%}"
        lines.append(
            f"| {result.seed} | {test['mean']:.3f} | {test['deviation']:.3f} | {test['minimum']:.3f} | {rate} "
            f"| {result.seconds:.0f} |"
        )
    means = [result.test["mean"] for result in results]
    count = f"{len(means)} seed{'s' * (len(means) > 1)}"
    return "\n".join([*lines, f"\nmedian {median(means):.3f}, worst {min(means):.3f} of {count}"])
