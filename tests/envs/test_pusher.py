"""Pusher that tells what the arm touches first: contacts of the real engine, rewards, and what an evaluation gets."""

from __future__ import annotations

import math
import pickle
from importlib.metadata import version
from typing import Any

import gymnasium
import mujoco
import numpy as np
import numpy.typing as npt
import pytest

from bridge import EnvSpec, StepType, UsageError, connect
from bridge.contract import BridgeContract, play
from envs.pusher import CAMERA, SUCCESS_DISTANCE, Contact, ContactFinder, PusherContactV5

MUJOCO_2 = version("mujoco").startswith("2.")
VERSIONS = ("v4", "v5") if MUJOCO_2 else ("v5",)
needs_mujoco_2 = pytest.mark.skipif(not MUJOCO_2, reason="Pusher-v4 needs mujoco 2")
#: Of the model, in metres: the table, the object's top, its radius, and the radius of the three bars of the hand.
TABLE, TOP, RADIUS, BAR = -0.325, -0.225, 0.05, 0.02
#: Where the hand's cross bar is and where the object's axis is: in x from the bar, bodies overlapping by a millimetre.
POSES = {
    "top": (TOP + BAR - 0.001, 0.0),
    "top, near the rim": (TOP + BAR - 0.001, RADIUS - 0.005),
    "side, at half height": (TABLE + 0.05, RADIUS + BAR - 0.001),
    "side, near the top": (TOP - 0.005, RADIUS + BAR - 0.001),
    "rim, from above": (TOP + 0.018, RADIUS + 0.0061),
    "apart": (TABLE + 0.05, RADIUS + BAR + 0.02),
    "above": (TOP + BAR + 0.02, 0.0),
}
if MUJOCO_2:  # later ones push such an object down
    POSES["rim, from the side"] = (TOP + 0.005, RADIUS + 0.0183)
ON_TOP = {"top", "top, near the rim", "rim, from above"}
AT_THE_SIDE = {"side, at half height", "side, near the top", "rim, from the side"}


class TestPusherContact(BridgeContract):
    env_spec = EnvSpec("gym", f"envs.pusher:PusherContact-{VERSIONS[0]}", {"num_envs": 2})
    exchanges = 101


def make(number: str = VERSIONS[0], **options: Any) -> Any:
    return gymnasium.make(f"envs.pusher:PusherContact-{number}", **options)


def put(environment: Any, pose: str) -> None:
    """Puts the arm with its forearm and hand level at a height, and the object beneath or before the hand."""
    height, distance = POSES[pose]
    inner = environment.unwrapped
    lift = math.asin(-height / 0.4)  # of the upper arm, 0.4 m long; the elbow bends back as far
    qpos = np.zeros(inner.model.nq)
    qpos[1], qpos[3] = lift, -lift
    inner.set_state(qpos, np.zeros(inner.model.nv))
    hand, body = inner.get_body_com("tips_arm"), inner.get_body_com("object")
    assert hand[2] == pytest.approx(height)
    qpos[-4:-2] = hand[1] - body[1], hand[0] + distance - body[0]
    inner.set_state(qpos, np.zeros(inner.model.nv))


def first_step(environment: Any, pose: str) -> tuple[float, dict[str, Any]]:
    """Reward and info of a step without torques from that pose, at the beginning of an episode."""
    environment.reset(seed=0)
    put(environment, pose)
    _, reward, _, _, info = environment.step(np.zeros(7, np.float32))
    return float(reward), info


# Contacts


@pytest.mark.parametrize("number", VERSIONS)
@pytest.mark.parametrize("pose", POSES)
def test_contacts_are_on_the_top_face_or_not(pose: str, number: str) -> None:
    environment = make(number)
    environment.reset(seed=0)
    put(environment, pose)
    inner = environment.unwrapped
    contact = ContactFinder(inner.model).find(inner.data)
    assert inner.data.ncon > 0, "the object always touches the table, which does not count"
    if pose in {"apart", "above"}:
        assert contact is None
        return
    assert contact is not None
    assert contact.on_top == (pose in ON_TOP)
    lowest = 0.1 if pose in ON_TOP else min(POSES[pose][0] - TABLE, 0.1)
    assert contact.height == pytest.approx(lowest, abs=0.0015)


