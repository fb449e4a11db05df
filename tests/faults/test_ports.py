"""Ports that are taken, several that want the same one, and proxies."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge import EnvSpec, connect
from bridge.errors import UsageError
from tests.agents.commands import SMALL, TRAIN, Command
from tests.bridge.unity.scripted import brain, info, report, write_player
from tests.faults.counts import FULL_SECONDS, counts
from tests.faults.play import can_listen, free_port, play, port_of, simulated, taken, within

ROOT = Path(__file__).parents[2]
RACERS = 4
ADDRESSES = [address for address in ("127.0.0.1", "::1", "0.0.0.0", "::") if can_listen(address)]


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_port_that_was_asked_for_and_is_taken_is_one_clear_line(address: str) -> None:
    with taken(address) as port, within(2), pytest.raises(UsageError) as caught:
        connect(simulated(base_port=port))
    assert f"port {port} is taken" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("address", ADDRESSES)
def test_without_a_wish_the_next_free_port_is_used(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    with taken(address) as port:
        monkeypatch.setattr("bridge.unity.launcher.FIRST_PORT", port)
        with connect(simulated()) as first, connect(simulated()) as second:
            assert port < port_of(first) < port_of(second)
            play(first, 3)
            play(second, 3)


class Racers:
    """Processes that open bridges at the same moment."""

    def __init__(self, port: int, *, fixed: bool) -> None:
        command = [sys.executable, "-m", "tests.faults.racer", str(port), str(int(fixed))]
        self._processes = [
            subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(RACERS)
        ]
        self._listen()  # all have imported what they need

    def _listen(self) -> list[dict[str, Any]]:
        lines = [process.stdout.readline() for process in self._processes if process.stdout]
        return [json.loads(line) for line in lines]

    def _tell(self, indices: list[int]) -> None:
        for index in indices:
            stdin = self._processes[index].stdin
            assert stdin is not None
            stdin.write("\n")
            stdin.flush()

    def race(self) -> list[dict[str, Any]]:
        """What became of each."""
        self._tell(list(range(RACERS)))
        results = self._listen()
        playing = [index for index, result in enumerate(results) if "port" in result]
        self._tell(playing)
        for index in playing:
            stdout = self._processes[index].stdout
            assert stdout is not None
            assert json.loads(stdout.readline()) == {}
        return results

    def close(self) -> None:
        for process in self._processes:
            process.communicate()


@contextlib.contextmanager
def racers(*, fixed: bool) -> Iterator[Racers]:
    opened = Racers(free_port(), fixed=fixed)
    try:
        yield opened
    finally:
        opened.close()


@counts(2, 20)
def test_four_at_once_find_ports_and_players_of_their_own(count: int) -> None:
    with racers(fixed=False) as four:
        for _ in range(count):
            results = four.race()
            assert all(result["own player"] for result in results), results
            assert len({result["port"] for result in results}) == RACERS


@counts(2, 20)
def test_of_four_that_insist_on_a_port_one_gets_it_and_the_others_are_told(count: int) -> None:
    with racers(fixed=True) as four:
        for _ in range(count):
            results = four.race()
            refused = [result for result in results if "error" in result]
            assert len(refused) == RACERS - 1, results
            for result in refused:
                assert "is taken by another program" in result["error"]
                assert "\n" not in result["error"]
                assert result["seconds"] < 2


@pytest.mark.faults
@pytest.mark.timeout(2 * FULL_SECONDS)
def test_four_trainings_at_once_twenty_times(tmp_path: Path) -> None:
    words = [*SMALL, "--build", "simulated/GridWorld", "--steps", "60", "--evaluation.episodes", "1"]
    for round_ in range(20):
        folder = tmp_path / str(round_)
        folder.mkdir()
        with contextlib.ExitStack() as stack:
            commands = [
                stack.enter_context(Command(TRAIN, *words, "--run-id", f"it-{index}", cwd=folder))
                for index in range(RACERS)
            ]
            for command in commands:
                result = command.result(timeout=FULL_SECONDS)
                assert result.code == 0, result.err


def test_a_proxy_in_the_environment_does_not_come_between(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "example.org")
    before = dict(os.environ)
    # The simulated build asks gRPC to ignore proxies; a real one, and this one, do not.
    player = write_player(tmp_path, [report({"B": [info(0)]}, [brain("B", 3)])])
    with connect(EnvSpec("unity", str(player), {"timeout": 5.0})):
        pass
    assert dict(os.environ) == before, "ours stays as it is"
