"""Each behaviour of the Depot is trained by the command that a person types."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.settings.files import load_config
from agents.settings.presets import preset_for
from agents.storage.runs import RunFolder
from tests.agents.commands import TRAIN, run
from tests.agents.metrics.test_metrics import points


def test_the_preset_is_found_by_the_builds_name() -> None:
    assert {preset_for(name) for name in ("Depot", "simulated/Depot", "builds/Depot.exe")} == {"depot"}


@pytest.mark.parametrize("behavior", ["Carrier", "Crane"])
def test_a_behaviour_is_trained_and_tested(tmp_path: Path, behavior: str) -> None:
    result = run(
        TRAIN, "--build", "Depot", "--environment.behavior", behavior, "--steps", "200", "--run-id", "d",
        "--network.hidden", "16", "--learner.learning-starts", "50", "--learner.updates-per-step", "0.1",
        "--replay.capacity", "500", "--training.summary-episodes", "5", "--evaluation.episodes", "2",
        cwd=tmp_path,
    )  # fmt: skip
    assert result.code == 0, result.err
    assert "no Depot build in " in result.err
    folder = RunFolder(tmp_path / "runs" / "d")
    config = load_config(folder.config)
    assert (config.preset, config.environment.behavior) == ("depot", behavior)
    assert f"| preset depot | {behavior} (simulated build) |" in result.out
    assert "over 2 episodes" in result.out
    assert points(folder.path, "run/score")


def test_without_a_choice_it_names_both_behaviours(tmp_path: Path) -> None:
    result = run(TRAIN, "--build", "simulated/Depot", "--steps", "10", cwd=tmp_path)
    assert result.code != 0
    assert "the build has the behaviours Carrier?team=0, Crane?team=0" in result.err
    assert "Traceback" not in result.err