def test_the_highest_contact_counts() -> None:
    model = mujoco.MjModel.from_xml_string("""
        <mujoco><option gravity="0 0 0"/><worldbody>
          <body name="arm"><joint type="hinge"/><body name="tips_arm">
            <geom type="sphere" size="0.02" pos="0.069 0 0"/><geom type="sphere" size="0.02" pos="0 0 0.069"/>
            <geom type="sphere" size="0.02" pos="0 0.069 -0.03"/>
          </body></body>
          <body name="object"><joint type="slide"/><geom type="sphere" size="1" contype="0" conaffinity="0"/>
            <geom type="cylinder" size="0.05 0.05"/></body>
        </worldbody></mujoco>""")
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    assert data.ncon >= 3
    assert ContactFinder(model).find(data) == Contact(pytest.approx(0.1, abs=0.001), True)


def test_a_contact_that_ends_within_a_step_is_seen() -> None:
    environment = make()
    environment.reset(seed=0)
    put(environment, "side, at half height")
    inner = environment.unwrapped
    velocity = np.zeros(inner.model.nv)
    velocity[-3] = 3.0  # of the object in x, metres per second: away from the hand
    inner.set_state(inner.data.qpos.copy(), velocity)
    *_, info = environment.step(np.zeros(7, np.float32))
    assert ContactFinder(inner.model).find(inner.data) is None
    assert info["episode_metrics"]["first_contact_height"] == pytest.approx(0.05, abs=0.0015)


# Rewards


@pytest.mark.parametrize("number", VERSIONS)
def test_without_options_it_is_gymnasiums_bit_for_bit(number: str) -> None:
    theirs, ours = gymnasium.make(f"Pusher-{number}"), make(number)
    assert (ours.action_space, ours.observation_space) == (theirs.action_space, theirs.observation_space)
    touched = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        np.testing.assert_array_equal(ours.reset(seed=seed)[0], theirs.reset(seed=seed)[0])
        if seed % 2:
            put(ours, list(POSES)[seed])
            put(theirs, list(POSES)[seed])
        truncated = False
        while not truncated:
            action = rng.uniform(-0.5, 0.5, 7).astype(np.float32)
            (observation, reward, _, truncated, info), other = theirs.step(action), ours.step(action)
            np.testing.assert_array_equal(other[0], observation)
            assert other[1:4] == (reward, False, truncated)
            assert {name: other[4][name] for name in info} == info
        touched += other[4]["episode_metrics"]["touched"]
    assert touched >= 3


def formula(observation: npt.NDArray[np.float64], action: npt.NDArray[np.float32]) -> float:
    """As Pusher-v4 defines it: object to goal, control, tip to object."""
    tip, body, goal = observation[14:17], observation[17:20], observation[20:23]
    control = float(np.square(action.astype(np.float64)).sum())
    return -math.dist(body, goal) - 0.1 * control - 0.5 * math.dist(tip, body)


@needs_mujoco_2
@pytest.mark.parametrize("after", [True, False])
def test_the_reward_is_of_after_or_before_the_step(after: bool) -> None:
    environment = make("v4", reward_after_step=after)
    rng = np.random.default_rng(0)
    before, _ = environment.reset(seed=0)
    for _ in range(100):
        action = rng.uniform(-2, 2, 7).astype(np.float32)
        observation, reward, _, _, info = environment.step(action)
        of = observation if after else before
        assert reward == pytest.approx(formula(of, action), abs=1e-5)
        assert info["reward_dist"] == pytest.approx(-math.dist(of[17:20], of[20:23]))
        before = observation


def test_the_reward_of_v5_is_of_after_the_step() -> None:
    environment = make("v5")
    environment.reset(seed=0)
    action = np.full(7, 2, np.float32)
    observation, reward, *_ = environment.step(action)
    assert reward == pytest.approx(formula(observation, action), abs=1e-5)


