"""Play by hand: `python -m agents.play --env CartPole-v1`. A random player and a trained agent play the same seed."""

# ruff: noqa: E402 - the imports below take seconds, and Ctrl-C is to be answered before

from __future__ import annotations

from agents.system.interrupts import Interrupts, leave_on_signals

PROGRAM = "python -m agents.play"

if __name__ == "__main__":
    leave_on_signals(PROGRAM)

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from agents.cli.commandline import (
    ENVIRONMENT_OPTIONS,
    TARGET_OPTIONS,
    Parser,
    add_config_options,
    add_run_options,
    config_values,
    positive,
    run_command,
)
from agents.cli.messages import collected_warnings
from agents.episodes.players import Action, Episode, Played, Player, RandomPlayer, episodes, played, score_board
from agents.learning.agent import DQNAgent
from agents.playing.demonstrations import save_demonstrations
from agents.playing.keyboard import known_environment, make_controls
from agents.playing.person import Person, Quit
from agents.playing.screen import Screen, ScreenError
from agents.playing.screen_terminal import TerminalScreen
from agents.playing.screen_window import WindowScreen
from agents.settings.config import Config, ConfigError, build_config, merged
from agents.settings.files import load_config
from agents.settings.resolve import starting_values
from agents.storage.checkpoint import restore_weights
from agents.storage.runs import existing_run
from agents.training.session import checkpoint_to_test, prepare_torch
from bridge import Bridge, EnvSpec, Steps, connect

EPISODES = 5
STEPS_PER_SECOND = 10.0  # of an environment that does not wait
PLAY_OPTIONS = {
    **TARGET_OPTIONS,
    "--episodes": "evaluation.episodes",
    "--seed": "evaluation.seed",
    "--time-scale": "evaluation.time_scale",
    **ENVIRONMENT_OPTIONS,
}
#: One environment, in this process; when it fails, that is said.
ALONE = {"num_envs": 1, "workers": 0, "max_restarts": 0}
#: What a run knows by itself.
TARGET = ("backend", "build", "env", "behavior")


class TrainedPlayer:
    """The agent of a run, as it is tested."""

    def __init__(self, agent: DQNAgent, epsilon: float, seed: int) -> None:
        self._agent = agent
        self._epsilon = epsilon
        self._rng = np.random.default_rng(seed)

    def choose(self, deciding: Steps, place: int) -> Action:
        return self._agent.choose(deciding.select([place]), self._epsilon, self._rng)


def make_parser() -> Parser:
    parser = Parser(
        prog=PROGRAM,
        usage="%(prog)s (--build NAME | --env ID | --run-id NAME) [options]",
        description=f"Play {EPISODES} episodes (or --episodes) by keyboard, in a window or in the terminal. A random "
        "player, and with --run-id the trained agent, then play the same ones, and a score board compares them.",
    )
    add_run_options(parser)
    parser.add_argument("--terminal", action="store_true", help="play in the terminal, although there is a display")
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument("--realtime", action="store_true", help="the environment goes on without waiting for a key")
    pace.add_argument("--turn-based", action="store_true", help="each step waits for a key")
    parser.add_argument(
        "--fps", type=positive, default=STEPS_PER_SECOND, metavar="X", help=f"steps per second ({STEPS_PER_SECOND:g})"
    )
    parser.add_argument(
        "--keys", default="", metavar="KEY,...", help="the key of each action in their order, such as left,down,x"
    )
    parser.add_argument("--save", type=Path, metavar="FILE.npz", help="keep your episodes for an agent's replay")
    add_config_options(parser, PLAY_OPTIONS, ["environment"])
    return parser


