"""The simulated build shares nothing with its trainer and runs where only grpc, numpy and Pillow are."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SOURCES = sorted(path for name in ("simulated", "gridworld") for path in (ROOT / "envs" / name).glob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """The modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            yield str(node.module)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_only_what_is_allowed_is_imported(path: Path) -> None:
    gridworld = path.parent.name == "gridworld"
    packages = {"numpy", "grpc", *(["PIL"] if gridworld else [])}
    own = ("envs.simulated", "envs.gridworld") if gridworld else ("envs.simulated",)
    for module in imported(path):
        top = module.split(".")[0]
        assert top in sys.stdlib_module_names | packages or module.startswith(own), module


def test_nothing_of_the_trainer_is_loaded() -> None:
    program = "import sys, envs.gridworld.__main__; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=50
    ).stdout.split()
    tops = {module.split(".")[0] for module in loaded}
    assert "numpy" in tops
    assert not tops & {"bridge", "agents", "torch", "gymnasium", "mlagents_envs"}
    assert not any(module.startswith("google.protobuf") for module in loaded)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_sources_are_python_3_10(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=(3, 10))


def test_the_launcher_parses_on_any_python_3() -> None:
    ast.parse((ROOT / "unity_builds" / "simulated" / "GridWorld.x86_64").read_text(), feature_version=(3, 4))
