"""Videos as a person orders them: each is decoded and compared with what really happened, played once more."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import psutil
import pytest

from agents import train
from agents.filming.recording import Moment, clip, moments, recording_spec
from agents.filming.video import captioned, enlarged
from agents.learning.agent import DQNAgent
from agents.settings.config import build_config
from agents.settings.files import load_config
from agents.storage.checkpoint import find_checkpoint, restore_weights
from agents.storage.runs import RunFolder
from agents.system.interrupts import Interrupts
from bridge import Bridge, ConnectionLostError, EnvSpec, ObsSpec, Steps, StepType, connect
from tests.agents.commands import COUNTER, EVALUATE, RECORD, SMALL, Command, Result, call
from tests.agents.filming.test_video import decoded, difference
from tests.agents.scripted import FIRST, LAST, MID, VECTOR, Playback, Row, behavior, number_in
from tests.renderers import drawing

NEAR = {"distance": 3.0, "azimuth": 135.0, "elevation": -22.5}
Chooser = Callable[[Steps], npt.NDArray[np.int32]]


@dataclass
class Episode:
    """What really happened: a picture and two lines for each moment, and the first picture of what came after."""

    pictures: list[Any] = field(default_factory=list)
    after: Any = None
    lines: list[list[str]] = field(default_factory=list)
    score: float = 0.0

    def add(self, picture: Any, *lines: str) -> None:
        self.pictures.append(picture)
        self.lines.append(list(lines))


def replayed(bridge: Bridge, choose: Chooser, seed: int, episodes: int, meaning: dict[int, str] | None = None) -> Any:
    """Plays one agent's episodes. meaning: what stands behind the number of an action."""
    steps = bridge.reset(seed)
    for number in range(1, episodes + 1):
        episode, count = Episode(), 0
        while True:
            row = len(steps) - 1  # there is one agent, and its deciding row is the last
            goal = " ".join(
                f"{value:g}"
                for spec, values in zip(bridge.spec.observations, steps.obs, strict=True)
                for value in (values[row] if spec.is_goal else ())
            )
            end = f"   goal {goal}" if goal else ""
            action = choose(steps.deciding)
            text = " ".join(map(str, action[0])) + (f" = {meaning[int(action[0, 0])]}" if meaning else "")
            first = f"episode {number}   step {count}   score {episode.score:.3f}"
            episode.add(bridge.render(), first, f"action {text}{end}")
            steps = bridge.step(action)
            count += 1
            episode.score += float(steps.reward[0])
            if steps.step_type[0] == StepType.LAST:
                first = f"episode {number}   step {count}   score {episode.score:.3f}"
                ending = "truncated" if steps.discount[0] else "terminated"
                episode.add(bridge.render(0), first, f"{ending}{end}")
                episode.after = bridge.render()
                yield episode
                break


def at_random(bridge: Bridge, seed: int) -> Chooser:
    rng = np.random.default_rng(seed)
    return lambda rows: bridge.spec.actions.sample(rows.mask, rng)


def assert_shows(path: Path, episode: Episode, fps: float) -> None:
    """Each picture of the video is the episode's, and its caption is that one and no other."""
    found = decoded(path)
    assert len(found) == len(episode.pictures)
    expected = [captioned(*moment) for moment in zip(episode.pictures, episode.lines, strict=True)]
    height = len(enlarged(episode.pictures[0]))
    strips = [picture[height:] for picture in expected]
    assert len({strip.tobytes() for strip in strips}) == len(strips)
    for number, picture in enumerate(found):
        assert picture.shape == expected[number].shape
        near = [episode.pictures[number], *episode.pictures[max(0, number - 1) : number + 2], episode.after]
        assert_nearest(picture[:height], *map(enlarged, near))
        distances = [difference(picture[height:], strip) for strip in strips]
        assert int(np.argmin(distances)) == number
        assert distances[number] < 6
    assert len({picture.tobytes() for picture in found}) == len(found)
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == fps


