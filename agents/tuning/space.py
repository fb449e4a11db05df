"""What is searched: ranges and choices of settings, from a command line or a YAML file.

learner.learning_rate=1e-4..1e-2:log     a range, here on a logarithmic scale
replay.capacity=10000..50000:10000       a range in steps
learner.n_step=1,3,5                     choices
network.hidden=[64],[128,128]            choices that are lists
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from agents.settings.config import ConfigError, Values, build_config, merged, sections
from agents.settings.files import read_mapping

OPTION = "--search"
#: What is searched when nobody says: what decides most often, within what has worked somewhere.
DEFAULT = {
    "learner.learning_rate": "1e-4..3e-3:log",
    "learner.batch_size": "32,64,128,256",
    "learner.n_step": "1,3,5",
    "learner.gamma": "0.95,0.98,0.99,0.995",
    "learner.updates_per_step": "0.25,0.5,1",
    "network.hidden": "[128],[256],[256,256]",
    "exploration.end": "0.01..0.1:log",
}
#: What must be the same for all trials: what they are trained on, how long, and how they are measured.
FIXED_SECTIONS = ("evaluation", "training")
FIXED_FIELDS = frozenset(f"environment.{name}" for name in ("backend", "build", "env", "behavior", "env_kwargs"))
SEARCHED_FIELDS = frozenset({"training.failure_reward"})

_RANGE = re.compile(r"(?P<low>[^:,\[\]]+?)\.\.(?P<high>[^:,\[\]]+)(?::(?P<scale>[^:]+))?")
_CHOICE = re.compile(r"(?:\[[^\]]*\]|[^,\[\]])+")

#: A choice as Optuna keeps it: what is no scalar, as JSON.
Label = bool | int | float | str | None
#: As they were written, by their setting's dotted name: a text, or a YAML list of choices.
Words = Mapping[str, Any]


@dataclass(frozen=True)
class Range:
    """Every value from `low` to `high`, both included; whole numbers if both are."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def is_whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    def label(self, value: Any) -> Label:
        """The value as Optuna keeps it. Raises `LookupError` when it is not within."""
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not self.low <= value <= self.high or (self.step and _rest(value - self.low, self.step)):
            raise LookupError(value)
        return int(value) if self.is_whole else float(value)

    def value(self, label: Label) -> Any:
        return label

    def __str__(self) -> str:
        scale = ":log" if self.log else f":{self.step}" if self.step else ""
        return f"{self.low}..{self.high}{scale}"


@dataclass(frozen=True)
class Choices:
    """One of these JSON values."""

    values: tuple[Any, ...]

    @property
    def labels(self) -> list[Label]:
        return [_label(value) for value in self.values]

    def label(self, value: Any) -> Label:
        """The value as Optuna keeps it. Raises `LookupError` when it is none of the choices."""
        if value not in self.values:
            raise LookupError(value)
        return _label(value)

    def value(self, label: Label) -> Any:
        return self.values[self.labels.index(label)]

    def __str__(self) -> str:
        return ",".join(str(label) for label in self.labels)


Space = dict[str, Range | Choices]


def read_words(searches: Sequence[str]) -> dict[str, Any]:
    """What `--search` was given, each time `section.field=...` or a YAML file. Raises `ConfigError`."""
    words: dict[str, Any] = {}
    for search in searches:
        name, equals, text = search.partition("=")
        is_file = not equals and search.endswith((".yaml", ".yml"))
        if not is_file and not (name and text):
            raise ConfigError(
                f"{OPTION}: found {search!r}, expected section.field=low..high, section.field=a,b,c or a YAML file."
            )
        found = _read_file(Path(search)) if is_file else {name.replace("-", "_"): text}
        for path, given in found.items():
            if path in words:
                raise ConfigError(f"{OPTION} says twice what {path} is to be: give it once.")
            words[path] = given
    return words


def default_words(given: Values) -> dict[str, Any]:
    """The space that is searched when nobody says, without what was given otherwise."""
    return {path: text for path, text in DEFAULT.items() if not _is_given(path, given)}


def check_given(words: Words, given: Values) -> None:
    """Raises `ConfigError` when a setting is to be searched and was given, too."""
    for path in words:
        if _is_given(path, given):
            option = f"--{path}".replace("_", "-")
            raise ConfigError(f"{path} is searched and given by its own option, too: leave out {option} or {OPTION}.")


def read_space(words: Words, values: Values) -> Space:
    """What these words mean, each setting checked beside the other `values` of a configuration.

    Raises:
        ConfigError: an unknown setting, one that cannot be searched, a value that does not fit, a range of what is no
            number.
    """
    if not words:
        raise ConfigError(f"nothing to search: every setting of the default space is given; say what with {OPTION}.")
    return {path: _read(path, given, values) for path, given in words.items()}


def nested(space: Space, labels: Mapping[str, Label]) -> dict[str, Any]:
    """What Optuna chose, as values of a configuration."""
    values: dict[str, Any] = {}
    for path, label in labels.items():
        section, name = path.split(".")
        values.setdefault(section, {})[name] = space[path].value(label)
    return values


