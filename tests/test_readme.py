"""What the README and the documents say exists, and the Korean README says the same as the English one."""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENGLISH, KOREAN = ROOT / "README.md", ROOT / "README.ko.md"
FOLDERS = (".", "docs", "unity_builds", "benchmarks", "examples", "envs")
DOCUMENTS = [path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.md"))]
#: Packages whose modules the documents start; those of others, as `python -m venv`, are not ours to look for.
OURS = ("agents", "bridge", "envs")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^ {4}(.*)$", re.MULTILINE)
INLINE = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
MODULE = re.compile(r"python(?:3[.\d]*)? -m ([a-z_.\d]+)")
PROGRAM = re.compile(r"python(?:3[.\d]*)? -m (agents\.\w+)(.*)")
#: An option; what follows `--env-args` is for the build.
OPTION = re.compile(r"(?<![\w.-])--[a-z][\w.-]*\w(?![\w-])")
#: Where the parser of a program is, if not in its own module.
PARSERS = {
    "agents.doctor": "agents.checks.command",
    "agents.export": "agents.exporting.command",
    "agents.tune": "agents.tuning.command",
}
SCRIPT = re.compile(r"python(?:3[.\d]*)? ([\w/]+\.py)")
NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?")


def without_fences(text: str) -> str:
    return FENCE.sub("", text)


def anchors(text: str) -> set[str]:
    """The anchors of a document's headings, as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", without_fences(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def tables(text: str) -> list[list[list[str]]]:
    """The cells of each table."""
    found: list[list[list[str]]] = []
    inside = False
    for line in without_fences(text).splitlines():
        if line.startswith("|"):
            if not inside:
                found.append([])
            found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        inside = line.startswith("|")
    return found


def commands(text: str) -> set[str]:
    """What a person would type, wherever it stands: whatever is set as code outside of fenced blocks."""
    plain = without_fences(text)
    return {*INDENTED.findall(plain), *(" ".join(code.split()) for code in INLINE.findall(plain))}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path: Path):
    broken = []
    for link in LINK.findall(without_fences(path.read_text(encoding="utf-8"))):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_that_is_started_exists(path: Path):
    named = {name.rstrip(".") for name in MODULE.findall(path.read_text(encoding="utf-8"))}
    ours = {name for name in named if name.split(".")[0] in OURS}
    assert {name for name in ours if importlib.util.find_spec(name) is None} == set()


@cache
def options_of(program: str) -> set[str]:
    parser = importlib.import_module(PARSERS.get(program, program)).make_parser()
    return set(OPTION.findall(parser.format_help()))


def options_in(code: str) -> set[str]:
    return set(OPTION.findall(code.partition("--env-args ")[0])) | set(re.findall("--env-args", code))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_option_of_a_command_exists(path: Path):
    text = path.read_text(encoding="utf-8")
    lines = commands(text) | {line for _, block in FENCE.findall(text) for line in block.splitlines()}
    started = [(match[1], options_in(match[2])) for line in lines if (match := PROGRAM.search(line))]
    unknown = [(program, options - options_of(program)) for program, options in started]
    assert [item for item in unknown if item[1]] == []


def test_every_option_that_the_readme_names_exists():
    named = {option for code in commands(ENGLISH.read_text(encoding="utf-8")) for option in options_in(code)}
    programs = ("agents.train", "agents.evaluate", "agents.record", "agents.play", "agents.export", "agents.tune")
    known = set().union(*map(options_of, programs)) | {"--seeds", "--logdir"}  # of benchmarks/learning.py, TensorBoard
    assert named - known == set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_script_that_is_started_exists(path: Path):
    named = set(SCRIPT.findall(path.read_text(encoding="utf-8")))
    assert {name for name in named if not (ROOT / name).is_file()} == set()


def test_the_commands_for_powershell_are_those_of_the_readme():
    blocks = {language: [] for language in ("sh", "powershell")}
    for path in (ENGLISH, ROOT / "docs" / "windows-macos.md"):
        for language, code in FENCE.findall(path.read_text(encoding="utf-8")):
            if language in blocks:
                blocks[language].append(code.strip())
    assert blocks["sh"]
    assert blocks["powershell"] == [
        block.replace(" && ", "\n").replace(".venv/bin/", ".venv\\Scripts\\").replace("python3.11 ", "py -3.11 ")
        for block in blocks["sh"]
    ]


def test_both_languages_link_to_each_other():
    assert "README.ko.md" in LINK.findall(ENGLISH.read_text(encoding="utf-8"))
    assert "README.md" in LINK.findall(KOREAN.read_text(encoding="utf-8"))


def test_both_languages_have_the_same_sections():
    levels = [
        re.findall(r"^(#+) ", without_fences(path.read_text(encoding="utf-8")), re.MULTILINE)
        for path in (ENGLISH, KOREAN)
    ]
    assert levels[0] == levels[1]


def test_both_languages_have_the_same_code_blocks():
    english, korean = (FENCE.findall(path.read_text(encoding="utf-8")) for path in (ENGLISH, KOREAN))
    assert english
    assert korean == english


def test_both_languages_have_the_same_commands_and_names():
    english, korean = (commands(path.read_text(encoding="utf-8")) for path in (ENGLISH, KOREAN))
    assert english - korean == set()
    assert korean - english == set()


def test_both_languages_have_the_same_links():
    english, korean = (set(LINK.findall(path.read_text(encoding="utf-8"))) for path in (ENGLISH, KOREAN))
    assert english - {"README.ko.md"} == korean - {"README.md"}


def test_both_languages_have_the_same_figures():
    english, korean = (tables(path.read_text(encoding="utf-8")) for path in (ENGLISH, KOREAN))
    assert len(english) == len(korean)
    for theirs, ours in zip(english, korean, strict=True):
        assert [[NUMBER.findall(cell) for cell in row] for row in ours] == [
            [NUMBER.findall(cell) for cell in row] for row in theirs
        ]


def test_the_korean_text_has_every_figure_of_the_english_one():
    english, korean = (set(NUMBER.findall(path.read_text(encoding="utf-8"))) for path in (ENGLISH, KOREAN))
    assert {figure for figure in english - korean if len(figure) > 1} == set()
