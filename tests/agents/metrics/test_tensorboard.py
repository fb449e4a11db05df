"""What a run shows in TensorBoard: read by its own reader, and by a real server."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tensorboard.plugins.hparams import metadata

from tests.agents.commands import SMALL, TRAIN, run
from tests.agents.metrics.test_metrics import SUMMARY_TAGS, read_curves

#: Two branches, a success of its own, evaluations, histograms.
WORDS = (
    *("--env", "tests.environments:ManyBranches-v0", *SMALL, "--steps", "120", "--seed", "3", "--run-id", "it"),
    *("--evaluation.every", "50", "--evaluation.every-episodes", "1", "--evaluation.success-score", "1"),
    *("--training.histograms", "true", "--training.summary-episodes", "2"),
)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with one finished run."""
    folder = tmp_path_factory.mktemp("tensorboard")
    result = run(TRAIN, *WORDS, "--results-dir", "runs", cwd=folder)
    assert result.code == 0, result.err
    return folder / "runs"


def test_its_reader_finds_every_tag(results: Path) -> None:
    curves = read_curves(results / "it")
    tags = curves.Tags()
    results_of_tests = {f"{kind}/{name}" for kind in ("eval", "test") for name in ("score", "success")}
    assert set(tags["scalars"]) == SUMMARY_TAGS | results_of_tests
    weights = {tag for tag in tags["histograms"] if tag.startswith("weights/")}
    assert {"weights/body.0.weight", "weights/advantage.bias"} <= weights
    assert "actions/branch_0" in tags["histograms"]
    assert "actions/branch_1" in tags["histograms"]
    assert "eval_actions/branch_0" in tags["histograms"]
    assert tags["tensors"] == ["model/text_summary"]
    for tag in tags["scalars"]:
        steps = [event.step for event in curves.Scalars(tag)]
        assert steps == sorted(set(steps)), tag
        assert steps[-1] <= 120
    (test,) = curves.Scalars("test/score")
    assert test.step == 120


def test_histograms_of_weights_are_of_all_weights(results: Path) -> None:
    curves = read_curves(results / "it")
    events = curves.Histograms("weights/body.0.weight")
    assert len(events) > 2
    first, last = events[0].histogram_value, events[-1].histogram_value
    assert first.num == last.num > 0
    assert first.sum != last.sum, "it learned"
    assert sum(last.bucket) == last.num


def test_hyperparameters_stand_beside_their_results(results: Path) -> None:
    summary = read_curves(results / "it").SummaryMetadata(metadata.SESSION_START_INFO_TAG)
    values = metadata.parse_session_start_info_plugin_data(summary.plugin_data.content).hparams
    assert values["learner.learning_starts"].number_value == 20
    assert values["learner.double"].bool_value in (True, False)
    assert values["network.hidden"].string_value == "(8,)"
    assert values["seed"].number_value == 3
    summary = read_curves(results / "it").SummaryMetadata(metadata.EXPERIMENT_TAG)
    experiment = metadata.parse_experiment_plugin_data(summary.plugin_data.content)
    assert [item.name.tag for item in experiment.metric_infos] == ["run/score", "eval/score", "test/score"]


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def server(results: Path) -> Iterator[str]:
    """`tensorboard --logdir runs`; its address once it answers."""
    port = free_port()
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(results), "--port", str(port)]
    command += ["--host", "127.0.0.1", "--load_fast", "false"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as program:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 120.0
        while True:
            assert program.poll() is None
            assert time.monotonic() < deadline
            try:
                if fetched(f"{address}/data/runs") == ["it"]:
                    break
            except urllib.error.URLError:
                time.sleep(0.1)
        yield address
        program.kill()


def fetched(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=60) as answer:
        return json.load(answer)


def test_a_server_shows_the_run(server: str) -> None:
    with urllib.request.urlopen(server, timeout=60) as page:
        assert b"<html" in page.read()[:2000].lower()
    tags = fetched(f"{server}/data/plugin/scalars/tags")["it"]
    assert {*SUMMARY_TAGS, "eval/score", "test/score"} <= tags.keys()
    points = fetched(f"{server}/data/plugin/scalars/scalars?run=it&tag=run/score")
    assert len(points) > 2
    histograms = fetched(f"{server}/data/plugin/histograms/tags")["it"]
    assert {"weights/body.0.weight", "actions/branch_0"} <= histograms.keys()
    shown = fetched(f"{server}/data/plugin/histograms/histograms?run=it&tag=actions/branch_0")
    assert len(shown) == len(points)
    texts = fetched(f"{server}/data/plugin/text/text?run=it&tag=model/text_summary")
    assert "total" in texts[0]["text"]


def test_a_server_shows_hyperparameters_with_results(server: str) -> None:
    experiment = fetched(f"{server}/data/plugin/hparams/experiment", {"experimentName": ""})
    names = {info["name"] for info in experiment["hparamInfos"]}
    assert {"learner.learning_rate", "network.hidden", "exploration.kind", "replay.capacity"} <= names
    request = {
        "experimentName": "",
        "allowedStatuses": ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"],
        "colParams": [{"metric": {"group": "", "tag": "test/score"}}],
        "startIndex": 0,
        "sliceSize": 10,
    }
    (group,) = fetched(f"{server}/data/plugin/hparams/session_groups", request)["sessionGroups"]
    metrics = {item["name"]["tag"]: item["value"] for item in group["metricValues"]}
    assert {"run/score", "eval/score", "test/score"} <= metrics.keys()
    points = fetched(f"{server}/data/plugin/scalars/scalars?run=it&tag=test/score")
    assert metrics["test/score"] == pytest.approx(points[-1][2])
