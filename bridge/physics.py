"""Whether a robot in MuJoCo can push the object of its task.

From mujoco 3.0 on the arm of Pusher-v4 passes through the object: the engine reports a contact, but so light a body
hardly feels it (Gymnasium #950; #1576 for Pusher-v5). Nothing else tells: the task runs, and rewards look as usual.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import mujoco
import numpy as np
import numpy.typing as npt

from bridge.gymnasium import read_options
from bridge.gymnasium.making import make_environment
from bridge.reports import TouchReport
from bridge.types import EnvSpec

#: The body to be pushed, as the Pusher models name it.
OBJECT = "object"
POSES = 2000
SECONDS = 0.5

Vector = npt.NDArray[np.float64]


def touch(spec: EnvSpec) -> TouchReport | None:
    """Makes the environment once more and pokes its object. See `bridge.inspect.touch`."""
    options = replace(read_options(spec), num_envs=1, workers=0)
    environment = make_environment(spec.target, options, render=False)
    try:
        model = getattr(environment.unwrapped, "model", None)
        return poke(model) if isinstance(model, mujoco.MjModel) else None
    finally:
        environment.close()


def poke(model: Any) -> TouchReport | None:
    """Puts the object where the robot is, lets go and looks whether contact drives it out.

    The robot is whatever hangs on an actuated joint; among `POSES` random poses that one counts in which a part of it,
    made to collide, comes closest to the object's height.

    Args:
        model: a `mujoco.MjModel`; it is not changed.

    Returns:
        None where no body `object` slides in the plane, or nothing is actuated.
    """
    body = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, OBJECT)
    slides = _slides(model, body) if body >= 0 else []
    parts, joints = _robot(model)
    if len(slides) < 2 or not joints:
        return None
    data = mujoco.MjData(model)
    if not _reach(model, data, body, slides, parts, joints):
        return TouchReport(0.0, 0.0, SECONDS)
    mujoco.mj_forward(model, data)
    begin = data.xpos[body].copy()
    depth = _depth(model, data, body, parts)
    for _ in range(round(SECONDS / model.opt.timestep)):
        mujoco.mj_step(model, data)
    return TouchReport(depth, float(np.linalg.norm(data.xpos[body] - begin)), SECONDS)


def _slides(model: Any, body: int) -> list[int]:
    """The joints along which the body slides."""
    first, count = int(model.body_jntadr[body]), int(model.body_jntnum[body])
    return [joint for joint in range(first, first + count) if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_SLIDE]


def _robot(model: Any) -> tuple[list[int], list[int]]:
    """The geoms that hang on an actuated joint and are made to collide, and those joints."""
    on_joint = model.actuator_trntype == mujoco.mjtTrn.mjTRN_JOINT
    joints = [int(joint) for joint in model.actuator_trnid[on_joint, 0]]
    moved: set[int] = set()
    driven = {int(model.jnt_bodyid[joint]) for joint in joints}
    for body in range(1, model.nbody):  # parents come before their children
        if body in driven or int(model.body_parentid[body]) in moved:
            moved.add(body)
    parts = [geom for geom in range(model.ngeom) if int(model.geom_bodyid[geom]) in moved]
    return [geom for geom in parts if model.geom_contype[geom] or model.geom_conaffinity[geom]], joints


def _reach(model: Any, data: Any, body: int, slides: list[int], parts: list[int], joints: list[int]) -> bool:
    """Brings the robot to the object's height and the object to the robot. False where no part can touch anything."""
    if not parts:
        return False
    rng = np.random.default_rng(0)
    addresses = model.jnt_qposadr[joints]
    low, high = np.where(model.jnt_limited[joints, None], model.jnt_range[joints], (-np.pi, np.pi)).T
    best = (np.inf, data.qpos.copy(), parts[0])
    for _ in range(POSES):
        data.qpos[addresses] = rng.uniform(low, high)
        mujoco.mj_kinematics(model, data)
        heights = np.abs(data.geom_xpos[parts, 2] - data.xpos[body, 2])
        nearest = int(heights.argmin())
        if heights[nearest] < best[0]:
            best = (float(heights[nearest]), data.qpos.copy(), parts[nearest])
    _, data.qpos[:], part = best
    mujoco.mj_kinematics(model, data)
    away: Vector = data.geom_xpos[part] - data.xpos[body]
    away[0] += _radius(model, body) / 2  # off the middle, where contact would not know which way to push
    for joint in slides:
        data.qpos[model.jnt_qposadr[joint]] += float(data.xaxis[joint] @ away)
    return True


def _radius(model: Any, body: int) -> float:
    return float(model.geom_rbound[model.geom_bodyid == body].max(initial=0.0))


def _depth(model: Any, data: Any, body: int, parts: list[int]) -> float:
    """How deep the object lies in the robot; 0 without a contact between them."""
    depth = 0.0
    for index in range(data.ncon):
        contact = data.contact[index]
        bodies = {int(model.geom_bodyid[contact.geom1]), int(model.geom_bodyid[contact.geom2])}
        if body in bodies and {contact.geom1, contact.geom2} & set(parts):
            depth = max(depth, -float(contact.dist))
    return depth
