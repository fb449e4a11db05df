"""YAML files of the configuration: read, and written whole or not at all.

What their values mean belongs to `config`, which presets there are to `presets`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from agents.settings.config import Config, build_config, parse_mapping
from agents.system.files import write_whole


def load_config(path: Path) -> Config:
    """The configuration saved with a run."""
    return build_config(read_mapping(path))


def save_config(config: Config, path: Path) -> None:
    write_whole(path, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))


def save_preset(config: Config, path: Path, about: str) -> None:
    """A preset file with what differs from the defaults; `about` is a line of comment above."""
    values = config.model_dump(mode="json", exclude_defaults=True, exclude={"preset"})
    write_whole(path, f"# {about}\n{yaml.safe_dump(values, sort_keys=False)}")


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises `ConfigError`."""
    return parse_mapping(path.read_bytes(), str(path))
