"""Checkpoints hold everything, are complete or not there, and are never believed without a check."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import random
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents.learning.agent import DQNAgent
from agents.storage.checkpoint import (
    FORMAT,
    CheckpointError,
    find_checkpoint,
    initialize_from,
    read_about,
    recover_checkpoint,
    restore_checkpoint,
    restore_weights,
    save_checkpoint,
)
from tests.agents.commands import run, snapshot
from tests.agents.full_disk import no_file_larger_than
from tests.agents.saving import CONFIG, experienced, fresh, open_training, practise, state_of
from tests.agents.scripted import behavior, small_agent

FILES = ("tensors.pt", "state.json", "replay.npz")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of an experienced agent."""
    return save_checkpoint(tmp_path_factory.mktemp("run") / "checkpoints", experienced(), "step", {"starts": 3})


@pytest.fixture
def checkpoint(saved: Path, tmp_path: Path) -> Path:
    """A copy of it to spoil."""
    return Path(shutil.copytree(saved, tmp_path / saved.name))


def refusal(path: Path, restore: Callable[[Path, Any], None] = restore_checkpoint) -> str:
    """The one line with which a checkpoint is refused."""
    with pytest.raises(CheckpointError) as refused:
        restore(path, fresh())
    message = str(refused.value)
    assert "\n" not in message
    assert str(path) in message
    return message


# ---- what is in it


def test_restored_is_as_saved(saved: Path) -> None:
    """Networks, optimiser, replay, counters, epsilon, random states: nothing starts again."""
    before, after = experienced(), fresh()
    assert state_of(before) != state_of(after)
    restore_checkpoint(saved, after)
    assert state_of(after) == state_of(before)
    assert (after.steps, after.updates, after.episodes) == (before.steps, before.updates, before.episodes)
    assert min(after.steps, after.updates, after.episodes, len(after.replay)) > 20
    assert after.exploration_level == before.exploration_level < 0.9


def test_restored_learns_on_as_if_never_saved(saved: Path) -> None:
    """The same experience from there on makes the same weights, to the last bit."""
    agents = [experienced(), fresh()]
    restore_checkpoint(saved, agents[1])
    for agent in agents:
        with open_training(seed=5) as bridge:
            practise(agent, bridge, 200)
    assert agents[1].updates > 60
    assert state_of(agents[0]) == state_of(agents[1])


def test_restored_learns_at_the_rate_of_its_own_configuration(saved: Path) -> None:
    learner = CONFIG.learner.model_copy(update={"learning_rate": 0.25})
    with open_training() as bridge:
        agent = DQNAgent(bridge.spec, CONFIG.model_copy(update={"learner": learner}))
        restore_checkpoint(saved, agent)
        practise(agent, bridge, 20)
    assert [group["lr"] for group in agent.tensors()["optimizer"]["param_groups"]] == [0.25]


def test_weights_alone_come_from_either_kind(saved: Path, tmp_path: Path) -> None:
    before = experienced()
    for path in (saved, save_checkpoint(tmp_path, before, "best", {"score": 1.0})):
        after = fresh()
        restore_weights(path, after)
        assert all(torch.equal(after.weights()[name], values) for name, values in before.weights().items())
        assert after.steps == 0


def test_what_was_told_about_it_is_kept(saved: Path) -> None:
    assert read_about(saved) == {"starts": 3}


def test_only_numbers_are_in_it(saved: Path) -> None:
    """No pickle has anything to do."""
    torch.load(saved / "tensors.pt", weights_only=True)
    with np.load(saved / "replay.npz", allow_pickle=False) as arrays:
        assert all(array.dtype.kind in "biuf" for array in arrays.values())
    assert json.loads((saved / "manifest.json").read_text())["sha256"].keys() == set(FILES)


# ---- which ones there are


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_latest_replaces_the_older_ones_and_has_the_replay(tmp_path: Path) -> None:
    agent = experienced(100)
    first = save_checkpoint(tmp_path, agent, "step", {})
    best = save_checkpoint(tmp_path, agent, "best", {})
    agent.steps += 5
    latest = save_checkpoint(tmp_path, agent, "step", {})
    assert names(tmp_path) == sorted([best.name, latest.name])
    assert not first.exists()
    assert names(latest) == sorted([*FILES, "manifest.json"])
    assert names(best) == ["manifest.json", "state.json", "tensors.pt"]
    assert find_checkpoint(tmp_path, "latest") == latest
    assert find_checkpoint(tmp_path, "best") == best


