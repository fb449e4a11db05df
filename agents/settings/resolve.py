"""From a command line's values to a configuration and an open environment: the one place that chooses a preset."""

from __future__ import annotations

from typing import Any

from agents.settings.config import Config, ConfigError, build_config, merged, sections, with_backend
from agents.settings.presets import load_preset, preset_by_kind, preset_for
from bridge import Bridge, connect

#: What a resumed run keeps, by section: its weights, optimiser or replay would mean something else.
FIXED = {
    "environment": ("backend", "build", "env", "codec", "offset", "levels", "frame_stack", "behavior"),
    "network": tuple(sections()["network"].model_fields),
    "learner": ("optimizer", "relabel"),
    "replay": ("capacity",),
}


def starting_values(preset: str | None, values: dict[str, Any]) -> dict[str, Any]:
    """The command line's values over those of the preset, if one is named or found by the environment's name.

    Raises:
        ConfigError: nothing says what to train on.
    """
    # The other sections may fit only beside those of the preset.
    build_config({"environment": values.get("environment", {})})
    values = with_backend(values)
    target = build_config({"environment": values["environment"]}).environment.target
    name = preset or (preset_for(target) if target else None)
    result = _over_preset(name, values) if name else values
    if not build_config(result).environment.target:
        raise ConfigError("nothing to train on: give --build NAME for Unity, --env ID for gymnasium, or a --preset.")
    return result


def _over_preset(name: str, values: dict[str, Any]) -> dict[str, Any]:
    weak = with_backend(load_preset(name))
    backend, asked = (item["environment"].get("backend") for item in (weak, values))
    if backend and asked and backend != asked:
        raise ConfigError(f"preset {name!r} is for backend {backend}, found {asked}: choose another preset.")
    return merged(weak, values)


def open_environment(preset: str | None, values: dict[str, Any]) -> tuple[Config, Bridge]:
    """The resolved configuration and the environment, which may first have to say what it observes."""
    chosen = starting_values(preset, values)
    config = build_config(chosen)
    bridge = connect(config.environment.spec(config.training.seed))
    if config.preset:
        return config, bridge
    try:
        return build_config(merged(load_preset(preset_by_kind(bridge.spec)), chosen)), bridge
    except BaseException:
        bridge.close()
        raise


def resumed_config(saved: Config, values: dict[str, Any]) -> Config:
    """A run's configuration with the command line's values over it.

    Raises:
        ConfigError: a wrong value, or one that a resumed run cannot change.
    """
    config = build_config(merged(saved.model_dump(), values))
    for section, names in FIXED.items():
        for name in names:
            before, after = (getattr(getattr(item, section), name) for item in (saved, config))
            if before != after:
                raise ConfigError(
                    f"this run has {section}.{name} {before!r}, found {after!r}: a resumed run keeps it; leave the "
                    "option out, or begin another run."
                )
    return config


def chosen_length(values: dict[str, Any]) -> dict[str, Any]:
    """One limit on a command line replaces both of a preset, which may count in the other unit."""
    given = values.get("training", {})
    others = {"steps": "episodes", "episodes": "steps"}
    zeros = {other: 0 for limit, other in others.items() if limit in given and other not in given}
    return merged(values, {"training": zeros}) if zeros else values
