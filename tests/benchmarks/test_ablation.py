"""Ablations: every variant is the preset with something changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from agents.cli.commandline import config_values
from agents.settings.config import build_config
from agents.settings.resolve import starting_values
from agents.system.interrupts import Interrupts
from agents.train import make_parser

Script = Callable[[str], ModuleType]


@pytest.mark.parametrize("name", ["cartpole", "gridworld", "pusher"])
def test_each_variant_changes_the_preset_and_no_two_are_the_same(script: Script, name: str, tmp_path: Path) -> None:
    contenders = script("ablation").contenders_of(name, [], tmp_path, tmp_path)
    found = []
    for contender in contenders:
        options = make_parser().parse_args(contender.arguments)
        config = build_config(starting_values(None, config_values(options)))
        assert config.preset == name
        found.append(config)
    assert contenders[0].path.name == f"{name}.preset.jsonl"
    assert all(config not in found[:index] for index, config in enumerate(found))


def test_an_unknown_variant_is_named(script: Script, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with Interrupts("ablation") as interrupts, pytest.raises(SystemExit):
        script("ablation").main(["cartpole", "--only", "1-stp", "--results", str(tmp_path)], interrupts)
    assert "cartpole has no variant '1-stp'; there are preset, 1-step" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
