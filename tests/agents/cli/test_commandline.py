"""What a person may type: the options, their help, and what is told about wrong ones."""

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest
import torch

from agents import evaluate, train
from agents.cli.commandline import EVALUATE_OPTIONS, TRAIN_OPTIONS, config_values, run_command
from agents.settings.config import ConfigError, build_config, sections
from agents.settings.resolve import chosen_length, resumed_config, starting_values
from agents.system.interrupts import Interrupts
from bridge import ConnectionLostError
from tests.agents.commands import COUNTER, EVALUATE, ROOT, SMALL, TRAIN, call, run, snapshot

MLAGENTS_OPTIONS = (
    *("--run-id", "--resume", "--force", "--seed", "--base-port", "--no-graphics", "--time-scale", "--env-args"),
    *("--results-dir", "--torch-device"),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `runs/old`, a finished run."""
    folder = tmp_path_factory.mktemp("trained")
    words = [*COUNTER, *SMALL, "--steps", "30", "--run-id", "old", "--results-dir", str(folder / "runs")]
    assert train.main(words, Interrupts("test")) == 0
    return folder


@pytest.fixture
def there(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of one's own with that run, and with things that are not what they should be."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    shutil.copytree(tmp_path / "runs" / "old", tmp_path / "runs" / "unsaved")
    shutil.rmtree(tmp_path / "runs" / "unsaved" / "checkpoints")
    (tmp_path / "runs" / "thesis").mkdir()
    (tmp_path / "runs" / "thesis" / "chapter.txt").write_text("years of work")
    (tmp_path / "runs" / "note").write_text("no folder")
    (tmp_path / "runs" / "link").symlink_to(tmp_path / "runs" / "old", target_is_directory=True)
    (tmp_path / "plain.yaml").write_text("steps, and then some")
    (tmp_path / "broken.yaml").write_text("training: {steps: 5")
    (tmp_path / "picture.yaml").write_bytes(b"\xff\xd8\xff\xe0 JFIF")
    (tmp_path / "typo.yaml").write_text("lerner: {gamma: 0.9}")
    (tmp_path / "python.yaml").write_text("training: !!python/object/apply:os.mkdir [hacked]")
    (tmp_path / "Scene.x86_64").write_bytes(b"\x7fELF")
    (tmp_path / "Other.exe").write_bytes(b"MZ")
    monkeypatch.chdir(tmp_path)
    return tmp_path


WRONG = {
    "nothing": ([], "nothing to train on"),
    "backend only": (["--backend", "unity"], "nothing to train on"),
    "word": (["CartPole-v1"], "found 'CartPole-v1', expected options only"),
    "environment": (["--env", "CartPol-v1"], "did you mean 'CartPole-v1'?"),
    "module": (["--env", "nowhere:Env-v0"], "the module of 'nowhere:Env-v0' cannot be imported"),
    "build": (["--build", "GridWurld"], "no build 'GridWurld'"),
    "build path": (["--build", "./none/Scene.x86_64"], "no build './none/Scene.x86_64'"),
    "build above": (["--build", ".."], "is no build"),
    "both": (["--build", "GridWorld", "--env", "CartPole-v1"], "--build is for Unity and --env for gymnasium"),
    "backend of env": (["--backend", "unity", "--env", "CartPole-v1"], "--backend unity takes --build"),
    "backend of build": (["--backend", "gym", "--build", "GridWorld"], "--backend gym takes --env"),
    "backend": (["--backend", "unit", "--env", "CartPole-v1"], "found 'unit', expected 'unity' or 'gym'"),
    "preset": (["--env", "CartPole-v1", "--preset", "carpole"], "did you mean 'cartpole'?"),
    "preset file": (["--preset", "none.yaml"], "no preset file 'none.yaml'"),
    "no mapping": (["--preset", "plain.yaml"], "expected a mapping"),
    "no yaml": (["--preset", "broken.yaml"], "broken.yaml is not valid YAML"),
    "typo in preset": (["--preset", "typo.yaml", *COUNTER], "unknown setting 'lerner'; did you mean 'learner'?"),
    "picture for a preset": (["--preset", "picture.yaml"], "picture.yaml is not valid YAML"),
    "hostile preset": (["--preset", "python.yaml"], "python.yaml is not valid YAML"),
    "option": ([*COUNTER, "--learner.gama", "0.9"], "did you mean '--learner.gamma'?"),
    "option without section": ([*COUNTER, "--learning-rate", "1"], "did you mean '--learner.learning-rate'?"),
    "strange option": ([*COUNTER, "--xyzzy"], "unknown option '--xyzzy'; see --help"),
    "abbreviation": ([*COUNTER, "--step", "5"], "did you mean '--steps'?"),
    "no value": (["--env"], "--env: expected one argument"),
    "value of a switch": ([*COUNTER, "--resume=yes"], "--resume"),
    "no number": ([*COUNTER, "--steps", "many"], "training.steps: found 'many'"),
    "no whole number": ([*COUNTER, "--steps", "1.5"], "training.steps: found '1.5'"),
    "below": ([*COUNTER, "--steps", "-1"], "training.steps: found '-1', expected greater than or equal to 0"),
    "above": ([*COUNTER, "--learner.gamma", "1.5"], "learner.gamma: found '1.5', expected less than or equal to 1"),
    "nan": ([*COUNTER, "--learner.learning-rate", "nan"], "learner.learning_rate: found 'nan'"),
    "no truth": ([*COUNTER, "--learner.double", "perhaps"], "learner.double: found 'perhaps'"),
    "no choice": ([*COUNTER, "--learner.optimizer", "sgd"], "expected 'adam' or 'rmsprop'"),
    "no size": ([*COUNTER, "--network.hidden", "64,big"], "network.hidden"),
    "no mapping for env": ([*COUNTER, "--environment.env-kwargs", "5"], "environment.env_kwargs"),
    "argument of env": (
        [*COUNTER, "--environment.env-kwargs", "{size: 3}"],
        "tests.environments:Counter-v0 cannot be made",
    ),
    "observation": ([*COUNTER, "--network.observations", "image"], "this environment has no 'image'"),
    "codec": ([*COUNTER, "--environment.codec", "levels"], "levels"),
    "small image": (["--env", "tests.environments:Noise-v0"], "an image of 20x16 pixels is too small"),
    "device": ([*COUNTER, "--torch-device", "abacus"], "torch device 'abacus' cannot be used here"),
    "best of nothing": ([*COUNTER, "--evaluation.policy", "best"], "set evaluation.every"),
    "test on training": ([*COUNTER, "--seed", "1000000"], "seed 1000000 is that of training"),
    "results in a file": ([*COUNTER, "--results-dir", "plain.yaml"], "--results-dir plain.yaml cannot be made"),
    "results below a file": ([*COUNTER, "--results-dir", "plain.yaml/runs"], "--results-dir plain.yaml/runs cannot"),
    "run id above": ([*COUNTER, "--run-id", "../x"], "run id '../x' is no plain name"),
    "run id below": ([*COUNTER, "--run-id", "a/b"], "run id 'a/b' is no plain name"),
    "run id of Windows": ([*COUNTER, "--run-id", "a\\b"], "is no plain name"),
    "run id absolute": ([*COUNTER, "--run-id", "/tmp/x"], "run id '/tmp/x' is no plain name"),
    "run id empty": ([*COUNTER, "--resume", "--run-id", ""], "--run-id"),
    "run id hidden": ([*COUNTER, "--run-id", ".x"], "run id '.x' is no plain name"),
    "run id taken": ([*COUNTER, "--run-id", "old"], "run 'old' exists in runs: add --resume"),
    "run id of a folder": ([*COUNTER, "--run-id", "thesis"], "run 'thesis' exists"),
    "force a folder": ([*COUNTER, "--run-id", "thesis", "--force"], "runs/thesis is no run folder"),
    "force a file": ([*COUNTER, "--run-id", "note", "--force"], "runs/note is no run folder"),
    "force a link": ([*COUNTER, "--run-id", "link", "--force"], "runs/link is no run folder"),
    "force and wrong env": (["--env", "CartPol-v1", "--run-id", "old", "--force"], "did you mean 'CartPole-v1'?"),
    "force and wrong option": ([*COUNTER, "--run-id", "old", "--force", "--steps", "x"], "training.steps"),
    "force and wrong codec": ([*COUNTER, "--run-id", "old", "--force", "--environment.codec", "levels"], "levels"),
    "force and wrong network": ([*COUNTER, "--run-id", "old", "--force", "--network.observations", "goal"], "'goal'"),
    "force and big replay": (
        [*COUNTER, "--run-id", "old", "--force", "--replay.capacity", "9" * 12],
        "the replay needs",
    ),
    "force and resume": (
        [*COUNTER, "--run-id", "old", "--force", "--resume"],
        "--resume goes on with a run and --force",
    ),
    "resume what": (["--resume"], "--resume needs --run-id"),
    "resume unknown": (["--resume", "--run-id", "odl"], "no run 'odl' in runs; there are link, old, unsaved"),
    "resume folder": (["--resume", "--run-id", "thesis"], "no run 'thesis'"),
    "resume above": (["--resume", "--run-id", "../x"], "run id '../x' is no plain name"),
    "resume unsaved": (["--resume", "--run-id", "unsaved"], "run 'unsaved' was stopped before its first checkpoint"),
    "resume finished": (["--resume", "--run-id", "old"], "run 'old' has its 30 steps already: give a larger --steps"),
    "resume shorter": (["--resume", "--run-id", "old", "--steps", "20"], "has its 30 steps already"),
    "resume fewer": (
        ["--resume", "--run-id", "old", "--episodes", "3"],
        "has its 6 episodes already: give a larger --ep",
    ),
    "resume another env": (["--resume", "--run-id", "old", "--env", "CartPole-v1"], "environment.env"),
    "resume a build": (["--resume", "--run-id", "old", "--build", "GridWorld"], "environment.build"),
    "resume another network": (["--resume", "--run-id", "old", "--network.hidden", "9"], "network.hidden (8,)"),
    "resume another replay": (["--resume", "--run-id", "old", "--replay.capacity", "9"], "a resumed run keeps it"),
    "resume another preset": (["--resume", "--run-id", "old", "--preset", "seed-b"], "resume it without --preset"),
    "preset of another backend": (
        ["--preset", "seed-c", "--env", "CartPole-v1"],
        "preset 'seed-c' is for backend unity",
    ),
}
WRONG_TESTS = {
    "nothing": ([], "--run-id is missing"),
    "unknown": (["--run-id", "odl"], "no run 'odl' in runs; there are link, old, unsaved"),
    "above": (["--run-id", "../x"], "run id '../x' is no plain name"),
    "unsaved": (["--run-id", "unsaved"], "run 'unsaved' has no latest checkpoint"),
    "no best": (["--run-id", "old", "--checkpoint", "best"], "run 'old' has no best checkpoint"),
    "checkpoint": (["--run-id", "old", "--checkpoint", "first"], "invalid choice: 'first'"),
    "none": (["--run-id", "old", "--episodes", "0"], "evaluation.episodes: found '0'"),
    "option": (["--run-id", "old", "--episoded", "1"], "did you mean '--episodes'?"),
    "training's": (["--run-id", "old", "--learner.gamma", "1"], "unknown option '--learner.gamma'"),
    "training's seed": (["--run-id", "old", "--seed", "0"], "seed 0 is that of training"),
    "nowhere": (["--run-id", "old", "--results-dir", "nowhere"], "no run 'old' in nowhere; there is none yet"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_to_train_is_one_line(case: str, there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = snapshot(there)
    words, expected = WRONG[case]
    result = call(TRAIN, words, capsys)
    assert (result.code, result.out) == (2, "")
    assert result.error.startswith("python -m agents.train: ")
    assert expected in result.error
    assert len(result.error) < 700
    assert snapshot(there) == before


@pytest.mark.parametrize("case", WRONG_TESTS)
def test_wrong_input_to_evaluate_is_one_line(case: str, there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = snapshot(there)
    words, expected = WRONG_TESTS[case]
    result = call(EVALUATE, words, capsys)
    assert (result.code, result.out) == (2, "")
    assert result.error.startswith("python -m agents.evaluate: ")
    assert expected in result.error
    assert snapshot(there) == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device")
def test_a_missing_device_is_one_line(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = snapshot(there)
    result = call(TRAIN, [*COUNTER, "--torch-device", "cuda", "--run-id", "old", "--force"], capsys)
    assert result.code == 2
    assert "torch device 'cuda' cannot be used here" in result.error
    assert snapshot(there) == before


def test_a_replay_beyond_memory_is_told_with_both_figures(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    free = psutil.virtual_memory().available / 2**20
    result = call(TRAIN, [*COUNTER, "--replay.capacity", "1" + "0" * 11], capsys)
    found = re.search(r"needs ([\d,]+) MiB for 100,000,000,000 observations, but only ([\d,]+) MiB", result.error)
    assert found
    needed, available = (int(figure.replace(",", "")) for figure in found.groups())
    assert needed > 10**11 * 16 / 2**20
    assert 0.5 * free < available < 2 * free


@pytest.mark.skipif(sys.platform != "linux", reason="the files are builds of Linux and Windows")
@pytest.mark.parametrize(
    ("build", "expected"),
    [("./Scene.x86_64", "chmod +x"), ("./Other.exe", "is a build for Windows, but this is Linux")],
)
def test_a_build_that_cannot_run_is_one_line(
    build: str, expected: str, there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(there)
    result = call(TRAIN, ["--build", build, "--run-id", "old", "--force"], capsys)
    assert result.code == 2
    assert expected in result.error
    assert snapshot(there) == before


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_taken_port_is_one_line(taken_port: int, there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = snapshot(there)
    words = ["--build", "simulated/GridWorld", "--base-port", taken_port, "--run-id", "old", "--force"]
    result = call(TRAIN, list(map(str, words)), capsys)
    assert result.code == 2
    assert f"port {taken_port} is taken" in result.error
    assert snapshot(there) == before
    assert psutil.Process().children() == []


def test_a_wrong_command_line_of_a_real_process_is_one_line(there: Path) -> None:
    before = snapshot(there)
    result = run(TRAIN, "--env", "CartPol-v1", cwd=there)
    assert (result.code, result.out) == (2, "")
    expected = "python -m agents.train: there is no gymnasium environment 'CartPol-v1'; did you mean 'CartPole-v1'?"
    assert result.error == expected
    assert {name for name in snapshot(there) if not name.startswith(".")} == set(before)


# ---- help


def help_of(module: str, capsys: pytest.CaptureFixture[str]) -> str:
    result = call(module, ["--help"], capsys)
    assert (result.code, result.err) == (0, "")
    return " ".join(result.out.split())


def test_help_of_train_explains_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    said = help_of(TRAIN, capsys)
    for section, kind in sections().items():
        for name, field in kind.model_fields.items():
            option = f"--{section}.{name}".replace("_", "-")
            assert field.description
            assert said.count(f" {option} ") == 1
            # A value or none, then the description, then the default in brackets.
            pattern = rf" {re.escape(option)} [^()]{{1,50}}? {re.escape(field.description)}( \(.+?\)|; everything)"
            assert re.search(pattern, said), option
    assert "--steps N agent steps: decisions of all agents together; 0: no limit (50000)" in said
    assert "--learner.learning-rate X step size of the optimiser (0.0005)" in said
    assert "--backend unity|gym where the environment comes from (gym)" in said
    assert "--learner.double [true|false] " in said
    assert "--network.hidden A,B,... units of the fully connected layers (128)" in said
    for name in ("gridworld", "pusher", "cartpole", "seed-a", "seed-e"):
        assert name in said


@pytest.mark.parametrize("option", [*MLAGENTS_OPTIONS, *TRAIN_OPTIONS, "--preset"])
def test_train_has_the_options_of_mlagents_learn(option: str) -> None:
    assert option in train.make_parser()._option_string_actions


@pytest.mark.parametrize("option", [*EVALUATE_OPTIONS, "--run-id", "--results-dir", "--checkpoint"])
def test_evaluate_has_the_options_of_its_test(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert option in help_of(EVALUATE, capsys)


# ---- from words to values


def values_of(*words: str) -> dict[str, dict[str, object]]:
    return config_values(train.make_parser().parse(list(words)))


@pytest.mark.parametrize(
    "words",
    [
        ["--learner.learning-rate", "1e-3"],
        ["--learner.learning_rate", "1e-3"],
        ["--learner.learning-rate=1e-3"],
        ["--learner.learning_rate=1e-3"],
    ],
)
def test_dashes_and_underscores_are_the_same(words: list[str]) -> None:
    assert build_config(values_of(*words)).learner.learning_rate == 1e-3


def test_underscores_in_values_stay() -> None:
    assert values_of("--env", "my_module:Some_Env-v0", "--run_id=a_b")["environment"]["env"] == "my_module:Some_Env-v0"


def test_short_options_set_the_fields_of_their_dotted_names() -> None:
    short = [
        "--env",
        "X",
        "--num-envs",
        "3",
        "--seed",
        "5",
        "--base-port",
        "6000",
        "--no-graphics",
        "--time-scale",
        "2",
    ]
    dotted = [
        *("--environment.env", "X", "--environment.num-envs", "3", "--training.seed", "5"),
        *("--environment.base-port", "6000", "--environment.no-graphics", "true", "--environment.time-scale", "2"),
    ]
    assert values_of(*short) == values_of(*dotted)


@pytest.mark.parametrize("word", ["-100", "-1.5", "-.5", "-1e-3"])
def test_negative_numbers_are_values(word: str) -> None:
    config = build_config(values_of("--training.failure-reward", word))
    assert config.training.failure_reward == float(word)


def test_lists_may_begin_with_a_minus() -> None:
    config = build_config(values_of("--environment.levels", "-1,-0.5,0,0.5,1", "--network.hidden", "64,32"))
    assert config.environment.levels == (-1.0, -0.5, 0.0, 0.5, 1.0)
    assert config.network.hidden == (64, 32)


def test_mappings_are_written_as_yaml() -> None:
    config = build_config(
        values_of("--environment.env-params", "{gridSize: 7}", "--environment.env-kwargs", "{a: [1], b: x}")
    )
    assert config.environment.env_params == {"gridSize": 7.0}
    assert config.environment.env_kwargs == {"a": [1], "b": "x"}


@pytest.mark.parametrize("option", ["--env-args", "--env_args", "--environment.env-args", "--environment.env_args"])
def test_everything_after_env_args_is_the_build_s(option: str) -> None:
    words = [
        "--build",
        "GridWorld",
        option,
        "--areas",
        "9",
        "--steps",
        "5",
        "--help",
        "-batchmode",
        "--a_b=c",
        "--env-args",
    ]
    values = values_of(*words)
    assert values["environment"]["env_args"] == words[3:]
    assert "training" not in values


@pytest.mark.parametrize("option", ["--env-args", "--environment.env-args"])
def test_env_args_with_an_equals_sign_are_not_lost(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        values_of(f"{option}=--areas")
    assert ended.value.code == 2
    assert "found --env-args=--areas, expected a space" in capsys.readouterr().err


def test_env_args_may_be_emptied() -> None:
    assert values_of("--env-args")["environment"]["env_args"] == []
    assert "environment" not in values_of("--steps", "5")


# ---- from values to a configuration


def test_the_environment_implies_its_backend_and_preset() -> None:
    assert build_config(starting_values(None, values_of("--env", "CartPole-v1"))).preset == "cartpole"
    config = build_config(starting_values(None, values_of("--build", "GridWorld")))
    assert (config.environment.backend, config.preset) == ("unity", "gridworld")


def test_a_preset_file_needs_no_backend(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("environment: {build: GridWorld}\ntraining: {steps: 7}\n")
    config = build_config(starting_values(str(file), {}))
    assert (config.environment.backend, config.environment.target, config.training.steps) == ("unity", "GridWorld", 7)


def test_the_command_line_is_stronger_than_the_preset() -> None:
    values = starting_values("seed-b", values_of("--env", "Acrobot-v1", "--learner.gamma", "0.5"))
    config = build_config(values)
    assert (config.environment.backend, config.environment.target) == ("gym", "Acrobot-v1")
    assert (config.learner.gamma, config.learner.batch_size) == (0.5, 64)


@pytest.mark.parametrize(
    ("words", "steps", "episodes"),
    [
        ([], 0, 100),
        (["--episodes", "7"], 0, 7),
        (["--steps", "7"], 7, 0),
        (["--steps", "7", "--episodes", "8"], 7, 8),
        (["--training.steps", "7"], 7, 0),
    ],
)
def test_one_limit_on_the_command_line_replaces_the_preset_s(words: list[str], steps: int, episodes: int) -> None:
    """`seed-b` counts 100 episodes; 50,000 steps are to be 50,000."""
    training = build_config(starting_values("seed-b", chosen_length(values_of(*words)))).training
    assert (training.steps, training.episodes) == (steps, episodes)


@pytest.mark.parametrize(
    "words",
    [
        ("--build", "GridWorld", "--learner.relabel", "0.5"),
        ("--env", "Pusher-v4", "--learner.entropy-target", "0.2"),
        ("--env", "CartPole-v1", "--evaluation.clip", "true"),
    ],
)
def test_a_setting_may_need_others_that_the_preset_has(words: Sequence[str]) -> None:
    values = values_of(*words)
    with pytest.raises(ConfigError, match="needs"):
        build_config(values)
    build_config(starting_values(None, values))


def test_a_resumed_run_takes_new_settings_where_it_can() -> None:
    saved = build_config({"environment": {"env": "CartPole-v1"}})
    words = ("--env", "CartPole-v1", "--steps", "9", "--learner.gamma", "0.5", "--num-envs", "2")
    config = resumed_config(saved, values_of(*words, "--learner.learning-rate", "0.1"))
    assert config.learner.learning_rate == 0.1
    assert (config.training.steps, config.learner.gamma, config.environment.num_envs) == (9, 0.5, 2)


def test_a_resumed_run_relabels_as_before() -> None:
    """Its replay may hold rewards of several steps, which no rule knows how to change."""
    saved = build_config({"environment": {"env": "X", "reward_rule": "opposite"}})
    with pytest.raises(ConfigError, match=r"this run has learner\.relabel 0\.0, found 0\.5: a resumed run keeps it"):
        resumed_config(saved, values_of("--learner.relabel", "0.5"))


# ---- ends of commands


def test_a_lost_environment_ends_in_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    def command(_: Interrupts) -> int:
        raise ConnectionLostError("the build died.")

    with pytest.raises(SystemExit) as ended:
        run_command(command, "program")
    assert ended.value.code == 1
    assert capsys.readouterr().err == "program: the build died.\n"


def test_an_interrupted_command_leaves_no_process(capsys: pytest.CaptureFixture[str]) -> None:
    """Not even one that was started a moment ago and that nobody knows of."""
    started: list[psutil.Popen] = []

    def command(_: Interrupts) -> int:
        started.append(psutil.Popen([sys.executable, "-c", "import time; time.sleep(60)"]))
        signal.raise_signal(signal.SIGTERM)
        return 0

    with pytest.raises(SystemExit) as ended:
        run_command(command, "program")
    assert ended.value.code == 143
    assert started[0].wait(5) == -signal.SIGKILL
    assert capsys.readouterr().err == "program: interrupted.\n"


def test_the_bridge_is_heard_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Three environments of a run find the same build."""

    def command(_: Interrupts) -> int:
        for _ in range(3):
            logging.getLogger("bridge.unity").warning("using %s", "the simulated one")
        return 0

    for _ in range(2):
        with pytest.raises(SystemExit):
            run_command(command, "program")
        assert capsys.readouterr().err == "using the simulated one\n"
    assert logging.getLogger("bridge").handlers == []


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    """`python -m agents.train --help | head -1`"""
    script = (
        "import sys; from agents.cli.commandline import run_command\n"
        "def command(_):\n"
        "    for _ in range(100000): sys.stdout.write('line\\n')\n"
        "    return 0\n"
        "run_command(command, 'program')\n"
    )
    line = f'"{sys.executable}" -c "$SCRIPT" | head -1; exit "${{PIPESTATUS[0]}}"'
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash")
    environment = {**os.environ, "SCRIPT": script, "PYTHONPATH": str(ROOT)}
    ended = psutil.Popen([bash, "-c", line], env=environment, stdout=-1, stderr=-1, cwd=tmp_path)
    out, err = ended.communicate(timeout=60)
    assert (ended.returncode, out, err) == (141, b"line\n", b"")


def test_both_parsers_have_their_program_s_name() -> None:
    assert train.make_parser().prog == "python -m agents.train"
    assert evaluate.make_parser().prog == "python -m agents.evaluate"
