"""Makes `mlagents_envs` importable for the test modules here, and sees to it that no test leaves anything behind."""

from __future__ import annotations

import pytest

import bridge.unity  # noqa: F401
from tests.leftovers import nothing_left

_nothing_left = pytest.fixture(autouse=True)(nothing_left)
