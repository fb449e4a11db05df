"""What videos show: episodes of a policy, picture by picture, and what is true of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch

import numpy as np
import numpy.typing as npt

from agents.filming.video import Picture, captioned
from agents.settings.config import Config
from bridge import ActionCodec, Bridge, ConnectionLostError, EnvSpec, Steps, StepType

#: A name, or distance in metres, azimuth and elevation in degrees.
Camera = str | Mapping[str, float]
#: int32 [M, branches] for the M rows that want an action.
Policy = Callable[[Steps], npt.NDArray[np.int32]]

#: The name of the environment's own camera.
OWN_CAMERA = "default"
#: Where environments of these names are seen from unless another camera is chosen.
CAMERAS: dict[str, Camera] = {"Pusher-*": {"distance": 3.0, "azimuth": 135.0, "elevation": -22.5}}
#: Pictures per second of an environment that does not say how many belong to it, as Unity builds do not.
FPS = 8.0
#: Pictures of a GIF: a long one takes megabytes.
CLIP_LENGTH = 60


@dataclass(frozen=True)
class Moment:
    """One picture of an episode.

    Attributes:
        picture: uint8 [H, W, 3], as `Bridge.render` gives it.
        episode: its number, from 1.
        step: agent steps so far.
        score: the sum of the environment's rewards so far.
        action: int32 [branches], which the policy takes now; None at the end.
        goal: the numbers that tell the agent its goal, if any do.
        ending: `terminated` or `truncated` at the end, else empty.
    """

    picture: Picture
    episode: int
    step: int
    score: float
    action: npt.NDArray[np.int32] | None = None
    goal: tuple[float, ...] = ()
    ending: str = ""

    def caption(self, codec: ActionCodec) -> list[str]:
        """Two lines: where the episode stands, then what is done; a continuous environment's own numbers with it."""
        goal = f"   goal {_numbers(self.goal)}" if self.goal else ""
        return [
            f"episode {self.episode}   step {self.step}   score {self.score:.3f}",
            (self.ending if self.action is None else f"action {_meaning(self.action, codec)}") + goal,
        ]


def _meaning(action: npt.NDArray[np.int32], codec: ActionCodec) -> str:
    chosen = _numbers(action)
    return chosen if codec.native.is_discrete else f"{chosen} = {_numbers(codec.encode(action[None])[0])}"


def _numbers(values: Iterable[float]) -> str:
    return " ".join(f"{value:g}" for value in values)


def moments(bridge: Bridge, policy: Policy, seed: int, episodes: int) -> Iterator[Moment]:
    """The first episodes from a reset with that seed on, of one agent at a time.

    Where several agents decide, it is the first one; when its episode has ended, the first one that begins another.

    Raises:
        ConnectionLostError: the environment died within an episode.
        UnsupportedError: it has no pictures.
    """
    steps = bridge.reset(seed)
    followed: int | None = None
    number, count, score = 0, 0, 0.0
    while True:
        row = _row_of(followed, steps)
        if row is not None and steps.step_type[row] != StepType.FIRST:
            count, score = count + 1, score + float(steps.reward[row])
            if steps.step_type[row] == StepType.LAST:
                ending = "truncated" if steps.discount[row] else "terminated"
                yield Moment(bridge.render(row), number, count, score, goal=_goal(bridge, steps, row), ending=ending)
                followed, row = None, None
        if followed is None:
            if number == episodes:
                return
            begun = steps.episode[steps.step_type == StepType.FIRST].tolist()
            if begun:
                followed, number, count, score = begun[0], number + 1, 0, 0.0
                row = _row_of(followed, steps)
        deciding = steps.deciding
        actions = policy(deciding)
        if row is not None:
            action = actions[deciding.episode == followed][0]
            yield Moment(bridge.render(row), number, count, score, action, _goal(bridge, steps, row))
        steps = bridge.step(actions)
        if followed in steps.lost:
            raise ConnectionLostError(f"{bridge.env_spec.target} was lost within episode {number} of a recording.")


def _row_of(episode: int | None, steps: Steps) -> int | None:
    places = np.flatnonzero(steps.episode == episode)
    return int(places[0]) if len(places) else None


def _goal(bridge: Bridge, steps: Steps, row: int) -> tuple[float, ...]:
    told = zip(bridge.spec.observations, steps.obs, strict=True)
    goals = [values[row] for spec, values in told if spec.is_goal and spec.kind == "vector"]
    return tuple(map(float, np.concatenate(goals))) if goals else ()


@dataclass(frozen=True)
class Clip:
    """One episode in few pictures, evenly spaced but for the last one: for a GIF.

    Attributes:
        pictures: with their captions, uint8 [H, W, 3].
        fps: of them, at the speed of a video.
    """

    pictures: Sequence[Picture]
    fps: float


def clip(bridge: Bridge, policy: Policy, seed: int, most: int = CLIP_LENGTH) -> Clip:
    """The first episode from a reset with that seed on, in at most so many pictures and its last one.

    Raises:
        ConnectionLostError, UnsupportedError: as `moments`.
    """
    kept: list[Picture] = []
    stride = 1
    for index, moment in enumerate(moments(bridge, policy, seed, 1)):
        latest = captioned(moment.picture, moment.caption(bridge.codec))
        if index % stride == 0:
            if len(kept) == most:
                kept, stride = kept[::2], 2 * stride
            if index % stride == 0:
                kept.append(latest)
    if latest is not kept[-1]:
        kept.append(latest)
    return Clip(kept, (bridge.render_fps or FPS) / stride)


def recording_spec(config: Config, camera: Camera | None) -> EnvSpec:
    """One environment of the configuration that draws, with the test's seed and speed.

    Args:
        camera: None: that of `CAMERAS`, else the environment's own, which `OWN_CAMERA` always means.
    """
    changes = {
        "num_envs": 1,
        "workers": 0,
        "max_restarts": 0,  # a restarted player would play another episode
        "no_graphics": False,
        "time_scale": config.evaluation.time_scale,
    }
    environment = config.environment.model_copy(update=changes)
    spec = environment.spec(config.evaluation.seed)
    drawing = {"render": True} if environment.backend == "gym" else {}  # Unity's cameras always draw
    chosen = _camera_of(environment.target) if camera is None else camera
    return replace(spec, options={**spec.options, **drawing, "camera": None if chosen == OWN_CAMERA else chosen})


def _camera_of(target: str) -> Camera | None:
    name = target.rpartition(":")[2]
    return next((camera for pattern, camera in CAMERAS.items() if fnmatch(name, pattern)), None)
