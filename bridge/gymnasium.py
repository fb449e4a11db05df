"""The gymnasium backend: N environments in this process, stepped one after the other.

Observations, one `ObsSpec` each:

- A `Box` is an image or a float32 vector, flattened: `bridge.images.image_layout` says which.
- `Discrete`, `MultiDiscrete` and `MultiBinary` become float32 vectors of 0 and 1.
- `Dict` and `Tuple` give one observation per part, named by its path; a key `desired_goal` is a goal.

An environment whose episode ended is reset in the same exchange: a LAST row with the true final observation, then a
FIRST row of the next episode. Rows that want an action are always in the order of the environments.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.metadata
import os
import platform
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, SupportsFloat

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from bridge.actions import CodecSettings, NativeActions, make_codec
from bridge.base import Bridge, Snapshot
from bridge.errors import DataError, ResumeError, UnsupportedError, UsageError
from bridge.images import image_layout
from bridge.options import parse_options
from bridge.pooling import PoolOptions
from bridge.types import (
    Array,
    BehaviorSpec,
    BoolArray,
    EnvSpec,
    Float32Array,
    Int32Array,
    ObsSpec,
    Steps,
    StepType,
    first_episode_id,
    seed_stream,
)

Environment = gymnasium.Env[Any, Any]

#: Entries of `info` that report success, in the words of goal environments and of robotics suites.
SUCCESS_KEYS = ("is_success", "success")
#: The entry of `info` with what an environment says of a whole episode, numbers by name; read where the episode ends.
EPISODE_METRICS = "episode_metrics"
#: Of a free camera in MuJoCo: metres, degrees, degrees. (With numpy 2, mujoco 2.3.7 cannot set the point `lookat`.)
CAMERA_KEYS = ("distance", "azimuth", "elevation")
#: How long a library for drawing may take to say whether it works, in seconds.
GRAPHICS_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class GymnasiumOptions(PoolOptions):
    """What `EnvSpec.options` may hold for this backend, besides what `PoolOptions` has.

    Attributes:
        codec, offset, levels: the action codec, see `bridge.actions.CodecSettings`.
        frame_stack: observations of the last so many agent steps as one (the first one repeated at the start).
        metrics: entries of `info` that become `Steps.metrics`; success is always among them, and so is, at the end of
            an episode, what `EPISODE_METRICS` holds.
        env_kwargs: keyword arguments of the environment, `max_episode_steps` of `gymnasium.make` included.
        render: whether `render()` will be asked for; without it no graphics are opened.
        camera: MuJoCo: where `render()` looks from, the name of one of the model's cameras or some of `CAMERA_KEYS` of
            a free one, such as {"distance": 3.0, "azimuth": 135.0}; None: the environment's own.
    """

    codec: str = "auto"
    offset: int = 1
    levels: Sequence[float] = ()
    frame_stack: int = 1
    metrics: Sequence[str] = ()
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    render: bool = False
    camera: str | Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.frame_stack < 1:
            raise UsageError(f"option 'frame_stack' is {self.frame_stack!r}, expected a whole number from 1.")
        if self.camera is not None and not self.render:
            raise UsageError("option 'camera' needs render=True: without it nothing is drawn.")


def read_options(spec: EnvSpec) -> GymnasiumOptions:
    """Raises `UsageError` for an unknown option or a value that does not fit."""
    return parse_options(GymnasiumOptions, spec.options, spec.backend)


def open_bridge(spec: EnvSpec, worker: int, incarnation: int) -> Bridge:
    """The environments that `spec` describes, in this process.

    Raises:
        UsageError: an unknown id or option, a module that cannot be imported, a package that is not installed.
        UnsupportedError: a space that the protocol cannot express.
    """
    options = read_options(spec)
    environments: list[Environment] = []
    try:
        for index in range(options.num_envs):
            environments.append(make_environment(spec.target, options, render=options.render and index == 0))
        return GymnasiumBridge(spec, options, environments, worker, incarnation)
    except BaseException:
        for environment in environments:
            environment.close()
        raise


class _Row(NamedTuple):
    episode: int
    step_type: StepType
    obs: tuple[Array, ...]
    reward: SupportsFloat
    discount: float
    info: Mapping[str, Any]


@dataclass
class _Log:
    """How the open episode of one environment came about.

    Attributes:
        seed: of the latest reset that had one.
        generator: the state of the environment's random numbers when the episode began, as JSON values; None where it
            began with the seed.
        actions: of the agent, since then.
    """

    seed: int = 0
    generator: dict[str, Any] | None = None
    actions: list[list[int]] = field(default_factory=list)

    def begin(self, generator: np.random.Generator | None) -> None:
        self.generator = None if generator is None else dict(generator.bit_generator.state)
        self.actions = []


class GymnasiumBridge(Bridge):
    """See the module's docstring."""

    def __init__(
        self,
        env_spec: EnvSpec,
        options: GymnasiumOptions,
        environments: Sequence[Environment],
        worker: int,
        incarnation: int,
    ) -> None:
        first = environments[0]
        self._parts = observation_parts(first.observation_space, stacked=options.frame_stack > 1)
        self._actions = _ActionAdapter(first.action_space)
        codec = make_codec(
            self._actions.native,
            CodecSettings(options.codec, options.offset, tuple(float(level) for level in options.levels)),
        )
        made = first.spec
        spec = BehaviorSpec(
            name=made.id if made is not None else env_spec.target,
            observations=tuple(part.spec for part in self._parts),
            actions=codec.spec,
            max_episode_steps=made.max_episode_steps if made is not None else None,
        )
        super().__init__(env_spec, spec, codec)
        self._environments = environments
        self._worker = worker
        self._incarnation = incarnation
        self._render_option = options.render
        self._metrics = [("success", key) for key in SUCCESS_KEYS] + [(key, key) for key in options.metrics]
        self._episodes = [0] * len(environments)
        self._next_episode = first_episode_id(worker, incarnation)
        self._is_seeded = False
        self._pending: list[Any] = []
        self._ended: tuple[int, npt.NDArray[np.uint8]] | None = None  # the first environment's latest: id, picture
        self.render_fps = first.metadata.get("render_fps")
        self._logs = [_Log() for _ in environments]

    def _reset(self, seed: int | None) -> Steps:
        # Like a player's: of a reset with a seed the stream depends on that and the worker alone.
        stream = (seed, 0) if seed is not None else None if self._is_seeded else (self.env_spec.seed, self._incarnation)
        self._is_seeded = True
        return self._steps_of([self._begin(index, stream) for index in range(len(self._environments))])

    def _send(self, actions: Int32Array) -> None:
        self._pending = self._actions.to_environments(self.codec.encode(actions))
        for log, action in zip(self._logs, actions.tolist(), strict=True):
            log.actions.append(action)

    def _receive(self) -> Steps:
        ended: list[_Row] = []
        deciding: list[_Row] = []
        for index, action in enumerate(self._pending):
            observation, reward, terminated, truncated, info = self._environments[index].step(action)
            episode = self._episodes[index]
            obs = self._read(index, observation)
            if terminated or truncated:
                if index == 0 and self._render_option:
                    self._ended = episode, self._picture()
                ended.append(_Row(episode, StepType.LAST, obs, reward, 0.0 if terminated else 1.0, info))
                deciding.append(self._begin(index))
            else:
                deciding.append(_Row(episode, StepType.MID, obs, reward, 1.0, info))
        return self._steps_of(ended + deciding)

    def _render(self, row: int | None) -> npt.NDArray[np.uint8]:
        if not self._render_option:
            raise UnsupportedError(f"{self.env_spec.target} was opened without graphics; open it with render=True.")
        if row is not None:
            assert self._steps is not None
            episode = int(self._steps.episode[row])
            if self._ended is not None and episode == self._ended[0]:
                return self._ended[1]
            if episode != self._episodes[0]:
                raise UnsupportedError(f"row {row} is not of the first environment, which is the only one that draws.")
        return self._picture()

    def _picture(self) -> npt.NDArray[np.uint8]:
        try:
            picture = self._environments[0].render()
        except Exception as error:
            raise UsageError(
                f"{self.env_spec.target} cannot draw here ({error}): on a machine without a screen, MuJoCo needs EGL "
                "or OSMesa and the variable MUJOCO_GL=egl or MUJOCO_GL=osmesa."
            ) from error
        return np.array(picture, np.uint8)

    def _close(self) -> None:
        for environment in self._environments:
            environment.close()

    def _begin(self, index: int, stream: tuple[int, int] | None = None) -> _Row:
        """The FIRST row of a new episode; with a seed and an incarnation, of new random streams."""
        seed = None if stream is None else seed_stream(stream[0], self._worker, stream[1], index)
        environment = self._environments[index]
        if seed is not None:
            self._logs[index].seed = seed
        self._logs[index].begin(None if seed is not None else environment.unwrapped.np_random)
        observation, info = environment.reset(seed=seed)
        self._episodes[index] = self._next_episode
        self._next_episode += 1
        return _Row(self._episodes[index], StepType.FIRST, self._read(index, observation), 0.0, 1.0, info)

    def _snapshot(self) -> Snapshot | None:
        assert self._steps is not None
        generators = [environment.unwrapped.np_random.bit_generator for environment in self._environments]
        if not all(isinstance(generator, np.random.PCG64) for generator in generators):
            return None
        return {
            "incarnation": self._incarnation,
            "next_episode": self._next_episode,
            "episodes": list(self._episodes),
            "logs": [asdict(log) for log in self._logs],
            "digest": _digest(self._steps.deciding),
        }

    def _resume(self, snapshot: Snapshot) -> Steps:
        """Plays the open episodes again, from the random state in which they began and with the same actions."""
        logs = [_Log(**log) for log in snapshot.get("logs", ())]
        if len(logs) != len(self._environments):
            raise ResumeError(f"the snapshot is of {len(logs)} environments, found {len(self._environments)}.")
        before = self._incarnation, self._next_episode, self._episodes
        self._incarnation, self._next_episode = snapshot["incarnation"], snapshot["next_episode"]
        self._episodes = list(snapshot["episodes"])
        played = f"{self.env_spec.target} played again with the same seed and actions"
        try:
            steps = self._steps_of([self._played_again(index, log) for index, log in enumerate(logs)])
            if _digest(steps) != snapshot["digest"]:
                raise ResumeError(
                    f"{played} observes something else: its random numbers are not all from np_random, or another "
                    "version of it is installed."
                )
        except Exception as error:
            self._incarnation, self._next_episode, self._episodes = before
            if isinstance(error, ResumeError):
                raise
            raise ResumeError(f"{played} fails with {type(error).__name__}: {error}.") from error
        self._logs, self._is_seeded = logs, True
        return steps

    def _played_again(self, index: int, log: _Log) -> _Row:
        environment = self._environments[index]
        observation, info = environment.reset(seed=log.seed)
        if log.generator is not None:
            environment.unwrapped.np_random.bit_generator.state = log.generator
            observation, info = environment.reset()
        reward: SupportsFloat = 0.0
        native = self.codec.encode(np.array(log.actions, np.int32).reshape(-1, len(self.spec.actions.branches)))
        for action in self._actions.to_environments(native):
            observation, reward, _, _, info = environment.step(action)
        step_type = StepType.MID if log.actions else StepType.FIRST
        return _Row(self._episodes[index], step_type, self._read(index, observation), reward, 1.0, info)

    def _read(self, index: int, observation: Any) -> tuple[Array, ...]:
        try:
            return tuple([part.read(observation) for part in self._parts])
        except DataError as error:
            raise DataError(
                f"{self.spec.name}, episode {self._episodes[index]} (worker {self._worker}, environment {index}), "
                f"exchange {self._exchange} after the reset: {error}"
            ) from error

    def _steps_of(self, rows: Sequence[_Row]) -> Steps:
        episode, step_type, obs, reward, discount, info = zip(*rows, strict=True)
        count = len(rows)
        return Steps(
            episode=np.array(episode, np.int64),
            step_type=np.array(step_type, np.uint8),
            # What `read` returned is ours alone, so one row needs no further copy.
            obs=tuple([part[0][None] if count == 1 else np.stack(part) for part in zip(*obs, strict=True)]),
            reward=self._rewards(reward),
            discount=np.array(discount, np.float32),
            mask=self._masks(step_type, info),
            worker=np.full(count, self._worker, np.int32),
            incarnation=np.full(count, self._incarnation, np.int32),
            metrics=self._metrics_of(step_type, info),
        )

    def _rewards(self, rewards: Sequence[SupportsFloat]) -> Float32Array:
        try:
            with np.errstate(over="ignore"):  # becomes infinite, which is refused
                return np.array([float(reward) for reward in rewards], np.float32)
        except (TypeError, ValueError):
            raise DataError(f"{self.spec.name}: the rewards are {rewards!r}, expected numbers.") from None

    def _masks(self, step_type: Sequence[StepType], infos: Sequence[Mapping[str, Any]]) -> tuple[BoolArray, ...]:
        if not self._actions.native.is_discrete or not any("action_mask" in info for info in infos):
            return self.codec.all_allowed(len(infos))
        native = [np.ones((len(infos), size), np.bool_) for size in self._actions.native.branches]
        for row, info in enumerate(infos):
            # No action follows a LAST row, and many environments then allow none.
            if step_type[row] != StepType.LAST and "action_mask" in info:
                for branch, allowed in enumerate(self._actions.split_mask(info["action_mask"])):
                    native[branch][row] = allowed
        masks = self.codec.mask(native)
        for branch, mask in enumerate(masks):
            if not mask.any(axis=1).all():
                raise DataError(f"{self.spec.name}: info['action_mask'] allows no action in branch {branch}.")
        return masks

    def _metrics_of(self, step_type: Sequence[StepType], infos: Sequence[Mapping[str, Any]]) -> dict[str, Float32Array]:
        found: dict[str, Float32Array] = {}

        def add(name: str, row: int, value: Any) -> None:
            found.setdefault(name, np.full(len(infos), np.nan, np.float32))[row] = value

        for row, info in enumerate(infos):
            if not info:
                continue
            for name, key in self._metrics:
                if key in info:
                    try:
                        add(name, row, info[key])
                    except (TypeError, ValueError):
                        raise DataError(
                            f"{self.spec.name}: info[{key!r}] is {info[key]!r}, expected a number."
                        ) from None
            if step_type[row] == StepType.LAST and EPISODE_METRICS in info:
                for name, value in self._numbers_of(info[EPISODE_METRICS]).items():
                    add(name, row, value)
        return found

    def _numbers_of(self, metrics: Any) -> dict[str, float]:
        try:
            return {str(name): float(value) for name, value in metrics.items()}
        except (AttributeError, TypeError, ValueError):
            raise DataError(
                f"{self.spec.name}: info[{EPISODE_METRICS!r}] is {metrics!r}, expected numbers by name."
            ) from None


