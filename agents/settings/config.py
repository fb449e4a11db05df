"""The one configuration: sections of frozen fields, each with a line of help; presets and command lines fill it.

What a value may be belongs here, and how the strings of a command line become values; those of mappings are YAML, so
its text is read here too. The files belong to `files`, the presets to `presets`, and the choice of one to `resolve`.

Order of precedence, weakest first: the defaults here, the preset, the command line. An unknown key or a wrong type is
a `ConfigError` that names the field and, where there is one, the nearest known key.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic import NonNegativeFloat as NotNegative
from pydantic import NonNegativeInt as Count
from pydantic import PositiveFloat as Positive
from pydantic import PositiveInt as PositiveCount

from bridge import EnvSpec

Unit = Literal["steps", "updates", "episodes"]
Fraction = Annotated[float, Field(ge=0, le=1)]


class ConfigError(ValueError):
    """A configuration that cannot be used; the message is one line."""


def _split(value: Any) -> Any:
    """`64,64` on a command line is a list of two."""
    if not isinstance(value, str):
        return value
    return [part.strip() for part in value.strip("[]() ").split(",") if part.strip()]


def _optional(value: Any) -> Any:
    """`none` on a command line is None."""
    return None if isinstance(value, str) and value.lower() == "none" else value


def _parsed(value: Any) -> Any:
    """`{gridSize: 7}` on a command line is a mapping."""
    return parse_mapping(value, value) if isinstance(value, str) else value


def _rising(values: tuple[int, ...]) -> tuple[int, ...]:
    """Counts, each once and in order."""
    if any(later <= earlier for earlier, later in pairwise(values)):
        raise ValueError(f"found {', '.join(map(str, values))}, expected rising numbers")
    return values


Mapped = BeforeValidator(_parsed)
Optional = BeforeValidator(_optional)
Numbers = Annotated[tuple[float, ...], BeforeValidator(_split)]
Sizes = Annotated[tuple[PositiveCount, ...], BeforeValidator(_split)]
Words = Annotated[tuple[str, ...], BeforeValidator(_split)]
Points = Annotated[tuple[PositiveCount, ...], BeforeValidator(_split), AfterValidator(_rising)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """YAML's `no` and `off` are false, which would do for 0."""
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise ValueError(f"found {value}, expected something else than true or false")
        return value


class EnvironmentConfig(Section):
    """What to train on. Fields that only one backend knows say so."""

    backend: Literal["unity", "gym"] = Field("gym", description="where the environment comes from")
    build: str = Field("", description="unity: name of a build in unity_builds/, or its path")
    env: str = Field("", description="gym: environment id, or module:ID")
    num_envs: PositiveCount = Field(1, description="number of environments")
    workers: Count = Field(
        0, description="processes that the environments are spread over; 0: this one (a Unity player is always its own)"
    )
    max_restarts: Count = Field(
        10, description="how often each player or worker that died or hung is replaced within the restart window"
    )
    restart_window: Positive = Field(600.0, description="seconds in which restarts are counted")
    log_folder: Annotated[str | None, Optional] = Field(
        None, description="folder in which the logs of players and workers stay"
    )
    codec: str = Field("auto", description="how actions become the environment's: identity, offset, one_joint, levels")
    offset: Count = Field(1, description="codec offset: agent action k is the environment's action k + offset")
    levels: Numbers = Field((), description="codec levels: values of each dimension, environment units; empty: 5")
    reward_rule: Annotated[str | None, Optional] = Field(
        None,
        description="how rewards depend on the goal, for learner.relabel: opposite = two goals, one wrong where the "
        "other is right",
    )
    frame_stack: PositiveCount = Field(1, description="gym: number of latest frames in one observation")
    env_kwargs: Annotated[dict[str, Any], Mapped] = Field(
        {}, description="gym: arguments of the environment's constructor, as {key: value}"
    )
    env_args: tuple[str, ...] = Field((), description="unity: arguments for the build")
    env_params: Annotated[dict[str, float], Mapped] = Field(
        {}, description="unity: environment parameters, as {gridSize: 7}"
    )
    behavior: Annotated[str | None, Optional] = Field(
        None, description="unity: the behaviour to train, when a build has several"
    )
    base_port: Annotated[PositiveCount | None, Optional] = Field(
        None, description="unity: first port; default 5005, then the next free one"
    )
    no_graphics: bool = Field(False, description="unity: start the build without graphics")
    time_scale: Positive = Field(12.0, description="unity: game seconds per second in training")
    listen: Annotated[str | None, Optional] = Field(
        None, description="unity: address of this machine on which a build elsewhere may connect, such as 0.0.0.0"
    )
    timeout: Positive = Field(60.0, description="seconds to wait for the answer of a player or worker")

    @property
    def target(self) -> str:
        return self.build if self.backend == "unity" else self.env

    def spec(self, seed: int) -> EnvSpec:
        """The description that the bridge takes: only the fields that the backend knows."""
        pool = ("num_envs", "workers", "max_restarts", "restart_window", "timeout", "log_folder")
        shared = (*pool, "codec", "offset", "levels", "reward_rule")
        own = {
            "unity": ("env_args", "env_params", "behavior", "base_port", "listen", "no_graphics", "time_scale"),
            "gym": ("frame_stack", "env_kwargs"),
        }
        names = (*shared, *own[self.backend])
        return EnvSpec(self.backend, self.target, {name: getattr(self, name) for name in names}, seed)


