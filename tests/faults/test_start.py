"""Players that die before they play: how soon it is told, with what, and whether the port is free again."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil
import pytest

from bridge import connect
from bridge.errors import LaunchError
from bridge.unity.communicator import open_port
from tests.faults.counts import counts
from tests.faults.play import children, free_port, play, simulated, within
from tests.leftovers import ended


@counts(2, 10)
@pytest.mark.parametrize(("fault", "code"), [
    ("exit-before-connect:3", 3),
    ("exit-before-connect:127", 127),
    ("exit-after-hello:5", 5),  # between the two messages of the handshake
])  # fmt: skip
def test_a_death_at_start_is_told_within_two_seconds_and_frees_the_port(
    tmp_path: Path, fault: str, code: int, count: int
) -> None:
    for number in range(count):
        port, logs = free_port(), tmp_path / str(number)
        with pytest.raises(LaunchError) as caught:
            connect(simulated(fault, base_port=port, log_folder=str(logs)))
        died = (logs / "Player-0-0.log").stat().st_mtime  # its log's last line says that it ends
        assert time.time() - died < 2
        assert f"return code {code}" in str(caught.value)
        assert "as asked by --fail" in str(caught.value), "the last lines of the player's log"
        assert not children()
        open_port(port, timeout=1.0, search=False).close()


@pytest.mark.skipif(sys.platform == "win32", reason="shell scripts")
def test_what_a_program_says_that_is_no_player_is_told(tmp_path: Path) -> None:
    script = tmp_path / "Script.x86_64"
    script.write_text("#!/bin/sh\necho libstrange.so: cannot open >&2\nexit 127\n")
    script.chmod(0o755)
    with within(2), pytest.raises(LaunchError, match=r"return code 127") as caught:
        connect(simulated(target=str(script)))
    assert "libstrange.so: cannot open" in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="shell scripts")
def test_what_a_script_started_ends_also_when_the_script_has_ended(tmp_path: Path) -> None:
    script, started = tmp_path / "Script.x86_64", tmp_path / "started"
    script.write_text(f"#!/bin/sh\nsleep 600 &\necho $! > {started}\nexit 3\n")
    script.chmod(0o755)
    with pytest.raises(LaunchError, match="return code 3"):
        connect(simulated(target=str(script)))
    pid = int(started.read_text())
    assert not psutil.pid_exists(pid) or ended(psutil.Process(pid))


@pytest.mark.parametrize(
    ("fault", "timeout", "sentence"),
    [
        ("never-connect", 0.5, "did not connect to port"),
        ("hang-after-hello", 6.0, "connected, but said no more"),
        ("hang-at-reset", 6.0, "did not answer"),
        ("no-behavior", 6.0, "no agent of any behaviour asked for a decision"),
    ],
)
def test_silence_at_start_ends_and_lists_the_usual_causes(fault: str, timeout: float, sentence: str) -> None:
    with within(2 * timeout + 2), pytest.raises(LaunchError, match=sentence) as caught:
        connect(simulated(fault, timeout=timeout))
    for cause in ("Behavior Type", "Decision Requester"):
        assert cause in str(caught.value)


def test_one_port_serves_start_after_start() -> None:
    port = free_port()
    for faults in ([], ["exit-before-connect:3"], ["exit-after-hello:3"], ["api-version:3.0.0"], []):
        try:
            with connect(simulated(*faults, base_port=port)) as bridge:
                play(bridge, 3)
                bridge.reset(seed=3)
            assert not faults
        except LaunchError:
            assert faults


def test_one_of_several_that_dies_ends_the_others() -> None:
    with pytest.raises(LaunchError, match="return code 1"):
        connect(simulated("exit-after-hello:1", num_envs=3))
    assert not children()
