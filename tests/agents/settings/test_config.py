"""The configuration: precedence, coercion, refusals."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agents.settings.config import Config, ConfigError, build_config, merged, nearest, sections
from agents.settings.presets import load_preset
from agents.settings.resolve import starting_values
from bridge.gymnasium.options import GymnasiumOptions
from bridge.unity.options import UnityOptions


def refused(values: dict[Any, Any]) -> str:
    """The sentence of the refusal."""
    with pytest.raises(ConfigError) as refusal:
        build_config(values)
    message = str(refusal.value)
    assert "\n" not in message
    assert not message.endswith("..")
    return message


# ---- what is refused


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lerner": {}}, "unknown setting 'lerner'; did you mean 'learner'?"),
        ({"learner": {"gama": 0.9}}, "unknown setting 'learner.gama'; did you mean 'gamma'?"),
        ({"exploration": {"hold_time": 3}}, "unknown setting 'exploration.hold_time'; did you mean 'hold'?"),
        ({"replay": {"zzz": 3}}, "unknown setting 'replay.zzz'; there are capacity, demonstrations."),
        ({3: {}}, "unknown setting '3'; there are preset, environment"),
    ],
)
def test_an_unknown_setting_names_the_nearest(values: dict[Any, Any], message: str) -> None:
    assert refused(values).startswith(message)


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown preset 'gridwold'; did you mean 'gridworld'\?"):
        load_preset("gridwold")
    with pytest.raises(ConfigError, match=r"unknown preset 'xyz'; there are acrobot, .*gridworld, .*vector\."):
        load_preset("xyz")
    with pytest.raises(ConfigError, match=r"there is no preset file 'mine\.yaml'"):
        load_preset("mine.yaml")


def test_the_nearest_name_or_all_of_them() -> None:
    assert nearest("gama", ["gamma", "loss"]) == "did you mean 'gamma'?"
    assert nearest("q", ["gamma", "loss"]) == "there are gamma, loss."


@pytest.mark.parametrize(
    ("section", "field", "value", "expected"),
    [
        ("learner", "gamma", "high", "found 'high', expected a valid number"),
        ("learner", "gamma", 1.5, "found 1.5, expected less than or equal to 1"),
        ("learner", "gamma", -0.1, "found -0.1, expected greater than or equal to 0"),
        ("learner", "gamma", float("nan"), "found nan, expected a finite number"),
        ("learner", "batch_size", 0, "found 0, expected greater than 0"),
        ("learner", "batch_size", 2.5, "found 2.5, expected a valid integer"),
        ("learner", "batch_size", None, "found None, expected a valid integer"),
        ("learner", "batch_size", True, "found True, expected something else than true or false"),
        ("learner", "optimizer", "sgd", "found 'sgd', expected 'adam' or 'rmsprop'"),
        ("learner", "double", "perhaps", "found 'perhaps', expected a valid boolean"),
        ("learner", "updates_per_step", 0, "found 0, expected greater than 0"),
        ("network", "hidden", 64, "found 64, expected a valid tuple"),
        ("learner", "reset_at", [40, 40], "found 40, 40, expected rising numbers"),
        ("learner", "advantage_learning", 1, "found 1, expected less than 1"),
        ("environment", "env", 5, "found 5, expected a valid string"),
        ("exploration", "hold", 0.5, "found 0.5, expected greater than or equal to 1"),
        ("training", "failure_reward", False, "found False, expected something else than true or false"),
    ],
)
def test_a_wrong_value_names_the_field_what_was_found_and_what_was_expected(
    section: str, field: str, value: Any, expected: str
) -> None:
    assert refused({section: {field: value}}).startswith(f"{section}.{field}: {expected}")


def test_one_wrong_entry_of_a_list_is_named() -> None:
    assert refused({"network": {"hidden": [64, "wide"]}}).startswith("network.hidden.1: found 'wide', expected")
    assert refused({"environment": {"env_params": {"gridSize": "big"}}}).startswith(
        "environment.env_params.gridSize: found 'big', expected a valid number"
    )


@pytest.mark.parametrize("section", sorted(sections()))
def test_a_section_that_is_no_mapping_is_refused(section: str) -> None:
    assert refused({section: 3}) == f"{section}: found 3, expected a mapping of settings."


def test_what_does_not_go_together_is_refused() -> None:
    message = "evaluation: policy best needs evaluations in training: set evaluation.every."
    assert refused({"evaluation": {"policy": "best"}}) == message
    assert "probability" in refused({"exploration": {"start": 3.0}})
    assert "probability" in refused({"exploration": {"end": 1.5}})
    assert build_config({"exploration": {"kind": "boltzmann", "start": 3.0}}).exploration.start == 3.0
    message = "{} needs the soft backup: set learner.backup to soft."
    assert refused({"exploration": {"kind": "soft"}}) == message.format("exploration.kind soft")
    assert refused({"learner": {"entropy_target": 0.3}}) == message.format("learner.entropy_target")
    said = refused({"learner": {"backup": "soft", "advantage_learning": 0.9}})
    assert said.endswith(
        "learner.advantage_learning compares with the best action, which the soft backup does not: "
        "set it to 0, or learner.backup to max."
    )
    said = refused({"learner": {"backup": "soft", "entropy_target_end": 0.1}})
    assert said.endswith("learner.entropy_target_end needs an entropy to fall from: set learner.entropy_target.")
    relabel: dict[str, Any] = {"learner": {"relabel": 0.5}}
    assert refused(relabel).endswith("how rewards depend on the goal: set environment.reward_rule.")
    ruled = {**relabel, "environment": {"reward_rule": "opposite"}}
    assert "set learner.n_step to 1" in refused({**ruled, "learner": {"relabel": 0.5, "n_step": 3}})
    assert "training.failure_reward to none" in refused({**ruled, "training": {"failure_reward": -1.0}})
    assert "set learner.gamma above 0" in refused({**ruled, "learner": {"relabel": 0.5, "gamma": 0.0}})


@pytest.mark.parametrize(("target", "expected"), [(0, "greater than 0"), (1, "less than 1")])
def test_an_entropy_that_no_temperature_has_is_refused(target: int, expected: str) -> None:
    said = refused({"learner": {"backup": "soft", "entropy_target": target}})
    assert said == f"learner.entropy_target: found {target}, expected {expected}."


@pytest.mark.parametrize("text", ["{gridSize: 7", "gridSize", "7"])
def test_a_mapping_that_is_none_is_refused(text: str) -> None:
    assert refused({"environment": {"env_params": text}}).startswith(f"environment.env_params: {text}")


def test_a_configuration_cannot_be_changed() -> None:
    config = Config()
    with pytest.raises(ValidationError, match="frozen"):
        config.learner.gamma = 0.5  # type: ignore[misc]


# ---- what a command line gives


@pytest.mark.parametrize(
    ("section", "field", "text", "value"),
    [
        ("network", "hidden", "64,64", (64, 64)),
        ("network", "hidden", "[64, 32]", (64, 32)),
        ("network", "hidden", "64", (64,)),
        ("network", "hidden", "", ()),
        ("network", "observations", "image,goal", ("image", "goal")),
        ("network", "observations", "image, goal", ("image", "goal")),
        ("environment", "levels", "-1,-0.5,0,0.5,1", (-1.0, -0.5, 0.0, 0.5, 1.0)),
        ("learner", "learning_rate", "1e-3", 0.001),
        ("learner", "reset_at", "40000,80000", (40000, 80000)),
        ("learner", "batch_size", "32", 32),
        ("learner", "double", "true", True),
        ("learner", "double", "false", False),
        ("environment", "env_params", "{gridSize: 7}", {"gridSize": 7.0}),
        ("environment", "env_kwargs", "{max_episode_steps: 100, name: x}", {"max_episode_steps": 100, "name": "x"}),
        ("training", "failure_reward", "-100", -100.0),
    ],
)
def test_strings_of_a_command_line_are_understood(section: str, field: str, text: str, value: Any) -> None:
    found = getattr(getattr(build_config({section: {field: text}}), section), field)
    assert found == value
    assert type(found) is type(value)


def test_a_number_that_yaml_takes_for_a_string_is_a_number(tmp_path: Path) -> None:
    """YAML 1.1 reads 1e-3 as a string."""
    path = tmp_path / "mine.yaml"
    path.write_text("learner: {learning_rate: 1e-3}\n", encoding="utf-8")
    assert build_config(load_preset(str(path))).learner.learning_rate == 0.001


# ---- precedence


def test_the_strong_win_field_by_field() -> None:
    weak = {"learner": {"gamma": 0.9, "batch_size": 8}, "replay": {"capacity": 5}, "preset": "weak"}
    strong = {"learner": {"gamma": 0.5}, "training": {"seed": 3}, "preset": "strong"}
    both = merged(weak, strong)
    assert both == {
        "learner": {"gamma": 0.5, "batch_size": 8},
        "replay": {"capacity": 5},
        "training": {"seed": 3},
        "preset": "strong",
    }
    assert weak["learner"] == {"gamma": 0.9, "batch_size": 8}, "what was given is not changed"


def test_a_mapping_within_a_section_is_replaced_as_a_whole() -> None:
    weak = {"environment": {"env_params": {"gridSize": 7}, "offset": 2}}
    both = merged(weak, {"environment": {"env_params": {"numGoals": 2}}})
    assert both == {"environment": {"env_params": {"numGoals": 2}, "offset": 2}}


def test_the_command_line_beats_the_preset_which_beats_the_defaults() -> None:
    values = {"environment": {"build": "GridWorld"}, "learner": {"batch_size": "17"}}
    config = build_config(starting_values(None, values))
    assert config.preset == "gridworld"
    assert config.learner.batch_size == 17  # the command line's
    assert config.learner.gamma == 0.8  # the preset's
    assert config.learner.gamma != Config().learner.gamma
    assert config.learner.max_grad_norm == Config().learner.max_grad_norm  # the default
    assert config.environment.backend == "unity"


def test_a_named_preset_beats_the_environments_own() -> None:
    values = {"environment": {"env": "CartPole-v1"}}
    assert build_config(starting_values(None, values)).preset == "cartpole"
    named = build_config(starting_values("seed-d", values))
    assert (named.preset, named.environment.env, named.learner.optimizer) == ("seed-d", "CartPole-v1", "rmsprop")


def test_a_preset_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("environments: [Mine]\nlearner: {gamma: 0.5}\n", encoding="utf-8")
    config = build_config(load_preset(str(path)))
    assert config.learner.gamma == 0.5
    assert config.preset == str(path)
    path.write_text("learner: {gama: 0.5}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="gamma"):
        build_config(load_preset(str(path)))
    path.write_text("learner: [0.5\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_preset(str(path))


def test_an_empty_configuration_is_the_defaults() -> None:
    assert build_config({}) == Config()


# ---- for the bridge and for help


@pytest.mark.parametrize(
    ("values", "options", "target"),
    [
        ({"backend": "gym", "env": "CartPole-v1", "build": "X"}, GymnasiumOptions, "CartPole-v1"),
        ({"backend": "unity", "build": "GridWorld", "env": "X"}, UnityOptions, "GridWorld"),
    ],
)
def test_the_bridge_is_given_what_it_knows_and_nothing_else(values: dict[str, Any], options: Any, target: str) -> None:
    config = build_config({"environment": {**values, "num_envs": 3, "frame_stack": 2, "time_scale": 5}}).environment
    spec = config.spec(seed=9)
    assert (spec.backend, spec.target, spec.seed) == (values["backend"], target, 9)
    assert set(spec.options) <= {item.name for item in fields(options)}
    assert spec.options["num_envs"] == 3
    ours = set(type(config).model_fields) - {"backend", "build", "env"}
    assert set(spec.options) == ours & {item.name for item in fields(options)}, "none of ours is left out"


@pytest.mark.parametrize("section", sorted(sections()))
def test_every_field_has_a_line_of_help(section: str) -> None:
    for name, field in sections()[section].model_fields.items():
        assert field.description, name
        assert "\n" not in field.description


@pytest.mark.parametrize("path", ["training.failure_reward", "evaluation.success_score", "environment.base_port"])
def test_none_on_a_command_line_unsets_what_a_preset_set(path: str) -> None:
    section, name = path.split(".")
    assert getattr(getattr(build_config({section: {name: "none"}}), section), name) is None
