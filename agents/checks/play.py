"""A short play of random actions: how fast it goes, what the agent sees, and what the bridge has to say about it."""

from __future__ import annotations

import re
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from agents.checks.findings import Finding, error, ok, problem, warning
from agents.cli.messages import collected_warnings
from agents.filming.sheet import UInt8Array, sheet
from bridge import Bridge, BridgeError, StepType

#: The bridge needs 64 exchanges to say that an image never changes.
EXCHANGES = 100
#: An environment this slow is left earlier.
SECONDS = 20.0
FRAMES = 6


@dataclass
class Play:
    """What happened.

    Attributes:
        steps: agent steps.
        agents: that decided at the same time, at most.
        rewards: lowest and highest.
        frames: by image sensor what the first agent saw first, uint8 [C, H, W].
        said: warnings of the bridge.
    """

    steps: int = 0
    seconds: float = 0.0
    agents: int = 0
    episodes: int = 0
    rewards: tuple[float, float] = (np.inf, -np.inf)
    frames: dict[str, list[UInt8Array]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)


def play(bridge: Bridge) -> Play:
    """Plays at most `EXCHANGES` exchanges or `SECONDS`. Raises whatever the environment does."""
    found = Play()
    rng = np.random.default_rng(0)
    with collected_warnings() as found.said:
        steps = bridge.reset()
        began = time.perf_counter()
        for _ in range(EXCHANGES):
            deciding = steps.deciding
            found.agents = max(found.agents, len(deciding))
            for spec, values in zip(bridge.spec.observations, deciding.obs, strict=True):
                frames = found.frames.setdefault(spec.name, []) if spec.kind == "image" else None
                if frames is not None and len(values) and len(frames) < FRAMES:
                    frames.append(values[0].copy())
            steps = bridge.step(bridge.spec.actions.sample(deciding.mask, rng))
            earned = steps.reward[steps.step_type != StepType.FIRST]
            found.steps += len(earned)
            found.episodes += int((steps.step_type == StepType.LAST).sum())
            low, high = found.rewards
            found.rewards = min([low, *earned.tolist()]), max([high, *earned.tolist()])
            found.seconds = time.perf_counter() - began
            if found.seconds > SECONDS:
                break
    return found


def played(bridge: Bridge, output: Path) -> Iterator[Finding]:
    """The findings of a play; pictures go to `output`."""
    try:
        found = play(bridge)
    except BridgeError as failure:
        yield problem("play", failure, "the end of its log is below" if "\n" in str(failure) else "")
        return
    except Exception as failure:  # an environment's own code may raise anything
        place = traceback.extract_tb(failure.__traceback__)[-1]
        what = " ".join(f"{type(failure).__name__}: {failure}".split())
        yield error("play", f"the environment failed with {what} ({place.filename}, line {place.lineno})", "mend it")
        return
    low, high = found.rewards
    rate = found.steps / found.seconds if found.seconds else 0.0
    rewards = f", rewards {low:g} to {high:g}" if found.steps else ""
    agents = f"{found.agents} agent{'s' * (found.agents != 1)}"
    ended = f"{found.episodes} episode{'s' * (found.episodes != 1)} ended"
    yield ok("play", f"{rate:,.0f} agent steps/s; {found.steps:,} random steps, {agents}, {ended}{rewards}")
    yield from (warning("play", *message.split("; ", 1)) for message in found.said)
    if found.frames:
        yield _saved(found.frames, output / f"{re.sub(r'[^A-Za-z0-9._-]', '_', bridge.spec.name)}.png")


def _saved(frames: dict[str, list[UInt8Array]], file: Path) -> Finding:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(sheet(list(frames.values()))).save(file)
    except OSError as failure:
        reason = failure.strerror or failure
        return warning("picture", f"{file} cannot be written ({reason})", "name another folder with --output")
    return ok("picture", f"what the first agent saw: {file} ({', '.join(frames)})")
