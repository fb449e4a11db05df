"""Options of an `EnvSpec`, read into a backend's dataclass: an unknown name is an error that names the nearest."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from bridge.errors import UsageError

T = TypeVar("T")


def parse_options(kind: type[T], options: Mapping[str, Any], backend: str) -> T:
    """The options as an instance of the dataclass `kind`.

    Raises:
        UsageError: a name that `kind` does not have.
    """
    known = [item.name for item in fields(kind)]  # type: ignore[arg-type]
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}."
            raise UsageError(f"unknown option {name!r} of backend {backend!r}; {hint}")
    return kind(**options)
