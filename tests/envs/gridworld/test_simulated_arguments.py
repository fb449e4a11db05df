"""The command line: Unity's arguments, ours, and what is not understood."""

from __future__ import annotations

import pytest

from envs.gridworld.__main__ import configure
from envs.simulated import arguments
from envs.simulated.arguments import BadArgumentError
from envs.simulated.faults import Faults


def test_what_the_trainer_passes_is_understood() -> None:
    parsed = arguments.parse(
        [
            "-nographics",
            "-batchmode",
            "--mlagents-port",
            "5007",
            "-logFile",
            "/tmp/Player-2.log",
            "--layout",
            "chw",
            "--compression",
            "none",
        ]
    )
    assert (parsed.port, parsed.layout, parsed.compression, parsed.rest) == (5007, "chw", "none", ())
    assert arguments.log_file(["-logFile", "/tmp/Player-2.log"]) == "/tmp/Player-2.log"
    assert arguments.log_file(["-batchmode", "-logfile", "x.log"]) == "x.log"


def test_defaults() -> None:
    parsed = arguments.parse([])
    assert (parsed.port, parsed.layout, parsed.compression, parsed.fail) == (None, "auto", "png", ())
    assert arguments.log_file([]) is None
    assert arguments.log_file(["-logFile", "-"]) is None


def test_the_last_port_wins_and_unknown_arguments_are_left_alone() -> None:
    line = "--mlagents-port 1 --num 3 -force-vulkan plain --mlagents-port 2 --areas 9 -x=1"
    parsed = arguments.parse(line.split())
    assert parsed.port == 2
    assert parsed.rest == ("--num", "3", "-force-vulkan", "plain", "--areas", "9", "-x=1")
    assert configure(parsed.rest).keywords == {"areas": 9}  # type: ignore[attr-defined]


@pytest.mark.parametrize("line", ["--mlagents-port", "--mlagents-port five", "--mlagents-port -nographics", ""])
def test_a_port_that_is_no_number_counts_as_absent(line: str) -> None:
    assert arguments.parse(line.split()).port is None


@pytest.mark.parametrize("line", ["--layout whc", "--compression jpeg", "--layout"])
def test_a_value_that_means_nothing_is_refused(line: str) -> None:
    with pytest.raises(BadArgumentError):
        arguments.parse(line.split())


@pytest.mark.parametrize("areas", ["0", "-1", "nine"])
def test_a_number_of_areas_that_is_none_is_refused(areas: str) -> None:
    with pytest.raises(BadArgumentError):
        configure(["--areas", areas])


@pytest.mark.parametrize(
    "request_",
    ["explode", "exit-after-steps:3", "exit-after-steps:three:1", "stats:1", "hang-after-steps", "api-version"],
)
def test_a_failure_that_is_unknown_or_incomplete_is_refused(request_: str) -> None:
    with pytest.raises(BadArgumentError, match="--fail"):
        Faults([request_])
