"""The files of the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.settings.config import build_config, merged
from agents.settings.files import load_config, save_config
from agents.settings.presets import load_preset, preset_names


@pytest.mark.parametrize("name", preset_names())
def test_a_saved_configuration_loads_as_it_was(name: str, tmp_path: Path) -> None:
    more = {
        "environment": {"env_kwargs": {"x": [1, {"y": None}]}, "env_params": {"gridSize": 7}, "levels": [-1, 0, 1]},
        "training": {"failure_reward": -100, "seed": 2**40},
        "learner": {"learning_rate": 1.2345678901234567e-05},
    }
    config = build_config(merged(load_preset(name), more))
    save_config(config, tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == config