class NetworkConfig(Section):
    observations: Words = Field(
        ("all",), description="which observations are used: sensor names, or image, vector, goal, all"
    )
    encoder: Literal["nature", "simple", "minatar", "small", "keypoints"] = Field(
        "simple",
        description="convolutions of images: nature = 32 8/4, 64 4/2, 64 3/1; simple = 16 8/4, 32 4/2; "
        "minatar = 16 3/1; small = 16 4/2, 32 4/2; keypoints = 32 4/4, 32 3/1, then each channel's position in the "
        "image instead of its pixels",
    )
    downsample: PositiveCount = Field(1, description="images: every n-th pixel of every n-th row is used")
    goal: Literal["gate", "product", "concat"] = Field(
        "concat",
        description="gate = one copy of the image per goal, times the goal; product = the same with the encoded image; "
        "concat = joined after the encoder",
    )
    hidden: Sizes = Field((128,), description="units of the fully connected layers")
    activation: Literal["relu", "elu"] = Field("relu", description="activation after each layer")
    layer_norm: bool = Field(False, description="LayerNorm before each fully connected layer's activation")
    dueling: bool = Field(False, description="state value plus advantages (Wang et al. 2016; branches: Tavakoli 2018)")
    normalize: bool = Field(False, description="running mean 0 and deviation 1 of vectors and image channels")


