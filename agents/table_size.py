"""Why not a table: `python -m agents.table_size --env Pusher-v4`. Where one fits, Q-learning with it is tried."""

# ruff: noqa: E402 - the imports below take seconds, and Ctrl-C is to be answered before

from __future__ import annotations

from agents.system.interrupts import Interrupts, leave_on_signals

PROGRAM = "python -m agents.table_size"

if __name__ == "__main__":
    leave_on_signals(PROGRAM)

import sys
from collections.abc import Iterator, Sequence
from math import log10, prod
from statistics import fmean

import numpy as np
import psutil

from agents.cli.commandline import (
    ENVIRONMENT_OPTIONS,
    TARGET_OPTIONS,
    Parser,
    add_config_options,
    config_values,
    run_command,
    whole_number_from,
)
from agents.episodes.players import Player, RandomPlayer, played
from agents.learning.schedules import Schedule
from agents.learning.tabular import (
    BYTES,
    Feature,
    QTable,
    Sample,
    TablePlayer,
    features,
    new_pairs,
    numbers_in,
    q_learning,
    sample,
    states_in,
)
from agents.settings.config import Config, build_config
from agents.settings.resolve import starting_values
from bridge import Bridge, connect

BINS = 10
SAMPLE = 2_000  # decisions of random play
#: A table may take this part of the free memory, and no more than so many bytes.
PART, LIMIT = 0.25, 2**30
RATE, EPSILON_END = 0.1, 0.05
OPTIONS = {
    **TARGET_OPTIONS,
    "--steps": "training.steps",
    "--episodes": "evaluation.episodes",
    "--seed": "training.seed",
    **ENVIRONMENT_OPTIONS,
}


def make_parser() -> Parser:
    parser = Parser(
        prog=PROGRAM,
        usage="%(prog)s (--build NAME | --env ID) [options]",
        description="How many entries a table of states and actions would have, and what memory it takes. Where it "
        "fits, tabular Q-learning is tried and tested beside random play.",
    )
    parser.add_argument(
        "--bins", type=whole_number_from(2), default=BINS, metavar="N", help=f"bins of each number ({BINS})"
    )
    parser.add_argument("--preset", metavar="NAME", help="as for agents.train, which says what the actions are")
    add_config_options(parser, OPTIONS, ["environment"])
    return parser


def main(argv: Sequence[str], interrupts: Interrupts) -> int:  # noqa: ARG001 - a signal just ends it
    options = make_parser().parse(argv)
    config = build_config(starting_values(options.preset, config_values(options)))
    alone = config.environment.model_copy(update={"num_envs": 1, "workers": 0})
    with connect(alone.spec(config.training.seed)) as bridge:
        for line in report(bridge, config, options.bins):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
    return 0


def report(bridge: Bridge, config: Config, bins: int) -> Iterator[str]:
    """The findings, a sentence each."""
    spec = bridge.spec
    for item in spec.observations:
        if item.kind == "image":
            size = prod(item.shape)
            states = power(size * log10(256))
            yield f"{item.name} is a picture of {size:,} numbers with 256 levels each: {states} states, left out here."
    numbers = numbers_in(spec.observations)
    if not numbers:
        yield "There is nothing else to make a table of: a network it is."
        return
    plain = numbers * log10(bins)
    yield f"{spec.name} observes {numbers} numbers; in {bins} bins each that is {power(plain)} states."
    actions = sum(map(log10, spec.actions.branches))
    yield f"With {_actions(spec.actions.branches)} that is {power(plain + actions)} pairs of a state and an action."
    if not bridge.codec.native.is_discrete:
        dims = len(bridge.codec.native.low)
        yield (
            f"With the {dims} number{'s' * (dims > 1)} of an action in {bins} bins, too, it is "
            f"{power(plain + dims * log10(bins))} pairs."
        )
    yield f"A table of them takes {memory(plain + actions)}; this machine has {_machine()}."
    rng = np.random.default_rng(config.training.seed)
    found = sample(bridge, SAMPLE, rng)
    parts = features(found, bins)
    yield _random_play(found, parts)
    table = states_in(parts) + actions
    yield f"A table of what varies has {power(table)} pairs and takes {memory(table)}."
    if 10**table * BYTES > min(LIMIT, PART * psutil.virtual_memory().available):
        yield "That does not fit, and nothing of it would be learned from a neighbour: a network it is."
        return
    yield from _trial(bridge, config, parts, rng)


def _random_play(found: Sample, parts: Sequence[Feature]) -> str:
    count, new = len(found.actions), new_pairs(found, parts)
    grows = ": a table of what is met would grow as fast as the agent plays" if new > count / 2 else ""
    return f"Of {count:,} random steps {new:,} met a new pair{grows}."


def _trial(bridge: Bridge, config: Config, parts: Sequence[Feature], rng: np.random.Generator) -> Iterator[str]:
    """Q-learning for `training.steps`, and the test of its table beside random play."""
    steps, settings = config.training.steps or type(config.training)().steps, config.evaluation
    table = QTable(parts, bridge.spec.actions.branches, config.learner.gamma, RATE)
    schedule = Schedule("linear", 1.0, EPSILON_END, max(1, steps // 2), 1.0, 0)
    yield f"That fits: {steps:,} steps of Q-learning (rate {RATE:g}, discount {config.learner.gamma:g}) ..."
    q_learning(bridge, table, steps, schedule, rng)
    yield f"... met {int(table.visited.sum()):,} of its {table.values.size:,} pairs."
    players: list[tuple[str, Player]] = [
        ("table", TablePlayer(table, settings.seed)),
        ("random", RandomPlayer(bridge, settings.seed)),
    ]
    means = {
        name: fmean(result.score for result in played(name, bridge, player, settings.seed, settings.episodes).results)
        for name, player in players
    }
    yield (
        f"Over {settings.episodes} test episodes it scores {means['table']:.3f} on average, random play "
        f"{means['random']:.3f}."
    )


def power(exponent: float) -> str:
    """10 to this power, for a person: exact below a million, else as a power."""
    if exponent < 6:
        return f"{round(10**exponent):,}"
    whole = int(exponent + 1e-9)
    digits = round(10 ** (exponent - whole), 1)
    if digits >= 10:
        whole, digits = whole + 1, 1.0
    return f"10^{whole}" if digits == 1 else f"{digits:g} x 10^{whole}"


def memory(entries: float) -> str:
    """What 10 to this power of entries takes."""
    exponent = entries + log10(BYTES)
    units = ("bytes", "KiB", "MiB", "GiB")
    unit = max(0, min(3, int(exponent / log10(1024))))
    size = exponent - unit * log10(1024)
    shown = f"{10**size:,.0f}" if size < 5 else power(size)
    return f"{shown} {units[unit]}"


def _actions(branches: Sequence[int]) -> str:
    together = power(sum(map(log10, branches)))
    if len(branches) == 1:
        return f"{together} action{'s' * (branches[0] > 1)}"
    return f"{together} actions ({' x '.join(map(str, branches))})"


def _machine() -> str:
    return f"{psutil.virtual_memory().total / 2**30:.0f} GiB"


if __name__ == "__main__":
    run_command(lambda interrupts: main(sys.argv[1:], interrupts), PROGRAM)