@pytest.mark.parametrize("keep", [1, 2, 4])
def test_the_latest_ones_are_kept(keep: int, tmp_path: Path) -> None:
    agent = experienced(100)
    steps = range(agent.steps, agent.steps + 6)
    for agent.steps in steps:
        save_checkpoint(tmp_path, agent, "step", {}, keep=keep)
        save_checkpoint(tmp_path, agent, "best", {})
    kept = [f"step-{number:09d}" for number in steps[-keep:]]
    assert names(tmp_path) == [f"best-{steps[-1]:09d}", *kept]


def test_without_a_replay_the_rest_is_restored_and_open_transitions_are_lost(tmp_path: Path) -> None:
    before, after = experienced(297), fresh()
    path = save_checkpoint(tmp_path, before, "step", {}, replay=False)
    assert names(path) == ["manifest.json", "state.json", "tensors.pt"]
    lost = restore_checkpoint(path, after)
    assert lost == sum(map(len, before.state_dict()["nstep"]["open"].values())) > 0
    assert (len(after.replay), after.steps, after.updates) == (0, before.steps, before.updates)
    assert state_of(after)["tensors"] == state_of(before)["tensors"]
    with open_training(seed=5) as bridge:
        practise(after, bridge, 300)
    assert len(after.replay) > 50
    assert after.updates > before.updates + 20


def test_a_new_agent_begins_with_the_weights_of_another(saved: Path) -> None:
    before, after = experienced(), fresh()
    initialize_from(saved, after)
    assert (after.steps, len(after.replay)) == (0, 0)
    for name, values in before.weights().items():
        assert torch.equal(after.network.state_dict()[name], values)
        assert torch.equal(after.target_network.state_dict()[name], values)


@pytest.mark.parametrize("network", ["online", "target"])
def test_a_test_plays_the_network_that_is_asked_for(network: str, saved: Path) -> None:
    """Live, and from a checkpoint into an agent for tests only; what training begins with stays the online one."""
    evaluation = CONFIG.evaluation.model_copy(update={"network": network})
    config = CONFIG.model_copy(update={"evaluation": evaluation})
    with open_training() as bridge:
        rows = bridge.reset(3).deciding
        live, new = DQNAgent(bridge.spec, config), DQNAgent(bridge.spec, config)
        tested = DQNAgent(bridge.spec, config, learning=False)
    restore_checkpoint(saved, live)
    with torch.no_grad():
        live.target_network.advantage.bias += torch.arange(live.layout.total) * 1000.0  # it prefers the last action
    path = save_checkpoint(saved.parent / "other", live, "best", {"score": 1.0})
    restore_weights(path, tested)
    online = live.network.advantage.bias.clone()
    with torch.no_grad():  # it has gone on, and is tested with the checkpoint all the same
        live.target_network.advantage.bias -= torch.arange(live.layout.total) * 2000.0
        live.network.advantage.bias += 1.0
    restore_weights(path, live)
    last = np.array([[size - 1 for size in live.layout.sizes]] * len(rows))
    for agent in (live, tested):
        found = agent.choose(rows, 0.0, np.random.default_rng(0))
        assert (found == last).all() == (network == "target")
    initialize_from(path, new)
    assert torch.equal(new.network.advantage.bias, online)


# ---- a damaged one


def several(folder: Path, count: int = 3) -> list[Path]:
    """So many checkpoints, the newest first."""
    agent = experienced(100)
    paths = []
    for _ in range(count):
        agent.steps += 1
        paths.append(save_checkpoint(folder, agent, "step", {"starts": 1}, keep=count))
    return paths[::-1]


