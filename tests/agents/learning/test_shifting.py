"""Random shifts: where the pixels of a batch's images go, and that nothing else of it changes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from agents.learning.agent import DQNAgent
from agents.learning.replay import Batch
from agents.learning.shifting import RandomShift
from agents.settings.config import ConfigError, build_config
from bridge import ActionSpec, BehaviorSpec, ObsSpec
from tests.agents.scripted import FIRST, LAST, PICTURE, Row, behavior, shown, small_agent, steps_of

SIZE, HEIGHT, WIDTH = 2000, 5, 7
#: Every pixel has a value of its own; the channels differ by 100.
IMAGE = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH)
IMAGES = np.tile(np.stack([IMAGE, IMAGE + 100]), (SIZE, 1, 1, 1))


def batch() -> Batch:
    place = np.arange(SIZE, dtype=np.float32)[:, None]
    return Batch(
        obs_tm1=(place, IMAGES),
        mask_tm1=np.ones((SIZE, 3), np.bool_),
        action_tm1=np.zeros((SIZE, 1), np.int32),
        reward_t=np.ones(SIZE, np.float32),
        discount_t=np.ones(SIZE, np.float32),
        obs_t=(place + 1, IMAGES),
        mask_t=np.ones((SIZE, 3), np.bool_),
    )


def moved(down: int, right: int) -> npt.NDArray[np.uint8]:
    """The image as a camera sees it that stands so many pixels further down and right, [2, HEIGHT, WIDTH]."""
    rows = np.clip(np.arange(HEIGHT) + down, 0, HEIGHT - 1)
    columns = np.clip(np.arange(WIDTH) + right, 0, WIDTH - 1)
    image = IMAGE[rows][:, columns]
    return np.stack([image, image + 100])


def moves(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Which of the nine moves by up to one pixel each image has made, [SIZE]."""
    all_moves = np.stack([moved(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)])
    same = (images[:, None] == all_moves[None]).all(axis=(2, 3, 4))
    assert (same.sum(axis=1) == 1).all(), "an image that no move explains"
    found: npt.NDArray[np.int64] = same.argmax(axis=1)
    return found


def test_images_move_each_way_equally_often_and_by_themselves() -> None:
    after = RandomShift(1, np.random.default_rng(0))(batch())
    before_move, after_move = moves(after.obs_tm1[1]), moves(after.obs_t[1])
    for found in (before_move, after_move):
        np.testing.assert_allclose(np.bincount(found, minlength=9) / SIZE, 1 / 9, atol=0.03)
    assert (before_move == after_move).mean() == pytest.approx(1 / 9, abs=0.03)


def test_whatever_is_no_image_stays() -> None:
    before, after = batch(), RandomShift(2, np.random.default_rng(0))(batch())
    for name in ("mask_tm1", "action_tm1", "reward_t", "discount_t", "mask_t"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    np.testing.assert_array_equal(after.obs_tm1[0], before.obs_tm1[0])
    np.testing.assert_array_equal(after.obs_t[0], before.obs_t[0])
    np.testing.assert_array_equal(before.obs_t[1], IMAGES, "the replay's own images stay")


# ---- in the agent

SPEC = behavior(PICTURE)


def dot(column: int) -> int:
    """The number of a dark picture with one bright pixel, in its first row."""
    return 255 << 8 * column


@pytest.mark.parametrize("pixels", [0, 1])
def test_an_agent_learns_of_shifted_pictures_when_it_is_told_to(pixels: int) -> None:
    """The move is worth 1 where one picture is shown and -1 in the dark: is it known one pixel aside, too?"""
    learner = {"random_shift": pixels, "updates_per_step": 300, "learning_rate": 0.003}
    spec = behavior(PICTURE, branches=(1,))
    agent = small_agent(spec, learner=learner)
    for number, reward in ((dot(1), 1.0), (0, -1.0)):
        agent.observe(steps_of(spec, Row(0, FIRST, number)))
        agent.act()
        agent.observe(steps_of(spec, Row(0, LAST, number, reward=reward, terminated=True)))
    assert len(list(agent.learn())) == 600
    pictures = torch.from_numpy(np.stack([shown(PICTURE, number) for number in (dot(1), dot(2))]))
    with torch.no_grad():
        here, aside = agent.network([pictures])[:, 0].tolist()
    assert here == pytest.approx(1.0, abs=0.05)
    assert (aside > 0.9) == (pixels > 0)


def test_what_is_shifted_next_is_part_of_the_saved_state() -> None:
    config = build_config({"learner": {"random_shift": 2}, "network": {"encoder": "keypoints"}})
    agent, resumed = DQNAgent(SPEC, config), DQNAgent(SPEC, config)
    (shift,), (resumed_shift,) = agent._changes, resumed._changes
    shift(batch())
    resumed.load_state_dict(agent.state_dict())
    np.testing.assert_array_equal(resumed_shift(batch()).obs_t[1], shift(batch()).obs_t[1])


@pytest.mark.parametrize(
    ("observations", "pixels", "found"),
    [
        ((ObsSpec("place", "vector", (2,)),), 1, "found 1 pixels and no image among network.observations: set it to 0"),
        ((PICTURE,), 11, "found 11 pixels and an image of 20 x 20 among network.observations: use 10 at most"),
    ],
)
def test_a_shift_that_cannot_be_is_refused(observations: tuple[ObsSpec, ...], pixels: int, found: str) -> None:
    with pytest.raises(ConfigError, match=found):
        DQNAgent(BehaviorSpec("X", observations, ActionSpec((2,))), build_config({"learner": {"random_shift": pixels}}))
