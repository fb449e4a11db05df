"""What the benchmarks share: rows of results, how they are measured, and on what.

A results file has one JSON object per line, one per seed. A seed that is there already is not measured again, and an
interruption loses only the seeds that are being measured.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from threading import Event, Lock
from typing import Any

import psutil

from agents.settings.config import ConfigError
from agents.settings.presets import load_preset
from agents.system.files import append_whole
from agents.system.interrupts import Interrupts

RESULTS = Path(__file__).parent / "results"
RUNS = Path("runs") / "benchmarks"
#: Libraries that bring threads of their own ask these how many.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
#: Seconds between two looks at a run.
POLL = 0.05

Row = dict[str, Any]
ShouldStop = Callable[[], bool]
#: Agent steps, seconds of training without evaluations, mean and minimum of an evaluation's episodes.
Curve = list[tuple[int, float, float, float]]


@dataclass(frozen=True)
class Contender:
    """What is measured.

    Attributes:
        path: its results file.
        arguments: JSON values that say what is measured; all rows of a file have the same.
        measure: a row of a seed, without what `measure_all` adds; raises `InterruptedError` when it shall stop.
    """

    path: Path
    arguments: Any
    measure: Callable[[int, ShouldStop], Row]

    def rows(self) -> list[Row]:
        """Those that are there. Raises `ConfigError` for other arguments, or a preset that has changed."""
        rows = read_rows(self.path)
        for row in rows:
            preset = row.get("preset")  # peers have none, nor have rows older than these marks
            if preset and not _is_current(preset):
                raise ConfigError(
                    f"{self.path} holds results of a preset {preset['name']!r} that is gone or has changed since: "
                    "delete its lines to measure anew, or choose another name."
                )
            if row["arguments"] != json.loads(json.dumps(self.arguments)):
                raise ConfigError(
                    f"{self.path} holds results of other arguments: {row['arguments']}; choose another name."
                )
        return rows


def measure_all(contenders: Sequence[Contender], seeds: Sequence[int], interrupts: Interrupts, jobs: int = 1) -> None:
    """Measures what is missing: each seed of all contenders before the next one.

    Args:
        jobs: how many side by side; their seconds are then not comparable.

    Raises:
        ConfigError: a file holds results of other arguments, or of a preset that has changed; then nothing more is
            measured.
        ChildProcessError: a run failed. The other ones are ended.
        KeyboardInterrupt: a signal came. The runs are ended.
    """
    known = [{row["seed"] for row in contender.rows()} for contender in contenders]
    tasks = [(item, seed) for seed in seeds for item, done in zip(contenders, known, strict=True) if seed not in done]
    lock, failed = Lock(), Event()

    def should_stop() -> bool:
        return interrupts.requested() or failed.is_set()

    def measure(contender: Contender, seed: int) -> None:
        load = psutil.getloadavg()[0]
        try:
            with lock:  # nobody appends meanwhile
                contender.rows()  # a preset may have changed while other seeds were measured
            found = contender.measure(seed, should_stop)
        except InterruptedError:
            return
        except BaseException:
            failed.set()
            raise
        row = {"seed": seed, "arguments": contender.arguments, **found, "machine": machine(), "load": round(load, 2)}
        with lock:
            contender.path.parent.mkdir(parents=True, exist_ok=True)
            append_whole(contender.path, (json.dumps(row) + "\n").encode())

    with interrupts.held(), ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(measure, *task) for task in tasks]
        while wait(futures, timeout=POLL).not_done:
            pass  # a signal that reaches another thread is handled when this one wakes
    if interrupts.requested():
        raise KeyboardInterrupt
    for future in futures:
        future.result()


def preset_mark(name: str) -> Row:
    """A preset's name and a digest of its values, to know by whether it has changed. Raises `ConfigError`."""
    values = json.dumps(load_preset(name), sort_keys=True)
    return {"name": name, "sha256": hashlib.sha256(values.encode()).hexdigest()}


def _is_current(mark: Row) -> bool:
    try:
        return mark == preset_mark(mark["name"])
    except ConfigError:
        return False


def read_rows(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def run(command: Sequence[str | Path], log: Path, should_stop: ShouldStop) -> None:
    """Runs a Python program to its end, on one thread, its output in a file.

    Raises:
        ChildProcessError: it failed.
        InterruptedError: `should_stop` said so; the program is ended, and whatever it started.
    """
    if should_stop():
        raise InterruptedError
    log.parent.mkdir(parents=True, exist_ok=True)
    one_thread = {**os.environ, **dict.fromkeys(THREADS, "1")}
    with log.open("w", encoding="utf-8") as file:
        process = psutil.Popen([sys.executable, *command], stdout=file, stderr=subprocess.STDOUT, env=one_thread)
    while process.poll() is None:
        if should_stop():
            for each in [*process.children(recursive=True), process]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
            process.wait()
            raise InterruptedError
        time.sleep(POLL)
    if process.returncode:
        raise ChildProcessError(f"{' '.join(map(str, command))} ended with code {process.returncode}: see {log}.")


def machine() -> str:
    """What a figure was measured on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def versions(*packages: str) -> dict[str, str]:
    return {package: version(package) for package in packages}