@pytest.mark.parametrize("damaged", [0, 1, 2])
def test_the_newest_whole_checkpoint_is_recovered(damaged: int, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    paths = several(folder)
    for path in paths[:damaged]:
        (path / "tensors.pt").write_bytes(b"nothing")
    found, lines = recover_checkpoint(folder)
    assert found == paths[damaged]
    assert len(lines) == damaged
    for path, line in zip(paths, lines, strict=False):
        assert line.startswith(f"{path / 'tensors.pt'} is damaged: its SHA-256 is not the manifest's; going on with")
        assert line.endswith(f"{found.name} instead, {path.name} was renamed to damaged-{path.name}.")
    aside = [f"damaged-{path.name}" for path in paths[:damaged]]
    assert names(folder) == sorted([*aside, *(path.name for path in paths[damaged:])])
    assert find_checkpoint(folder, "latest") == found


def test_where_all_are_damaged_nothing_is_changed(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    paths = several(folder)
    for path in paths:
        (path / "manifest.json").unlink()
    before = snapshot(folder)
    with pytest.raises(CheckpointError, match=re.escape(str(paths[0]))):
        recover_checkpoint(folder)
    assert snapshot(folder) == before
    with pytest.raises(CheckpointError, match="run 'other' was stopped before its first checkpoint: begin it again"):
        recover_checkpoint(tmp_path / "other" / "checkpoints")


def test_a_better_one_of_the_same_step_replaces_the_best(tmp_path: Path) -> None:
    """The run was killed after it and went back to an earlier checkpoint."""
    agent = experienced(100)
    save_checkpoint(tmp_path, agent, "best", {"score": 1.0})
    with torch.no_grad():
        agent.network.advantage.weight.add_(1.0)
    best = save_checkpoint(tmp_path, agent, "best", {"score": 2.0})
    assert read_about(best) == {"score": 2.0}
    after = fresh()
    restore_weights(best, after)
    assert torch.equal(after.network.advantage.weight, agent.network.advantage.weight)
    assert names(tmp_path) == [best.name]


def test_saving_twice_in_the_same_step_is_saving_once(tmp_path: Path) -> None:
    agent = experienced(100)
    path = save_checkpoint(tmp_path, agent, "step", {})
    before = snapshot(tmp_path)
    times = path.stat().st_mtime_ns
    save_checkpoint(tmp_path, agent, "step", {})
    assert snapshot(tmp_path) == before
    assert path.stat().st_mtime_ns == times


def test_a_half_written_folder_is_no_checkpoint(saved: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run" / "checkpoints"
    folder.mkdir(parents=True)
    shutil.copytree(saved, folder / f".partial-{saved.name}")
    shutil.copytree(saved, folder / "step-000000999", ignore=shutil.ignore_patterns("manifest.json"))
    for name in ("latest", "best"):
        with pytest.raises(CheckpointError, match=f"run 'run' has no {name} checkpoint in"):
            find_checkpoint(folder, name)
    shutil.copytree(saved, folder / "step-000000007")
    assert find_checkpoint(folder, "latest").name == "step-000000007"


def test_what_a_killed_process_left_is_cleared_away(saved: Path, tmp_path: Path) -> None:
    shutil.copytree(saved, tmp_path / ".partial-step-000000001")
    path = save_checkpoint(tmp_path, experienced(100), "step", {})
    assert names(tmp_path) == [path.name]


# ---- what is wrong with it


@pytest.mark.parametrize("name", FILES)
def test_every_flipped_bit_is_found(name: str, checkpoint: Path) -> None:
    rng = random.Random(name)
    data = (checkpoint / name).read_bytes()
    for _ in range(20):
        spoilt = bytearray(data)
        spoilt[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        (checkpoint / name).write_bytes(spoilt)
        assert f"{name} is damaged: its SHA-256 is not the manifest's" in refusal(checkpoint)
    (checkpoint / name).write_bytes(data)
    restore_checkpoint(checkpoint, fresh())


@pytest.mark.parametrize("name", FILES)
def test_every_truncation_is_found(name: str, checkpoint: Path) -> None:
    data = (checkpoint / name).read_bytes()
    for length in (0, 1, len(data) // 2, len(data) - 1):
        (checkpoint / name).write_bytes(data[:length])
        assert f"{name} is damaged" in refusal(checkpoint)


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_missing_file_is_found(name: str, checkpoint: Path) -> None:
    (checkpoint / name).unlink()
    assert "No such file" in refusal(checkpoint)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_the_manifest_does_not_know_is_not_read(name: str, checkpoint: Path) -> None:
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    del manifest["sha256"][name]
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))
    assert f"'{name}' is missing" in refusal(checkpoint)


def test_two_files_swapped_are_found(checkpoint: Path) -> None:
    contents = {name: (checkpoint / name).read_bytes() for name in FILES}
    (checkpoint / "tensors.pt").write_bytes(contents["replay.npz"])
    (checkpoint / "replay.npz").write_bytes(contents["tensors.pt"])
    assert "is damaged" in refusal(checkpoint)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", f'{{"format": {FORMAT}}}', f'{{"format": {FORMAT}, "sha256": 5}}']
)
def test_a_manifest_that_is_none_is_found(text: str, checkpoint: Path) -> None:
    (checkpoint / "manifest.json").write_text(text)
    assert "cannot be read" in refusal(checkpoint)


def test_another_format_is_told(checkpoint: Path) -> None:
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    (checkpoint / "manifest.json").write_text(json.dumps({**manifest, "format": 99}))
    assert f"has format 99, expected {FORMAT}" in refusal(checkpoint)


def sign(checkpoint: Path) -> None:
    """Makes the manifest vouch for whatever lies there."""
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    hashes = {name: hashlib.sha256((checkpoint / name).read_bytes()).hexdigest() for name in FILES}
    (checkpoint / "manifest.json").write_text(json.dumps({**manifest, "sha256": hashes}))


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.mkdir, (self.folder,)


def test_a_pickle_among_the_tensors_is_never_executed(checkpoint: Path, tmp_path: Path) -> None:
    hacked = tmp_path / "hacked"
    pickle.loads(pickle.dumps(Hostile(hacked)))
    assert hacked.is_dir()  # it does what it says
    hacked.rmdir()
    buffer = io.BytesIO()
    torch.save({"network": Hostile(hacked)}, buffer)
    for content in (buffer.getvalue(), pickle.dumps(Hostile(hacked), protocol=2)):
        (checkpoint / "tensors.pt").write_bytes(content)
        sign(checkpoint)
        refusal(checkpoint)
        refusal(checkpoint, restore_weights)
        assert not hacked.exists()


def test_an_array_of_objects_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    hacked = tmp_path / "hacked"
    objects = np.array([Hostile(hacked)], dtype=object)
    np.savez(checkpoint / "replay.npz", frames=objects, mask=objects, ready=objects)
    sign(checkpoint)
    assert "allow_pickle=False" in refusal(checkpoint)
    assert not hacked.exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tensors.pt", b""),
        ("tensors.pt", b"PK\x03\x04 and no more"),
        ("replay.npz", b"PK\x03\x04 and no more"),
        ("replay.npz", b"\x93NUMPY"),
        ("state.json", b"[]"),
        ("state.json", b'{"agent": 5}'),
        ("state.json", b'{"agent": {"steps": 5}}'),
        ("state.json", b"\xff\xfe"),
    ],
)
def test_what_is_signed_but_nonsense_is_one_line(name: str, content: bytes, checkpoint: Path) -> None:
    (checkpoint / name).write_bytes(content)
    sign(checkpoint)
    assert "does not fit this agent" in refusal(checkpoint)


