"""All of doctor's checks in their order, and its command line: that of training."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import psutil

from agents.checks.build import Build, numbers, sensor_table
from agents.checks.findings import Finding, Report, Watchdog, error, ok, problem, warning
from agents.checks.installation import installation
from agents.checks.play import played
from agents.cli.commandline import TRAIN_USAGE, Parser, add_train_options, config_values, run_command
from agents.cli.messages import collected_warnings
from agents.learning.agent import DQNAgent
from agents.settings.config import Config, ConfigError, build_config, merged
from agents.settings.files import load_config
from agents.settings.resolve import chosen_length, open_environment, resumed_config, starting_values
from agents.storage.runs import existing_run
from agents.system.interrupts import end_children
from bridge import Bridge, BridgeError, SensorReport, connect, touch

PROGRAM = "python -m agents.doctor"
OUTPUT = Path("doctor")
#: One failure is to be seen, not repeated; and nothing is written but the picture.
ONCE = {"max_restarts": 0, "log_folder": None}
#: Answers of a player to wait for in one check, each up to the option `timeout`: two in the handshake, the reset, the
#: first decision, a step.
ANSWERS = 5
#: That a check may take besides.
SPARE_SECONDS = 30.0
#: Of the way out of each other, an object and a robot that overlap go at least half by themselves.
YIELDS, PASSES = 0.5, 0.01

Opener = Callable[[], tuple[Config, Bridge]]


def make_parser() -> Parser:
    parser = Parser(
        prog=PROGRAM,
        usage=TRAIN_USAGE,
        description="Says before training what would go wrong, and what to do. Takes the options of agents.train; "
        "writes nothing but a picture of what the agent sees. Exit code 0: healthy, 1: an error was found.",
    )
    parser.add_argument(
        "--output", type=Path, default=OUTPUT, metavar="DIR", help=f"where the picture goes ({OUTPUT}/)"
    )
    add_train_options(
        parser,
        resume="check what the run of --run-id would go on with",
        initialize_from="as for agents.train; not looked at here",
        force="as for agents.train; nothing is overwritten here",
        seeds="as for agents.train; all are alike here",
        parallel="as for agents.train; nothing is trained here",
    )
    return parser


def run(argv: Sequence[str]) -> NoReturn:
    run_command(lambda _: examine(argv), PROGRAM)


def examine(argv: Sequence[str]) -> int:
    """Makes and shows all checks; returns the exit code.

    Raises:
        ConfigError: a command line that says nothing, or nothing sensible.
    """
    options = make_parser().parse(argv)
    config, opener = _request(options)
    report = Report()
    answers = ANSWERS if config.environment.backend == "unity" else 1
    watchdog = Watchdog(answers * config.environment.timeout + SPARE_SECONDS, lambda finding: _give_up(report, finding))
    examination = Examination(config, opener, options.output)
    try:
        with collected_warnings():  # what matters of them is found in other ways
            for name, check in examination.checks():
                watchdog.begin(name)
                report.begin(name)
                for finding in check():
                    report.add(finding)
    finally:
        examination.close()
        watchdog.stop()
    return report.close()


def _give_up(report: Report, finding: Finding) -> NoReturn:
    """Ends the process, and whatever it started, while its main thread hangs."""
    report.add(finding)
    report.close()
    sys.stdout.flush()
    end_children()
    os._exit(1)


def _request(options: argparse.Namespace) -> tuple[Config, Opener]:
    """What training would begin with, as far as the command line says it, and how to open its environment.

    Raises:
        ConfigError: nothing to train on, or wrong values.
    """
    values = chosen_length(config_values(options))
    values = merged(values, {"environment": {**values.get("environment", {}), **ONCE}})
    if not options.resume:
        config = build_config(starting_values(options.preset, values))
        return config, lambda: open_environment(options.preset, values)
    if not options.run_id:
        raise ConfigError("--resume needs --run-id: the run to go on with.")
    config = resumed_config(load_config(existing_run(options.results_dir, options.run_id).config), values)
    return config, lambda: (config, connect(config.environment.spec(config.training.seed)))


class Examination:
    """The checks of one request. Each is only made if those before it left what it needs.

    Args:
        config: before the environment has been asked what it observes.
        opener: as training opens it; the configuration that comes with it is final.
        output: folder of the picture.
    """

    def __init__(self, config: Config, opener: Opener, output: Path) -> None:
        self._config = config
        self._opener = opener
        self._output = output
        self._bridge: Bridge | None = None
        settings = config.environment
        self._spec = settings.spec(config.training.seed)
        self._build = Build(self._spec, _ports(config)) if settings.backend == "unity" else None

    def checks(self) -> Iterator[tuple[str, Callable[[], Iterator[Finding]]]]:
        """The name and the findings of each."""
        yield "versions", installation
        if self._build is not None:
            yield "build", self._build.find
            yield "port", self._build.port
            yield "handshake", self._build.handshake
            yield "behaviors", self._build.behaviors
        yield "environment", self._open
        yield "agent", self._agent
        yield "play", self._play
        yield "graphics", self._graphics
        if self._build is None:
            yield "physics", self._physics

    def close(self) -> None:
        if self._bridge is not None:
            self._bridge.close()

    def _open(self) -> Iterator[Finding]:
        if self._build is not None and not self._build.is_usable:
            return
        if self._build is not None and self._build.file is not None and self._build.file.is_editor:
            sys.stderr.write("waiting for the Unity Editor: press Play.\n")
        try:
            self._config, self._bridge = self._opener()
        except (BridgeError, ConfigError) as failure:
            yield problem("environment", failure)
            return
        if self._build is None or self._build.report is None:
            yield self._described(self._bridge)

    def _described(self, bridge: Bridge) -> Finding:
        """The table of an environment that was not inspected before."""
        spec = bridge.spec
        sensors = [SensorReport(item.name, item.kind, item.shape, item.is_goal) for item in spec.observations]
        limit = "no limit" if spec.max_episode_steps is None else f"{spec.max_episode_steps:,} steps at most"
        actions = f"  actions: the agent's {numbers(spec.actions.branches)} (codec {bridge.codec.name})"
        return ok("environment", f"{spec.name}, episodes: {limit}", details=[*sensor_table(sensors), actions])

    def _agent(self) -> Iterator[Finding]:
        if self._bridge is None:
            return
        try:
            agent = DQNAgent(self._bridge.spec, self._config)
        except ConfigError as failure:
            yield problem("agent", failure)
            return
        parameters = sum(parameter.numel() for parameter in agent.network.parameters())
        sees = ", ".join(item.name for item in agent.inputs.specs)
        yield ok(
            "agent", f"preset {self._config.preset}, sees {sees}; {parameters:,} parameters, device {agent.device}"
        )
        needed, free = agent.replay.nbytes, psutil.virtual_memory().available
        capacity = self._config.replay.capacity
        yield ok("memory", f"{needed / 2**20:,.0f} MiB for {capacity:,} observations, {free / 2**20:,.0f} MiB free")

    def _play(self) -> Iterator[Finding]:
        if self._bridge is not None:
            yield from played(self._bridge, self._output)

    def _graphics(self) -> Iterator[Finding]:
        """Whether cameras can draw. Where there is no display, the play shows it: their pictures change."""
        if self._bridge is None or self._build is None:
            return
        images = [item.name for item in self._bridge.spec.observations if item.kind == "image"]
        if images and self._config.environment.no_graphics:
            yield warning(
                "graphics",
                f"sensor {images[0]!r} is an image, and --no-graphics is on: a camera then draws nothing",
                "leave --no-graphics out, on a server without a screen under xvfb-run (a grid sensor does not mind)",
            )
        elif images:
            yield ok("graphics", _display(simulated=self._bridge.simulated))
        else:
            yield ok("graphics", "no image sensor: a display is not needed, --no-graphics is possible")

    def _physics(self) -> Iterator[Finding]:
        if self._bridge is None:
            return
        found = touch(self._spec)
        if found is None:
            return
        if not found.depth:
            yield error(
                "physics",
                "the arm and the object do not touch where they overlap: nothing can be pushed",
                "look at contype, conaffinity and <exclude> in the model",
            )
            return
        moved, depth = 1000 * found.moved, 1000 * found.depth
        moves = f"an arm {depth:.0f} mm deep in the object moves it {moved:.3g} mm in {found.seconds:g} s"
        remedy = "install mujoco 2.3.7 (Python 3.11): in mujoco 3 the arm passes through (Gymnasium #950, #1576)"
        if found.moved < PASSES * found.depth:
            yield error("physics", f"{moves}: the arm passes through it", remedy)
        elif found.moved < YIELDS * found.depth:
            yield warning("physics", f"{moves}: it hardly feels the arm", remedy)
        else:
            yield ok("physics", moves)


def _ports(config: Config) -> Sequence[int]:
    """The ports that were asked for: of each player, and of that for evaluations in training."""
    first = config.environment.base_port
    if first is None:
        return ()
    return range(first, first + config.environment.num_envs + bool(config.evaluation.every))


def _display(*, simulated: bool) -> str:
    if simulated:
        return "the simulated build draws without a display"
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if display or not sys.platform.startswith("linux"):
        return f"display {display}" if display else "a desktop system"
    return "no display (DISPLAY is not set)"
