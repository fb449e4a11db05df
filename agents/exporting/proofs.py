"""What shows that a file does what the agent does, each proof with its result as a sentence."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import pvariance
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto

from agents.episodes.evaluation import Evaluation, evaluate
from agents.exporting import names
from agents.exporting.loader import BATCHES, SWEEP_ROWS, SWEEP_SPREADS
from agents.exporting.model import native_columns, with_q_values
from agents.exporting.policy import OnnxPolicy
from agents.learning.agent import DQNAgent
from agents.learning.exploration import epsilon_greedy, greedy
from agents.settings.config import EvaluationConfig
from bridge import ActionCodec, ActionError, Bridge, Steps

Array = npt.NDArray[Any]

#: Of a Q-value, relative to the largest one in the same row where that is above 1: what float32 leaves of two orders of
#: the same sums.
TOLERANCE = 1e-4
#: Random actions among the recorded decisions, so that they are of more states than the greedy path's.
EPSILON = 0.25
#: Two means differ when they are further apart than so many standard errors.
STANDARD_ERRORS = 3.0


@dataclass(frozen=True)
class Proof:
    """What was shown, or not.

    Attributes:
        found: one sentence or several.
    """

    name: str
    passed: bool
    found: str


def table(proofs: list[Proof]) -> list[str]:
    """As lines of Markdown."""
    rows = [f"| {proof.name} | {'passed' if proof.passed else 'FAILED'} | {proof.found} |" for proof in proofs]
    return ["| proof | result | |", "|---|---|---|", *rows]


def format_proof(model: ModelProto, size: int) -> Proof:
    """Of a file that `loader.read` has accepted."""
    operators = sorted({node.op_type for node in model.graph.node})
    opset = model.opset_import[0].version
    found = f"ONNX checker; opset {opset}; one file of {size:,} bytes; {len(model.graph.node)} nodes: "
    return Proof("1 file", True, found + ", ".join(operators))


def loader_proof(complaints: list[str], *, has_masks: bool) -> Proof:
    """Of what `loader.check` had to say."""
    batches = ", ".join(map(str, BATCHES))
    passed = f"names, types, shapes, constants; run on zeros, on batches {batches}"
    if has_masks:
        passed += f", on {len(SWEEP_SPREADS) * SWEEP_ROWS} random masks"
    return Proof("2 Unity's loader, restated", not complaints, " ".join(complaints) or passed)


@dataclass
class Comparison:
    """The file's decisions beside the agent's.

    Attributes:
        ties: decisions that differ where the agent's Q-values of both are equal within `TOLERANCE`.
        differing: the other ones that differ.
        worst: largest difference of a Q-value, relative to the largest one of its row where that is above 1.
        example: the first that differs; empty if none does.
        shifts: what the file's actions differ by.
    """

    decisions: int = 0
    ties: int = 0
    differing: int = 0
    worst: float = 0.0
    example: str = ""
    shifts: set[tuple[float, ...]] = field(default_factory=set)

    def proof(self) -> Proof:
        equal = self.decisions - self.differing
        sentences = [f"{equal:,} of {self.decisions:,} recorded decisions equal"]
        if self.ties:
            sentences[0] += f", {self.ties:,} of them ties that went the other way"
        if self.example:
            sentences.append(f"the first that is not: {self.example}")
        if len(self.shifts) == 1 and 2 * self.differing > self.decisions:
            (shift,) = self.shifts
            off = ", ".join(f"{number:g}" for number in shift)
            sentences.append(f"the file is off by {off} each time, as without the action offset")
        sentences.append(
            f"largest difference of a Q-value {self.worst:.1e} (relative where Q is above 1; allowed {TOLERANCE:g})"
        )
        passed = not self.differing and self.worst < TOLERANCE and self.decisions > 0
        return Proof("3 the agent's decisions", passed, "; ".join(sentences))


class Comparer:
    """Compares one file with one agent, exchange by exchange.

    Args:
        model: a file that we wrote.
        codec: of the environment.
    """

    def __init__(self, model: ModelProto, agent: DQNAgent, codec: ActionCodec) -> None:
        self._agent = agent
        self._codec = codec
        self._file = OnnxPolicy(model, agent.spec, codec)
        self._twin = OnnxPolicy(with_q_values(model), agent.spec, codec)
        self._rng = np.random.default_rng(0)
        total = agent.layout.total
        self._columns = native_columns(self._codec) if self._codec.native.is_discrete else np.arange(total)
        self.result = Comparison()

    def compare(self, rows: Steps) -> npt.NDArray[np.float32]:
        """Takes in deciding rows; returns the agent's Q-values [N, total]."""
        q = self._agent.q_values(rows)
        if not len(rows):
            return q
        result, layout = self.result, self._agent.layout
        result.decisions += len(rows)
        (twin_q,) = self._twin.run(rows, names.Q_VALUES)
        scale = np.maximum(np.abs(q).max(axis=1), 1.0)
        result.worst = max(result.worst, float((np.abs(twin_q[:, self._columns] - q).max(axis=1) / scale).max()))
        mask = layout.flat_mask(rows.mask)
        chosen = greedy(q, mask, layout)
        native = self._codec.encode(chosen)
        outputs = self._file.run(rows, *self._file.outputs, rng=self._rng)
        differs = np.any([(output != native).any(axis=1) for output in outputs], axis=0)
        for row in np.flatnonzero(differs).tolist():
            file = next(output[row] for output in outputs if (output[row] != native[row]).any())
            if self._is_tie(q[row], mask[row], chosen[row], file, TOLERANCE * scale[row]):
                result.ties += 1
                continue
            result.differing += 1
            result.shifts.add(tuple((file - native[row]).tolist()))
            values = ", ".join(f"{value:.4g}" for value in q[row])
            result.example = result.example or (
                f"the agent takes {native[row].tolist()}, the file {file.tolist()}, at the agent's Q-values {values}"
            )
        return q

    def _is_tie(self, q: Array, mask: Array, chosen: Array, file: Array, tolerance: float) -> bool:
        """Whether the file's action, native [dims], is allowed and as good as the chosen one in every branch."""
        try:
            (other,) = self._codec.decode(file[None])
        except ActionError:
            return False
        starts = self._agent.layout.offsets
        is_good = q[starts + chosen] - q[starts + other] <= tolerance
        return bool((is_good & mask[starts + other]).all())


