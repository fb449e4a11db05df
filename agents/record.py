"""Makes videos of a trained or a random agent: `python -m agents.record --run-id NAME --episodes 3`."""

# ruff: noqa: E402 - the imports below take seconds, and Ctrl-C is to be answered before

from __future__ import annotations

from agents.system.interrupts import Interrupts, leave_on_signals

PROGRAM = "python -m agents.record"

if __name__ == "__main__":
    leave_on_signals(PROGRAM)

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from tqdm import tqdm

from agents.cli.commandline import (
    TARGET_OPTIONS,
    Parser,
    add_checkpoint_option,
    add_config_options,
    add_run_options,
    config_values,
    run_command,
    whole_number_from,
)
from agents.filming.recording import FPS, OWN_CAMERA, Camera, Moment, Policy, moments, recording_spec
from agents.filming.video import Film, captioned
from agents.learning.agent import DQNAgent
from agents.metrics.progress import Bar
from agents.settings.config import Config, ConfigError, build_config
from agents.settings.files import load_config
from agents.settings.resolve import resumed_config, starting_values
from agents.storage.checkpoint import restore_weights
from agents.storage.runs import existing_run
from agents.training.session import check_seed, checkpoint_to_test, prepare_torch
from bridge import Bridge, connect

OPTIONS = {
    **TARGET_OPTIONS,
    "--seed": "evaluation.seed",
    "--time-scale": "evaluation.time_scale",
    "--base-port": "environment.base_port",
    "--torch-device": "training.torch_device",
    "--env-args": "environment.env_args",
    **{
        f"--environment.{name}".replace("_", "-"): f"environment.{name}"
        for name in ("codec", "offset", "levels", "frame_stack", "env_kwargs", "env_params", "timeout", "log_folder")
    },
}


@dataclass(frozen=True)
class Order:
    """What is to be recorded.

    Attributes:
        checkpoint: whose agent plays; None: a random one.
        name: how the files' names begin.
        title: of the videos.
        folder: where they go unless another is named.
    """

    config: Config
    checkpoint: Path | None
    name: str
    title: str
    folder: Path


def make_parser() -> Parser:
    parser = Parser(
        prog=PROGRAM,
        usage="%(prog)s --run-id NAME [options] | --random (--build NAME | --env ID) [options]",
        description="Make MP4 videos of a trained agent's greedy episodes, the first ones of its test, or of a random "
        "agent's. Defaults are in brackets; the run may have others.",
    )
    add_run_options(parser)
    add_checkpoint_option(parser, "plays")
    parser.add_argument("--random", action="store_true", help="a random agent plays; with --run-id its environment")
    parser.add_argument("--preset", metavar="NAME", help="of a random agent's environment; default: by its name")
    parser.add_argument("--episodes", type=whole_number_from(1), default=3, metavar="N", help="number of videos (3)")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="where the videos go; default: videos in the run's folder, or here"
    )
    parser.add_argument(
        "--fps", type=_rate, metavar="X", help=f"pictures per second; default: the environment's own, else {FPS:g}"
    )
    parser.add_argument(
        "--camera",
        type=_camera,
        metavar="CAMERA",
        help="MuJoCo: a camera of the model by its name, or a free one as distance=3,azimuth=135,elevation=-22.5 "
        "(metres, degrees), which Pusher has unless told otherwise; Unity: a camera sensor by its name; "
        f"{OWN_CAMERA}: the environment's own",
    )
    add_config_options(parser, OPTIONS, [])
    return parser


def main(argv: Sequence[str], interrupts: Interrupts) -> int:
    options = make_parser().parse(argv)
    if options.random and options.checkpoint:
        raise ConfigError("--checkpoint says which trained agent plays, --random that none does: give one of them.")
    if options.run_id:
        order = _of_run(options)
    elif options.random:
        order = _of_environment(options)
    else:
        raise ConfigError("--run-id is missing: the run to record; or --random with --build NAME or --env ID.")
    seed, folder = order.config.evaluation.seed, options.output or order.folder
    with connect(recording_spec(order.config, options.camera)) as bridge, interrupts.held():
        _make(folder)
        shown = moments(bridge, _policy(bridge, order), seed, options.episodes)
        with closing(Bar(options.episodes, "episode", name="record", keep=False)) as bar:
            for episode, of_episode in groupby(shown, lambda moment: moment.episode):
                path = folder / f"{order.name}-seed-{seed}-episode-{episode}.mp4"
                with Film(path, options.fps or bridge.render_fps or FPS, order.title) as film:
                    last = _filmed(film, of_episode, bridge, interrupts)
                bar.advance(episode)
                tqdm.write(f"episode {episode}: score {last.score:.3f}, {last.step} steps, {last.ending}: {path}")
                sys.stdout.flush()
    return 0


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--output {folder} cannot be made: {error.strerror}.") from None


def _filmed(film: Film, shown: Iterable[Moment], bridge: Bridge, interrupts: Interrupts) -> Moment:
    """Adds all of them; returns the last one. Raises `KeyboardInterrupt` when a signal came."""
    for moment in shown:
        film.add(captioned(moment.picture, moment.caption(bridge.codec)))
        if interrupts.requested():
            raise KeyboardInterrupt
    return moment


def _of_run(options: argparse.Namespace) -> Order:
    if options.preset:
        raise ConfigError("--preset is of an environment without a run: the run has its own.")
    run = existing_run(options.results_dir, options.run_id)
    trained = load_config(run.config)
    config = resumed_config(trained, config_values(options))
    check_seed(config, trained)
    checkpoint = None if options.random else checkpoint_to_test(config, run, options.checkpoint)
    name = checkpoint.name if checkpoint else "random"
    return Order(config, checkpoint, name, f"{config.environment.target}, {run.path.name}, {name}", run.path / "videos")


def _of_environment(options: argparse.Namespace) -> Order:
    config = build_config(starting_values(options.preset, config_values(options)))
    target = config.environment.target
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", target).strip("-.")
    return Order(config, None, f"{name}-random", f"{target}, random", Path("videos"))


def _policy(bridge: Bridge, order: Order) -> Policy:
    rng = np.random.default_rng(order.config.evaluation.seed)
    if order.checkpoint is None:
        return lambda deciding: bridge.spec.actions.sample(deciding.mask, rng)
    prepare_torch(order.config)
    agent = DQNAgent(bridge.spec, order.config, learning=False)
    restore_weights(order.checkpoint, agent)
    return lambda deciding: agent.choose(deciding, 0.0, rng)


def _rate(text: str) -> float:
    with suppress(ValueError):
        if 0.1 <= float(text) <= 1000:
            return float(text)
    raise argparse.ArgumentTypeError(f"found {text!r}, expected 0.1 to 1000 pictures per second.")


def _camera(text: str) -> Camera:
    if "=" not in text:
        return text
    try:
        return {name.strip(): float(value) for name, value in (part.split("=") for part in text.split(","))}
    except ValueError:
        message = f"found {text!r}, expected a name, or numbers such as distance=3,azimuth=135,elevation=-22.5."
        raise argparse.ArgumentTypeError(message) from None


if __name__ == "__main__":
    run_command(lambda interrupts: main(sys.argv[1:], interrupts), PROGRAM)