def assert_nearest(found: Any, expected: Any, *others: Any) -> None:
    """The picture is the expected one, or one that looks the same, not one of the others."""
    candidates = [expected, *others]
    distances = [difference(found, candidate) for candidate in candidates]
    assert distances[0] < 3
    assert (candidates[int(np.argmin(distances))] == expected).all()


def recorded(result: Result) -> list[tuple[int, float, int, str, Path]]:
    """What the command says of each video: episode, score, steps, how it ended, where it lies."""
    assert result.code == 0, result.err
    said = []
    for line in result.out.splitlines():
        found = re.fullmatch(r"episode (\d+): score (\S+), (\d+) steps, (\w+): (\S+)", line)
        assert found, line
        number, score, steps, ending, path = found.groups()
        said.append((int(number), float(score), int(steps), ending, Path(path)))
    return said


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ---- a random agent


def assert_recorded(
    said: Sequence[tuple[int, float, int, str, Path]], episodes: Iterator[Episode], name: str, fps: float
) -> None:
    for number, (given, episode) in enumerate(zip(said, episodes, strict=True), start=1):
        count, score, steps, ending, path = given
        assert (count, steps, path.name) == (number, len(episode.pictures) - 1, name.format(number))
        assert score == pytest.approx(episode.score, abs=6e-4)
        assert episode.lines[-1][1].split()[0] == ending
        assert_shows(path, episode, fps)