def decisions_proof(
    model: ModelProto, agent: DQNAgent, bridge: Bridge, decisions: int, progress: Callable[[int], None] | None = None
) -> Proof:
    """Plays until so many decisions have been compared, the agent's own with random ones among them."""
    comparer = Comparer(model, agent, bridge.codec)
    rng = np.random.default_rng(1)
    steps = bridge.reset()
    while comparer.result.decisions < decisions:
        rows = steps.deciding
        q = comparer.compare(rows)
        steps = bridge.step(epsilon_greedy(q, agent.layout.flat_mask(rows.mask), EPSILON, agent.layout, rng))
        if progress is not None:
            progress(comparer.result.decisions)
    return comparer.result.proof()


def score_proof(
    model: ModelProto,
    agent: DQNAgent,
    bridge: Bridge,
    settings: EvaluationConfig,
    progress: Callable[[int], None] | None = None,
) -> tuple[Proof, Evaluation]:
    """Plays the same episodes twice, greedily; returns the file's evaluation, too."""
    settings = settings.model_copy(update={"epsilon": 0.0})
    policy = OnnxPolicy(model, bridge.spec, bridge.codec)
    mine, theirs = (
        evaluate(bridge, player, settings, episodes=settings.episodes, progress=progress) for player in (agent, policy)
    )
    count = settings.episodes
    error = math.sqrt((pvariance(mine.scores) + pvariance(theirs.scores)) / count)
    passed = abs(mine.mean - theirs.mean) <= STANDARD_ERRORS * error + 1e-6
    same = sum(a == b for a, b in zip(mine.scores, theirs.scores, strict=True))
    found = (
        f"mean {theirs.mean:.3f} of the file, {mine.mean:.3f} of the agent over {count} episodes each (seed "
        f"{settings.seed}); {same} of {count} with the very same return"
    )
    return Proof("4 played through the bridge", passed, found), theirs
