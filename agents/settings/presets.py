"""Presets: those that ship in `agents/presets`, those of a person's own, and the one that an environment goes with.

A preset is nested values without what it is for. What the values may be belongs to `config`, what beats them to
`resolve`.
"""

from __future__ import annotations

from fnmatch import fnmatch
from importlib import resources
from pathlib import Path
from typing import Any

from agents.settings.config import ConfigError, nearest, parse_mapping
from agents.settings.files import read_mapping
from bridge import BehaviorSpec


def preset_names() -> list[str]:
    return sorted(Path(item.name).stem for item in _preset_folder().iterdir() if item.name.endswith(".yaml"))


def load_preset(name: str) -> dict[str, Any]:
    """The nested values of a preset: one that ships, or a YAML file by its path. Raises `ConfigError`."""
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
        if not path.is_file():
            raise ConfigError(f"there is no preset file {name!r}.")
        values = read_mapping(path)
    else:
        if name not in preset_names():
            raise ConfigError(f"unknown preset {name!r}; {nearest(name, preset_names())}")
        values = parse_mapping((_preset_folder() / f"{name}.yaml").read_text(encoding="utf-8"), name)
    values.pop("environments", None)
    return {"preset": name, **values}


def preset_for(target: str) -> str | None:
    """The preset whose `environments` patterns match a build's or environment's name; None when none does."""
    # `module:ID` is matched by its ID, with and without a namespace; a path by its last part, with and without ending.
    whole = target.replace("\\", "/").rstrip("/").split(":")[-1]
    name = whole.split("/")[-1]
    names = (whole, name, name.split(".")[0])
    for preset in preset_names():
        patterns = parse_mapping((_preset_folder() / f"{preset}.yaml").read_text(encoding="utf-8"), preset).get(
            "environments"
        )
        if any(fnmatch(name, pattern) for name in names for pattern in patterns or ()):
            return preset
    return None


def preset_by_kind(spec: BehaviorSpec) -> str:
    """The general preset for an environment that no preset names: by the kind of what it observes."""
    return "image" if any(item.kind == "image" for item in spec.observations) else "vector"


def _preset_folder() -> Any:
    return resources.files("agents") / "presets"
