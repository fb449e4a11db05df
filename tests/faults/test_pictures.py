"""Cameras that draw nothing, which Unity does not tell: without a graphics device, for instance."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from mlagents_envs.communicator_objects.observation_pb2 import ObservationProto

from bridge import EnvSpec, connect
from bridge.types import BehaviorSpec, Steps
from bridge.unity.watch import PATIENCE, PictureWatch
from tests.bridge.unity.scripted import brain, info, report, write_player
from tests.faults.counts import counts
from tests.faults.play import simulated

STEPS = 100


def picture(value: float) -> ObservationProto:
    message = ObservationProto(shape=[3, 2, 2], name="Camera", dimension_properties=[1, 2, 2])
    message.float_data.data.extend([value] * 12)
    return message


@pytest.mark.parametrize("no_graphics", [False, True])
def test_a_constant_picture_is_told_once_and_before_step_100(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, no_graphics: bool
) -> None:
    infos = [info(0, picture(0.5)), info(1, picture(0.5))]
    scene = [report({"B": infos}, [brain("B", 3)]), *[report({"B": infos})] * 2 * STEPS]
    options = {"timeout": 10.0, "no_graphics": no_graphics}
    spec = EnvSpec("unity", str(write_player(tmp_path, scene)), options)
    with caplog.at_level(logging.WARNING, "bridge.unity"), connect(spec) as bridge:
        bridge.reset()
        for exchange in range(2, 2 * STEPS):
            bridge.step([[0], [0]])
            assert len(caplog.records) == int(exchange >= PATIENCE)
    assert PATIENCE < STEPS
    said = caplog.records[0].getMessage()
    assert "image 'Camera' of behaviour 'B' has been the same" in said
    assert "xvfb-run" in said


def test_a_picture_that_has_changed_once_may_stand_still(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    values = [0.5, 0.25, *[0.5] * 2 * STEPS]
    scene = [
        report({"B": [info(0, picture(value))]}, [] if index else [brain("B", 3)]) for index, value in enumerate(values)
    ]
    spec = EnvSpec("unity", str(write_player(tmp_path, scene)), {"timeout": 10.0})
    with caplog.at_level(logging.WARNING, "bridge.unity"), connect(spec) as bridge:
        bridge.reset()
        for _ in values[1:]:
            bridge.step([[0]])
    assert not caplog.records


def gridworld(exchanges: int) -> Iterator[tuple[BehaviorSpec, Steps]]:
    """The rows of random play."""
    rng = np.random.default_rng(0)
    with connect(simulated()) as bridge:
        steps = bridge.reset()
        for _ in range(exchanges):
            yield bridge.spec, steps
            steps = bridge.step(bridge.spec.actions.sample(steps.deciding.mask, rng))


@counts(1000, 10_000)
def test_normal_pictures_raise_no_alarm(caplog: pytest.LogCaptureFixture, count: int) -> None:
    """However the run begins: every `PATIENCE` frames a new watch begins to look."""
    frames = 0
    with caplog.at_level(logging.WARNING, "bridge.unity"):
        for frames, (spec, steps) in enumerate(gridworld(count)):
            if frames % PATIENCE == 0:
                watch = PictureWatch(spec)
            watch.look(steps)
    assert frames == count - 1
    assert not caplog.records
