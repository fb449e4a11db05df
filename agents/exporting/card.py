"""The text beside an exported file: what it is, where it comes from, what was shown, and how to use it."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from importlib import metadata
from pathlib import Path

from agents.episodes.evaluation import Evaluation
from agents.exporting import names
from agents.exporting.proofs import Proof, table
from agents.settings.config import Config
from bridge import Bridge, ObsSpec

PACKAGES = ("dqn-bridge", "torch", "onnx", "onnxruntime", "numpy", "protobuf", "mlagents-envs", "gymnasium")
NOT_PROVED = (
    "Not proved: the import into a Unity project. No Unity Editor takes part in these proofs; they restate what its "
    "packages demand. See docs/export.md."
)


@dataclass(frozen=True)
class Card:
    """What a model card tells.

    Attributes:
        checkpoint: its name in the run, which tells the agent steps.
        unused: names of observations that the agent does not look at.
        command: that wrote the file.
    """

    file: Path
    run_id: str
    checkpoint: str
    config: Config
    command: str
    unused: tuple[str, ...]
    proofs: Sequence[Proof]
    evaluation: Evaluation

    def markdown(self, bridge: Bridge) -> str:
        is_unity = bridge.env_spec.backend == "unity"
        sections = [
            [f"# {self.file.name}", "", *self._origin(bridge)],
            ["## Input and output", "", *self._tensors(bridge, is_unity)],
            ["## Result", "", *self.evaluation.lines()],
            ["## Proofs", "", *table(list(self.proofs)), *(["", NOT_PROVED] if is_unity else [])],
            ["## Use", "", *(self._in_unity(bridge) if is_unity else self._by_itself(bridge))],
            ["## Made with", "", f"    {self.command}", "", self._versions()],
        ]
        return "\n\n".join("\n".join(section) for section in sections) + "\n"

    def _origin(self, bridge: Bridge) -> list[str]:
        environment = self.config.environment
        simulated = " (the simulated build of this project, not made with Unity)" if bridge.simulated else ""
        kind = "Unity build" if environment.backend == "unity" else "gymnasium environment"
        digest = hashlib.sha256(self.file.read_bytes()).hexdigest()
        return [
            "A deep Q-network of dqn-bridge as an ONNX model: it takes its best action every time.",
            "",
            "| | |",
            "|---|---|",
            f"| environment | {kind} `{environment.target}`{simulated} |",
            f"| behaviour | `{bridge.spec.name}` |",
            f"| run | `{self.run_id}`, checkpoint `{self.checkpoint}`, preset `{self.config.preset or 'none'}` |",
            f"| written | {date.today().isoformat()} |",
            f"| SHA-256 | `{digest}` |",
        ]

    def _tensors(self, bridge: Bridge, is_unity: bool) -> list[str]:
        native = bridge.codec.native
        lines = ["| tensor | type and shape | what |", "|---|---|---|"]
        for index, item in enumerate(bridge.spec.observations):
            unused = item.name in self.unused
            if unused and not is_unity:
                continue
            name = names.observation(index) if is_unity else item.name
            notes = ["a goal signal"] * item.is_goal + ["not used by the agent, but Unity sends it"] * unused
            what = ", ".join([f"sensor `{item.name}`"] * is_unity + notes)
            lines.append(f"| in `{name}` | {_type(item, is_unity)} | {what} |")
        if native.is_discrete:
            optional = "" if is_unity else "; may be left out"
            total = sum(native.branches)
            lines.append(f"| in `{names.MASKS}` | float32 [batch, {total}] | 1 = allowed, 0 = forbidden{optional} |")
            sizes = ", ".join(map(str, native.branches))
            output = names.DISCRETE if is_unity else names.ACTION
            what = f"branches of {sizes}; counted from 0, without the space's `start`" if not is_unity else ""
            lines.append(
                f"| out `{output}` | int64 [batch, {len(native.branches)}] | {what or f'branches of {sizes}'} |"
            )
        else:
            output = names.CONTINUOUS if is_unity else names.ACTION
            lines.append(f"| out `{output}` | float32 [batch, {len(native.low)}] | {self._codec(bridge)} |")
        if is_unity and native.is_discrete:
            lines += ["", f"The agent's own actions: {self._codec(bridge)}."]
        return lines

    def _codec(self, bridge: Bridge) -> str:
        sizes = ", ".join(map(str, bridge.spec.actions.branches))
        settings = self.config.environment
        details = {
            "offset": f" {settings.offset}",
            "levels": f" {', '.join(f'{level:g}' for level in settings.levels)}" if settings.levels else " (even)",
        }
        return f"branches of {sizes}, codec {bridge.codec.name}{details.get(bridge.codec.name, '')}"

    def _in_unity(self, bridge: Bridge) -> list[str]:
        native = bridge.codec.native
        sizes = ", ".join(map(str, native.branches))
        actions = f"Continuous Actions {len(native.low)}, Discrete Branches {len(native.branches)}"
        actions += f" of sizes {sizes}" if sizes else ""
        behavior = bridge.spec.name
        return [
            "Copy the file into `Assets`, drop it on *Model* of the agents' *Behavior Parameters*, and set there:",
            "",
            f"- Behavior Name `{behavior}`; Actions: {actions}.",
            "- The same sensors in the same order as in training; Behavior Type *Inference Only*, or *Default* without "
            "a trainer.",
            "",
            "A player that was built from the sample project of package 2.x loads the file without the Editor, if it "
            f"is called `{behavior}.onnx` and lies in `DIR`:",
            "",
            f"    {override_line(Path(self.config.environment.target).name or behavior, 'DIR')}",
        ]

    def _by_itself(self, bridge: Bridge) -> list[str]:
        inputs = ", ".join(
            f'"{item.name}": {"pixels" if item.kind == "image" else "numbers"}'
            for item in bridge.spec.observations
            if item.name not in self.unused
        )
        return [
            "```python",
            "import onnxruntime",
            "",
            f'session = onnxruntime.InferenceSession("{self.file.name}")',
            f'(action,) = session.run(["{names.ACTION}"], {{{inputs}}})',
            "```",
        ]

    def _versions(self) -> str:
        found = [f"Python {platform.python_version()}"]
        for name in PACKAGES:
            try:
                found.append(f"{name} {metadata.version(name)}")
            except metadata.PackageNotFoundError:
                continue
        return ", ".join(found)


def override_line(player: str, folder: str) -> str:
    """Starts a player of a package 2.x sample project with a file instead of its own model (`ModelOverrider`)."""
    return (
        f"{player} -batchmode -logFile - --mlagents-override-model-directory {folder} "
        "--mlagents-override-model-extension onnx --mlagents-quit-on-load-failure --mlagents-quit-after-episodes 100"
    )


def _type(item: ObsSpec, is_unity: bool) -> str:
    kind = "float32" if item.kind == "vector" or is_unity else "uint8"
    scale = (", 0 to 1" if is_unity else ", 0 to 255") if item.kind == "image" else ""
    return f"{kind} [batch, {', '.join(map(str, item.shape))}]{scale}"
