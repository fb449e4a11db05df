"""Whether what is installed fits together. Standard library only: what is missing may be anything."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from agents.checks.findings import Finding, error, ok, warning

#: Our own distribution, and the folder of the package `agents`.
OURS = "dqn-bridge"
FOLDER = Path(__file__).resolve().parents[1]
PYTHON = (3, 11)
#: The oldest release that works, and what is wrong with older ones. `pyproject.toml` says the same to pip.
OLDEST = {
    "torch": ("2.4", ""),
    "mlagents-envs": ("0.28", ""),
    "protobuf": ("5", ""),
    "grpcio": ("1.60", ""),
    "numpy": ("2", "mlagents-envs uses numpy.bool, which 1.24 took away and 2 brought back"),
    "gymnasium": ("1.0", ""),
    "mujoco": ("2.3.7", ""),
}


def installation() -> Iterator[Finding]:
    """Versions, combinations known to fail, and whether the package `agents` is ours alone."""
    problems = [*_python(), *_packages(), *_distutils()]
    versions = ", ".join(f"{name} {_version(name) or 'missing'}" for name in OLDEST)
    yield from problems or [ok("versions", f"Python {platform.python_version()}, {versions}")]
    yield from _foreign_agents()


def _python() -> Iterator[Finding]:
    if sys.version_info < PYTHON:
        oldest = ".".join(map(str, PYTHON))
        yield error("versions", f"Python {platform.python_version()}, expected {oldest} or newer", "install that one")


def _packages() -> Iterator[Finding]:
    for name, (oldest, reason) in OLDEST.items():
        found = _version(name)
        remedy = f'pip install "{name}>={oldest}"'
        if found is None:
            yield error("versions", f"{name} is not installed", remedy)
        elif _numbers(found) < _numbers(oldest):
            why = f" ({reason})" if reason else ""
            yield error("versions", f"{name} {found}, expected {oldest} or newer{why}", remedy)


def _distutils() -> Iterator[Finding]:
    if importlib.util.find_spec("distutils") is None and importlib.util.find_spec("setuptools") is None:
        yield error(
            "versions",
            "mlagents-envs imports distutils, which left Python with 3.12 and which setuptools would bring back",
            "pip install setuptools",
        )


def _foreign_agents() -> Iterator[Finding]:
    """Other distributions that install a top-level package `agents`, as openai-agents does."""
    for name in sorted(set(importlib.metadata.packages_distributions().get("agents", ())) - {OURS}):
        folder = Path(str(importlib.metadata.distribution(name).locate_file("agents"))).resolve()
        if folder == FOLDER:
            yield error(
                "agents",
                f"{name} has written its own package 'agents' over ours in {folder}",
                f"pip uninstall {name}, then install {OURS} again (pip install --force-reinstall --no-deps)",
            )
        else:
            yield warning(
                "agents",
                f"{name} also has a package 'agents' ({folder}), and Python takes whichever it finds first",
                f"pip uninstall {name}, or a virtual environment for each",
            )


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    """`2.13.0+cpu` as (2, 13, 0)."""
    return tuple(int(number) for number in re.findall(r"\d+", version.split("+")[0]))