@dataclass(frozen=True)
class ObservationPart:
    """One leaf of an observation space, and how its values become rows.

    Attributes:
        spec: what the agent sees.
        path: keys and indices that lead to it in the environment's observation.
        shape: of the environment's values.
        dtype: of the environment's values, which images must keep.
        convert: from a value of that shape to a new array of the spec's shape and dtype.
    """

    spec: ObsSpec
    path: tuple[str | int, ...]
    shape: tuple[int, ...]
    dtype: Any
    convert: Callable[[Array], Array]

    def read(self, observation: Any) -> Array:
        """A new array [*spec.shape], which the environment does not know of.

        Raises:
            DataError: the environment did not report what its observation space declares.
        """
        try:
            for key in self.path:
                observation = observation[key]
        except (LookupError, TypeError):
            raise DataError(f"observation {self.spec.name!r} is missing, but its space declares it.") from None
        value = np.asarray(observation)
        if value.shape != self.shape or (value.dtype != self.dtype and self.spec.kind == "image"):
            raise DataError(
                f"observation {self.spec.name!r} is {value.dtype} of shape {value.shape}, but its space declares "
                f"{self.dtype} of shape {self.shape}."
            )
        try:
            return self.convert(value)
        except (DataError, LookupError, TypeError, ValueError) as error:
            raise DataError(f"observation {self.spec.name!r}: {error}") from error


