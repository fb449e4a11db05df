"""The simulated builds share nothing with their trainer and run where only grpc, numpy and Pillow are."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCENES = ("gridworld", "depot")
SOURCES = sorted(path for name in ("simulated", *SCENES) for path in (ROOT / "envs" / name).glob("*.py"))


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
    own = ("envs.simulated", f"envs.{path.parent.name}")
    for module in imported(path):
        top = module.split(".")[0]
        assert top in sys.stdlib_module_names | {"numpy", "grpc", "PIL"} or module.startswith(own), module


@pytest.mark.parametrize("scene", SCENES)
def test_nothing_of_the_trainer_is_loaded(scene: str) -> None:
    program = f"import sys, envs.{scene}.__main__; print(*sys.modules)"
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


@pytest.mark.parametrize("name", ["launcher.py", "GridWorld.x86_64", "Depot.x86_64"])
def test_the_launchers_parse_on_any_python_3(name: str) -> None:
    ast.parse((ROOT / "unity_builds" / "simulated" / name).read_text(), feature_version=(3, 4))
