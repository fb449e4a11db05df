"""What is installed: versions, a foreign package `agents`, something that cannot be imported; and how it is shown."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from agents.checks import installation as checks_installation
from agents.checks.findings import Finding, Level, Watchdog, error, ok, problem, warning
from agents.checks.installation import FOLDER, OLDEST, OURS, PYTHON, installation
from tests.agents.commands import ROOT, bare_environment


def install(folder: Path, name: str, version: str, package: str = "") -> Path:
    """What pip leaves of a distribution."""
    about = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (about / "RECORD").write_text(f"{package}/__init__.py,,\n" if package else "")
    if package:
        (folder / package).mkdir(exist_ok=True)
        (folder / package / "__init__.py").touch()
    return folder


def test_this_installation_is_fine() -> None:
    (finding,) = installation()
    assert finding.level is Level.OK
    for name in OLDEST:
        assert f"{name} {importlib.metadata.version(name)}" in finding.found


def test_the_oldest_versions_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">={'.'.join(map(str, PYTHON))}"
    wanted = dict(
        re.match(r"([\w-]+)(?:\[.*?\])?[>=]=([\d.]+)", item).groups()
        for item in project["dependencies"]
        if "=" in item.split(";")[0]
    )  # type: ignore[union-attr]
    assert {name: oldest for name, (oldest, _) in OLDEST.items() if name != "mujoco"}.items() <= wanted.items()
    assert f"mujoco=={OLDEST['mujoco'][0]}; python_version < '3.12'" in project["dependencies"]


def test_a_version_that_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(install(tmp_path, "numpy", "1.26.4")))
    (finding,) = installation()
    assert finding.level is Level.ERROR
    assert finding.found.startswith("numpy 1.26.4, expected 2 or newer (mlagents-envs")
    assert finding.remedy == 'pip install "numpy>=2"'


def test_a_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OLDEST, "not-there", ("1.0", ""))
    (finding,) = installation()
    assert finding.lines() == ['error    versions     not-there is not installed; pip install "not-there>=1.0"']


def test_a_foreign_package_agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(install(tmp_path, "openai-agents", "0.24.0", "agents")))
    versions, finding = installation()
    assert (versions.level, finding.level) == (Level.OK, Level.WARNING)
    (line,) = finding.lines()
    assert re.search(rf"openai-agents also has .*{re.escape(str(tmp_path))}.*; pip uninstall openai-agents", line)


def test_a_foreign_package_written_over_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (FOLDER / "doctor.py").is_file()
    install(tmp_path, OURS, "0.1.0", "agents")
    monkeypatch.syspath_prepend(str(install(tmp_path, "openai-agents", "0.24.0", "agents")))
    monkeypatch.setattr(checks_installation, "FOLDER", tmp_path / "agents")
    _, finding = installation()
    assert finding.level is Level.ERROR
    assert "pip uninstall openai-agents, then install dqn-bridge again" in finding.remedy


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("raise ImportError('libcuda.so is broken')", "ImportError: libcuda.so is broken; install again"),
        (
            "raise TypeError('Descriptors cannot\\nbe created')",
            "TypeError: Descriptors cannot be created; install again",
        ),
    ],
)
def test_what_cannot_be_imported_is_one_line(source: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text(source)
    environment = bare_environment()
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), environment["PYTHONPATH"]])
    command = [sys.executable, "-m", "agents.doctor", "--env", "CartPole-v1"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert sentence in done.stdout
    assert done.stdout.splitlines()[-1] == "1 error, 0 warnings."


# ---- how findings are shown


def test_a_finding_is_one_line_and_details_below_it() -> None:
    assert ok("build", "found").lines() == ["ok       build        found"]
    assert warning("picture", "bad.", "mend it").lines() == ["warning  picture      bad; mend it"]
    assert problem("play", "died.\nits log", "read it").lines() == [
        "error    play         died; read it",
        "                      its log",
    ]


def test_colors_change_nothing_but_colors() -> None:
    for finding in (ok("a", "b"), warning("a", "b", "c"), error("a", "b", details=["d"])):
        colored = finding.lines(colored=True)
        assert re.match(r"\x1b\[3[123]m", colored[0])
        assert [re.sub(r"\x1b\[\d+m", "", line) for line in colored] == finding.lines()


def test_a_check_that_ends_in_time_is_left_alone() -> None:
    left: list[Finding] = []
    watchdog = Watchdog(0.05, left.append)
    watchdog.begin("play")
    watchdog.stop()
    watchdog.begin("agent")
    assert watchdog._timer is not None
    watchdog._timer.join(5)
    watchdog.stop()
    (finding,) = left
    assert finding.lines() == [
        "error    agent        did not end within 0.05 s; the environment hangs: look for what it waits for"
    ]
