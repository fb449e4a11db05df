"""What `--search` means, and what it refuses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from agents.settings.config import ConfigError, build_config, with_backend
from agents.settings.presets import load_preset, preset_names
from agents.tuning.space import (
    DEFAULT,
    Choices,
    Range,
    check_given,
    default_words,
    labels_of,
    nested,
    read_space,
    read_words,
)

DOCUMENT = Path(__file__).parents[3] / "docs" / "tune.md"


def space_of(*searches: str, **values: dict[str, Any]) -> dict[str, Range | Choices]:
    return read_space(read_words(searches), values)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("learner.learning_rate=1e-4..1e-2:log", Range(1e-4, 1e-2, log=True)),
        ("learner.learning-rate=0.1..1", Range(0.1, 1.0)),
        ("learner.gamma=0.9..0.99:0.03", Range(0.9, 0.99, step=0.03)),
        ("learner.n_step=1..5", Range(1, 5)),
        ("replay.capacity=10000..50000:10000", Range(10_000, 50_000, step=10_000)),
        ("learner.batch_size=16..512:log", Range(16, 512, log=True)),
        ("learner.learning_rate_end=1e-6..1e-4:log", Range(1e-6, 1e-4, log=True)),
        ("training.failure_reward=-10..-1", Range(-10.0, -1.0)),
        ("learner.n_step=1,3,5", Choices((1, 3, 5))),
        ("learner.double=true,false", Choices((True, False))),
        ("learner.loss=huber, mse", Choices(("huber", "mse"))),
        ("learner.learning_rate_end=none,1e-5", Choices((None, 1e-5))),
        ("network.hidden=[64],[128,128]", Choices(([64], [128, 128]))),
        ("network.hidden=64,128", Choices(([64], [128]))),
    ],
)
def test_what_is_written_is_what_is_searched(text: str, meaning: Range | Choices) -> None:
    (found,) = space_of(text).values()
    assert found == meaning
    if isinstance(found, Range):  # 1 and 1.0 are equal, and not searched alike
        assert found.is_whole == (type(meaning.low) is int)


@pytest.mark.parametrize(
    ("searches", "sentence"),
    [
        (
            ["learner.learnin_rate=1..2"],
            "unknown setting 'learner.learnin_rate'; did you mean 'learner.learning_rate'?",
        ),
        (["learning_rate=1..2"], "unknown setting 'learning_rate'; did you mean 'learner.learning_rate'?"),
        (["zzz=1..2"], "unknown setting 'zzz'; agents.train --help lists the settings."),
        (["learner.double=0..1"], "learner.double: found the range 0..1, but this is true or false: give choices"),
        (["learner.loss=a..b"], "learner.loss: found the range a..b, but this is no number: give choices"),
        (["learner.gamma=0.9..1.5"], "learner.gamma: found '1.5', expected less than or equal to 1"),
        (["learner.n_step=1..2.5"], "learner.n_step: found '2.5', expected a valid integer"),
        (["learner.loss=huber,hubert"], "learner.loss: found 'hubert', expected 'huber' or 'mse'"),
        (["learner.n_step=5..1"], "found the range 5..1, expected its first number below its second"),
        (["learner.learning_rate_end=none..1"], "found the range none..1, expected its first number below"),
        (["exploration.end=0..1:log"], "found 0..1:log, expected a range above 0 where it is logarithmic"),
        (["learner.n_step=1..5:3"], "found 1..5:3, expected :log or a step that divides the range"),
        (["learner.n_step=1..5:lg"], "found 1..5:lg, expected :log or a step that divides the range"),
        (["learner.n_step=3"], "learner.n_step: found 3, expected two choices or more; --learner.n-step sets one"),
        (["learner.n_step=3,5,3"], "learner.n_step: found the choice 3 twice, expected each once"),
        (["training.steps=100,200"], "training.steps cannot be searched: it has to be the same for trials"),
        (["environment.env=A,B"], "environment.env cannot be searched"),
        (["evaluation.every=5,10"], "evaluation.every cannot be searched"),
        (["learner.n_step"], "found 'learner.n_step', expected section.field=low..high, section.field=a,b,c or a YAML"),
        (["learner.n_step=1,3", "learner.n-step=1..3"], "says twice what learner.n_step is to be: give it once."),
        (["absent.yaml"], "there is no file 'absent.yaml'."),
    ],
)
def test_what_cannot_be_searched_is_told_in_one_sentence(searches: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(sentence)) as error:
        space_of(*searches)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("--search")


def test_a_value_is_checked_beside_the_others() -> None:
    """A temperature may be above 1, an epsilon not."""
    assert space_of("exploration.start=0.5..5", exploration={"kind": "boltzmann"})
    with pytest.raises(ConfigError, match="an epsilon is a probability"):
        space_of("exploration.start=0.5..5")


def test_a_file_says_the_same_as_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(
        "learner: {learning_rate: 1e-4..1e-2:log, n_step: [1, 3], double: [yes, no]}\n"
        "network:\n  hidden:\n  - [64]\n  - [128, 128]\n"
    )
    typed = space_of(
        "learner.learning_rate=1e-4..1e-2:log",
        "learner.n_step=1,3",
        "learner.double=true,false",
        "network.hidden=[64],[128,128]",
    )
    assert space_of(str(file)) == typed
    assert space_of(str(file), "exploration.end=0..0.1").keys() == {*typed, "exploration.end"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("learner: 5", r"found 5 for 'learner', expected a section with settings"),
        ("learner: {n_step: 5}", r"found 5 for learner\.n_step, expected a range such as 1e-4\.\.1e-2:log or a list"),
        ("- a", r"found list, expected a mapping"),
        ("{", r"is not valid YAML"),
    ],
)
def test_a_file_that_says_something_else_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "space.yaml").write_text(text)
    with pytest.raises(ConfigError, match=sentence):
        space_of(str(tmp_path / "space.yaml"))


def test_values_come_back_from_what_optuna_keeps() -> None:
    space = space_of("network.hidden=[64],[128,128]", "learner.n_step=1,3", "learner.learning_rate=1e-4..1e-2:log")
    config = build_config({"network": {"hidden": [128, 128]}, "learner": {"n_step": 3, "learning_rate": 1e-3}})
    labels = labels_of(space, config.model_dump(mode="json"))
    assert labels == {"network.hidden": "[128, 128]", "learner.n_step": 3, "learner.learning_rate": 1e-3}
    assert nested(space, labels) == {
        "network": {"hidden": [128, 128]},
        "learner": {"n_step": 3, "learning_rate": 1e-3},
    }


def test_only_values_within_the_space_are_taken_from_a_configuration() -> None:
    space = space_of("learner.n_step=1,3", "learner.learning_rate=0.1..1", "replay.capacity=10..50:20")
    values = {"learner": {"n_step": 2, "learning_rate": 5e-4}, "replay": {"capacity": 40}}
    assert labels_of(space, values) == {}
    values = {"learner": {"n_step": 3, "learning_rate": 0.1}, "replay": {"capacity": 30}}
    assert labels_of(space, values) == {"learner.n_step": 3, "learner.learning_rate": 0.1, "replay.capacity": 30}


@pytest.mark.parametrize("preset", preset_names())
def test_the_space_that_nobody_gives_suits_every_preset(preset: str) -> None:
    assert read_space(DEFAULT, with_backend(load_preset(preset))).keys() == DEFAULT.keys()


def test_the_space_that_nobody_gives_is_the_documented_one() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert [f"{path}={words}" for path, words in DEFAULT.items() if f"    {path}={words}\n" not in text] == []


def test_ranges_that_differ_in_a_late_digit_read_differently() -> None:
    """A study that goes on compares what was asked for as text."""
    assert str(Range(1234567, 2345678)) == "1234567..2345678"
    assert str(Range(0.1, 1.0, step=0.05)) == "0.1..1.0:0.05"


def test_a_setting_that_is_given_is_not_searched() -> None:
    given = {"learner": {"n_step": "3"}}
    assert default_words(given).keys() == DEFAULT.keys() - {"learner.n_step"}
    with pytest.raises(ConfigError, match=r"learner\.n_step is searched and given by its own option"):
        check_given({"learner.n_step": "1,3"}, given)
    check_given({"learner.gamma": "0.9,0.99", "nonsense": "1,2"}, given)
