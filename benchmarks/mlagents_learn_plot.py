"""Draws the curves of benchmarks/results/mlagents-ppo.jsonl. Needs matplotlib (`pip install matplotlib`).

python benchmarks/mlagents_learn_plot.py docs/mlagents-learn.png
"""

import json
import sys
from pathlib import Path

from matplotlib import pyplot

RESULTS = Path(__file__).parent / "results" / "mlagents-ppo.jsonl"
OPTIMUM, BENCHMARK = 0.976, 0.8  # of the rules (docs/gridworld.md); of ML-Agents' documentation


def main() -> None:
    figure, axes = pyplot.subplots(figsize=(6, 3), dpi=90, layout="constrained")
    for line in RESULTS.read_text().splitlines():
        row = json.loads(line)
        steps, returns, _ = zip(*row["curve"], strict=True)
        axes.plot([step / 1000 for step in steps], returns, label=f"seed {row['seed']}")
    axes.axhline(OPTIMUM, color="grey", linestyle=":", label="optimum")
    axes.axhline(BENCHMARK, color="grey", linestyle="--", label="ML-Agents' benchmark")
    axes.set(xlabel="agent steps (thousands)", ylabel="mean return in training")
    axes.legend(loc="lower right")
    figure.savefig(sys.argv[1])


if __name__ == "__main__":
    main()
