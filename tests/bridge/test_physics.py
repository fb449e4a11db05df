"""Whether an object that a robot touches moves: on models made here, whose answer is known."""

from __future__ import annotations

import mujoco
import pytest

from bridge import EnvSpec, touch
from bridge.physics import poke


def model(arm: str = "", body: str = "object", density: float = 100.0, more: str = "", actuated: bool = True) -> object:
    """An arm that turns in the plane, with a ball at its end, and a cylinder that slides on the plane."""
    motor = '<actuator><motor joint="turn"/></actuator>' if actuated else ""
    return mujoco.MjModel.from_xml_string(f"""
        <mujoco><option gravity="0 0 0"/><worldbody>
          <body name="arm">
            <joint name="turn" type="hinge" axis="0 0 1" armature="1" range="-1 1" limited="true"/>
            <geom type="sphere" size="0.03" pos="0.5 0 0" density="1000" {arm}/>
          </body>
          <body name="{body}" pos="0 1 0">
            <joint type="slide" axis="1 0 0" damping="0.5"/><joint type="slide" axis="0 1 0" damping="0.5"/>
            <geom type="cylinder" size="0.05 0.05" density="{density}"/>
          </body>
        </worldbody>{more}{motor}</mujoco>""")


def test_an_object_is_driven_out_of_the_arm() -> None:
    found = poke(model())
    assert found is not None
    assert found.depth > 0.02
    assert found.moved > 0.5 * found.depth


@pytest.mark.parametrize(
    "broken",
    [
        model(arm='contype="0" conaffinity="0"'),
        model(more='<contact><exclude body1="arm" body2="object"/></contact>'),
        model(more='<option><flag contact="disable"/></option>'),
    ],
    ids=["no part collides", "excluded", "no contacts at all"],
)
def test_without_contact_nothing_moves(broken: object) -> None:
    found = poke(broken)
    assert found is not None
    assert (found.depth, found.moved) == (0.0, 0.0)


@pytest.mark.skipif(mujoco.__version__ < "3", reason="mujoco 2 moves it")
def test_an_object_too_light_for_mujoco_3_stays() -> None:
    found = poke(model(density=1e-5))
    assert found is not None
    assert found.depth > 0.02
    assert found.moved < 0.01 * found.depth


def test_other_tasks_have_nothing_to_poke() -> None:
    assert poke(model(body="ball")) is None
    assert poke(model(actuated=False)) is None
    assert touch(EnvSpec("gym", "CartPole-v1")) is None
    assert touch(EnvSpec("gym", "Reacher-v5")) is None


def test_pusher() -> None:
    """v5 is a little heavier, for mujoco 3, where it moves at least a little."""
    found = touch(EnvSpec("gym", "Pusher-v5", {"num_envs": 3, "workers": 2}))
    assert found is not None
    assert found.depth == pytest.approx(0.043, abs=0.001)
    assert found.moved > (0.05 if mujoco.__version__ < "3" else 0.01) * found.depth
