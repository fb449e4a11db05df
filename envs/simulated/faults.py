"""Misbehaviour on request, for the tests of whoever talks to a build: `--fail NAME[:ARGUMENT...]`, repeatable.

before a connection
    exit-before-connect:CODE          the process ends with CODE
    never-connect                     the process lives and never connects
handshake
    api-version:VERSION               another communication version is announced, such as 2.0.0
    exit-after-hello:CODE             ends between the two messages of the handshake
    hang-after-hello                  hangs there
    hang-at-reset                     hangs at the first reset
after N answered steps, at the next one
    exit-after-steps:N:CODE           ends with CODE
    hang-after-steps:N                hangs for ever
    slow-after-steps:N:SECONDS        answers this one step late
    quit-after-steps:N                leaves in order: header status 400
    garbage-after-steps:N             sends bytes that are no message
    nan-after-steps:N                 reports the reward NaN
    oversize-after-steps:N:BYTES      sends a message of exactly BYTES bytes
    no-agents-after-steps:N:COUNT     sends COUNT messages with an empty list of agents while the scene stands still
always
    no-behavior                       no message names a behaviour
    late-behavior:N                   the first N messages name none
    stats                             each step sends the statistic "Simulated/Steps"

A process that hangs still ends when its parent does, so that a test leaves nothing behind.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence

from envs.simulated.arguments import BadArgumentError
from envs.simulated.messages import AgentAction, Behavior, Infos
from envs.simulated.parent import Parent
from envs.simulated.scene import Scene
from envs.simulated.sidechannels import pack, pack_stat

log = logging.getLogger(__name__)

_PADDING = uuid.UUID("00000000-0000-0000-0000-0000000000ff")  # a channel that nobody has
_ARGUMENTS: dict[str, tuple[Callable[[str], float | str], ...]] = {
    "exit-before-connect": (int,),
    "never-connect": (),
    "api-version": (str,),
    "exit-after-hello": (int,),
    "hang-after-hello": (),
    "hang-at-reset": (),
    "exit-after-steps": (int, int),
    "hang-after-steps": (int,),
    "slow-after-steps": (int, float),
    "quit-after-steps": (int,),
    "garbage-after-steps": (int,),
    "nan-after-steps": (int,),
    "oversize-after-steps": (int, int),
    "no-agents-after-steps": (int, int),
    "no-behavior": (),
    "late-behavior": (int,),
    "stats": (),
}


class QuitAskedError(Exception):
    """The build says goodbye: header status 400."""


class Faults:
    """The failures asked for. Without any, every method does nothing."""

    def __init__(self, requests: Sequence[str]) -> None:
        """Read `NAME[:ARGUMENT...]`. Raises BadArgumentError."""
        self.steps = 0  # steps begun
        self._asked = dict(map(_parse, requests))

    @property
    def api_version(self) -> str | None:
        """The communication version to announce instead of the true one."""
        asked = self._asked.get("api-version")
        return None if asked is None else str(asked[0])

    def reach(self, moment: str) -> None:
        """End or hang if asked to at this moment: `connect`, `hello` or `reset`."""
        if moment == "connect":
            self._end("exit-before-connect")
            self._hang("never-connect")
        elif moment == "hello":
            self._end("exit-after-hello")
            self._hang("hang-after-hello")
        elif moment == "reset":
            self._hang("hang-at-reset")

    def begin_step(self) -> None:
        """A step begins: end, hang, dawdle or leave if asked to at this one. Raises QuitAskedError."""
        self.steps += 1
        if self._due("exit-after-steps"):
            _exit(int(self._asked["exit-after-steps"][1]))
        if self._due("hang-after-steps"):
            self._hang("hang-after-steps")
        if self._due("slow-after-steps"):
            time.sleep(float(self._asked["slow-after-steps"][1]))
        if self._due("quit-after-steps"):
            raise QuitAskedError

    def wrap(self, scene: Scene) -> Scene:
        """The scene with the failures that lie in its reports."""
        return _FaultyScene(scene, self) if self._asked else scene

    def side_channel(self) -> bytes:
        """What the failures add to a message's side channel."""
        return pack_stat("Simulated/Steps", self.steps) if "stats" in self._asked else b""

    def distort(self, compose: Callable[[bytes], bytes]) -> bytes:
        """The message to send. `compose` makes it from a side channel."""
        side_channel = self.side_channel()
        if self._due("garbage-after-steps"):
            return b"\xff" * 64
        if not self._due("oversize-after-steps"):
            return compose(side_channel)
        size = int(self._asked["oversize-after-steps"][1])
        spare = max(size - len(compose(side_channel)), 0)
        while spare and (excess := len(compose(side_channel + pack(_PADDING, bytes(spare)))) - size) > 0:
            spare = max(spare - excess, 0)
        return compose(side_channel + pack(_PADDING, bytes(spare)))

    def hides(self, messages: int) -> bool:
        """Whether message number `messages` (from 0) must not name a behaviour."""
        return "no-behavior" in self._asked or messages < self._number("late-behavior", 0)

    def empties(self) -> bool:
        """Whether the current message must list no agent."""
        begin = self._number("no-agents-after-steps", 0)
        return begin < self.steps <= begin + self._number("no-agents-after-steps", 1)

    def spoils(self) -> bool:
        """Whether the rewards of the current message must be NaN."""
        return self._due("nan-after-steps")

    def _number(self, name: str, index: int) -> int:
        asked = self._asked.get(name)
        return 0 if asked is None else int(asked[index])

    def _due(self, name: str) -> bool:
        return name in self._asked and self.steps == self._number(name, 0) + 1

    def _end(self, name: str) -> None:
        if name in self._asked:
            _exit(self._number(name, 0))

    def _hang(self, name: str) -> None:
        if name not in self._asked:
            return
        log.warning("Hangs, as asked by --fail %s.", name)
        parent = Parent()
        while not parent.is_gone():
            time.sleep(0.2)
        _exit(0)


