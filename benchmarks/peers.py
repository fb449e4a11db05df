"""Trains a peer, an agent of Stable-Baselines3 at its published settings, and stores its learning curve.

    pip install -c constraints.txt -e ".[sb3]"
    python benchmarks/peers.py sb3-dqn CartPole-v1 --seeds 0-4 --steps 50000 --every 2500 --episodes 20

appends one line per seed to benchmarks/results/CartPole-v1.sb3-dqn.jsonl (a seed that is there already is not run
again). Each run is a process of its own on one thread. Steps and seconds begin with the first random action; seconds
leave evaluations out.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from measure import RESULTS, RUNS, Contender, Row, ShouldStop, measure_all, run, versions

from agents.cli.commandline import run_command, seed_list, whole_number_from
from agents.system.interrupts import Interrupts

PACKAGES = ("stable-baselines3", "torch", "numpy", "gymnasium", "mujoco")
#: Of the first episode of an evaluation; the next ones follow. Of our own evaluations in training it is the default.
EVALUATION_SEED = 1_000_001

Settings = dict[str, Any]
LUNAR_LANDER: Settings = {
    "learning_rate": 6.3e-4,
    "batch_size": 128,
    "buffer_size": 50_000,
    "learning_starts": 0,
    "gamma": 0.99,
    "target_update_interval": 250,
    "train_freq": 4,
    "gradient_steps": -1,
    "exploration_steps": 12_000,
    "exploration_final_eps": 0.1,
    "net_arch": [256, 256],
}
GAMES = ("Asterix", "Breakout", "Freeway", "Seaquest", "SpaceInvaders")
MINATAR: Settings = {
    "learning_rate": 2.5e-4,
    "batch_size": 32,
    "buffer_size": 100_000,
    "learning_starts": 5000,
    "gamma": 0.99,
    "target_update_interval": 1000,
    "train_freq": 1,
    "gradient_steps": 1,
    "exploration_steps": 100_000,
    "exploration_final_eps": 0.1,
    "convolutions": [[16, 3, 1]],
    "net_arch": [128],
}
#: Algorithm and settings by peer and environment; an environment that is not there has the library's defaults.
#:
#: `sb3-dqn` has those of rl-baselines3-zoo (hyperparams/dqn.yml; LunarLander's were published for v2), in MinAtar those
#: of its paper (arXiv 1903.03176) but for the optimiser, which is SB3's Adam. `sb3-sac` has the library's defaults,
#: `sb3-td3` these and the noise 0.1 of its paper, without which it would hardly explore. `sb3-dqn-seed-a` has the
#: actions and the settings of our preset `seed-a`, but for the loss: SB3's is Huber's.
#:
#: Of these names `codec`, `convolutions`, `exploration_steps`, `net_arch` and `noise` are ours, see
#: `benchmarks/sb3_run.py`; the others are arguments of the algorithm.
PEERS: Mapping[str, tuple[str, Mapping[str, Settings]]] = {
    "sb3-dqn": (
        "DQN",
        {
            "CartPole-v1": {
                "learning_rate": 2.3e-3,
                "batch_size": 64,
                "buffer_size": 100_000,
                "learning_starts": 1000,
                "gamma": 0.99,
                "target_update_interval": 10,
                "train_freq": 256,
                "gradient_steps": 128,
                "exploration_steps": 8000,
                "exploration_final_eps": 0.04,
                "net_arch": [256, 256],
            },
            "MountainCar-v0": {
                "learning_rate": 4e-3,
                "batch_size": 128,
                "buffer_size": 10_000,
                "learning_starts": 1000,
                "gamma": 0.98,
                "target_update_interval": 600,
                "train_freq": 16,
                "gradient_steps": 8,
                "exploration_steps": 24_000,
                "exploration_final_eps": 0.07,
                "net_arch": [256, 256],
            },
            "LunarLander-v3": LUNAR_LANDER,
            "Acrobot-v1": LUNAR_LANDER,
            **{f"envs.minatar:MinAtar/{game}-v1": MINATAR for game in GAMES},
        },
    ),
    "sb3-dqn-seed-a": (
        "DQN",
        {
            "Pusher-v4": {
                "codec": "one_joint",
                "learning_rate": 1e-3,
                "batch_size": 100,
                "buffer_size": 20_000,
                "learning_starts": 400,
                "gamma": 0.97,
                "target_update_interval": 20,
                "train_freq": 4,
                "gradient_steps": 1,
                "exploration_initial_eps": 0.5,
                "exploration_final_eps": 0.3,
                "exploration_steps": 100_000,
                "max_grad_norm": 1e9,
                "net_arch": [224, 112, 56, 28],
            }
        },
    ),
    "sb3-sac": ("SAC", {}),
    "sb3-td3": ("TD3", {}),
}
#: Of a peer in every environment.
ALWAYS: Mapping[str, Settings] = {"sb3-td3": {"noise": 0.1}}


def file_name(env: str) -> str:
    """Of an environment's results: its id without the module that registers it."""
    return env.rpartition(":")[2].replace("/", "-")


def peer_of(name: str, options: argparse.Namespace) -> Contender:
    """A peer, measured as the options of `add_measuring` say."""
    algorithm, published = PEERS[name]
    settings = {**ALWAYS.get(name, {}), **published.get(options.env, {})}
    schedule = {key: getattr(options, key) for key in ("steps", "every", "episodes")}
    arguments = {"algorithm": algorithm, "env": options.env, **schedule, "settings": settings}
    path = options.results / f"{file_name(options.env)}.{name}.jsonl"
    return Contender(path, arguments, partial(train, path.stem, arguments, options.runs_dir))


def train(name: str, arguments: Mapping[str, Any], runs_dir: Path, seed: int, should_stop: ShouldStop) -> Row:
    """One run. Raises as `measure.run`."""
    log = runs_dir / f"{name}-seed{seed}.log"
    result = log.with_suffix(".json")
    task = {**arguments, "seed": seed, "evaluation_seed": EVALUATION_SEED}
    began = time.monotonic()
    run([Path(__file__).with_name("sb3_run.py"), json.dumps(task), result], log, should_stop)
    return {
        "seconds": round(time.monotonic() - began),
        "evaluation": {"every": task["every"], "episodes": task["episodes"], "seed": EVALUATION_SEED},
        "curve": json.loads(result.read_text(encoding="utf-8")),
        "versions": versions(*PACKAGES),
    }


def add_measuring(parser: argparse.ArgumentParser) -> None:
    """What is measured, how, and where results and runs lie."""
    count = whole_number_from(1)
    parser.add_argument("env", help="gymnasium id")
    parser.add_argument("--seeds", type=seed_list, default=[0, 1, 2, 3, 4], help="0-4, or 0,3,7")
    parser.add_argument("--steps", type=count, required=True, help="agent steps of training")
    parser.add_argument("--every", type=count, required=True, help="agent steps between evaluations")
    parser.add_argument("--episodes", type=count, default=20, help="of an evaluation")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the results files lie")
    parser.add_argument("--runs-dir", type=Path, default=RUNS, help="where the runs lie")


def main(argv: Sequence[str], interrupts: Interrupts) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=PEERS)
    add_measuring(parser)
    options = parser.parse_args(argv)
    peer = peer_of(options.peer, options)
    measure_all([peer], options.seeds, interrupts)
    sys.stdout.write(f"{peer.path}\n")
    return 0


if __name__ == "__main__":
    run_command(lambda interrupts: main(sys.argv[1:], interrupts), "benchmarks/peers.py")