def labels_of(space: Space, config: Values) -> dict[str, Label]:
    """A configuration's own values, as Optuna keeps them, of those settings whose range or choices have them."""
    labels: dict[str, Label] = {}
    for path, searched in space.items():
        section, name = path.split(".")
        try:
            labels[path] = searched.label(config[section][name])
        except LookupError:
            continue
    return labels


def _read(path: str, given: Any, values: Values) -> Range | Choices:
    _check_name(path)
    if isinstance(given, str) and (match := _RANGE.fullmatch(given.strip())):
        return _read_range(path, match, values)
    choices = given if isinstance(given, list) else _CHOICE.findall(str(given))
    read = [_fitting(path, item.strip() if isinstance(item, str) else item, values) for item in choices]
    if len(read) < 2:
        option = f"--{path}".replace("_", "-")
        raise ConfigError(f"{OPTION} {path}: found {given}, expected two choices or more; {option} sets one value.")
    for position, value in enumerate(read):
        if value in read[:position]:
            raise ConfigError(f"{OPTION} {path}: found the choice {_label(value)} twice, expected each once.")
    return Choices(tuple(read))


def _read_range(path: str, match: re.Match[str], values: Values) -> Range:
    kind, text = _kind(path), match[0]
    if kind not in (int, float):
        what = "is true or false" if kind is bool else "is no number"
        example = "true,false" if kind is bool else "a,b"
        raise ConfigError(
            f"{OPTION} {path}: found the range {text}, but this {what}: give choices, as {path}={example}."
        )
    low, high = (_fitting(path, match[name].strip(), values) for name in ("low", "high"))
    if not isinstance(low, kind) or not isinstance(high, kind) or low >= high:
        raise ConfigError(f"{OPTION} {path}: found the range {text}, expected its first number below its second.")
    scale = match["scale"]
    if scale is None:
        return Range(low, high)
    if scale == "log":
        if low <= 0:
            raise ConfigError(f"{OPTION} {path}: found {text}, expected a range above 0 where it is logarithmic.")
        return Range(low, high, log=True)
    try:
        step = kind(scale)
    except ValueError:
        step = 0
    if not step > 0 or _rest(high - low, step):
        raise ConfigError(f"{OPTION} {path}: found {text}, expected :log or a step that divides the range after the :.")
    return Range(low, high, step=step)


def _fitting(path: str, item: Any, values: Values) -> Any:
    """The setting's value, as JSON has it. Raises `ConfigError` when it does not fit."""
    section, name = path.split(".")
    try:
        config = build_config(merged(values, {section: {name: item}}))
    except ConfigError as error:
        raise ConfigError(f"{OPTION} {error}") from None
    return config.model_dump(mode="json")[section][name]


def _check_name(path: str) -> None:
    known = {f"{section}.{name}": section for section, kind in sections().items() for name in kind.model_fields}
    if path not in known:
        near = difflib.get_close_matches(path, known, n=1)
        end = f"did you mean {near[0]!r}?" if near else "agents.train --help lists the settings."
        raise ConfigError(f"{OPTION}: unknown setting {path!r}; {end}")
    if path in FIXED_FIELDS or (known[path] in FIXED_SECTIONS and path not in SEARCHED_FIELDS):
        raise ConfigError(f"{OPTION}: {path} cannot be searched: it has to be the same for trials that are compared.")


def _kind(path: str) -> Any:
    """The type of a setting: int, float, bool, or another one."""
    section, name = path.split(".")
    kind: Any = sections()[section].model_fields[name].annotation
    while get_origin(kind) in (Annotated, Union, UnionType):
        kind = get_args(kind)[0]
    return kind


def _read_file(path: Path) -> dict[str, Any]:
    """A mapping of sections to mappings of fields."""
    if not path.is_file():
        raise ConfigError(f"{OPTION}: there is no file {str(path)!r}.")
    words: dict[str, Any] = {}
    for section, fields in read_mapping(path).items():
        if not isinstance(fields, Mapping):
            raise ConfigError(f"{path}: found {fields!r} for {section!r}, expected a section with settings.")
        for name, given in fields.items():
            if not isinstance(given, str | list):
                raise ConfigError(
                    f"{path}: found {given!r} for {section}.{name}, expected a range such as 1e-4..1e-2:log or a list."
                )
            words[f"{section}.{name}"] = given
    return words


def _is_given(path: str, given: Values) -> bool:
    section, name = path.split(".") if path.count(".") == 1 else (path, "")
    return name in given.get(section, {})


def _rest(length: float, step: float) -> bool:
    """Whether something is left over, in the decimal digits that a person wrote."""
    return Decimal(str(round(length, 12))) % Decimal(str(step)) != 0


def _label(value: Any) -> Label:
    return value if value is None or isinstance(value, bool | int | float | str) else json.dumps(value)