class _FaultyScene:
    """A scene whose reports can be withheld, emptied or spoiled; while nobody hears of it, it stands still."""

    def __init__(self, scene: Scene, faults: Faults) -> None:
        self._scene = scene
        self._faults = faults
        self._messages = 0
        self._withheld: Infos | None = None

    @property
    def behaviors(self) -> Sequence[Behavior]:
        return self._scene.behaviors

    def reset(self) -> None:
        self._withheld = None
        self._scene.reset()

    def step(self, actions: Mapping[str, Sequence[AgentAction]]) -> None:
        if self._withheld is None:
            self._scene.step(actions)

    def collect(self) -> Infos:
        infos = self._scene.collect() if self._withheld is None else self._withheld
        self._withheld = None
        hidden = self._faults.hides(self._messages)
        self._messages += 1
        if hidden or self._faults.empties():
            self._withheld = infos
            return {} if hidden else dict.fromkeys(infos, ())
        if self._faults.spoils():
            return {
                name: [dataclasses.replace(agent, reward=math.nan) for agent in agents]
                for name, agents in infos.items()
            }
        return infos


def _parse(request: str) -> tuple[str, tuple[float | str, ...]]:
    name, *texts = request.split(":")
    types = _ARGUMENTS.get(name)
    if types is None:
        raise BadArgumentError(f"--fail {request}: unknown; known are {', '.join(_ARGUMENTS)}")
    if len(texts) != len(types):
        raise BadArgumentError(f"--fail {request}: {name} takes {len(types)} arguments, found {len(texts)}")
    try:
        return name, tuple(read(text) for read, text in zip(types, texts, strict=True))
    except ValueError as error:
        raise BadArgumentError(f"--fail {request}: {error}") from error


def _exit(code: int) -> None:
    """End at once, with no farewell on the wire, as a crash does."""
    log.warning("Ends with code %d, as asked by --fail.", code)
    os._exit(code)