def test_another_agent_s_checkpoint_is_refused(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, small_agent(behavior()), "step", {})
    for restore in (restore_checkpoint, restore_weights, initialize_from):
        assert "does not fit this agent: advantage.bias is (2,) there, expected" in refusal(path, restore)


# ---- when saving fails


def test_a_full_disk_leaves_the_older_checkpoint(tmp_path: Path) -> None:
    agent = experienced(100)
    save_checkpoint(tmp_path, agent, "step", {})
    before = snapshot(tmp_path)
    sizes = sorted(len(content) for content in before.values() if content is not None)
    agent.steps += 1
    for size in (0, 100, sizes[0] - 1, sizes[-1] - 1):
        with no_file_larger_than(size), pytest.raises(OSError, match="File too large"):
            save_checkpoint(tmp_path, agent, "step", {})
        assert snapshot(tmp_path) == before
    restore_checkpoint(find_checkpoint(tmp_path, "latest"), fresh())


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_kill_9_while_saving_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    """Again and again in the same folder, at any moment."""
    folder = tmp_path / "checkpoints"
    result = run("tests.agents.saving", folder, "25", cwd=tmp_path)
    assert (result.code, result.err) == (0, "")
    left = [tuple(map(int, line.split())) for line in result.out.splitlines()]
    steps, halves = zip(*left, strict=True)
    assert len(steps) == 25
    assert list(steps) == sorted(set(steps))
    assert sum(halves) > 5  # it was in the middle of it
    agent = small_agent(behavior())
    restore_checkpoint(find_checkpoint(folder, "latest"), agent)
    agent.steps += 1
    last = save_checkpoint(folder, agent, "step", {})
    assert names(folder) == [last.name]
