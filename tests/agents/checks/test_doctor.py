"""Every mistake that doctor knows, made on real parts: one line each, with what to do."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import gymnasium
import numpy as np
import psutil
import pytest
from mlagents_envs.communicator_objects.observation_pb2 import ObservationProto
from PIL import Image

from agents import train
from agents.checks import command
from agents.checks.command import examine
from agents.cli.commandline import run_command
from tests.agents.commands import SMALL, Result, bare_environment, run, snapshot
from tests.bridge.unity.scripted import brain, info, report, vector, write_player

DOCTOR = "agents.doctor"
GRIDWORLD = ("--build", "simulated/GridWorld")
DEPOT = ("--build", "simulated/Depot")


def doctor(words: Sequence[str | Path], capsys: pytest.CaptureFixture[str]) -> Result:
    """Runs doctor in this process; warnings are errors here, and nothing may be left behind."""
    capsys.readouterr()
    children = psutil.Process().children(recursive=True)
    with pytest.raises(SystemExit) as ended:
        run_command(lambda _: examine(list(map(str, words))), command.PROGRAM)
    said = capsys.readouterr()
    assert psutil.Process().children(recursive=True) == children
    code = ended.value.code
    assert isinstance(code, int)
    return Result(code, said.out, said.err)


def lines(result: Result, level: str) -> list[str]:
    """The findings of this level."""
    return [line for line in result.out.splitlines() if line.startswith(level)]


def only_error(result: Result) -> str:
    """The one error of a result that has no warning and nothing on stderr."""
    (line,) = lines(result, "error")
    assert (result.code, result.err, lines(result, "warning")) == (1, "", []), result
    assert result.out.splitlines()[-1] == "1 error, 0 warnings."
    return line


def only_warning(result: Result) -> str:
    (line,) = lines(result, "warning")
    assert (result.code, result.err, lines(result, "error")) == (0, "", []), result
    assert result.out.splitlines()[-1] == "0 errors, 1 warning."
    return line


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures go there."""
    monkeypatch.chdir(tmp_path)


# ---- healthy


def test_a_healthy_build_has_no_warning_and_leaves_only_a_picture(tmp_path: Path) -> None:
    result = run(DOCTOR, "--build", "GridWorld", cwd=tmp_path)
    assert (result.code, result.err) == (0, "")
    assert not lines(result, "warning")
    assert not lines(result, "error")
    said = result.out.splitlines()
    assert said[-1] == "healthy: training can start."
    checks = [line.split()[1] for line in lines(result, "ok")]
    assert checks == ["versions", "build", "handshake", "behaviors", "agent", "memory", "play", "picture", "graphics"]
    table = [line.split() for line in said if line.startswith(" ")]
    assert ["RenderTextureSensor", "image", "3", "x", "64", "x", "84"] in table
    assert ["VectorlSensor", "vector", "2", "goal"] in table
    assert ["actions:", "discrete", "5", "->", "the", "agent's", "4", "(codec", "offset)"] in table
    written = [name for name in snapshot(tmp_path) if not name.startswith(".")]  # `Command` keeps the output there
    assert written == ["doctor", "doctor/GridWorld.png"]
    with Image.open(tmp_path / "doctor" / "GridWorld.png") as picture:
        assert picture.height == 128
        assert len(np.unique(np.asarray(picture).reshape(-1, 3), axis=0)) > 4


def test_a_healthy_gymnasium_environment_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = doctor(["--env", "CartPole-v1"], capsys)
    assert (result.code, result.err) == (0, "")
    assert [line.split()[1] for line in lines(result, "ok")] == ["versions", "environment", "agent", "memory", "play"]
    assert not list(tmp_path.iterdir())


def test_the_command_line_of_training_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    options = {option for action in train.make_parser()._actions for option in action.option_strings}
    assert options <= {option for action in command.make_parser()._actions for option in action.option_strings}
    words = ("--run-id", "mine", "--force", "--steps", "7", "--environment.max-restarts", "3", *SMALL)
    assert doctor(["--env", "tests.environments:Counter-v0", *words], capsys).code == 0