@pytest.mark.parametrize("number", VERSIONS)
@pytest.mark.parametrize("pose", POSES)
def test_the_penalty_is_for_a_first_contact_on_top(pose: str, number: str) -> None:
    plain, punished = make(number), make(number, top_penalty=3)
    reward, _ = first_step(plain, pose)
    lower, info = first_step(punished, pose)
    assert lower == (reward - 3 if pose in ON_TOP else reward)
    assert info["episode_metrics"]["score_without_penalty"] == reward
    assert info["episode_metrics"]["first_contact_on_top"] == (pose in ON_TOP)
    assert ("first_contact_height" in info["episode_metrics"]) == (pose in ON_TOP | AT_THE_SIDE)


def test_the_penalty_comes_once_an_episode() -> None:
    plain, punished = make(), make(top_penalty=3)
    action = np.zeros(7, np.float32)
    for _ in range(2):
        reward, _ = first_step(plain, "top")
        lower, _ = first_step(punished, "top")
        assert lower == reward - 3
        assert punished.step(action)[1] == plain.step(action)[1]
        put(plain, "top")
        put(punished, "top")
        assert punished.step(action)[1] == plain.step(action)[1]


def test_after_a_first_contact_at_the_side_the_top_is_free() -> None:
    plain, punished = make(), make(top_penalty=3)
    action = np.zeros(7, np.float32)
    for environment in (plain, punished):
        first_step(environment, "side, at half height")
        put(environment, "top")
    (_, reward, *_), (_, other, _, _, info) = plain.step(action), punished.step(action)
    assert other == reward
    assert not info["episode_metrics"]["first_contact_on_top"]
    assert info["episode_metrics"]["first_contact_height"] == pytest.approx(0.05, abs=0.0015)


@pytest.mark.parametrize("penalty", [-1, math.inf, math.nan])
def test_a_penalty_that_is_none_is_refused(penalty: float) -> None:
    with pytest.raises(UsageError, match=r"top_penalty is .*, expected a number from 0"):
        connect(EnvSpec("gym", "envs.pusher:PusherContact-v5", {"env_kwargs": {"top_penalty": penalty}}))


# What others see of it


@pytest.mark.parametrize(("offset", "success"), [(SUCCESS_DISTANCE - 0.001, True), (SUCCESS_DISTANCE + 0.001, False)])
def test_success_is_the_object_near_the_goal(offset: float, success: bool) -> None:
    environment = make()
    environment.reset(seed=0)
    inner = environment.unwrapped
    qpos = inner.init_qpos.copy()
    qpos[-4:] = 0.6 * offset, 0.8 * offset, 0, 0
    inner.set_state(qpos, np.zeros(inner.model.nv))
    *_, info = environment.step(np.zeros(7, np.float32))
    assert info["is_success"] == success
    assert info["episode_metrics"]["goal_distance"] == pytest.approx(offset)


def test_the_end_of_an_episode_tells_of_it() -> None:
    spec = EnvSpec("gym", f"envs.pusher:PusherContact-{VERSIONS[0]}", {"codec": "one_joint"})
    with connect(spec) as bridge:
        record = play(bridge, 100)
    assert all(not {"goal_distance", "touched"} & steps.metrics.keys() for steps in record[:-1])
    end = record[-1]
    assert end.step_type[0] == StepType.LAST
    score = sum(float(steps.reward[0]) for steps in record)
    assert end.metrics["score_without_penalty"][0] == pytest.approx(score, abs=1e-3)
    assert {"success", "goal_distance", "touched", "first_contact_on_top"} <= end.metrics.keys()


def test_the_camera_is_the_write_ups() -> None:
    assert make().unwrapped.mujoco_renderer.default_cam_config == CAMERA
    chosen = make(default_camera_config={"distance": 2.0}).unwrapped.mujoco_renderer.default_cam_config
    assert chosen == {"distance": 2.0}


def test_copies_keep_their_options() -> None:
    environment = pickle.loads(pickle.dumps(PusherContactV5(top_penalty=3)))
    _, info = first_step(environment, "top")
    assert first_step(environment, "top")[0] == pytest.approx(info["episode_metrics"]["score_without_penalty"] - 3)


@pytest.mark.skipif(MUJOCO_2, reason="mujoco 2 can push it")
def test_v4_is_refused_from_mujoco_3_on() -> None:
    with pytest.raises(UsageError, match=r"PusherContact-v4 needs mujoco 2\.3\.7"):
        connect(EnvSpec("gym", "envs.pusher:PusherContact-v4"))
