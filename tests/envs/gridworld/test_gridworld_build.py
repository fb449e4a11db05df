"""The launched build under the stock client of mlagents-envs."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import mlagents_envs
import numpy as np
import pytest
from mlagents_envs.base_env import ActionTuple, DimensionProperty, ObservationType
from mlagents_envs.environment import UnityEnvironment
from mlagents_envs.side_channel.engine_configuration_channel import EngineConfigurationChannel
from mlagents_envs.side_channel.environment_parameters_channel import EnvironmentParametersChannel

NAME = "GridWorld?team=0"
Launch = Callable[..., UnityEnvironment]
ROOT = Path(__file__).parents[3]

if sys.platform != "linux":
    pytest.skip("the launcher is what Linux starts", allow_module_level=True)


SHAPES = {"hwc": (64, 84, 3), "chw": (3, 64, 84)}
#: What `--layout auto` sends to the client that is installed.
LAYOUT, OTHER = ("chw", "hwc") if int(mlagents_envs.__version__.split(".")[0]) >= 1 else ("hwc", "chw")


def act(environment: UnityEnvironment, *actions: int) -> None:
    """One step with one action per deciding agent."""
    environment.set_actions(NAME, ActionTuple(discrete=np.array(actions, np.int32).reshape(-1, 1)))
    environment.step()


def test_the_spec_and_the_first_steps(launch: Launch) -> None:
    environment = launch()
    assert len(environment.behavior_specs) == 0
    environment.reset()
    assert list(environment.behavior_specs) == [NAME]
    spec = environment.behavior_specs[NAME]
    assert [observation.name for observation in spec.observation_specs] == [
        "RenderTextureSensor",
        "VectorlSensor",
        "VectorSensor_size6",
    ]
    assert [observation.shape for observation in spec.observation_specs] == [SHAPES[LAYOUT], (2,), (6,)]
    plane, channels = [DimensionProperty.TRANSLATIONAL_EQUIVARIANCE] * 2, [DimensionProperty.NONE]
    properties = channels + plane if LAYOUT == "chw" else plane + channels
    assert list(spec.observation_specs[0].dimension_property) == properties
    assert [observation.observation_type for observation in spec.observation_specs] == [
        ObservationType.DEFAULT,
        ObservationType.GOAL_SIGNAL,
        ObservationType.DEFAULT,
    ]
    assert (spec.action_spec.continuous_size, spec.action_spec.discrete_branches) == (0, (5,))
    decisions, ended = environment.get_steps(NAME)
    assert (len(decisions), len(ended)) == (1, 0)
    assert list(decisions.agent_id) == [0]
    assert decisions.reward == [0.0]
    act(environment, 0)
    decisions, ended = environment.get_steps(NAME)
    assert (len(decisions), len(ended)) == (1, 0)
    assert decisions.reward == [np.float32(-0.01)]
    environment.step()  # without actions, which counts as action 0
    after = environment.get_steps(NAME)[0].obs
    assert all((before == now).all() for before, now in zip(decisions.obs, after, strict=True))


def test_episodes_end_and_begin_in_one_exchange(launch: Launch) -> None:
    environment = launch(seed=3)
    environment.reset()
    rng = np.random.default_rng(0)
    length, interruptions, goals = 0, 0, 0
    for _ in range(1500):
        decisions, _ = environment.get_steps(NAME)
        x, z = decisions.obs[2][0, :2].astype(int)
        mask = decisions.action_mask[0][0]
        assert list(mask) in ([False] * 5, [False, z == 4, z == 0, x == 0, x == 4])
        picture = decisions.obs[0]
        act(environment, rng.integers(5))
        length += 1
        decisions, ended = environment.get_steps(NAME)
        assert len(decisions) == 1
        if len(ended):
            assert decisions.reward == [0.0]
            assert (ended.obs[0] == picture).all()
            assert list(ended.agent_id) == [0]
            if ended.interrupted[0]:
                assert length == 100
                assert ended.reward == [np.float32(-0.01)]
            else:
                assert abs(ended.reward[0]) == 1.0
            interruptions, goals = interruptions + ended.interrupted[0], goals + (not ended.interrupted[0])
            length = 0
        else:
            assert decisions.reward == [np.float32(-0.01)]
    assert interruptions
    assert goals > 20


def test_a_second_reset_costs_a_step(launch: Launch) -> None:
    environment = launch()
    environment.reset()
    act(environment, 0)
    environment.reset()
    decisions, ended = environment.get_steps(NAME)
    assert (len(decisions), len(ended)) == (1, 0)
    assert decisions.reward == [np.float32(-0.01)]
    for _ in range(100):
        assert len(environment.get_steps(NAME)[1]) == 0
        act(environment, 0)
    assert environment.get_steps(NAME)[1].interrupted.tolist() == [True]


def test_parameters_set_before_the_first_reset_shape_the_first_area(launch: Launch) -> None:
    parameters, engine = EnvironmentParametersChannel(), EngineConfigurationChannel()
    environment = launch(side_channels=[parameters, engine])
    engine.set_configuration_parameters(time_scale=20.0, width=80, height=80)
    parameters.set_float_parameter("gridSize", 10.0)
    environment.reset()
    seen = []
    for _ in range(20):
        seen.append(environment.get_steps(NAME)[0].obs[2][0].max())
        environment.reset()
    assert max(seen) == 9
    parameters.set_float_parameter("gridSize", 2.0)
    environment.reset()
    assert environment.get_steps(NAME)[0].obs[2].max() == 1


def test_impossible_parameters_end_the_player_with_a_line_in_its_log(launch: Launch, tmp_path: Path) -> None:
    parameters = EnvironmentParametersChannel()
    environment = launch(side_channels=[parameters], timeout_wait=10)
    parameters.set_float_parameter("gridSize", 1.0)
    with pytest.raises(Exception, match="return code 3"):
        environment.reset()
    assert "need 3 cells of 1 x 1" in (tmp_path / "Player-0.log").read_text()


def test_nine_areas(launch: Launch) -> None:
    environment = launch("--areas", "9")
    environment.reset()
    rng = np.random.default_rng(1)
    for _ in range(60):
        decisions, _ = environment.get_steps(NAME)
        assert list(decisions.agent_id) == list(range(9))
        act(environment, *rng.integers(0, 5, 9))


def test_layouts_and_compressions(launch: Launch) -> None:
    reference = launch()
    reference.reset()
    raw = launch("--compression", "none", worker_id=1)
    raw.reset()
    other = launch("--layout", OTHER, "--compression", "none", worker_id=2)
    other.reset()
    assert other.behavior_specs[NAME].observation_specs[0].shape == SHAPES[OTHER]
    expected = reference.get_steps(NAME)[0].obs[0]
    assert np.allclose(raw.get_steps(NAME)[0].obs[0], expected, atol=1e-6)
    to_reference = (0, 2, 3, 1) if OTHER == "chw" else (0, 3, 1, 2)
    assert np.allclose(other.get_steps(NAME)[0].obs[0].transpose(to_reference), expected, atol=1e-6)


def test_the_same_seed_gives_the_same_game(launch: Launch) -> None:
    games = []
    for worker, seed in enumerate((7, 7, 8)):
        environment = launch(seed=seed, worker_id=worker)
        environment.reset()
        rng = np.random.default_rng(0)
        states = []
        for _ in range(200):
            states.append(environment.get_steps(NAME)[0].obs[2][0].tolist())
            act(environment, rng.integers(5))
        games.append(states)
    assert games[0] == games[1] != games[2]


def test_the_log_tells_the_story(launch: Launch, tmp_path: Path) -> None:
    environment = launch("--unknown", "argument")
    environment.reset()
    environment.close()
    log = (tmp_path / "Player-0.log").read_text()
    for phrase in ("Simulated GridWorld", "--unknown argument", "Connected to port", "seed=1", "Leaves: "):
        assert phrase in log


@pytest.mark.parametrize("reset", [False, True])
def test_close_ends_the_player_at_once_and_in_order(launch: Launch, reset: bool) -> None:
    environment = launch()
    player = environment._process
    if reset:
        environment.reset()
    begin = time.monotonic()
    environment.close()
    assert time.monotonic() - begin < 5
    assert player.wait(5) == 0


def test_a_proxy_in_the_environment_is_not_used(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    environment = launch()
    environment.reset()


def test_the_player_leaves_when_its_trainer_is_killed(free_port: int, tmp_path: Path) -> None:
    program = (
        "import bridge.unity, time\n"
        "from mlagents_envs.environment import UnityEnvironment\n"
        "e = UnityEnvironment('unity_builds/simulated/GridWorld', "
        f"base_port={free_port}, log_folder={str(tmp_path)!r})\n"
        "e.reset()\n"
        "print(e._process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE) as trainer:
        assert trainer.stdout is not None
        player = int(trainer.stdout.readline())
        trainer.kill()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and "Leaves: the channel broke" not in (tmp_path / "Player-0.log").read_text():
        time.sleep(0.05)
    assert "Leaves: the channel broke" in (tmp_path / "Player-0.log").read_text()
    assert _gone(player, deadline)


def _gone(process: int, deadline: float) -> bool:
    """Whether a process ends before the deadline; an orphan that nobody reaps counts as ended."""
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False