def test_what_a_run_would_resume_is_examined(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--env", "tests.environments:Counter-v0", "--steps", "30", "--run-id", "mine", *SMALL)
    with pytest.raises(SystemExit):
        run_command(lambda interrupts: train.main(list(words), interrupts), "train")
    before = snapshot(tmp_path)
    result = doctor(["--run-id", "mine", "--resume"], capsys)
    assert result.code == 0
    assert "Counter-v0" in result.out
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "nothing to train on"),
        (["--env", "CartPole-v1", "--learner.gama", "1"], "did you mean '--learner.gamma'"),
        (["--env", "CartPole-v1", "--preset", "cartpool"], "did you mean 'cartpole'"),
        (["--resume"], "needs --run-id"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = doctor(words, capsys)
    assert (result.code, result.out) == (2, "")
    assert sentence in result.error


# ---- the file


def test_no_build(capsys: pytest.CaptureFixture[str]) -> None:
    line = only_error(doctor(["--build", "Nowhere"], capsys))
    assert re.fullmatch(r"error +build +no build 'Nowhere' in .*; put it into unity_builds/ or give its path", line)


def test_a_build_for_another_system(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    magic = b"\x7fELF" if sys.platform == "win32" else b"MZ"
    (tmp_path / "Scene.x86_64").write_bytes(magic)
    line = only_error(doctor(["--build", "./Scene.x86_64"], capsys))
    assert re.search(r"Scene.x86_64 is a build for \w+, but this is \w+; .* build the scene for", line)


@pytest.mark.skipif(sys.platform == "win32", reason="no such permission")
def test_a_build_without_the_permission_to_execute(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "Scene.x86_64").write_text("#!/bin/sh\n")
    line = only_error(doctor(["--build", "./Scene.x86_64"], capsys))
    assert re.search(r"may not be executed; .*chmod \+x", line)


# ---- the connection


def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen(1)
        line = only_error(doctor([*GRIDWORLD, "--base-port", str(port)], capsys))
    assert f"port {port} is taken" in line
    assert "choose another --base-port" in line


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_the_editor_is_asked_for_and_waited_for_once(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--build", "editor", "--base-port", str(free_port()), "--environment.timeout", "1")
    result = doctor(words, capsys)
    assert result.error == "waiting for the Unity Editor: press Play."
    (line,) = lines(result, "error")
    assert re.search(r"environment +the Unity Editor did not connect .* open the scene and press Play", line)


@pytest.mark.parametrize(
    ("fault", "timeout", "found", "remedy"),
    [
        ("api-version:2.0.0", 10, "speaks version 2.0.0", "rebuild it with com.unity.ml-agents"),
        ("never-connect", 1, "did not connect to port", "most often: "),
        ("hang-after-hello", 3, "connected, but said no more", "most often: "),
        ("hang-at-reset", 3, "did not answer", "most often: "),
        ("exit-before-connect:3", 10, "died (return code 3)", "the end of its log is below"),
        ("exit-after-hello:3", 10, "died (return code 3)", "the end of its log is below"),
    ],
)
def test_a_build_that_does_not_get_through_the_handshake(
    fault: str, timeout: float, found: str, remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    result = doctor([*GRIDWORLD, "--environment.timeout", str(timeout), "--env-args", "--fail", fault], capsys)
    assert time.monotonic() - began < command.ANSWERS * timeout + command.SPARE_SECONDS
    line = only_error(result)
    assert line.split()[1] == "handshake"
    assert found in line
    assert remedy in line
    assert "api-version" in fault or "as asked by --fail" in result.out, "the end of the log"


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("hang-after-steps:30", "did not answer within 3 s"),
        ("exit-after-steps:30:3", "died (return code 3)"),
        ("nan-after-steps:30", "the reward of episode"),
    ],
)
def test_a_build_that_fails_in_the_play(fault: str, found: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = only_error(doctor([*GRIDWORLD, "--environment.timeout", "3", "--env-args", "--fail", fault], capsys))
    assert line.split()[1] == "play"
    assert found in line


# ---- behaviours


def test_no_behavior(capsys: pytest.CaptureFixture[str]) -> None:
    result = doctor([*GRIDWORLD, "--environment.timeout", "2", "--env-args", "--fail", "no-behavior"], capsys)
    assert re.search(r"no behaviour showed up: .* within 2 s .*Behavior Type .*Decision Requester", only_error(result))


def test_two_behaviors_and_none_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    result = doctor(DEPOT, capsys)
    assert re.search(r"the behaviours Carrier\?team=0, Crane\?team=0; .*--behavior Carrier", only_error(result))
    assert "  Crane: 2 agents" in result.out
    assert "2 continuous -> the agent's 2 branches of 5 (codec levels)" in result.out


def test_one_of_two_behaviors_chosen_is_healthy(capsys: pytest.CaptureFixture[str]) -> None:
    result = doctor([*DEPOT, "--behavior", "Carrier"], capsys)
    assert (result.code, lines(result, "warning")) == (0, [])
    assert re.search("behaviors +Carrier, Crane; trained: Carrier", result.out)


def test_a_behavior_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    line = only_error(doctor([*DEPOT, "--behavior", "Carriers"], capsys))
    assert re.search(r"no behaviour 'Carriers'; there are Carrier\S*, Crane\S*; for instance --behavior Carrier", line)


def test_hybrid_actions(capsys: pytest.CaptureFixture[str]) -> None:
    result = doctor([*DEPOT, "--behavior", "Crane", "--env-args", "--hybrid"], capsys)
    assert re.search(r"'Crane' has hybrid actions .*: make them all discrete", only_error(result))
    assert re.search(r"actions: 2 continuous and discrete \d -> cannot be trained", result.out)


def test_a_sensor_of_variable_length_does_not_hide_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    buffer = ObservationProto(shape=[20, 4], name="Buffer", dimension_properties=[4, 1])
    scene = report({"B": [info(0, vector(1.0, name="speed"), buffer)]}, [brain("B", 3)])
    player = write_player(tmp_path, [scene] * 40)
    result = doctor(["--build", player], capsys)
    assert re.search("'Buffer' .* has a variable length .*: replace it", only_error(result))
    table = [line.split() for line in result.out.splitlines()]
    assert ["Buffer", "refused", "20", "x", "4"] in table
    assert ["speed", "vector", "1"] in table


# ---- what the agent sees, and its memory


def gray(value: float) -> ObservationProto:
    message = ObservationProto(shape=[40, 40, 1], name="camera", dimension_properties=[2, 2, 1])
    message.float_data.data.extend([value] * 1600)
    return message


def test_a_constant_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = report({"B": [info(0, gray(0.0))]}, [brain("B", 3)])
    player = write_player(tmp_path, [first, *[report({"B": [info(0, gray(0.0))]})] * 120])
    line = only_warning(doctor(["--build", player], capsys))
    assert re.search("the image 'camera' .* has been the same for .* xvfb-run", line)


def test_a_camera_with_no_graphics(capsys: pytest.CaptureFixture[str]) -> None:
    line = only_warning(doctor([*GRIDWORLD, "--no-graphics"], capsys))
    assert re.search(r"'RenderTextureSensor' is an image, and --no-graphics is on.*leave --no-graphics out", line)


def test_a_replay_larger_than_memory(capsys: pytest.CaptureFixture[str]) -> None:
    line = only_error(doctor(["--env", "CartPole-v1", "--replay.capacity", "100000000000"], capsys))
    assert re.search(r"the replay needs [\d,]+ MiB .* only [\d,]+ MiB .*: lower replay.capacity", line)


def test_a_picture_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("a file")
    assert "with --output" in only_warning(doctor([*GRIDWORLD, "--output", "taken"], capsys))


# ---- gymnasium


def test_no_such_environment(capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean 'CartPole-v1'" in only_error(doctor(["--env", "CartPol-v1"], capsys))


def write_environment(folder: Path, name: str, reset: str) -> str:
    """An environment that does this in `reset`; returns its id."""
    (folder / f"{name}.py").write_text(
        "import time\nimport gymnasium\n\nclass Environment(gymnasium.Env):\n"
        "    observation_space = gymnasium.spaces.Box(-1, 1, (2,))\n    action_space = gymnasium.spaces.Discrete(2)\n\n"
        f"    def reset(self, **_):\n        {reset}\n\ngymnasium.register('{name}-v0', Environment)\n"
    )
    return f"{name}:{name}-v0"


def test_an_environment_that_reports_no_number(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--env", "tests.environments:Broken-v0", "--environment.env-kwargs", "{kind: nan observation}")
    assert re.search("error +play .* is not finite", only_error(doctor(words, capsys)))


def test_an_environment_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    name = write_environment(tmp_path, "failing", "1 / 0")
    line = only_error(doctor(["--env", name], capsys))
    assert re.search(r"play +the environment failed with ZeroDivisionError: .*failing\.py, line 9\); mend it", line)


def test_an_environment_that_hangs_is_left(tmp_path: Path) -> None:
    name = write_environment(tmp_path, "hanging", "time.sleep(1000)")
    code = "import sys; from agents.checks import command as all; all.SPARE_SECONDS = 5; all.run(sys.argv[1:])"
    command = [sys.executable, "-c", code, "--env", name, "--environment.timeout", "1"]
    environment = bare_environment()
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (1, "")
    *_, line, end = done.stdout.splitlines()
    assert re.fullmatch("error +play +did not end within 6 s; the environment hangs: .*", line)
    assert end == "1 error, 0 warnings."


def pusher(folder: Path, before: str, after: str) -> tuple[str, ...]:
    """Pusher-v5 with another text in its model, as words of a command line."""
    source = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets" / "pusher_v5.xml"
    text = source.read_text()
    assert before in text
    (folder / "model.xml").write_text(text.replace(before, after))
    settings = {"xml_file": str(folder / "model.xml")}
    return "--env", "Pusher-v5", "--environment.env-kwargs", json.dumps(settings)


def test_a_pusher_without_contact(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exclude = '<contact><exclude body1="object" body2="r_wrist_roll_link"/></contact>\n  <actuator>'
    line = only_error(doctor(pusher(tmp_path, "<actuator>", exclude), capsys))
    assert line.split()[1] == "physics"
    assert "nothing can be pushed; look at contype" in line


def test_a_pusher_whose_arm_passes_through_the_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As from mujoco 3.0 on, here by a joint that gives way to nothing."""
    stuck = pusher(tmp_path, 'range="-10.3213 10.3" damping="0.5"', 'range="-10.3213 10.3" damping="1e7"')
    assert re.search(r"the arm passes through it; install mujoco 2\.3\.7", only_error(doctor(stuck, capsys)))


def test_a_pusher_whose_object_hardly_feels_the_arm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slow = pusher(tmp_path, 'range="-10.3213 10.3" damping="0.5"', 'range="-10.3213 10.3" damping="500"')
    assert re.search(r"physics .* it hardly feels the arm; install mujoco 2\.3\.7", only_warning(doctor(slow, capsys)))


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="mujoco 2.3.7 is for Python 3.11")
def test_pusher_is_healthy_with_mujoco_2(capsys: pytest.CaptureFixture[str]) -> None:
    result = doctor(["--env", "Pusher-v4"], capsys)
    assert (result.code, result.err, lines(result, "warning")) == (0, "", [])
    assert re.search(r"ok +physics +an arm 43 mm deep in the object moves it 121 mm", result.out)
