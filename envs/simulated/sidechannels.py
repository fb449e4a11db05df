"""The side channels that Unity's package registers by itself.

Container: repeated [16 bytes GUID, little-endian][int32 length][payload]; all numbers little-endian.
"""

from __future__ import annotations

import logging
import math
import random
import struct
import uuid
from collections.abc import Callable, Iterator

log = logging.getLogger(__name__)

ENGINE_CONFIGURATION = uuid.UUID("e951342c-4f7e-11ea-b238-784f4387d1f7")
ENVIRONMENT_PARAMETERS = uuid.UUID("534c891e-810f-11ea-a9d0-822485860400")
TRAINING_ANALYTICS = uuid.UUID("b664a4a9-d86f-5a5f-95cb-e8353a7e8356")
STATS = uuid.UUID("a1d8f7b7-cec8-50f9-b78b-d3e165a78520")

_ENGINE_SETTINGS = {
    0: ("resolution", "<ii"),
    1: ("quality level", "<i"),
    2: ("time scale", "<f"),
    3: ("target frame rate", "<i"),
    4: ("capture frame rate", "<i"),
}


class MalformedSideChannelError(ValueError):
    """A side channel message does not hold what its channel defines."""


class Parameters:
    """Environment parameters: numbers and samplers by name, as the trainer last set them."""

    def __init__(self) -> None:
        self._constants: dict[str, float] = {}
        self._samplers: dict[str, Callable[[], float]] = {}

    def set(self, name: str, value: float | Callable[[], float]) -> None:
        """Set a number, or a sampler that returns one."""
        self._constants.pop(name, None)
        self._samplers.pop(name, None)
        if callable(value):
            self._samplers[name] = value
        else:
            self._constants[name] = value

    def draw(self, name: str, default: float) -> float:
        """The parameter's number; of a sampler a new sample."""
        sampler = self._samplers.get(name)
        return self._constants.get(name, default) if sampler is None else sampler()

    def constant(self, name: str) -> float | None:
        """The parameter's number; None where none was set or a sampler was."""
        return self._constants.get(name)


class Statistics:
    """What a scene records for the trainer's curves (Unity: `StatsRecorder.Add`), until it is sent."""

    def __init__(self) -> None:
        self._recorded = b""

    def add(self, name: str, value: float) -> None:
        """Record a value; the trainer averages those of one name."""
        self._recorded += pack_stat(name, value)

    def take(self) -> bytes:
        """The side channel's messages recorded since the last call."""
        recorded, self._recorded = self._recorded, b""
        return recorded


def pack(channel: uuid.UUID, payload: bytes) -> bytes:
    """One message in the container."""
    return channel.bytes_le + struct.pack("<i", len(payload)) + payload


def pack_stat(name: str, value: float, method: int = 0) -> bytes:
    """A message of the statistics channel. Methods: 0 average, 1 most recent, 2 sum, 3 histogram."""
    encoded = name.encode("ascii")
    return pack(STATS, struct.pack("<i", len(encoded)) + encoded + struct.pack("<fi", value, method))


def process(container: bytes, parameters: Parameters) -> None:
    """Carry out the trainer's messages: parameters are set, the rest is logged or ignored.

    A malformed or unknown message is logged and dropped, as in Unity.
    """
    try:
        for channel, payload in unpack(container):
            _carry_out(channel, payload, parameters)
    except MalformedSideChannelError as error:
        log.error("Side channel container cut short: %s.", error)


def unpack(container: bytes) -> Iterator[tuple[uuid.UUID, bytes]]:
    """The messages of a container. Raises MalformedSideChannelError when it ends inside a message."""
    reader = _Reader(container)
    while reader.left:
        channel = uuid.UUID(bytes_le=reader.take(16))
        yield channel, reader.take(reader.integer())


def _carry_out(channel: uuid.UUID, payload: bytes, parameters: Parameters) -> None:
    try:
        if channel == ENVIRONMENT_PARAMETERS:
            _set_parameter(_Reader(payload), parameters)
        elif channel == ENGINE_CONFIGURATION:
            _log_engine_setting(_Reader(payload))
        elif channel != TRAINING_ANALYTICS:
            log.warning("Unknown side channel %s: %d bytes dropped.", channel, len(payload))
    except MalformedSideChannelError as error:
        log.error("Message of side channel %s dropped: %s.", channel, error)


def _set_parameter(reader: _Reader, parameters: Parameters) -> None:
    name = reader.text()
    kind = reader.integer()
    if kind == 0:
        value = reader.number()
        parameters.set(name, value)
        log.info("Parameter %s = %g.", name, value)
    elif kind == 1:
        parameters.set(name, _read_sampler(reader))
        log.info("Parameter %s is sampled at each reset.", name)
    else:
        raise MalformedSideChannelError(
            f"parameter {name} has the unknown kind {kind}; 0 (float) and 1 (sampler) exist"
        )


def _read_sampler(reader: _Reader) -> Callable[[], float]:
    """A sampler with Unity's distributions; its numbers are Python's, not those of .NET's System.Random."""
    rng = random.Random(reader.integer())
    kind = reader.integer()
    if kind == 0:
        low, high = reader.number(), reader.number()
        return lambda: rng.uniform(low, high)
    if kind == 1:
        mean, deviation = reader.number(), reader.number()
        return lambda: rng.gauss(mean, deviation)
    if kind == 2:
        bounds = [reader.number() for _ in range(reader.integer())]
        lengths = [high - low for low, high in zip(bounds[::2], bounds[1::2], strict=False)]
        if len(bounds) % 2 or not math.fsum(lengths) > 0 or min(lengths) < 0:
            raise MalformedSideChannelError(f"a multi-range sampler needs pairs min, max; found {bounds}")
        ranges = list(zip(bounds[::2], bounds[1::2], strict=True))
        return lambda: rng.uniform(*rng.choices(ranges, lengths)[0])
    raise MalformedSideChannelError(f"sampler type {kind} is unknown; 0 (uniform), 1 (gaussian), 2 (multi-range) exist")


def _log_engine_setting(reader: _Reader) -> None:
    """Engine settings change neither what this player computes nor how fast: it is paced by the trainer alone."""
    kind = reader.integer()
    if kind not in _ENGINE_SETTINGS:
        raise MalformedSideChannelError(f"engine setting {kind} is unknown; 0..{len(_ENGINE_SETTINGS) - 1} exist")
    name, layout = _ENGINE_SETTINGS[kind]
    values = struct.unpack(layout, reader.take(struct.calcsize(layout)))
    log.info("Engine setting without effect: %s %s.", name, " x ".join(f"{value:g}" for value in values))


class _Reader:
    """Takes values off the front of a payload."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = 0

    @property
    def left(self) -> int:
        return len(self._content) - self._position

    def take(self, count: int) -> bytes:
        if not 0 <= count <= self.left:
            raise MalformedSideChannelError(f"{count} bytes announced, {self.left} are left")
        self._position += count
        return self._content[self._position - count : self._position]

    def integer(self) -> int:
        return int.from_bytes(self.take(4), "little", signed=True)

    def number(self) -> float:
        value: float = struct.unpack("<f", self.take(4))[0]
        return value

    def text(self) -> str:
        return self.take(self.integer()).decode("ascii", errors="replace")