class LearnerConfig(Section):
    batch_size: PositiveCount = Field(64, description="transitions per update")
    learning_rate: Positive = Field(5e-4, description="step size of the optimiser")
    learning_rate_end: Annotated[Positive | None, Optional] = Field(
        None, description="the step size falls to this, linearly over the training; none: it stays"
    )
    optimizer: Literal["adam", "rmsprop"] = Field("adam", description="optimiser")
    loss: Literal["huber", "mse"] = Field("huber", description="loss of the TD error")
    gamma: Fraction = Field(0.99, description="discount per agent step")
    n_step: PositiveCount = Field(1, description="rewards summed before the bootstrap, agent steps")
    double: bool = Field(
        True, description="the online network chooses the bootstrap's action (van Hasselt et al. 2016)"
    )
    target: Literal["hard", "polyak", "none"] = Field(
        "polyak", description="how the target network follows; none: no such"
    )
    target_period: PositiveCount = Field(1000, description="hard: copied every so many target_unit")
    target_unit: Unit = Field("updates", description="hard: unit of target_period")
    polyak: Fraction = Field(0.005, description="polyak: weight of the online network per update")
    backup: Literal["max", "soft"] = Field(
        "max",
        description="what the next state is worth: max = its best action; soft = the softmax policy over Q, entropy "
        "included (Haarnoja et al. 2018; Christodoulou 2019)",
    )
    temperature: Positive = Field(0.1, description="soft: temperature of the softmax, at first where it is learned")
    # No temperature has all of that entropy, or none: it would grow, or fall, until floats end.
    entropy_target: Annotated[Annotated[float, Field(gt=0, lt=1)] | None, Optional] = Field(
        None,
        description="soft: the temperature is learned such that the policy has this part of the uniform one's entropy; "
        "none: it stays",
    )
    entropy_target_end: Annotated[Annotated[float, Field(gt=0, lt=1)] | None, Optional] = Field(
        None, description="soft: entropy_target falls to this, linearly over the training; none: it stays"
    )
    advantage_learning: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0,
        description="this part of how much worse an action is than the best one is subtracted from its target, so that "
        "the values of good and bad actions lie further apart (Baird 1999; Bellemare et al. 2016)",
    )
    relabel: Fraction = Field(
        0.0,
        description="part of each batch that is learned under the goal that it did not have (hindsight, Andrychowicz "
        "et al. 2017); needs environment.reward_rule",
    )
    random_shift: Count = Field(
        0,
        description="images of a batch are moved by up to so many of the network's pixels each way (Kostrikov et al. "
        "2020)",
    )
    target_rate: Fraction = Field(1.0, description="part of the way from Q to its target that an update aims at")
    updates_per_step: Positive = Field(1.0, description="updates per agent step, may be a fraction")
    learning_starts: Count = Field(1000, description="agent steps before the first update")
    reset_at: Points = Field(
        (),
        description="agent steps after which both networks get new weights and the optimiser forgets; the replay stays "
        "(Nikishin et al. 2022)",
    )
    max_grad_norm: NotNegative = Field(10.0, description="gradients are clipped to this norm; 0: not at all")


class ReplayConfig(Section):
    capacity: PositiveCount = Field(
        100_000, description="observations kept; one per agent step, one more per truncation"
    )
    demonstrations: Words = Field((), description="files of `agents.play --save` whose episodes the replay begins with")


class ExplorationConfig(Section):
    kind: Literal["epsilon", "boltzmann", "soft"] = Field(
        "epsilon",
        description="epsilon = uniform with that probability; boltzmann = softmax of Q over a temperature; "
        "soft = the same with the temperature of the learner's soft backup",
    )
    schedule: Literal["linear", "exponential"] = Field("linear", description="how the level falls from start to end")
    unit: Unit = Field("steps", description="unit of duration, decay and delay")
    start: NotNegative = Field(1.0, description="first level: an epsilon, or a temperature")
    end: NotNegative = Field(0.05, description="last level")
    duration: PositiveCount = Field(10_000, description="linear: units from start to end")
    decay: Fraction = Field(0.999, description="exponential: factor per unit")
    delay: Count = Field(0, description="units before the level begins to fall")
    hold: float = Field(
        1.0,
        ge=1,
        description="mean agent steps, per branch, that a random action is held, or, without epsilon, the noise that "
        "chooses by the softmax",
    )

    @model_validator(mode="after")
    def _epsilon_is_a_probability(self) -> Self:
        if self.kind == "epsilon" and max(self.start, self.end) > 1:
            raise ValueError("an epsilon is a probability: expected start and end from 0 to 1")
        return self


