"""Small networks are fastest on one thread."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

import bridge.unity  # noqa: F401 - makes mlagents_envs importable


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
