"""Modules that need packages which are not always installed."""

from __future__ import annotations

import importlib
from types import ModuleType

from agents.settings.config import ConfigError

#: What the extra `export` brings.
EXPORT = ("onnx", "onnxruntime")


def load_exporting(name: str) -> ModuleType:
    """The module `agents.exporting.<name>`.

    Raises:
        ConfigError: onnx or onnxruntime is not installed.
    """
    try:
        return importlib.import_module(f"agents.exporting.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in EXPORT:
            raise
        raise ConfigError(
            f"model files need the package {error.name}, which is not installed: pip install {' '.join(EXPORT)} "
            '(or install this project with its extra: pip install -e ".[export]").'
        ) from None


def load_display() -> ModuleType:
    """`IPython.display`, which every notebook has. Raises `ConfigError` when it is not installed."""
    try:
        return importlib.import_module("IPython.display")
    except ModuleNotFoundError:
        raise ConfigError("plots in a notebook need the package IPython, which is not installed.") from None
