"""The monitor: in a terminal, in a pipe, and in a notebook's kernel, of a run that goes on meanwhile."""

from __future__ import annotations

import sys
from pathlib import Path

import nbclient
import nbformat
import numpy as np
import pytest

from agents.monitor import BLOCKS, CLEAR, LETTERS, is_over, lines_of, sparkline, watch
from agents.reporting.plots import Line
from agents.reporting.reading import read_run
from agents.settings.config import ConfigError
from agents.storage.runs import RunFolder
from tests.agents.commands import COUNTER, MONITOR, ROOT, SMALL, TRAIN, Command, call
from tests.agents.pages import Page, texts
from tests.agents.reporting.test_report import made_up

if sys.platform != "win32":
    from tests.agents.terminal import Terminal

needs_pty = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are of POSIX")

WORDS = (*COUNTER, *SMALL, "--training.summary-episodes", "2", "--steps", "100")


def curve(values: list[float]) -> Line:
    y = np.array(values, float)
    return Line("", 0, np.arange(len(y), dtype=float), y, y, y)


def test_a_sparkline_rises_and_falls_with_its_curve() -> None:
    assert sparkline(curve([0, 1, 2, 3, 4, 5, 6, 7]), 20, "utf-8") == BLOCKS
    assert sparkline(curve([7, 0, 7]), 20, "ascii") == LETTERS[7] + LETTERS[0] + LETTERS[7]
    assert sparkline(curve([5]), 20, "utf-8") == sparkline(curve([0]), 20, "utf-8") == BLOCKS[0]
    assert sparkline(curve(list(range(1000))), 8, "utf-8") == BLOCKS


def test_a_run_is_shown_once_where_there_is_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(TRAIN, [*WORDS, "--results-dir", tmp_path, "--run-id", "a"], capsys).code == 0
    found = call(MONITOR, ["a", "--results-dir", tmp_path], capsys)
    assert (found.code, found.err) == (0, "")
    head, empty, score, *rest = found.out.splitlines()
    assert head.startswith("a | step 100 | episode 20 | 0:00:")
    assert head.endswith(" | all its steps")
    assert empty == ""
    assert score.split()[:3] == ["Score", "in", "training"]
    # The n-th observation gives n: episode k has 5 steps and 30 k + 15.
    assert score.split()[3:] == ["▁▂▃▃▄▅▆▆▇█", "570", "from", "30", "to", "570"]
    assert [line.split()[0] for line in rest][-2:] == ["Exploration", "Speed"]
    assert "\x1b" not in found.out


def test_lines_fit_the_terminal(tmp_path: Path) -> None:
    history = made_up(tmp_path / "run")
    for step in range(300):
        history.append("summary", step, step, {"run/score": float(step), "model/q": 1e-7 * step})
    run = read_run(RunFolder(tmp_path / "run"))
    for columns in (20, 80, 300):
        assert max(map(len, lines_of(run, columns, "utf-8"))) < columns
    assert lines_of(run, 300, "utf-8")[2].count(BLOCKS[0]) > 5


def test_a_run_without_episodes_says_so(tmp_path: Path) -> None:
    made_up(tmp_path / "run").append("start", 0, 0, {})
    (head, _, said) = lines_of(read_run(RunFolder(tmp_path / "run")), 80, "utf-8")
    assert (head, said) == ("run | step 0 | episode 0 | 0:00:00 | still running", "no episodes have been summed up yet")


def test_a_run_is_over_when_nothing_comes_any_more(tmp_path: Path) -> None:
    history = made_up(tmp_path / "run")
    found = [is_over(read_run(RunFolder(tmp_path / "run")))]
    for kind, values in (
        ("start", {}),
        ("end", {"reason": "interrupted"}),
        ("start", {}),
        ("end", {"reason": "steps"}),  # now it is tested
        ("test", {}),
    ):
        history.append(kind, 5, 1, values)  # type: ignore[arg-type]
        found.append(is_over(read_run(RunFolder(tmp_path / "run"))))
    assert found == [False, False, True, False, False, True]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["b"], "no run 'b' in"),
        ([], "the following arguments are required: NAME"),
        (["a", "--seconds", "0"], "found 0, expected a number above 0."),
        (["a", "--seconds", "x"], "argument --seconds: invalid"),
    ],
)
def test_what_is_wrong_is_one_line(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = call(MONITOR, [*words, "--results-dir", tmp_path], capsys)
    assert found.code == 2
    assert said in found.error


def test_a_notebook_shows_the_run_until_it_ends(tmp_path: Path) -> None:
    """The kernel and the training are processes of their own; the display is drawn again in its place."""
    with Command(
        TRAIN, *WORDS, "--steps", "2000", "--results-dir", "runs", "--run-id", "live", cwd=tmp_path
    ) as training:
        training.wait_for((tmp_path / "runs" / "live" / "metrics.jsonl").exists)
        code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom agents.monitor import watch\n"
        book = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(code + "watch('live', seconds=0.2)")],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        )
        client = nbclient.NotebookClient(book, timeout=120, resources={"metadata": {"path": str(tmp_path)}})
        client.execute()
        assert training.result().code == 0
    (output,) = book.cells[0].outputs
    page = Page(output["data"]["text/html"])
    assert "live | step 2,000" in page.text
    assert "all its steps" in page.text
    assert "agent steps" in texts(page.charts()["Score in training"], "axis")


@needs_pty
def test_a_terminal_shows_the_run_again_and_again_until_it_ends(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    history = made_up(tmp_path / "runs" / "run")
    history.append("summary", 10, 2, {"run/score": 1.0})
    with Terminal(MONITOR, "run", "--seconds", "0.2", cwd=tmp_path, env={"PYTHONUTF8": "1"}) as terminal:
        terminal.wait_for("run | step 10 |")
        terminal.wait_for(CLEAR)  # the second look
        history.append("summary", 20, 4, {"run/score": 3.0})
        terminal.wait_for("run | step 20 |")
        terminal.wait_for("▁█")
        history.append("end", 20, 4, {"reason": "interrupted"})
        assert terminal.end() == 0
        assert terminal.output.splitlines()[-1].startswith("Score in training")
        assert terminal.settings() == terminal.before


@needs_pty
def test_ctrl_c_ends_the_monitor(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    made_up(tmp_path / "runs" / "run").append("start", 0, 0, {})
    with Terminal(MONITOR, "run", cwd=tmp_path) as terminal:
        terminal.wait_for("no episodes")
        terminal.type("\x03")
        assert terminal.end() == 130
        assert "Traceback" not in terminal.output


def test_without_ipython_a_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", None)
    monkeypatch.delitem(sys.modules, "IPython.display", raising=False)
    with pytest.raises(ConfigError, match=r"^plots in a notebook need the package IPython, which is not installed\.$"):
        watch("run")