def _digest(steps: Steps) -> str:
    """Of what was observed and earned."""
    digest = hashlib.sha256()
    for array in (*steps.obs, *steps.mask, steps.step_type, steps.reward, steps.episode):
        digest.update(array.tobytes())
    return digest.hexdigest()


def observation_parts(
    space: spaces.Space[Any], *, stacked: bool, path: tuple[str | int, ...] = ()
) -> tuple[ObservationPart, ...]:
    """The leaves of an observation space.

    Args:
        stacked: the first axis of every `Box` holds frames, oldest first.

    Raises:
        UnsupportedError: a space that is neither image nor vector.
    """
    if isinstance(space, spaces.Dict | spaces.Tuple):
        inner = space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
        parts: list[ObservationPart] = []
        for key, part in inner:
            parts += observation_parts(part, stacked=stacked, path=(*path, key))
        return tuple(parts)

    name = ".".join(map(str, path)) or "observation"
    is_goal = "desired_goal" in path
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
        size = spaces.flatdim(space)
        convert = _one_hot(space)
        return (
            ObservationPart(ObsSpec(name, "vector", (size,), is_goal), path, space.shape or (), space.dtype, convert),
        )
    if not isinstance(space, spaces.Box):
        raise UnsupportedError(
            f"observation {name!r} is a {type(space).__name__} space; there are Box, Discrete, MultiDiscrete, "
            "MultiBinary, and Dict and Tuple of these: wrap the environment."
        )
    if not all(space.shape):
        raise UnsupportedError(f"observation {name!r} of shape {space.shape} is empty: leave it out.")
    low, high = float(space.low.min()), float(space.high.max())
    image = image_layout(space.shape, np.dtype(space.dtype), low, high, stacked=stacked)
    if image is None:
        spec, convert = ObsSpec(name, "vector", (int(np.prod(space.shape)),), is_goal), _flat_float32
    else:
        spec, convert = ObsSpec(name, "image", image.shape, is_goal), image.convert
    return (ObservationPart(spec, path, space.shape, space.dtype, convert),)


