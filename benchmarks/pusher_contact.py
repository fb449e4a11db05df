"""Whether a penalty for touching the object on its top face removes the failures that begin so.

    python benchmarks/pusher_contact.py pusher-plain pusher-penalty

tabulates the final tests of the runs NAME-seed... that `benchmarks/learning.py NAME` has made on
`envs.pusher:PusherContact-v4` (docs/pusher.md). A row is the episodes of all seeds with one kind of first contact.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean, median

#: What the environment said at the end of an episode.
Metrics = dict[str, float]

#: The rows of each name, and which episodes they have.
KINDS: dict[str, Callable[[Metrics], bool]] = {
    "any": lambda said: True,  # noqa: ARG005
    "top face": lambda said: said["first_contact_on_top"] > 0,
    "elsewhere": lambda said: said["touched"] > 0 and not said["first_contact_on_top"],
    "none": lambda said: not said["touched"],
}


def tested(name: str, folder: Path) -> list[list[Metrics]]:
    """The episodes of the latest final test of each run with that name."""
    tests = [sorted((run / "evaluations").glob("*.json")) for run in sorted(folder.glob(f"{name}-seed*"))]
    return [json.loads(found[-1].read_text(encoding="utf-8"))["episode_metrics"] for found in tests if found]


def table(runs: dict[str, list[list[Metrics]]]) -> str:
    """Markdown; scores are without the penalty, heights in metres above the table."""
    lines = ["| runs | seeds | first contact | episodes | score | success | goal distance | height |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for name, seeds in runs.items():
        episodes = [said for seed in seeds for said in seed]
        for kind, belongs in KINDS.items():
            chosen = [said for said in episodes if belongs(said)]
            cells = [name, str(len(seeds)), kind, f"{len(chosen) / len(episodes):.1%}", *numbers(chosen)]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def numbers(episodes: Sequence[Metrics]) -> list[str]:
    """Mean score, success rate, mean distance from the goal and median height of the first contact; `-`: of none."""

    def cell(name: str, shown: Callable[[Sequence[float]], str]) -> str:
        values = [said[name] for said in episodes if name in said]
        return shown(values) if values else "-"

    return [
        cell("score_without_penalty", lambda values: f"{fmean(values):.1f}"),
        cell("success", lambda values: f"{fmean(values):.1%}"),
        cell("goal_distance", lambda values: f"{fmean(values):.3f}"),
        cell("first_contact_height", lambda values: f"{median(values):.3f}"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", metavar="NAME", help="of results of benchmarks/learning.py")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs") / "benchmarks", help="where the runs lie")
    options = parser.parse_args()
    runs = {name: tested(name, options.runs_dir) for name in options.names}
    for name, found in runs.items():
        if not found:
            parser.error(
                f"{options.runs_dir} has no tested run {name}-seed...: run benchmarks/learning.py {name} first."
            )
        if any("touched" not in said for seed in found for said in seed):
            parser.error(f"runs {name}-seed... say nothing of contacts: expected envs.pusher:PusherContact-v4.")
    sys.stdout.write(table(runs) + "\n")


if __name__ == "__main__":
    main()