def test_a_random_agent_in_cartpole(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = recorded(call(RECORD, ["--random", "--env", "CartPole-v1", "--episodes", 2, "--seed", 7], capsys))
    assert [steps for _, _, steps, _, _ in said] == [score for _, score, *_ in said]
    with connect(EnvSpec("gym", "CartPole-v1", {"render": True})) as bridge:
        episodes = replayed(bridge, at_random(bridge, 7), 7, 2)
        assert_recorded(said, episodes, "CartPole-v1-random-seed-7-episode-{}.mp4", 50)
    assert sorted((here / "videos").iterdir()) == [here / path for *_, path in said]


def test_a_random_agent_in_gridworld(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--random", "--build", "simulated/GridWorld", "--episodes", 2, "--seed", 5, "--output", "films"]
    said = recorded(call(RECORD, words, capsys))
    with connect(EnvSpec("unity", "simulated/GridWorld", {"codec": "offset"}, 5)) as bridge:
        episodes = list(replayed(bridge, at_random(bridge, 5), 5, 2))
    assert "goal" in episodes[0].lines[0][1]
    assert_recorded(said, iter(episodes), "simulated-GridWorld-random-seed-5-episode-{}.mp4", 8)


def test_a_random_agent_in_pusher_from_near(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = {"max_episode_steps": 12}
    options = {"codec": "one_joint", "render": True, "env_kwargs": arguments}
    with drawing(EnvSpec("gym", "Pusher-v4", {**options, "camera": NEAR})) as bridge:
        joints = {
            2 * joint + odd: " ".join("0" * joint + "x" + "0" * (6 - joint)) for joint in range(7) for odd in (0, 1)
        }
        meaning = {action: text.replace("x", "-1" if action % 2 else "1") for action, text in joints.items()}
        episodes = list(replayed(bridge, at_random(bridge, 3), 3, 1, meaning))
    words = ["--random", "--env", "Pusher-v4", "--episodes", 1, "--seed", 3, "--environment.codec", "one_joint"]
    words += ["--environment.env-kwargs", "{max_episode_steps: 12}"]
    said = recorded(call(RECORD, words, capsys))
    assert_recorded(said, iter(episodes), "Pusher-v4-random-seed-3-episode-{}.mp4", 20)
    far = recorded(call(RECORD, [*words, "--camera", "default", "--fps", "12.5", "--output", "far"], capsys))
    first, other = decoded(said[0][-1])[0], decoded(far[0][-1])[0]
    assert (np.abs(first.astype(int) - other).max(axis=2) > 20).mean() > 0.05
    with av.open(str(far[0][-1])) as container:
        assert container.streams.video[0].average_rate == 12.5


def test_a_camera_of_a_build_is_chosen_by_name(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--random", "--build", "simulated/Depot", "--episodes", 1, "--behavior", "Carrier"]
    result = call(RECORD, [*words, "--camera", "Overview"], capsys)
    assert result.code == 2
    cameras = re.search(r"has no camera sensor 'Overview'; behaviour '\S+' has (\S+), (\S+)\.", result.err)
    assert cameras
    shapes = set()
    for name in cameras.groups():
        (said,) = recorded(call(RECORD, [*words, "--camera", name, "--output", name], capsys))
        pictures = decoded(said[-1])
        assert len(pictures) == said[2] + 1
        assert len({picture.tobytes() for picture in pictures}) == len(pictures)
        shapes.add(pictures[0].shape)
    assert len(shapes) == 2


# ---- a trained one


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    results = tmp_path_factory.mktemp("trained")
    words = ["--env", "CartPole-v1", *SMALL, "--evaluation.num-envs", "1", "--steps", "40"]
    words += ["--run-id", "pole", "--results-dir", str(results)]
    assert train.main(words, Interrupts("test")) == 0
    return RunFolder(results / "pole")


def test_a_trained_agent_plays_its_test_greedily(trained: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    run = ["--run-id", "pole", "--results-dir", trained.path.parent]
    said = recorded(call(RECORD, [*run, "--episodes", 2], capsys))
    assert call(EVALUATE, [*run, "--episodes", 2], capsys).code == 0
    tested = json.loads((trained.evaluations / "step-000000040-2-episodes-seed-1000000.json").read_text())
    assert [score for _, score, *_ in said] == tested["scores"]
    assert {path.parent for *_, path in said} == {trained.path / "videos"}
    with connect(EnvSpec("gym", "CartPole-v1", {"render": True})) as bridge:
        agent = DQNAgent(bridge.spec, load_config(trained.config), learning=False)
        restore_weights(find_checkpoint(trained.checkpoints, "latest"), agent)
        rng = np.random.default_rng(0)
        episodes = replayed(bridge, lambda rows: agent.choose(rows, 0.0, rng), 1_000_000, 2)
        assert_recorded(said, episodes, "step-000000040-seed-1000000-episode-{}.mp4", 50)


def test_a_random_agent_plays_in_a_run_s_environment(trained: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--run-id", "pole", "--results-dir", trained.path.parent, "--random", "--episodes", 1]
    (said,) = recorded(call(RECORD, words, capsys))
    assert said[-1] == trained.path / "videos" / "random-seed-1000000-episode-1.mp4"
    with connect(EnvSpec("gym", "CartPole-v1", {"render": True})) as bridge:
        assert_shows(said[-1], next(replayed(bridge, at_random(bridge, 1_000_000), 1_000_000, 1)), 50)


WRONG = {
    "nothing": ([], "--run-id is missing: the run to record; or --random with --build NAME or --env ID"),
    "no target": (["--random"], "nothing to train on: give --build NAME for Unity, --env ID for gymnasium"),
    "unknown": (["--run-id", "pool"], "no run 'pool' in {runs}; there are pole"),
    "no best": (["--run-id", "pole", "--checkpoint", "best"], "run 'pole' has no best checkpoint"),
    "both": (["--run-id", "pole", "--checkpoint", "latest", "--random"], "give one of them"),
    "another environment": (["--run-id", "pole", "--env", "Acrobot-v1"], "this run has environment.env 'CartPole-v1'"),
    "preset": (["--run-id", "pole", "--preset", "pusher"], "the run has its own"),
    "seed": (["--run-id", "pole", "--seed", "0"], "seed 0 is that of training"),
    "no episodes": (["--run-id", "pole", "--episodes", "0"], "--episodes: found '0', expected a whole number from 1"),
    "fps": (["--run-id", "pole", "--fps", "fast"], "--fps: found 'fast', expected 0.1 to 1000 pictures per second"),
    "no fps": (["--run-id", "pole", "--fps", "nan"], "--fps: found 'nan', expected 0.1 to 1000"),
    "no camera": (["--run-id", "pole", "--camera", "near"], "CartPole-v1 has no camera to choose, only MuJoCo"),
    "camera": (["--run-id", "pole", "--camera", "distance=far"], "such as distance=3,azimuth=135,elevation=-22.5"),
    "option": (["--run-id", "pole", "--camra", "near"], "did you mean '--camera'?"),
    "environment": (["--random", "--env", "CartPol-v1"], "did you mean 'CartPole-v1'?"),
    "no pictures": (["--random", "--env", "tests.environments:Noise-v0"], "cannot render pictures"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_one_line(case: str, trained: RunFolder, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words, sentence = WRONG[case]
    runs = trained.path.parent
    result = call(RECORD, ["--results-dir", runs, *words], capsys)
    assert (result.code, result.out) == (2, "")
    assert result.error.startswith("python -m agents.record: ")
    assert sentence.format(runs=runs) in result.error
    assert not list(here.iterdir())


def test_a_folder_that_cannot_be_made_is_one_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "file").write_text("no folder")
    result = call(RECORD, ["--random", *COUNTER, "--output", "file/videos"], capsys)
    assert result.code == 2
    assert result.error == "python -m agents.record: --output file/videos cannot be made: Not a directory."


# ---- as a process


def test_ctrl_c_leaves_whole_videos_only(tmp_path: Path) -> None:
    with Command(RECORD, "--random", "--env", "CartPole-v1", "--episodes", "100000", cwd=tmp_path) as command:
        command.wait_for(lambda: len(list(tmp_path.glob("videos/*.mp4"))) > 2)
        command.send(signal.SIGINT)
        result = command.result(30)
    assert (result.code, result.error) == (128 + signal.SIGINT, "python -m agents.record: interrupted.")
    said = recorded(replace(result, code=0))
    assert sorted(path for path in (tmp_path / "videos").iterdir()) == sorted(tmp_path / path for *_, path in said)
    for _, _, steps, _, path in said:
        assert len(decoded(tmp_path / path)) == steps + 1


@pytest.mark.skipif(not hasattr(psutil.Process, "rlimit"), reason="needs limits of another process")
def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    with Command(RECORD, "--random", "--env", "CartPole-v1", "--episodes", "100000", cwd=tmp_path) as command:
        command.wait_for("episode 2: ")
        command.process.rlimit(psutil.RLIMIT_FSIZE, (4000, 4000))  # bytes; the shortest video has more
        result = command.result(30)
    assert result.code == 1
    assert result.error.startswith("python -m agents.record: ")
    assert "File too large" in result.error
    assert all(path.suffix == ".mp4" and len(decoded(path)) > 8 for path in (tmp_path / "videos").iterdir())


# ---- one agent of several


class Pictured(Playback):
    """Each picture shows its row's number."""

    def _render(self, row: int | None) -> npt.NDArray[np.uint8]:
        assert row is not None
        assert self._steps is not None
        return np.full((4, 4, 3), number_in(VECTOR, self._steps.obs[0][row]), np.uint8)


def told(moment: Moment) -> tuple[int, int, int, float, str]:
    return int(moment.picture.max()), moment.episode, moment.step, round(moment.score, 3), moment.ending


def test_one_agent_is_followed_from_its_first_row_to_its_last() -> None:
    """Others come and go, decide before it and without it, and it is not always asked."""
    exchanges = [
        [Row(1, FIRST, 10), Row(2, FIRST, 20)],
        [Row(2, MID, 21, 5.0), Row(1, MID, 11, 1.0)],
        [Row(2, MID, 22, 5.0)],
        [Row(2, LAST, 23, 5.0), Row(1, LAST, 12, 2.0, terminated=True), Row(4, FIRST, 40)],
        [Row(4, MID, 41, 7.0)],
        [Row(4, LAST, 42, 0.5)],
    ]
    bridge = Pictured(behavior(), *exchanges)
    rng = np.random.default_rng(0)
    found = list(moments(bridge, lambda rows: bridge.spec.actions.sample(rows.mask, rng), 9, 2))
    assert bridge.calls[0] == "reset(9)"
    assert list(map(told, found)) == [
        (10, 1, 0, 0.0, ""),
        (11, 1, 1, 1.0, ""),
        (12, 1, 2, 3.0, "terminated"),
        (40, 2, 0, 0.0, ""),
        (41, 2, 1, 7.0, ""),
        (42, 2, 2, 7.5, "truncated"),
    ]
    sent = [bridge.sent[0][0], bridge.sent[1][1], None, bridge.sent[3][0], bridge.sent[4][0], None]
    for moment, action in zip(found, sent, strict=True):
        assert moment.action is None if action is None else (moment.action == action).all()


def test_an_episode_that_begins_later_is_waited_for() -> None:
    exchanges = [[Row(1, FIRST, 1)], [Row(1, LAST, 2)], [], [Row(2, FIRST, 3)], [Row(2, LAST, 4)]]
    bridge = Pictured(behavior(), *exchanges)
    found = moments(bridge, lambda rows: np.zeros((len(rows), 1), np.int32), 0, 2)
    assert [int(moment.picture.max()) for moment in found] == [1, 2, 3, 4]


def test_a_lost_environment_ends_the_recording() -> None:
    bridge = Pictured(behavior(), [Row(1, FIRST)], [Row(2, FIRST)])
    bridge._exchanges[1] = replace(bridge._exchanges[1], lost=np.array([1]))
    with pytest.raises(ConnectionLostError, match="was lost within episode 1"):
        list(moments(bridge, lambda rows: np.zeros((len(rows), 1), np.int32), 0, 2))


def test_a_goal_in_numbers_is_told() -> None:
    spec = behavior(VECTOR, ObsSpec("goal", "vector", (2,), is_goal=True))
    bridge = Pictured(spec, [Row(1, FIRST, 3)], [Row(1, LAST, 4)])
    first, last = moments(bridge, lambda rows: np.ones((len(rows), 1), np.int32), 0, 1)
    assert first.caption(bridge.codec)[1] == "action 1   goal 3 0"
    assert last.caption(bridge.codec)[1] == "truncated   goal 4 0"


# ---- in few pictures


@pytest.mark.parametrize(
    ("length", "shown"),
    [(2, [0, 1, 2]), (5, [0, 1, 2, 3, 4, 5]), (6, [0, 2, 4, 6]), (13, [0, 4, 8, 12, 13]), (40, [0, 8, 16, 24, 32, 40])],
)
def test_a_clip_is_evenly_spaced_and_ends_at_the_end(length: int, shown: list[int]) -> None:
    rows = [[Row(1, FIRST if not at else LAST if at == length else MID, at)] for at in range(length + 1)]
    bridge = Pictured(behavior(), *rows)
    found = clip(bridge, lambda rows: np.zeros((len(rows), 1), np.int32), 0, most=6)
    assert [int(picture[0, 160].max()) for picture in found.pictures] == shown
    assert found.fps == 8 / (shown[1] - shown[0])


def test_a_recording_is_of_one_environment_at_the_tests_speed() -> None:
    given = {"num_envs": 4, "workers": 2, "no_graphics": True, "time_scale": 20.0}
    config = build_config({"environment": {"backend": "unity", "build": "Scene", **given, "workers": 4}})
    spec = recording_spec(config, "Overview")
    assert spec.seed == config.evaluation.seed
    expected = {"num_envs": 1, "workers": 0, "max_restarts": 0, "no_graphics": False, "time_scale": 1.0}
    assert {name: spec.options[name] for name in expected} == expected
    assert spec.options["camera"] == "Overview"
    for target, camera in (("Pusher-v4", NEAR), ("envs.pusher:Pusher-v5", NEAR), ("Reacher-v5", None)):
        config = build_config({"environment": {"env": target}})
        assert recording_spec(config, None).options["camera"] == camera
        assert recording_spec(config, "default").options["camera"] is None
