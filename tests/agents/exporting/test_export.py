"""The commands as a person runs them: on the simulated builds and on a gymnasium environment."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest

from agents import evaluate, export
from agents.cli.commandline import run_command
from agents.exporting import model as exporting_model
from agents.exporting.graph import Float32Array
from agents.learning.networks import QNetwork
from agents.system.interrupts import Interrupts
from tests.agents.exporting.files import untrained_run

FULL = 10_000
GRIDWORLD = {"backend": "unity", "build": "simulated/GridWorld"}
DEPOT = {"backend": "unity", "build": "simulated/Depot"}
#: A run's preset, its environment, and what the file is called.
RUNS: dict[str, tuple[str, dict[str, Any], str]] = {
    "one area": ("gridworld", GRIDWORLD, "GridWorld"),
    "nine areas": ("gridworld", {**GRIDWORLD, "env_args": ["--areas", "9"]}, "GridWorld"),
    "carrier": ("depot", {**DEPOT, "behavior": "Carrier"}, "Carrier"),
    "crane": ("depot", {**DEPOT, "behavior": "Crane", "levels": [-1, -0.3, 0, 0.3, 1]}, "Crane"),
    "pusher": ("pusher", {"backend": "gym", "env": "Pusher-v4"}, "Pusher-v4"),
}

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Runs `export` or `evaluate` where runs/ lies; returns exit code, stdout, and stderr without connections."""
    monkeypatch.chdir(tmp_path)

    def run(command: str, *words: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        argv = list(map(str, words))

        def main(interrupts: Interrupts) -> int:
            return export.main(argv) if command == "export" else evaluate.main(argv, interrupts)

        with pytest.raises(SystemExit) as ended:
            run_command(main, f"python -m agents.{command}")
        said = capsys.readouterr()
        errors = [line for line in said.err.splitlines() if not line.startswith("connected to ")]
        assert isinstance(ended.value.code, int)
        return ended.value.code, said.out, "\n".join(errors)

    return run


def small(results_dir: Path, name: str) -> str:
    """A run of that kind, by its id."""
    preset, environment, _ = RUNS[name]
    untrained_run(results_dir, name.replace(" ", "-"), preset, **environment)
    return name.replace(" ", "-")


def export_and_play(call: Call, folder: Path, name: str, decisions: int, episodes: int) -> None:
    run_id, stem = small(folder / "runs", name), RUNS[name][2]
    is_unity = RUNS[name][1]["backend"] == "unity"
    words = ("--run-id", run_id, "--checkpoint", "best", "--decisions", str(decisions), "--episodes", str(episodes))
    code, out, err = call("export", *words)
    assert (code, err) == (0, ""), out
    proofs = [line for line in out.splitlines() if re.match(r"\| \d ", line)]
    assert [re.findall(r"^\| (\d) .*? \| (\w+) \|", line)[0] for line in proofs] == [
        (number, "passed") for number in ("1234" if is_unity else "134")
    ]
    equal, compared = re.search(r"\| ([\d,]+) of ([\d,]+) recorded decisions equal", out).groups()  # type: ignore[union-attr]
    assert equal == compared
    assert int(compared.replace(",", "")) >= decisions
    assert f"{episodes} of {episodes} with the very same return" in out
    assert ("Not proved: the import into a Unity project" in out) == is_unity
    files = {path.name for path in (folder / "runs" / run_id / "export").iterdir()}
    assert files == {f"{stem}.onnx", f"{stem}.md"}
    card = (folder / "runs" / run_id / "export" / f"{stem}.md").read_text()
    assert set(proofs) <= set(card.splitlines())
    assert f"    python -m agents.export {' '.join(words)}" in card
    play(call, folder, name, Path("runs") / run_id / "export" / f"{stem}.onnx", episodes)


def play(call: Call, folder: Path, name: str, file: Path, episodes: int) -> None:
    """The file reaches what the run's own test reaches, on the same episodes."""
    preset, environment, _ = RUNS[name]
    where = [
        *(["--build", environment["build"]] if "build" in environment else ["--env", environment["env"]]),
        *(["--behavior", environment["behavior"]] if "behavior" in environment else []),
        *(["--env-args", *environment["env_args"]] if "env_args" in environment else []),
    ]
    short = ["--episodes", str(episodes), "--num-envs", "2" if preset == "pusher" else "1", "--time-scale", "20"]
    code, out, err = call("evaluate", "--onnx", file, *short, *where)
    assert (code, err) == (0, ""), out
    saved = folder / file.with_name(f"{file.stem}-{episodes}-episodes-seed-1000000.json")
    assert out.splitlines()[0] == f"test of {file.name}:"
    assert out.splitlines()[-1] == f"saved as {saved.relative_to(folder)}"
    code, out, err = call("evaluate", "--run-id", file.parts[1], "--checkpoint", "best", *short)
    assert (code, err) == (0, ""), out
    theirs = folder / out.splitlines()[-1].removeprefix("saved as ")
    assert json.loads(saved.read_text())["scores"] == json.loads(theirs.read_text())["scores"]


@pytest.mark.parametrize(
    ("name", "decisions"), [("nine areas", 300), ("carrier", 150), ("crane", 150), ("pusher", 800)]
)
def test_a_run_becomes_a_file_that_plays(name: str, decisions: int, call: Call, tmp_path: Path) -> None:
    export_and_play(call, tmp_path, name, decisions, episodes=2)


@pytest.mark.faults
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", RUNS)
def test_ten_thousand_decisions_are_equal(name: str, call: Call, tmp_path: Path) -> None:
    export_and_play(call, tmp_path, name, FULL, episodes=20)


def test_one_area_is_exported_checked_and_refused(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(tmp_path / "runs", "one area")
    words = ("--run-id", "one-area", "--checkpoint", "best", "--decisions", "100", "--episodes", "1")
    code, out, err = call("export", *words, "--output", "models/Agent.onnx")
    assert (code, err) == (0, ""), out
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["Agent.md", "Agent.onnx"]
    assert "saved as models/Agent.onnx, card models/Agent.md" in out

    code, out, err = call("export", "--check", "models/Agent.onnx", "--build", "simulated/GridWorld")
    assert (code, err) == (0, "")
    assert out.startswith("models/Agent.onnx for behaviour 'GridWorld' of simulated/GridWorld:\n")
    code, out, err = call("export", "--check", "models/Agent.onnx", "--build", "simulated/Depot", "--behavior", "Crane")
    assert code == 1
    assert "| 2 Unity's loader, restated | FAILED | input 'obs_0' has shape [3, 64, 84], expected [4]" in out

    honest = exporting_model.head

    def lying(network: QNetwork) -> tuple[Float32Array, Float32Array]:
        weight, bias = honest(network)
        return -weight, bias

    monkeypatch.setattr(exporting_model, "head", lying)
    code, out, err = call("export", *words, "--output", "models/Agent.onnx")
    assert code == 1
    assert "| 3 the agent's decisions | FAILED |" in out
    assert "nothing was written" in out
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["Agent.md", "Agent.onnx"]
    session = onnxruntime.InferenceSession(tmp_path / "models" / "Agent.onnx")
    assert [item.name for item in session.get_inputs()] == ["obs_0", "obs_1", "obs_2", "action_masks"]
    assert sorted(item.name for item in session.get_outputs()) == [
        "deterministic_discrete_actions",
        "discrete_action_output_shape",
        "discrete_actions",
        "memory_size",
        "version_number",
    ]
    kept = onnx.load(tmp_path / "models" / "Agent.onnx")
    assert (kept.opset_import[0].version, len(kept.opset_import)) == (9, 1)


@pytest.mark.parametrize(
    ("command", "words", "sentence"),
    [
        ("export", [], "--run-id is missing: the run to export"),
        ("export", ["--check", "a.onnx"], "--check needs --build NAME"),
        (
            "export",
            ["--check", "a.onnx", "--build", "x", "--run-id", "y"],
            "--check looks at any file and needs no run",
        ),
        ("export", ["--check", "a.onnx", "--build", "simulated/GridWorld"], "there is no file a.onnx"),
        ("export", ["--run-id", "nobody"], "no run 'nobody' in runs"),
        ("export", ["--run-id", "nobody", "--decisions", "0"], "found '0', expected a whole number from 1"),
        ("evaluate", ["--onnx", "a.onnx", "--run-id", "y"], "--run-id tests a run and --onnx a file"),
        ("evaluate", ["--onnx", "a.onnx", "--build", "x"], "No such file or directory: 'a.onnx'"),
        ("evaluate", ["--run-id", "y", "--build", "x"], "--build belongs to --onnx"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(command: str, words: list[str], sentence: str, call: Call) -> None:
    code, out, err = call(command, *words)
    assert (code, out) == (2, "")
    assert sentence in err
    assert "\n" not in err


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_one_sentence(package: str, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("agents.exporting")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    for command, words in (("export", ["--run-id", "x"]), ("evaluate", ["--onnx", "a.onnx", "--build", "x"])):
        code, out, err = call(command, *words)
        assert (code, out) == (2, "")
        assert f"model files need the package {package}, which is not installed: pip install onnx onnxruntime" in err
        assert "\n" not in err
