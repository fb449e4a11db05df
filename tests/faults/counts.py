"""How often a fault is tried: a reduced count in every run of the tests, the full one under the marker `faults`."""

from __future__ import annotations

import pytest

FULL_SECONDS = 1800


def counts(reduced: int, full: int) -> pytest.MarkDecorator:
    """Runs the test with `count=reduced`, and under `pytest -m faults` with `count=full` instead."""
    marks = [pytest.mark.faults, pytest.mark.timeout(FULL_SECONDS)]
    return pytest.mark.parametrize("count", [pytest.param(reduced), pytest.param(full, marks=marks)])
