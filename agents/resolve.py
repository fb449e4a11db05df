"""From a command line's values to a configuration and an open environment: the one place that chooses a preset."""

from __future__ import annotations

from typing import Any

from agents.config import Config, ConfigError, build_config, load_preset, merged, preset_by_kind, preset_for
from bridge import Bridge, connect


def starting_values(preset: str | None, values: dict[str, Any]) -> dict[str, Any]:
    """The command line's values over those of the preset, if one is named or found by the environment's name.

    Raises:
        ConfigError: nothing says what to train on.
    """
    values = _with_backend(values)
    target = build_config(values).environment.target
    name = preset or (preset_for(target) if target else None)
    result = merged(load_preset(name), values) if name else values
    if not build_config(result).environment.target:
        raise ConfigError("nothing to train on: give --build NAME for Unity, --env ID for gymnasium, or a --preset.")
    return result


def _with_backend(values: dict[str, Any]) -> dict[str, Any]:
    """`--build` alone means Unity, `--env` alone gymnasium. Raises `ConfigError` when they contradict."""
    environment = dict(values.get("environment", {}))
    implied = {"unity": "build" in environment, "gym": "env" in environment}
    if all(implied.values()):
        raise ConfigError("--build is for Unity and --env for gymnasium: give one of them.")
    for backend, given in implied.items():
        if given and environment.setdefault("backend", backend) != backend:
            wanted = "--build" if environment["backend"] == "unity" else "--env"
            raise ConfigError(f"--backend {environment['backend']} takes {wanted}.")
    return {**values, "environment": environment}


def open_environment(preset: str | None, values: dict[str, Any]) -> tuple[Config, Bridge]:
    """The resolved configuration and the environment, which may first have to say what it observes."""
    chosen = starting_values(preset, values)
    config = build_config(chosen)
    bridge = connect(config.environment.spec(config.training.seed))
    if config.preset:
        return config, bridge
    try:
        return build_config(merged(load_preset(preset_by_kind(bridge.spec)), chosen)), bridge
    except ConfigError:
        bridge.close()
        raise