def _flat_float32(value: Array) -> Array:
    with np.errstate(over="ignore"):  # becomes infinite, which is refused
        return np.array(value, np.float32).reshape(-1)


def _one_hot(space: spaces.Space[Any]) -> Callable[[Array], Array]:
    def convert(value: Array) -> Array:
        return np.array(spaces.flatten(space, value), np.float32)

    return convert


class _ActionAdapter:
    """From rows of native numbers to what the environment's action space holds."""

    def __init__(self, space: spaces.Space[Any]) -> None:
        self._space = space
        self._start: Any = 0
        if isinstance(space, spaces.Discrete):
            self.native = NativeActions(branches=(int(space.n),))
            self._start = int(space.start)
        elif isinstance(space, spaces.MultiDiscrete):
            self.native = NativeActions(branches=tuple(map(int, space.nvec.ravel())))
            self._start = space.start.ravel()
        elif isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating) and all(space.shape):
            low, high = (tuple(map(float, bound.ravel())) for bound in (space.low, space.high))
            self.native = NativeActions(low=low, high=high)
        else:
            raise UnsupportedError(
                f"the action space is {space}; there are Discrete, MultiDiscrete and Box of floats: wrap the "
                "environment."
            )

    def to_environments(self, native: Array) -> list[Any]:
        """native [M, dims] -> M actions."""
        if isinstance(self._space, spaces.Discrete):
            return [action + self._start for action in native[:, 0].tolist()]
        moved = (native + self._start).astype(self._space.dtype)
        return list(moved.reshape(len(native), *(self._space.shape or ())))

    def split_mask(self, mask: Any) -> list[Array]:
        """`info["action_mask"]` as one bool array per branch; several branches come in a sequence or end to end.

        Raises:
            DataError: other sizes than the action space has.
        """
        branches = self.native.branches
        parts = [np.asarray(part).ravel() for part in mask] if len(branches) == len(mask) > 1 else []
        if not parts:
            parts = np.split(np.asarray(mask).ravel(), np.cumsum(branches)[:-1])
        sizes = tuple(len(part) for part in parts)
        if sizes != branches:
            raise DataError(f"info['action_mask'] has {sizes} entries, expected {branches} (1 = allowed).")
        return [part.astype(np.bool_) for part in parts]