class TrainingConfig(Section):
    steps: Count = Field(50_000, description="agent steps: decisions of all agents together; 0: no limit")
    episodes: Count = Field(0, description="episodes; 0: no limit")
    seed: Count = Field(0, description="entropy of every random stream")
    failure_reward: Annotated[float | None, Optional] = Field(
        None, description="reward learned where an episode terminates before its limit; scores stay as they are"
    )
    summary_episodes: PositiveCount = Field(10, description="episodes per line and per point of the curves")
    minutes: NotNegative = Field(0.0, description="minutes of wall clock, over all resumes; 0: no limit")
    stop_score: Annotated[float | None, Optional] = Field(
        None, description="training ends when the mean of the latest stop_window evaluations reaches this"
    )
    stop_window: PositiveCount = Field(1, description="evaluations that stop_score takes the mean of")
    patience: Count = Field(
        0, description="training ends after so many evaluations without a better one; 0: it does not"
    )
    checkpoint_seconds: Positive = Field(300.0, description="seconds between checkpoints; one more at the end")
    checkpoint_episodes: Count = Field(0, description="episodes between checkpoints besides; 0: only the seconds count")
    keep_checkpoints: PositiveCount = Field(
        2, description="latest checkpoints kept, each with the whole replay; the best one is kept besides"
    )
    save_replay: bool = Field(
        True, description="checkpoints hold the replay; without it a resumed run begins with an empty one"
    )
    histograms: bool = Field(False, description="histograms of all weights in TensorBoard, with each summary")
    torch_device: str = Field("", description="cpu, cuda, cuda:1, mps; default: cuda if there is one")
    torch_threads: PositiveCount = Field(1, description="threads of one operation on the CPU")


class EvaluationConfig(Section):
    episodes: PositiveCount = Field(100, description="episodes of the final test")
    steps: Count = Field(0, description="agent steps of the final test instead of episodes; 0: episodes count")
    epsilon: Fraction = Field(0.0, description="probability of a random action in the test")
    seed: Count = Field(1_000_000, description="seed of the test's environment, apart from training's")
    time_scale: Positive = Field(1.0, description="unity: game seconds per second in the test")
    num_envs: PositiveCount = Field(1, description="number of environments in the test")
    every: Count = Field(0, description="agent steps between evaluations in training; 0: none")
    every_episodes: PositiveCount = Field(20, description="episodes of each evaluation in training")
    clip: bool = Field(
        False, description="show an episode of each new best evaluation in training as an animation in TensorBoard"
    )
    policy: Literal["final", "best"] = Field(
        "final", description="what is tested; best: of the evaluations in training"
    )
    network: Literal["online", "target"] = Field(
        "online",
        description="whose actions are tested, played and exported; target: the target network's, which with "
        "learner.target polyak is an average of the latest online ones",
    )
    success_score: Annotated[float | None, Optional] = Field(
        None, description="an episode with at least this score is a success"
    )

    @model_validator(mode="after")
    def _needs_evaluations(self) -> Self:
        if not self.every and (self.policy == "best" or self.clip):
            what = "policy best" if self.policy == "best" else "clip"
            raise ValueError(f"{what} needs evaluations in training: set evaluation.every")
        return self


