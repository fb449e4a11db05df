"""What `python -m agents.evaluate --onnx FILE.onnx` does: the test of an agent, for a model file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from onnx import ModelProto

from agents.episodes.evaluation import Evaluation
from agents.exporting import loader, names
from agents.exporting.loader import Expected, RefusedError
from agents.exporting.policy import OnnxPolicy, is_unity, settings_of
from agents.settings.config import Config, ConfigError, build_config, merged, with_backend
from agents.training.session import open_test, play_test, result_name


def play_file(file: Path, values: dict[str, Any], should_stop: Callable[[], bool]) -> tuple[Evaluation, Path]:
    """Plays the test that the command line's values describe; saves the result as JSON beside the file.

    Returns:
        What was found and where it was saved.

    Raises:
        ConfigError: a file or values that cannot be played.
        ActionError: the file chose what the environment cannot be sent.
        InterruptedError: `should_stop` said so.
    """
    try:
        model = loader.read(file)
    except (RefusedError, OSError) as error:
        raise ConfigError(" ".join(str(error).splitlines())) from None
    config = _config(model, values)
    settings = config.evaluation
    with open_test(config) as bridge:
        complaints = loader.check(model, Expected.of(bridge.spec, bridge.codec.native)) if is_unity(model) else []
        if complaints:
            raise ConfigError(f"{file} does not fit this build: {complaints[0]}")
        policy = OnnxPolicy(model, bridge.spec, bridge.codec)
        evaluation = play_test(bridge, policy, settings, should_stop)
        about = {"model": file.name, "environment": config.environment.target, "simulated": bridge.simulated}
    evaluation = replace(evaluation, about=about)
    saved = file.with_name(result_name(file.stem, settings))
    evaluation.save(saved)
    return evaluation, saved


def _config(model: ModelProto, values: dict[str, Any]) -> Config:
    kept = settings_of(model)
    if names.DISCRETE in {item.name for item in model.graph.output}:
        kept = {}  # such a file chooses among the build's own actions
    config = build_config(merged({"environment": kept}, with_backend(values)))
    if not config.environment.target:
        raise ConfigError("--onnx needs what to play on: --build NAME for Unity, --env ID for gymnasium.")
    if is_unity(model) != (config.environment.backend == "unity"):
        found, wanted = ("Unity's", "--build") if is_unity(model) else ("the plain", "--env")
        raise ConfigError(f"the file has {found} form: play it with {wanted}.")
    if config.evaluation.epsilon:
        raise ConfigError("a model file takes its best action every time: leave evaluation.epsilon out.")
    return config