def make_environment(target: str, options: GymnasiumOptions, *, render: bool) -> Environment:
    """One environment, wrapped as the options say. See `open_bridge` for the errors."""
    _import_module_of(target)
    settings = {**options.env_kwargs, **({"render_mode": "rgb_array"} if render else {})}
    if render and _has_no_screen():
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pygame looks for a screen all the same, and complains
    with warnings.catch_warnings():
        # An older version of a task is a choice (results stay comparable), not a mistake.
        warnings.filterwarnings("ignore", ".*is out of date. You should consider upgrading.*")
        warnings.filterwarnings("ignore", ".*render_mode='rgb_array' that is not in the possible.*")  # asked below
        try:
            # Their checker costs time in every step; the bridge checks what it needs itself.
            environment: Environment = gymnasium.make(target, disable_env_checker=True, **settings)
        except Exception as error:
            raise _usage_error(target, error) from error
    if render and "rgb_array" not in environment.metadata.get("render_modes", ()):
        environment.close()
        raise _no_pictures(target)
    if render:
        try:
            if hasattr(environment.unwrapped, "mujoco_renderer"):
                _prepare_graphics(target)
            if options.camera is not None:
                _aim_camera(target, environment, options.camera)
        except BaseException:
            environment.close()
            raise
    if options.frame_stack > 1:
        environment = gymnasium.wrappers.FrameStackObservation(environment, options.frame_stack)
    return environment


