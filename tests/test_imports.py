"""Which package may know which, read from the source."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import bridge

ROOT = Path(__file__).parents[1]
PACKAGES = ("bridge", "agents", "envs")
STANDARD = frozenset(sys.stdlib_module_names)
#: Modules that a person starts, as `python -m agents.train`.
ENTRY_POINTS = frozenset(
    f"agents.{name}"
    for name in ("train", "evaluate", "play", "record", "export", "report", "monitor", "doctor", "table_size", "tune")
)
#: Libraries with one door.
DOORS = {
    "mlagents_envs": ("bridge/unity/",),
    "grpc": ("bridge/unity/", "envs/simulated/", "envs/gridworld/"),
    "gymnasium": ("bridge/gymnasium/", "bridge/door/", "envs/pusher", "envs/minatar"),
    "stable_baselines3": ("bridge/door/sb3.py",),
    "mujoco": ("bridge/physics.py", "envs/pusher", "envs/minatar"),
    "onnx": ("agents/exporting/",),
    "onnxruntime": ("agents/exporting/",),
    "tensorboard": ("agents/metrics/",),
    "torch.utils.tensorboard": ("agents/metrics/",),
    "yaml": ("agents/settings/config.py", "agents/settings/files.py"),
    "av": ("agents/filming/",),
    "imageio": ("agents/filming/",),
    "moviepy": ("agents/filming/",),
    "cv2": ("agents/filming/",),
    "jinja2": ("agents/reporting/page.py",),
    "markupsafe": ("agents/reporting/page.py",),
    "pygame": ("agents/playing/screen_window.py",),
    "optuna": ("agents/tuning/",),
    "minatar": ("envs/minatar.py",),
}
#: The packages of `agents`, and which of them each may import.
LAYERS: dict[str, frozenset[str]] = {
    package: frozenset(others.split())
    for package, others in {
        "system": "",
        "settings": "system",
        "episodes": "system settings",
        "filming": "settings",
        "learning": "settings episodes",
        "storage": "system settings learning",
        "metrics": "system episodes filming learning storage",
        "training": "system settings episodes filming learning storage metrics playing",
        "cli": "system settings storage",
        "checks": "system settings filming learning storage cli",
        "playing": "settings episodes filming learning",
        "exporting": "settings episodes learning storage metrics training cli",
        "reporting": "settings filming storage",
        "tuning": "system settings storage training cli",
    }.items()
}


@dataclass(frozen=True)
class Import:
    """`module` imported by `path`, as `from module import name` for each of `names`."""

    path: str
    line: int
    module: str
    names: tuple[str, ...] = ()
    in_function: bool = False

    def __str__(self) -> str:
        return f"{self.path}:{self.line} imports {self.module} {' '.join(self.names)}"

    def reaches(self, package: str) -> bool:
        """Whether it imports the package, or a module or name inside it."""
        spelled = [self.module, *(f"{self.module}.{name}" for name in self.names)]
        return any(name == package or name.startswith(f"{package}.") for name in spelled)


def sources() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(tree: ast.AST, path: str, package: str) -> Iterator[Import]:
    """Every import statement, those for the type checker and inside functions included."""
    inside: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            inside.update(ast.walk(node))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(path, node.lineno, alias.name, in_function=node in inside)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                module = ".".join([*parents, module] if module else parents)
            names = tuple(alias.name for alias in node.names)
            yield Import(path, node.lineno, module, names, in_function=node in inside)


@cache
def all_imports() -> tuple[Import, ...]:
    found: list[Import] = []
    for path in sources():
        name = module_name(path)
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found += imports_of(tree, path.relative_to(ROOT).as_posix(), package)
    return tuple(found)


def found(below: str, *forbidden: str) -> list[str]:
    """The imports of these packages by files whose path starts with `below`."""
    return [str(i) for i in all_imports() if i.path.startswith(below) and any(map(i.reaches, forbidden))]


def test_there_is_something_to_read() -> None:
    assert len(sources()) > 10
    assert found("bridge/gymnasium/", "gymnasium")


def test_the_bridge_knows_no_agent() -> None:
    assert found("bridge/", "agents", "envs", "torch", "tensorboard", "yaml") == []


def test_the_simulated_build_knows_only_its_wire() -> None:
    forbidden = ("bridge", "agents", "torch", "gymnasium", "mlagents_envs", "google.protobuf", "google")
    assert found("envs/gridworld/", *forbidden) == []
    assert found("envs/simulated/", *forbidden) == []
    allowed = STANDARD | {"numpy", "grpc", "PIL", "envs"}
    for below in ("envs/gridworld/", "envs/simulated/"):
        others = [str(i) for i in all_imports() if i.path.startswith(below) and i.module.split(".")[0] not in allowed]
        assert others == []


def test_the_packages_of_agents_lie_in_layers() -> None:
    folders = {path.parent.name for path in (ROOT / "agents").glob("*/__init__.py")}
    assert folders == LAYERS.keys()
    for package, allowed in LAYERS.items():
        forbidden = (f"agents.{other}" for other in LAYERS.keys() - allowed - {package})
        assert found(f"agents/{package}/", *forbidden) == []
    assert cycle_in({package: set(allowed) for package, allowed in LAYERS.items()}) == []


def test_beside_the_packages_of_agents_there_are_commands_only() -> None:
    modules = {f"agents.{path.stem}" for path in (ROOT / "agents").glob("*.py")} - {"agents.__init__"}
    assert modules == ENTRY_POINTS


def test_agents_know_no_backend() -> None:
    assert found("agents/", "mlagents_envs", "gymnasium", "grpc", "envs") == []


def test_agents_use_the_public_names_of_the_bridge() -> None:
    public = set(bridge.__all__)
    wrong = [
        str(i)
        for i in all_imports()
        if i.path.startswith("agents/") and i.reaches("bridge") and (i.module != "bridge" or not set(i.names) <= public)
    ]
    assert wrong == []


@pytest.mark.parametrize("library", DOORS)
def test_each_library_has_one_door(library: str) -> None:
    wrong = [str(i) for i in all_imports() if i.reaches(library) and not i.path.startswith(DOORS[library])]
    assert wrong == []


@pytest.mark.parametrize("module", ["replay", "nstep", "exploration"])
def test_memory_and_exploration_know_no_torch(module: str) -> None:
    assert found(f"agents/learning/{module}.py", "torch") == []


@pytest.mark.parametrize("module", ["losses", "networks"])
def test_maths_knows_no_settings_and_no_memory(module: str) -> None:
    assert found(f"agents/learning/{module}.py", "agents.settings", "agents.learning.replay", "pydantic") == []


def test_the_loop_knows_none_of_its_listeners() -> None:
    listeners = ("storage", "metrics", "training", "filming", "episodes.evaluation")
    assert found("agents/learning/loop.py", *(f"agents.{name}" for name in listeners)) == []


def test_entry_points_are_leaves() -> None:
    wrong = [str(i) for i in all_imports() if any(map(i.reaches, ENTRY_POINTS))]
    assert wrong == []
    started = {module_name(path) for path in sources() if '__name__ == "__main__"' in path.read_text(encoding="utf-8")}
    wrong = [str(i) for i in all_imports() if any(i.module == name for name in started)]
    assert wrong == []


def test_no_import_hides_in_a_function() -> None:
    assert [str(i) for i in all_imports() if i.in_function] == []


def test_no_cycles() -> None:
    modules = {module_name(path): path for path in sources()}
    graph: dict[str, set[str]] = {name: set() for name in modules}
    for item in all_imports():
        importer = module_name(ROOT / item.path)
        for spelled in (item.module, *(f"{item.module}.{name}" for name in item.names)):
            # `from package import module` needs the module; `from package import name` the package.
            if spelled in modules and spelled != importer:
                graph[importer].add(spelled)
    assert cycle_in(graph) == []


def cycle_in(graph: dict[str, set[str]]) -> list[str]:
    """One cycle as the list of its modules, or an empty list."""
    done: set[str] = set()

    def visit(name: str, trail: list[str]) -> list[str]:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name in done:
            return []
        for other in sorted(graph[name]):
            if cycle := visit(other, [*trail, name]):
                return cycle
        done.add(name)
        return []

    for name in sorted(graph):
        if cycle := visit(name, []):
            return cycle
    return []


def test_the_reader_itself() -> None:
    source = (
        "import torch.utils.tensorboard as tb\n"
        "from torch.utils import tensorboard\n"
        "from . import sibling\n"
        "from ..other import name\n"
        "def late():\n"
        "    import yaml\n"
    )
    read = list(imports_of(ast.parse(source), "agents/deep/file.py", "agents.deep"))
    assert [i.reaches("torch.utils.tensorboard") for i in read] == [True, True, False, False, False]
    assert read[2].reaches("agents.deep.sibling")
    assert read[3].reaches("agents.other.name")
    assert [i.in_function for i in read] == [False, False, False, False, True]
    assert cycle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert cycle_in({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
