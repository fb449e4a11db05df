"""Options of an `EnvSpec`, read into a backend's dataclass: an unknown name is an error that names the nearest."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import numpy as np

from bridge.errors import UsageError

T = TypeVar("T")

#: The types of options in words, and of several.
WORDS = {
    bool: ("True or False", "truth values"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a string", "strings"),
    NoneType: ("None", ""),
}


def parse_options(kind: type[T], options: Mapping[str, Any], backend: str) -> T:
    """The options as an instance of the dataclass `kind`.

    Raises:
        UsageError: a name that `kind` does not have, or a value of another type than its field's.
    """
    if not isinstance(options, Mapping):
        raise UsageError(f"the options of backend {backend!r} are {options!r}, expected a mapping of names to values.")
    known = [item.name for item in fields(kind)]  # type: ignore[arg-type]
    types = get_type_hints(kind)
    for name, value in options.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}."
            raise UsageError(f"unknown option {name!r} of backend {backend!r}; {hint}")
        if not _fits(value, types[name]):
            raise UsageError(f"option {name!r} is {value!r}, expected {_in_words(types[name])}.")
    return kind(**options)


def _fits(value: Any, wanted: Any) -> bool:
    """Whether a value has a type. A list is a tuple, a string none; a whole number is a float, a truth value none."""
    parts = get_args(wanted)
    if wanted is Any:
        return True
    if isinstance(wanted, UnionType):
        return any(_fits(value, part) for part in parts)
    if get_origin(wanted) is Mapping:
        return isinstance(value, Mapping) and all(
            _fits(key, parts[0]) and _fits(item, parts[1]) for key, item in value.items()
        )
    if get_origin(wanted) in (tuple, Sequence):
        is_list = isinstance(value, Sequence) and not isinstance(value, str | bytes)
        is_array = isinstance(value, np.ndarray) and value.ndim == 1
        return (is_list or is_array) and all(_fits(item, parts[0]) for item in value)
    if wanted in (int, float):
        return isinstance(value, Integral if wanted is int else Real) and not isinstance(value, bool)
    return isinstance(value, wanted)


def _in_words(wanted: Any) -> str:
    """`a list of strings`."""
    parts = get_args(wanted)
    if isinstance(wanted, UnionType):
        *others, last = map(_in_words, parts)
        return f"{', '.join(others)} or {last}"
    if get_origin(wanted) is Mapping:
        return f"a mapping of names to {WORDS[parts[1]][1] if parts[1] in WORDS else 'values'}"
    if get_origin(wanted) in (tuple, Sequence):
        return f"a list of {WORDS[parts[0]][1]}"
    return WORDS[wanted][0]