def _has_no_screen() -> bool:
    """Servers, containers, Colab."""
    return sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _prepare_graphics(target: str) -> None:
    """Without a screen MuJoCo draws only if told what with: EGL or else OSMesa.

    A choice already made stays. Once one of them is loaded, the other cannot be: each is tried in a process of its own.

    Raises:
        UsageError: neither works.
    """
    if not _has_no_screen() or "MUJOCO_GL" in os.environ:
        return
    for library in ("egl", "osmesa"):
        if _draws_with(library):
            os.environ["MUJOCO_GL"] = library
            return
    raise UsageError(
        f"{target} cannot draw here: there is no screen, and neither EGL nor OSMesa works; install OSMesa (Debian and "
        "Ubuntu: apt-get install libosmesa6), or a graphics driver with EGL."
    )


def _draws_with(library: str) -> bool:
    environment = {**os.environ, "MUJOCO_GL": library, "PYOPENGL_PLATFORM": library}
    code = "import mujoco; mujoco.GLContext(8, 8).make_current()"
    try:
        tried = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=GRAPHICS_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return tried.returncode == 0


def _aim_camera(target: str, environment: Environment, camera: str | Mapping[str, float]) -> None:
    """Sets where pictures are taken from, before the first one is. Raises `UsageError`."""
    renderer = getattr(environment.unwrapped, "mujoco_renderer", None)
    if renderer is None:
        raise UsageError(f"{target} has no camera to choose, only MuJoCo environments have: leave the option out.")
    if isinstance(camera, str):
        names = [renderer.model.camera(index).name for index in range(renderer.model.ncam)]
        if camera not in names:
            have = f"has {', '.join(names)}" if names else "has none with a name"
            raise UsageError(f"there is no camera {camera!r}: the model of {target} {have}.")
        renderer.camera_id = names.index(camera)
        return
    for name in camera:
        if name not in CAMERA_KEYS:
            raise UsageError(f"a camera has no {name!r}; there are {', '.join(CAMERA_KEYS)}.")
    renderer.camera_id = -1  # the free one
    renderer.default_cam_config = {**(renderer.default_cam_config or {}), **camera}


