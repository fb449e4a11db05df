"""Modules that need packages which are not always installed."""

from __future__ import annotations

import importlib
from types import ModuleType

from agents.settings.config import ConfigError

#: What the extras bring.
EXTRAS = {"export": ("onnx", "onnxruntime"), "tune": ("optuna",)}


def load_exporting(name: str) -> ModuleType:
    """The module `agents.exporting.<name>`.

    Raises:
        ConfigError: onnx or onnxruntime is not installed.
    """
    return _load(f"agents.exporting.{name}", "export", "model files need")


def load_tuning(name: str) -> ModuleType:
    """The module `agents.tuning.<name>`. Raises `ConfigError` when optuna is not installed."""
    return _load(f"agents.tuning.{name}", "tune", "the search for settings needs")


def _load(module: str, extra: str, needs: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in EXTRAS[extra]:
            raise
        raise ConfigError(
            f"{needs} the package {error.name}, which is not installed: pip install {' '.join(EXTRAS[extra])} "
            f'(or install this project with its extra: pip install -e ".[{extra}]").'
        ) from None


def load_display() -> ModuleType:
    """`IPython.display`, which every notebook has. Raises `ConfigError` when it is not installed."""
    try:
        return importlib.import_module("IPython.display")
    except ModuleNotFoundError:
        raise ConfigError("plots in a notebook need the package IPython, which is not installed.") from None