class Config(Section):
    """The resolved configuration of a run."""

    preset: str = Field("", description="the preset that these values come from")
    environment: EnvironmentConfig = EnvironmentConfig()
    network: NetworkConfig = NetworkConfig()
    learner: LearnerConfig = LearnerConfig()
    replay: ReplayConfig = ReplayConfig()
    exploration: ExplorationConfig = ExplorationConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    @model_validator(mode="after")
    def _stopping_needs_evaluations(self) -> Self:
        needed = {"stop_score": self.training.stop_score is not None, "patience": self.training.patience > 0}
        for name, needs in needed.items():
            if needs and not self.evaluation.every:
                raise ValueError(f"training.{name} needs evaluations in training: set evaluation.every")
        return self

    @model_validator(mode="after")
    def _relabelling_knows_the_reward(self) -> Self:
        if not self.learner.relabel:
            return self
        if self.environment.reward_rule is None:
            raise ValueError(
                "learner.relabel needs to know how rewards depend on the goal: set environment.reward_rule"
            )
        if self.learner.n_step > 1 or self.training.failure_reward is not None:
            raise ValueError(
                "learner.relabel needs the rewards of single steps as they are: set learner.n_step to 1 and "
                "training.failure_reward to none"
            )
        if not self.learner.gamma:
            raise ValueError("learner.relabel needs to tell ends from other steps: set learner.gamma above 0")
        return self

    @model_validator(mode="after")
    def _advantage_learning_compares_with_the_best(self) -> Self:
        if self.learner.advantage_learning and self.learner.backup != "max":
            raise ValueError(
                "learner.advantage_learning compares with the best action, which the soft backup does not: set it to "
                "0, or learner.backup to max"
            )
        return self

    @model_validator(mode="after")
    def _soft_settings_need_the_soft_backup(self) -> Self:
        needed = {
            "exploration.kind soft": self.exploration.kind == "soft",
            "learner.entropy_target": self.learner.entropy_target is not None,
        }
        for name, needs in needed.items():
            if needs and self.learner.backup != "soft":
                raise ValueError(f"{name} needs the soft backup: set learner.backup to soft")
        if self.learner.entropy_target_end is not None and self.learner.entropy_target is None:
            raise ValueError("learner.entropy_target_end needs an entropy to fall from: set learner.entropy_target")
        return self


Values = Mapping[str, Any]


def sections() -> dict[str, type[Section]]:
    """The sections of `Config` by name."""
    return {
        name: field.annotation
        for name, field in Config.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
    }


def merged(weak: Values, strong: Values) -> dict[str, Any]:
    """Nested values, `strong` over `weak`, section by section."""
    result = dict(weak)
    for key, value in strong.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping) and key in sections()
        result[key] = {**result[key], **value} if both else value
    return result


def build_config(values: Values) -> Config:
    """The configuration of these nested values.

    Raises:
        ConfigError: an unknown key (the nearest known one is named) or a value that does not fit.
    """
    _refuse_unknown("", values, list(Config.model_fields))
    for name, kind in sections().items():
        section = values.get(name, {})
        if not isinstance(section, Mapping):
            raise ConfigError(f"{name}: found {section!r}, expected a mapping of settings.")
        _refuse_unknown(f"{name}.", section, list(kind.model_fields))
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        if first["type"] == "value_error":
            place = f"{path}: " if path else ""  # what is wrong between two sections names them itself
            raise ConfigError(f"{place}{str(first['ctx']['error']).rstrip('.')}.") from None
        problem = first["msg"].replace("Input should be", "expected")
        raise ConfigError(f"{path}: found {first['input']!r}, {problem}.") from None


def with_backend(values: dict[str, Any]) -> dict[str, Any]:
    """`--build` alone means Unity, `--env` alone gymnasium. Raises `ConfigError` when they contradict."""
    environment = dict(values.get("environment", {}))
    implied = {"unity": "build" in environment, "gym": "env" in environment}
    if all(implied.values()):
        raise ConfigError("--build is for Unity and --env for gymnasium: give one of them.")
    for backend, given in implied.items():
        if given and environment.setdefault("backend", backend) != backend:
            wanted = "--build" if environment["backend"] == "unity" else "--env"
            raise ConfigError(f"--backend {environment['backend']} takes {wanted}.")
    return {**values, "environment": environment}


def nearest(name: str, known: list[str]) -> str:
    """The end of a sentence about an unknown name."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}."


def parse_mapping(text: str | bytes, source: str) -> dict[str, Any]:
    """The mapping in a YAML text; `source` names it in the `ConfigError` that it raises."""
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{source} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{source}: found {type(values).__name__}, expected a mapping.")
    return values


def _refuse_unknown(prefix: str, values: Values, known: list[str]) -> None:
    for key in values:
        if key not in known:
            raise ConfigError(f"unknown setting {prefix + str(key)!r}; {nearest(str(key), known)}")
