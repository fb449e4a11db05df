"""benchmarks/pusher_contact.py on results of tests that are made up."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "pusher_contact.py"


@pytest.fixture
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location(SCRIPT.stem, SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def episode(score: float, success: bool, distance: float, on_top: bool, height: float | None) -> dict[str, float]:
    said = {"score_without_penalty": score, "success": float(success), "goal_distance": distance}
    said |= {"touched": float(height is not None), "first_contact_on_top": float(on_top)}
    return said if height is None else {**said, "first_contact_height": height}


def save(folder: Path, run: str, test: str, *episodes: dict[str, float]) -> None:
    path = folder / run / "evaluations" / f"{test}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"episode_metrics": episodes}), encoding="utf-8")


def test_episodes_are_sorted_by_their_first_contact(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    top, side, none = (
        episode(-45, False, 0.2, True, 0.1),
        episode(-30, True, 0.04, False, 0.03),
        episode(-55, False, 0.3, False, None),
    )
    save(tmp_path, "plain-seed0", "step-1", none)  # an older test
    save(tmp_path, "plain-seed0", "step-2", top, side)
    save(tmp_path, "plain-seed1", "step-2", episode(-33, False, 0.06, False, 0.05), none)
    save(tmp_path, "other-seed0", "step-2", side)
    monkeypatch.setattr(sys, "argv", ["pusher_contact.py", "plain", "other", "--runs-dir", str(tmp_path)])
    benchmark.main()
    assert capsys.readouterr().out.splitlines()[2:] == [
        "| plain | 2 | any | 100.0% | -40.8 | 25.0% | 0.150 | 0.050 |",
        "| plain | 2 | top face | 25.0% | -45.0 | 0.0% | 0.200 | 0.100 |",
        "| plain | 2 | elsewhere | 50.0% | -31.5 | 50.0% | 0.050 | 0.040 |",
        "| plain | 2 | none | 25.0% | -55.0 | 0.0% | 0.300 | - |",
        "| other | 1 | any | 100.0% | -30.0 | 100.0% | 0.040 | 0.030 |",
        "| other | 1 | top face | 0.0% | - | - | - | - |",
        "| other | 1 | elsewhere | 100.0% | -30.0 | 100.0% | 0.040 | 0.030 |",
        "| other | 1 | none | 0.0% | - | - | - | - |",
    ]


def test_a_name_without_runs_is_refused(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["pusher_contact.py", "plain", "--runs-dir", str(tmp_path)])
    with pytest.raises(SystemExit):
        benchmark.main()
    assert "has no tested run plain-seed" in capsys.readouterr().err


def test_runs_of_another_environment_are_refused(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path, "pusher-seed0", "step-1", {})
    monkeypatch.setattr(sys, "argv", ["pusher_contact.py", "pusher", "--runs-dir", str(tmp_path)])
    with pytest.raises(SystemExit):
        benchmark.main()
    assert "runs pusher-seed... say nothing of contacts" in capsys.readouterr().err
