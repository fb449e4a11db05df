"""What runs change in this process, which many of them share here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from tensorboard.summary.writer import event_file_writer

import bridge.unity  # noqa: F401 - makes mlagents_envs importable


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True, scope="module")
def event_files() -> None:
    """TensorBoard reads the files of one second in the order in which their numbers are spelled: make them as long."""
    event_file_writer._global_uid = event_file_writer.AtomicCounter(1_000_000)


@pytest.fixture(autouse=True)
def denormals() -> Iterator[None]:
    """Hypothesis draws denormal numbers, in whichever test comes next."""
    yield
    torch.set_flush_denormal(False)