def _import_module_of(target: str) -> None:
    """Imports `module` of `module:ID`, installed or below the working directory."""
    module, colon, _ = target.rpartition(":")
    if not colon:
        return
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:  # absent when started by an installed command
        sys.path.append(here)
    try:
        importlib.import_module(module)
    except Exception as error:
        raise UsageError(
            f"the module of {target!r} cannot be imported ({type(error).__name__}: {error}): expected `module:ID`, the "
            "module installed or in the working directory."
        ) from error


def _usage_error(target: str, error: Exception) -> UsageError:
    """What went wrong in `gymnasium.make`, as a sentence that says what to do."""
    if "unexpected keyword argument 'render_mode'" in str(error):
        return _no_pictures(target)
    if isinstance(error, gymnasium.error.DependencyNotInstalled):
        return UsageError(f"{target} needs a package that is not installed: {error}.")
    if isinstance(error, ImportError) and "mujoco<3" in str(error):
        return UsageError(pusher_sentence(target, importlib.metadata.version("mujoco"), platform.python_version()))
    if isinstance(error, ModuleNotFoundError):
        return UsageError(
            f"{target} needs the package {error.name!r}, which is not installed: pip install {error.name}."
        )
    unregistered = (gymnasium.error.UnregisteredEnv, gymnasium.error.DeprecatedEnv)
    if isinstance(error, unregistered) or type(error) is gymnasium.error.Error:  # the last one: a malformed id
        return UsageError(_unknown_id(target))
    return UsageError(f"{target} cannot be made: {error}")


def _no_pictures(target: str) -> UnsupportedError:
    return UnsupportedError(f"{target} cannot render pictures (rgb_array); open it with render=False.")


def pusher_sentence(target: str, mujoco_version: str, python_version: str) -> str:
    """Why Pusher-v4 is refused from mujoco 3 on."""
    return (
        f"{target} needs mujoco 2.3.7 and so Python 3.11, found mujoco {mujoco_version} on Python {python_version}: "
        "from mujoco 3 on the arm passes through the object (Gymnasium #950); use Python 3.11. Pusher-v5 is a "
        "different task with other returns, and there the arm still sinks into the object (Gymnasium #1576)."
    )


def _unknown_id(target: str) -> str:
    name = target.rpartition(":")[2]
    known = sorted(gymnasium.registry)
    if name.startswith("ALE/") or "NoFrameskip" in name:
        hint = "for Atari, pip install \"gymnasium[atari]\" and ask for 'ale_py:ALE/Pong-v5'"
    elif name.startswith("MinAtar/"):
        hint = f"for MinAtar, pip install minatar and ask for 'envs.minatar:{name}'"
    elif near := difflib.get_close_matches(name, known, n=1):
        hint = f"did you mean {near[0]!r}?"
    else:
        hint = "expected an id such as 'CartPole-v1', or 'module:ID' with the module that registers it."
    return f"there is no gymnasium environment {target!r}; {hint}"