def main(argv: Sequence[str], interrupts: Interrupts) -> int:  # noqa: ARG001 - a signal just ends it
    options = make_parser().parse(argv)
    config, weights = _chosen(options)
    settings = config.evaluation
    if options.save is not None:
        _check_free(options.save)
    with connect(_spec(config, settings.time_scale, pictures=True)) as bridge:
        agent = None
        if weights is not None:
            prepare_torch(config)
            agent = DQNAgent(bridge.spec, config, learning=False)
            restore_weights(weights, agent)
        mine = _person_plays(options, bridge, settings.seed, settings.episodes)
    if not mine.results:
        sys.stdout.write("No episode was finished, so there is nothing to compare.\n")
        return 0
    players = [mine]
    with connect(_spec(config, config.environment.time_scale, pictures=False)) as bridge:
        others: list[tuple[str, Player]] = [("random", RandomPlayer(bridge, settings.seed))]
        if agent is not None:
            others.append((options.run_id, TrainedPlayer(agent, settings.epsilon, settings.seed)))
        for name, player in others:
            players.append(played(name, bridge, player, settings.seed, len(mine.results)))
    sys.stdout.write("\n".join(score_board(players, settings.seed)) + "\n")
    return 0


def _chosen(options: argparse.Namespace) -> tuple[Config, Path | None]:
    """The configuration and, of a run, the checkpoint that its test plays."""
    values = config_values(options)
    length = {"evaluation": {"episodes": EPISODES}}
    if options.run_id is None:
        return build_config(merged(starting_values(None, values), merged(length, _part(values, "evaluation")))), None
    given = [name for name in TARGET if name in values.get("environment", {})]
    if given:
        raise ConfigError(f"found --run-id and --{given[0]}: the run knows its environment; leave one of them out.")
    run = existing_run(options.results_dir, options.run_id)
    config = build_config(merged(merged(load_config(run.config).model_dump(), length), values))
    return config, checkpoint_to_test(config, run)


def _part(values: dict[str, Any], section: str) -> dict[str, Any]:
    return {section: values[section]} if section in values else {}


def _check_free(path: Path) -> None:
    """Before anybody plays for nothing. Raises `ConfigError`."""
    if path.exists():
        raise ConfigError(f"--save {path} exists: name another file.")
    if not path.parent.is_dir():
        raise ConfigError(f"--save {path}: there is no folder {path.parent}; make it first.")


def _spec(config: Config, time_scale: float, *, pictures: bool) -> EnvSpec:
    changes = {**ALONE, "time_scale": time_scale}
    spec = config.environment.model_copy(update=changes).spec(config.evaluation.seed)
    # A player of Unity draws by itself; gymnasium has to know before.
    return replace(spec, options={**spec.options, "render": True}) if pictures and spec.backend == "gym" else spec


def _person_plays(options: argparse.Namespace, bridge: Bridge, seed: int, count: int) -> Played:
    """Up to `count` episodes; those that ended are saved, however it came to its end."""
    name = bridge.spec.name
    controls = make_controls(name, bridge.codec, [key for key in options.keys.split(",") if key])
    moves = known_environment(name).realtime or not bridge.codec.native.is_discrete
    moves = options.realtime or (moves and not options.turn_based)
    finished: list[Episode] = []
    said: list[str] = []
    try:
        with collected_warnings() as said, _screen(name, in_terminal=options.terminal) as screen:
            person = Person(bridge, screen, controls, 1.0 / options.fps if moves else None, count)
            with contextlib.suppress(Quit):
                for episode in episodes(bridge, person, seed):
                    person.ended(episode)
                    finished.append(episode)
                    if len(finished) == count:
                        break
    finally:
        for message in said:
            sys.stderr.write(f"{message}\n")
        if options.save is not None and finished:
            save_demonstrations(options.save, bridge, finished, seed)
            sys.stdout.write(f"{len(finished)} of your episodes are saved as {options.save}\n")
    return Played("you", [episode.result for episode in finished], [episode.beginning for episode in finished])


@contextlib.contextmanager
def _screen(title: str, *, in_terminal: bool) -> Iterator[Screen]:
    """A window if there can be one, else the terminal. Raises `ConfigError` when there is neither."""
    kinds: list[Callable[[], Screen]] = [TerminalScreen]
    if not in_terminal:
        kinds.insert(0, lambda: WindowScreen(title))
    reasons = []
    with contextlib.ExitStack() as stack:
        for kind in kinds:
            try:
                screen = stack.enter_context(kind())
                break
            except ScreenError as error:
                reasons.append(str(error))
        else:
            raise ConfigError(f"nowhere to play: {', and '.join(reasons)}.")
        yield screen


if __name__ == "__main__":
    run_command(lambda interrupts: main(sys.argv[1:], interrupts), PROGRAM)
