"""How a new run begins: an agent for an open environment, what it is given to begin with, then its folder."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from agents.learning.agent import DQNAgent
from agents.playing.demonstrations import load_demonstrations, remember
from agents.settings.config import Config
from agents.storage.checkpoint import initialize_from
from agents.storage.runs import RunFolder
from agents.training.session import check_seed
from agents.training.trainer import Training, Watch
from bridge import Bridge


def begin(
    config: Config,
    bridge: Bridge,
    make_folder: Callable[[], RunFolder],
    held: ExitStack,
    weights: Path | None = None,
    *,
    watch: Watch | None = None,
    label: str = "",
) -> Training:
    """The training of a new run.

    Args:
        make_folder: is asked for the run's folder when nothing can be wrong with the request any more.
        held: holds the run's folder from then on.
        weights: the checkpoint whose weights the agent has at first.
        watch, label: as in `Training`.

    Raises:
        CheckpointError: the weights do not fit.
        ConfigError: the settings, the seed of the test or the demonstrations do not, or as `RunFolder.held`.
    """
    check_seed(config, config)
    agent = DQNAgent(bridge.spec, config)
    if weights is not None:
        initialize_from(weights, agent)
    for file in config.replay.demonstrations:
        remember(agent, load_demonstrations(Path(file), bridge))
    begins_with = str(weights.absolute()) if weights is not None else ""
    run = make_folder()
    held.enter_context(run.held())
    return Training(config, bridge, agent, run, begins_with=begins_with, watch=watch, label=label)
