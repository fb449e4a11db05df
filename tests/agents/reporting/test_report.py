"""Reports: of real short runs, read by a parser and, where there is one, by a browser."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from agents import train
from agents.cli.commandline import run_command
from agents.filming.video import Film
from agents.reporting import films
from agents.reporting.curves import POINTS, Curve, line_of
from agents.reporting.page import report_page
from agents.reporting.reading import grouped, read_run, read_runs
from agents.settings.config import build_config
from agents.settings.files import save_config
from agents.storage.history import History, read_history
from agents.storage.runs import RunFolder
from tests.agents.commands import REPORT, SMALL, call
from tests.agents.pages import CHROMIUM, Page, measured, screenshot, texts, tips

CARTPOLE = (
    *("--env", "CartPole-v1", *SMALL, "--training.summary-episodes", "2", "--steps", "600"),
    *("--learner.updates-per-step", "0.2", "--evaluation.every", "200", "--evaluation.every-episodes", "2"),
)
NAMES = ["cart-seed1", "cart-seed2", "cart-fast"]
SECTIONS = ["results", "curves", "tests", "actions", "episodes", "settings", "faults", "versions"]
FILM = "step-000000600-seed-1000000-episode-1"


def trained(folder: Path, name: str, *words: str) -> None:
    line = ["--results-dir", str(folder), "--run-id", name, *words]
    with pytest.raises(SystemExit) as ended:
        run_command(lambda interrupts: train.main(line, interrupts), train.PROGRAM)
    assert ended.value.code == 0


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of one configuration, the first with a video, and a run of another one."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in (1, 2):
        trained(folder, f"cart-seed{seed}", *CARTPOLE, "--seed", str(seed))
    trained(folder, "cart-fast", *CARTPOLE, "--learner.learning-rate", "0.01")
    with Film(folder / "cart-seed1" / "videos" / f"{FILM}.mp4", 10.0) as film:
        for brightness in range(0, 200, 10):
            film.add(np.full((64, 96, 3), brightness, np.uint8))
    return folder


@pytest.fixture(scope="module")
def file(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of these runs."""
    path = tmp_path_factory.mktemp("report") / "page.html"
    path.write_text(report_page(read_runs(NAMES, runs), datetime(2026, 1, 2, 3, 4)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def page(file: Path) -> Page:
    return Page(file.read_text(encoding="utf-8"))


def page_of(*folders: Path) -> Page:
    """The report of the runs in these folders."""
    return Page(report_page([read_run(RunFolder(folder)) for folder in folders], datetime(2026, 1, 2, 3, 4)))


def made_up(folder: Path, **values: dict[str, object]) -> History:
    """A run's folder with a configuration and an empty history."""
    folder.mkdir()
    config = build_config({"environment": {"backend": "gym", "env": "Made-v0"}, **values})
    save_config(config, RunFolder(folder).config)
    return History(folder)


# ---- what the page is


def test_the_command_writes_the_page(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By names or folders, each run once; beside the runs unless told otherwise."""
    found = call(REPORT, ["cart-seed1", runs / "cart-fast", "cart-seed1", "--results-dir", runs], capsys)
    assert (found.code, found.err) == (0, "")
    assert found.out == f"report of 2 runs: {runs / 'report.html'}\n"
    assert "cart-seed1, cart-fast" in Page((runs / "report.html").read_text(encoding="utf-8")).text
    (runs / "report.html").unlink()
    found = call(REPORT, ["cart-seed1", "--results-dir", runs, "--output", tmp_path / "other.html"], capsys)
    assert found.out == f"report of 1 run: {tmp_path / 'other.html'}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["other.html"]


def test_the_page_needs_nothing_else(page: Page) -> None:
    """No network, no script."""
    assert page.source.startswith("<!DOCTYPE html>")
    sources = [attributes[name] for _, attributes in page.elements for name in ("src", "href") if name in attributes]
    assert sources
    assert all(source.startswith("data:") for source in sources)
    assert not re.search(r"url\(|@import|<script|javascript:|\son\w+=", page.source)
    assert set(re.findall(r"https?://[^\s\"']*", page.source)) == {"http://www.w3.org/2000/svg"}
    metas = page.named("meta")
    policy = next(meta["content"] for meta in metas if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert {"charset": "utf-8"} in metas
    assert any(meta.get("name") == "viewport" for meta in metas)


def test_the_page_has_its_parts(page: Page) -> None:
    assert [section["id"] for section in page.named("section")] == SECTIONS
    assert "cart (2 seeds), cart-fast" in page.text
    assert "DQN on CartPole-v1 · 3 runs of 2 configurations · 2026-01-02 03:04" in page.text


def test_every_chart_has_a_title_labels_ticks_and_a_legend(page: Page) -> None:
    charts = page.charts()
    assert charts.keys() > {
        *("Score in training", "Score in evaluations", "Success in evaluations", "Q-values", "Loss", "Exploration"),
        *("Speed", "Scores of single episodes", "Actions of the greedy policy", "Actions in training"),
    }
    for title, svg in charts.items():
        assert f"<figcaption>{title}</figcaption>" in page.source
        assert len(texts(svg, "tick")) >= 4, title
        across = {"Scores of single episodes": "score"}.get(title, "action" if "Actions" in title else "agent steps")
        assert across in texts(svg, "axis")
        assert len(texts(svg, "axis")) == (1 if title == "Scores of single episodes" else 2)
    assert page.source.count("<li><i") == 2 * len(charts)
    assert page.text.count("cart (2 seeds)") > len(charts)
    assert "score of the greedy policy, mean over 2 episodes" in texts(charts["Score in evaluations"], "axis")


# ---- what it says


def test_results_are_those_of_the_run_folders(page: Page, runs: Path) -> None:
    rows = {row[0]: row for row in page.table("Ended by")}
    assert list(rows) == ["cart-seed1", "cart-seed2", "median of 2 seeds", "cart-fast"]
    means = []
    for name in ("cart-seed1", "cart-seed2"):
        (test,) = [json.loads(path.read_text()) for path in (runs / name / "evaluations").glob("*.json")]
        evaluations = [line["eval/score"] for line in read_history(runs / name, "evaluation")]
        assert len(evaluations) == 3
        best = max(evaluations)
        assert rows[name][1:4] == [name[-1], "600", str(read_history(runs / name, "end")[0]["episodes"])]
        assert rows[name][5] == f"{best:.4g} at {200 * (1 + evaluations.index(best))}"
        assert rows[name][6:] == [
            f"{evaluations[-1]:.4g}",
            f"{test['mean']:.4g} ± {test['deviation']:.4g}",
            f"{100 * test['success_rate']:.1f} %",
            "all its steps",
        ]
        means.append(test["mean"])
    assert rows["median of 2 seeds"][7] == f"{np.median(means):.4g}"
    assert [row[0] for row in page.table("Checkpoint")] == ["cart-seed1", "cart-seed2", "cart-fast"]


def test_what_the_environment_says_has_charts_and_columns(tmp_path: Path) -> None:
    history = made_up(tmp_path / "a")
    for steps in (100, 200):
        history.append("evaluation", steps, 1, {"eval/score": 1.0, "eval/height": steps / 1000, "eval/seconds": 0.1})
    tests = {"checkpoint": "step-000000200", "mean": 1.0, "scores": [1.0], "action_counts": [[1]], "seed": 5}
    (tmp_path / "a" / "evaluations").mkdir()
    (tmp_path / "a" / "evaluations" / "new.json").write_text(json.dumps({**tests, "metrics": {"height": 0.75}}))
    (tmp_path / "a" / "evaluations" / "old.json").write_text(json.dumps(tests))
    page = page_of(tmp_path / "a")
    assert tips(page.charts()["height in evaluations"], "point") == ["a, 100: 0.1", "a, 200: 0.2"]
    assert "seconds in evaluations" not in page.charts()
    rows = page.table("height")
    assert [row[-1] for row in rows] == ["0.75", "-"]


def test_the_band_goes_from_the_lowest_to_the_highest_seed(page: Page, runs: Path) -> None:
    found = [[line["eval/score"] for line in read_history(runs / f"cart-seed{n}", "evaluation")] for n in (1, 2)]
    said = tips(page.charts()["Score in evaluations"], "point")[:3]
    medians = np.median(found, axis=0)
    assert said == [f"cart (2 seeds), {steps}: {m:.4g}" for steps, m in zip((200, 400, 600), medians, strict=True)]
    line = line_of(Curve("eval/score", "", "", "evaluation"), grouped(read_runs(NAMES, runs))[0])
    assert line is not None
    np.testing.assert_array_equal((line.low, line.high), (np.min(found, 0), np.max(found, 0)))


def test_actions_are_counted_over_the_seeds(page: Page, runs: Path) -> None:
    tests = [read_history(runs / f"cart-seed{n}", "test")[0]["actions"][0] for n in (1, 2)]
    counts = np.sum(tests, axis=0)
    said = tips(page.charts()["Actions of the greedy policy"], "bar")[:2]
    assert said == [f"cart (2 seeds), {n}: {100 * counts[n] / counts.sum():.1f}" for n in (0, 1)]
    assert len(tips(page.charts()["Scores of single episodes"], "dot")) == 9


def test_configurations_are_compared(page: Page, runs: Path) -> None:
    (differences, settings) = [table for table in page.tables if table[0][0] == "Setting"]
    assert differences[0] == ["Setting", "cart", "cart-fast", "Meaning"]
    assert [row[:3] for row in differences[1:]] == [
        ["training.seed", "1, 2", "0"],
        ["learner.learning_rate", "0.002", "0.01"],
    ]
    assert len(settings) > 60
    assert ["replay.capacity", "500", "500"] in [row[:3] for row in settings]


def test_versions_and_starts_are_those_of_the_manifest(page: Page, runs: Path) -> None:
    start = json.loads((runs / "cart-fast" / "run.json").read_text())["starts"][0]
    rows = dict(page.table("all runs"))
    assert rows["torch"] == start["packages"]["torch"]
    assert (rows["Python"], rows["platform"]) == (start["python"], start["platform"])
    assert [row[0] for row in page.table("Command")] == NAMES


def test_a_video_stands_beside_its_filmstrip(page: Page, runs: Path) -> None:
    (video,) = page.named("video")
    data = (runs / "cart-seed1" / "videos" / f"{FILM}.mp4").read_bytes()
    assert base64.b64decode(video["src"].removeprefix("data:video/mp4;base64,")) == data
    pictures = [base64.b64decode(image["src"].removeprefix("data:image/jpeg;base64,")) for image in page.named("img")]
    brightness = [np.asarray(Image.open(io.BytesIO(picture))).mean() for picture in pictures]
    assert len(brightness) == 6
    np.testing.assert_allclose(brightness, [0, 40, 80, 110, 150, 190], atol=12)  # evenly, the ends among them


def test_a_video_that_is_too_long_or_broken_is_named(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(runs / "cart-seed1", tmp_path / "run")
    monkeypatch.setattr(films, "BYTES", 100)
    (tmp_path / "run" / "videos" / "broken.mp4").write_bytes(b"no video")
    for episode in (2, 3):
        (tmp_path / "run" / "videos" / f"z-{episode}.mp4").touch()
    page = page_of(tmp_path / "run")
    assert page.named("video") == []
    assert len(page.named("img")) == 6
    assert "The video is too long for this page." in page.text
    assert f"broken.mp4 cannot be read. 2 more in {tmp_path / 'run' / 'videos'}." in page.text


def test_time_is_told_by_its_parts(tmp_path: Path) -> None:
    """Each summary counts by the seconds that it took."""
    history = made_up(tmp_path / "run")
    parts = {"time/acting": 0.1, "time/environment": 0.2, "time/storing": 0.0}
    history.append("summary", 100, 1, {"speed/steps_per_second": 100.0, "time/learning": 0.0, **parts})
    history.append("summary", 250, 2, {"speed/steps_per_second": 50.0, "time/learning": 0.4, **parts})
    assert page_of(tmp_path / "run").table("Learning") == [
        ["run", "62.5", "20.0 %", "10.0 %", "30.0 %", "0.0 %", "40.0 %"]
    ]


def test_faults_are_listed(tmp_path: Path) -> None:
    history = made_up(tmp_path / "run")
    for number in range(60):
        history.append("fault", 10 * number, 0, {"worker": 1, "incarnation": number, "reason": "it hung", "lost": 2})
    page = page_of(tmp_path / "run")
    rows = page.table("Incarnation")
    assert len(rows) == 50
    assert (rows[0][1], rows[-1][1:]) == ("100", ["590", "0:00:00", "1", "59", "2", "it hung"])
    assert "10 older ones" in page.text


# ---- whatever the runs hold


EVIL = "<script>document.title = 'pwned'</script><img src=x onerror=alert(1)>&amp;\"'"


def test_text_is_text(tmp_path: Path) -> None:
    """Names, settings, reasons and commands come from outside."""
    run = tmp_path / "<b onmouseover='alert(1)'>name"
    history = made_up(run, environment={"backend": "gym", "env": EVIL})
    history.append("fault", 5, 1, {"worker": 0, "incarnation": 0, "reason": EVIL, "lost": 1})
    history.append("summary", 10, 2, {"run/score": 1.0, "actions": [[1, 2]]})
    history.append("test", 10, 2, {"scores": [1.0], "actions": [[1, 2]], "checkpoint": EVIL})
    start = {"steps": 0, "time": EVIL, "command": [EVIL], "device": EVIL, "packages": {EVIL: EVIL}}
    (run / "run.json").write_text(json.dumps({"starts": [start]}))
    page = page_of(run)
    assert {tag for tag, _ in page.elements}.isdisjoint({"script", "img", "b"})
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert page.text.count("document.title = 'pwned'") >= 6
    assert page.table("Incarnation")[0][-1] == EVIL


def test_a_run_that_has_just_begun_has_a_page(tmp_path: Path) -> None:
    made_up(tmp_path / "new").append("start", 0, 0, {})
    shutil.copytree(tmp_path / "new", tmp_path / "old")
    (tmp_path / "old" / "metrics.jsonl").unlink()
    page = page_of(tmp_path / "new", tmp_path / "old")
    assert [row[-1] for row in page.table("Ended by")][:2] == ["still running", "no metrics.jsonl"]
    assert "There are no curves yet" in page.text
    assert page.charts() == {}


def test_a_resumed_run_has_not_ended(tmp_path: Path) -> None:
    history = made_up(tmp_path / "run")
    for kind, values in (("start", {}), ("end", {"reason": "interrupted"}), ("start", {})):
        history.append(kind, 5, 1, values)
    assert page_of(tmp_path / "run").table("Ended by")[0][-1] == "still running"


def test_seeds_of_different_lengths_share_an_axis(tmp_path: Path) -> None:
    """Where at least half of them have values; a long curve has few points."""
    for seed, length in enumerate((2000, 1000, 3000)):
        history = made_up(tmp_path / f"s{seed}", training={"seed": seed})
        for step in range(10 + seed, length, 10):
            history.append("summary", step, 0, {"model/q": float(seed)})
    (group,) = grouped([read_run(RunFolder(tmp_path / f"s{seed}")) for seed in range(3)])
    line = line_of(Curve("model/q", "Q", ""), group)
    assert line is not None
    assert len(line.x) <= POINTS
    assert 1950 < line.x[-1] < 2010
    three = (line.x > 50) & (line.x < 950)
    assert (set(line.y[three]), set(line.low[three]), set(line.high[three])) == ({1.0}, {0.0}, {2.0})
    two = line.x > 1050
    assert (set(line.y[two]), set(line.low[two]), set(line.high[two])) == ({1.0}, {0.0}, {2.0})


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["a-seed0", "a-seed1"], ["a"]),
        (["cart_s1", "cart_s2"], ["cart"]),
        (["1", "2"], ["1"]),
        (["class", "classic"], ["class"]),
        (["Pole-v1-20261121-101905", "Pole-v1-20261121-102000"], ["Pole-v1-20261121"]),
    ],
)
def test_groups_are_named_by_what_their_runs_share(names: list[str], labels: list[str], tmp_path: Path) -> None:
    for seed, name in enumerate(names):
        made_up(tmp_path / name, training={"seed": seed})
    groups = grouped([read_run(RunFolder(tmp_path / name)) for name in names])
    assert [group.label for group in groups] == labels


# ---- wrong command lines


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cart-seed3"], "no run 'cart-seed3' in {runs}; there are cart-fast, cart-seed1, cart-seed2."),
        (["<script>"], "run id '<script>' is no plain name"),
        (["cart-seed1", "no/run"], "there is no run in 'no/run'"),
        ([""], "run id '' is no plain name"),
        ([], "the following arguments are required: NAME"),
        (["cart-seed1", "--output", "{runs}"], "--output {runs}: expected the name of a file in a folder that exists."),
        (["cart-seed1", "--output", "{runs}/no/x.html"], "--output {runs}/no/x.html: expected the name of a file"),
        (["cart-seed1", "--outputs", "x"], "unrecognized arguments"),
    ],
)
def test_what_is_wrong_is_one_line(words: list[str], said: str, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(runs.iterdir())
    found = call(REPORT, [*(word.format(runs=runs) for word in words), "--results-dir", runs], capsys)
    assert found.code == 2
    assert said.format(runs=runs) in found.error
    assert sorted(runs.iterdir()) == before


# ---- in a browser

in_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine to open the page in")


@in_browser
@pytest.mark.parametrize("dark", [False, True])
def test_a_browser_paints_the_curves_in_either_mode(file: Path, tmp_path: Path, dark: bool) -> None:
    picture = screenshot(file, tmp_path, 1280, 2600, dark=dark)
    assert picture.size == (1280, 2600)
    colors = dict(map(reversed, picture.getcolors(2**24)))
    paper, blue, orange = ("#171716", "#6ba6f2", "#f28a5a") if dark else ("#fcfcfb", "#2a6fc9", "#d9541e")
    assert colors[ImageColor.getrgb(paper)] > 1280 * 2600 / 3
    assert min(colors[ImageColor.getrgb(color)] for color in (blue, orange)) > 2000  # lines, dots and bars


LOOK = """async (document, window) => {
  const video = document.querySelector("video");
  if (video.readyState < 1) await new Promise(done => { video.onloadedmetadata = video.onerror = done; });
  const outside = [];
  for (const svg of document.querySelectorAll("svg")) {
    const around = svg.getBoundingClientRect();
    for (const shape of svg.querySelectorAll("text, path, circle, rect, line")) {
      const box = shape.getBoundingClientRect();
      const is_inside = box.left >= around.left - 1 && box.right <= around.right + 1
        && box.top >= around.top - 1 && box.bottom <= around.bottom + 1;
      if (!is_inside) outside.push(shape.outerHTML);
    }
  }
  return {
    width: document.documentElement.scrollWidth,
    charts: [...document.querySelectorAll("svg")].map(svg => svg.getBoundingClientRect().width),
    text: Math.min(...[...document.querySelectorAll("svg text")].map(text => text.getBoundingClientRect().height)),
    outside: outside,
    pictures: [...document.images].map(image => image.naturalWidth),
    seconds: video.duration,
    size: [video.videoWidth, video.videoHeight],
  };
}"""


@in_browser
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_lays_out_the_page_on_a_phone_and_a_desk(file: Path, tmp_path: Path, width: int) -> None:
    """Nothing sticks out to the side, nothing is cut off in a chart, texts are not tiny, the video can be played."""
    found = measured(file, tmp_path, width, LOOK)
    assert found["width"] <= width
    assert min(found["charts"]) > 300
    assert found["text"] > 9
    assert found["outside"] == []
    assert found["pictures"] == [96] * 6
    assert found["seconds"] == pytest.approx(2.0, abs=0.2)
    assert found["size"] == [96, 64]


@in_browser
def test_a_browser_runs_nothing_that_a_run_holds(tmp_path: Path) -> None:
    """The page's own policy forbids it even where a text were not escaped."""
    history = made_up(tmp_path / "run", environment={"backend": "gym", "env": EVIL})
    history.append("fault", 5, 1, {"worker": 0, "incarnation": 0, "reason": EVIL, "lost": 1})
    source = report_page([read_run(RunFolder(tmp_path / "run"))], datetime(2026, 1, 2))
    for name, text in (
        ("whole", source),
        ("torn", source.replace("<h1>", "<script>document.title = 'pwned'</script><h1>")),
    ):
        (tmp_path / f"{name}.html").write_text(text, encoding="utf-8")
        found = measured(tmp_path / f"{name}.html", tmp_path, 800, "(document) => document.title")
        assert found == "run"
