"""The notebook for Colab: valid, without outputs, and it runs in a Jupyter that has none of Colab's modules."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import nbformat
import psutil
import pytest
from nbclient import NotebookClient

from agents.storage.history import read_history

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "colab.ipynb"
STEPS = 200
SETTINGS = f"STEPS, EPISODES = {STEPS}, 2"
CELL_SECONDS = 120
#: What the TensorBoard of the notebook shows, asked before its kernel takes it along.
PROBE = """
import urllib.request
from tensorboard import manager
(server,) = manager.get_all()
print(urllib.request.urlopen(f"http://localhost:{server.port}/data/runs").read().decode())
"""


def read_notebook() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def has_colab() -> bool:
    try:
        return importlib.util.find_spec("google.colab") is not None
    except ModuleNotFoundError:  # there is no package google at all
        return False


def settings_cell(notebook: nbformat.NotebookNode) -> int:
    (place,) = [number for number, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", [])]
    return place


def test_the_committed_notebook_is_valid_and_has_no_outputs():
    notebook = read_notebook()
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert [cell.id for cell in code if cell.outputs or cell.execution_count is not None] == []


def test_it_says_what_pusher_needs():
    text = "\n".join(cell.source for cell in read_notebook().cells if cell.cell_type == "markdown")
    assert "Python 3.11" in text
    assert "mujoco 2.3.7" in text


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder of a Jupyter of its own; its TensorBoard ends with the test."""
    temporary, folder = tmp_path / "tmp", tmp_path / "session"
    for path in (temporary, folder):
        path.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))  # where TensorBoard notes its servers
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "jupyter"))
    monkeypatch.setenv("PATH", os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]]))
    yield folder
    for file in (temporary / ".tensorboard-info").glob("*.info"):
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(json.loads(file.read_text())["pid"]).kill()


def said_by(notebook: nbformat.NotebookNode, identity: str) -> str:
    (cell,) = [cell for cell in notebook.cells if cell.id == identity]
    return "".join(output.get("text", "") for output in cell.outputs)


def test_it_trains_resumes_and_shows_curves_and_videos(session: Path):
    assert not has_colab(), "this is not the place to show that it works without Colab's modules"
    notebook = read_notebook()
    notebook.cells.insert(settings_cell(notebook) + 1, nbformat.v4.new_code_cell(SETTINGS))
    notebook.cells.append(nbformat.v4.new_code_cell(PROBE, id="probe"))
    NotebookClient(notebook, timeout=CELL_SECONDS, resources={"metadata": {"path": str(session)}}).execute()

    runs = session / "runs"
    assert f"runs: {runs}" in said_by(notebook, "drive")
    assert "dqn-bridge: 0" in said_by(notebook, "install")  # and not "now"
    for name in ("CartPole", "GridWorld"):
        assert read_history(runs / name, "end")[-1]["steps"] >= STEPS
        assert len(read_history(runs / name, "test")[-1]["scores"]) == 2
    starts = read_history(runs / "CartPole", "start")
    assert [start["steps"] >= STEPS // 2 for start in starts] == [False, True]
    assert f"resumed at step {STEPS // 2}" in said_by(notebook, "resume")

    for name in ("CartPole", "GridWorld"):
        first = read_history(runs / name, "test")[-1]["scores"][0]
        assert f"episode 1: score {first:.3f}, " in said_by(notebook, "video")
    (video,) = [cell for cell in notebook.cells if cell.id == "video"]
    shown = [output.data["text/html"] for output in video.outputs if output.output_type == "display_data"]
    assert len(shown) == 2
    assert all("data:video/mp4;base64," in html for html in shown)

    assert json.loads(said_by(notebook, "probe")) == ["CartPole", "GridWorld"]
