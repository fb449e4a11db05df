"""The exact greedy return of a trained GridWorld agent: from every state of the 5x5 grid, not from a sample.

    python benchmarks/gridworld_states.py runs/GridWorld-... [--network target]

All 27,600 starts (cells of plus, ex and agent, and the goal) are drawn, the network is asked once for each, and the
deterministic game is played out on the table of its answers. It also says how episodes fail: at the wrong goal or in a
loop.
"""

from __future__ import annotations

import argparse
import sys
from itertools import permutations, product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from agents.learning.agent import DQNAgent
from agents.settings.files import load_config
from agents.storage.checkpoint import find_checkpoint
from bridge import ActionSpec, BehaviorSpec, ObsSpec
from envs.gridworld import render
from envs.gridworld.rules import MAX_STEP, MOVES, STEP_REWARD, Board

SIZE = 5
CELLS = list(product(range(SIZE), repeat=2))
STATES = list(permutations(CELLS, 3))  # plus, ex, agent
SPEC = BehaviorSpec(
    "GridWorld",
    (ObsSpec("picture", "image", (3, render.HEIGHT, render.WIDTH)), ObsSpec("goal", "vector", (2,), is_goal=True)),
    ActionSpec((len(MOVES) - 1,)),  # without "do nothing"
)


def greedy_moves(agent: DQNAgent, goal: int, pictures: list[npt.NDArray[np.uint8]]) -> list[tuple[int, int]]:
    """The allowed move of the highest value in every state."""
    one_hot = np.eye(2, dtype=np.float32)[goal]
    moves = []
    for start in range(0, len(STATES), 500):
        batch = np.stack(pictures[start : start + 500])
        inputs = agent.inputs((batch, np.tile(one_hot, (len(batch), 1))))
        with torch.inference_mode():
            q = agent.network([torch.from_numpy(array) for array in inputs]).numpy()
        for (_, _, (x, z)), values in zip(STATES[start : start + 500], q, strict=True):
            ends = [(x + dx, z + dz) for dx, dz in MOVES[1:]]
            allowed = [value if end in CELLS else -np.inf for value, end in zip(values, ends, strict=True)]
            moves.append(ends[int(np.argmax(allowed))])
    return moves


def play(
    goal: int, moves: dict[tuple[tuple[int, int], ...], tuple[int, int]], state: tuple[tuple[int, int], ...]
) -> float:
    plus, ex, agent = state
    right, wrong = (plus, ex) if goal == 0 else (ex, plus)
    for step in range(MAX_STEP):
        agent = moves[plus, ex, agent]
        if agent in (right, wrong):
            return step * STEP_REWARD + (1.0 if agent == right else -1.0)
    return MAX_STEP * STEP_REWARD


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the run's folder")
    parser.add_argument("--network", choices=("network", "target"), default="network", help="online or target network")
    options = parser.parse_args()
    checkpoint = find_checkpoint(options.run / "checkpoints", "latest")
    agent = DQNAgent(SPEC, load_config(options.run / "config.yaml"), learning=False)
    tensors = torch.load(checkpoint / "tensors.pt", weights_only=True, map_location="cpu")
    agent.network.load_state_dict(tensors[options.network])
    pictures = [
        np.ascontiguousarray(render.rgb(Board(SIZE, (plus,), (ex,)), cell).transpose(2, 0, 1))
        for plus, ex, cell in STATES
    ]
    returns = []
    for goal in (0, 1):
        moves = dict(zip(STATES, greedy_moves(agent, goal, pictures), strict=True))
        returns += [play(goal, moves, state) for state in STATES]
    scores = np.array(returns)
    loops = np.isclose(scores, MAX_STEP * STEP_REWARD).mean()
    sys.stdout.write(
        f"{checkpoint.name}: exact greedy mean {scores.mean():.4f} over {len(scores):,} starts; "
        f"{loops:.2%} end in a loop, {(scores < 0).mean() - loops:.2%} at the wrong goal\n"
    )


if __name__ == "__main__":
    main()
