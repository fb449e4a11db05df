"""What `python -m agents.export` does: writes a file, proves it, writes its card; or checks a file."""

from __future__ import annotations

import argparse
import contextlib
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import ModelProto

from agents.cli.commandline import (
    ENVIRONMENT_OPTIONS,
    TARGET_OPTIONS,
    Parser,
    add_checkpoint_option,
    add_config_options,
    add_run_options,
    config_values,
    whole_number_from,
)
from agents.episodes.evaluation import Evaluation
from agents.exporting import loader
from agents.exporting.card import NOT_PROVED, Card
from agents.exporting.loader import Expected, RefusedError
from agents.exporting.model import PolicyModel
from agents.exporting.proofs import Proof, decisions_proof, format_proof, loader_proof, score_proof, table
from agents.learning.agent import DQNAgent
from agents.metrics.progress import Bar
from agents.settings.config import Config, ConfigError, build_config, merged, with_backend
from agents.settings.files import load_config
from agents.storage.checkpoint import restore_weights
from agents.storage.runs import RunFolder, existing_run
from agents.training.session import checkpoint_to_test, prepare_torch
from bridge import Bridge, connect

PROGRAM = "python -m agents.export"
#: Decisions that are compared by default.
DECISIONS = 10_000
#: Settings of the environment without which a file cannot be played.
KEPT = ("codec", "offset", "levels", "frame_stack", "env_kwargs")

EXPORT_OPTIONS = {
    **{option: TARGET_OPTIONS[option] for option in ("--backend", "--build", "--behavior")},
    "--episodes": "evaluation.episodes",
    "--time-scale": "environment.time_scale",
    **ENVIRONMENT_OPTIONS,
}


def make_parser() -> Parser:
    parser = Parser(
        prog=PROGRAM,
        usage="%(prog)s --run-id NAME [options] | --check FILE.onnx --build NAME [options]",
        description="Write a trained agent as an ONNX model: for Unity's packages 2.x to 4.x, or a plain one for a "
        "gymnasium environment. The file is kept only if it is proved against the agent and the environment; a model "
        "card lies beside it. With --check: whether Unity would take a file for a build, whoever made it.",
    )
    add_run_options(parser)
    add_checkpoint_option(parser, "is exported")
    parser.add_argument(
        "--output", type=Path, metavar="FILE.onnx", help="what to write; default: in the run's folder export/"
    )
    parser.add_argument(
        "--decisions",
        type=whole_number_from(1),
        default=DECISIONS,
        metavar="N",
        help=f"decisions to compare ({DECISIONS})",
    )
    parser.add_argument("--check", type=Path, metavar="FILE.onnx", help="check this file instead, for --build")
    add_config_options(parser, EXPORT_OPTIONS, [])
    return parser


def main(argv: Sequence[str]) -> int:
    """Returns the exit code: 0 proved, 1 refused.

    Raises:
        ConfigError: a wrong command line, or nothing to export.
        CheckpointError: the checkpoint is missing, damaged or another agent's.
    """
    options = make_parser().parse(argv)
    if options.check is not None:
        return _check(options)
    if not options.run_id:
        raise ConfigError("--run-id is missing: the run to export; or --check FILE.onnx --build NAME.")
    return _export(options, argv)


# ---- checking


def _check(options: argparse.Namespace) -> int:
    if options.run_id:
        raise ConfigError("--check looks at any file and needs no run: leave --run-id out, or --check.")
    config = build_config(with_backend(config_values(options)))
    if config.environment.backend != "unity" or not config.environment.build:
        raise ConfigError("--check needs --build NAME: what the file is to be used for.")
    if not options.check.is_file():
        raise ConfigError(f"there is no file {options.check}.")
    with connect(config.environment.spec(config.training.seed)) as bridge:
        proofs, _ = _file_proofs(options.check, bridge, for_unity=True)
        header = f"{options.check} for behaviour {bridge.spec.name!r} of {config.environment.build}:"
    _write([header, *table(proofs), NOT_PROVED])
    return 0 if all(proof.passed for proof in proofs) else 1


def _file_proofs(path: Path, bridge: Bridge, *, for_unity: bool) -> tuple[list[Proof], ModelProto | None]:
    """What can be shown without an agent; the model where it can be read."""
    try:
        model = loader.read(path)
    except RefusedError as error:
        return [Proof("1 file", False, " ".join(str(error).splitlines()))], None
    proofs = [format_proof(model, path.stat().st_size)]
    if for_unity:
        try:
            complaints = loader.check(model, Expected.of(bridge.spec, bridge.codec.native))
        except RefusedError as error:
            complaints = [str(error)]
        proofs.append(loader_proof(complaints, has_masks=bridge.codec.native.is_discrete))
    return proofs, model


# ---- exporting


def _export(options: argparse.Namespace, argv: Sequence[str]) -> int:
    run = existing_run(options.results_dir, options.run_id)
    trained = load_config(run.config).model_dump()
    given = {"training": {"torch_device": "cpu"}}  # what it computes is what the file is compared with
    config = build_config(merged(merged(trained, config_values(options)), given))
    prepare_torch(config)
    checkpoint = checkpoint_to_test(config, run, options.checkpoint)
    with connect(config.environment.spec(config.evaluation.seed)) as bridge:
        agent = DQNAgent(bridge.spec, config, learning=False)
        restore_weights(checkpoint, agent)
        file = options.output or _default_file(run, bridge)
        file.parent.mkdir(parents=True, exist_ok=True)
        unproved = file.with_name(f".unproved-{file.name}")
        try:
            onnx.save_model(_model(agent, bridge, config), unproved)
            proofs, evaluation = _prove(unproved, agent, bridge, config, options.decisions)
            if evaluation is not None:
                unproved.replace(file)
        finally:
            unproved.unlink(missing_ok=True)
        _write([f"{checkpoint.name} of run {run.path.name} as {file}:", *table(proofs)])
        if evaluation is None:
            _write(["nothing was written: the file is not what the agent is."])
            return 1
        card = Card(
            file=file,
            run_id=run.path.name,
            checkpoint=checkpoint.name,
            config=config,
            command=shlex.join([*PROGRAM.split(), *argv]),
            unused=tuple(item.name for i, item in enumerate(bridge.spec.observations) if i not in agent.inputs.indices),
            proofs=proofs,
            evaluation=evaluation,
        )
        text = file.with_suffix(".md")
        text.write_text(card.markdown(bridge), encoding="utf-8")
    _write([*([NOT_PROVED] if config.environment.backend == "unity" else []), f"saved as {file}, card {text}"])
    return 0


def _model(agent: DQNAgent, bridge: Bridge, config: Config) -> ModelProto:
    environment = config.environment.model_dump(mode="json")
    settings = {name: environment[name] for name in KEPT}
    model = PolicyModel(agent.network, agent.inputs, bridge.spec, bridge.codec, settings)
    return model.unity() if config.environment.backend == "unity" else model.plain()


def _prove(
    file: Path, agent: DQNAgent, bridge: Bridge, config: Config, decisions: int
) -> tuple[list[Proof], Evaluation | None]:
    """All proofs up to the first that fails; the file's evaluation when none does."""
    proofs, model = _file_proofs(file, bridge, for_unity=config.environment.backend == "unity")
    if model is None or not all(proof.passed for proof in proofs):
        return proofs, None
    with _bar(decisions, "decision", "compared") as bar:
        proofs.append(decisions_proof(model, agent, bridge, decisions, bar.advance))
    if not proofs[-1].passed:
        return proofs, None
    with _bar(config.evaluation.episodes, "episode", "played") as bar:
        proof, evaluation = score_proof(model, agent, bridge, config.evaluation, bar.advance)
    proofs.append(proof)
    return proofs, evaluation if proof.passed else None


def _bar(total: int, unit: str, name: str) -> contextlib.closing[Bar]:
    return contextlib.closing(Bar(total, unit, name=name, keep=False))


def _default_file(run: RunFolder, bridge: Bridge) -> Path:
    name = re.sub(r"[^A-Za-z0-9._-]", "_", bridge.spec.name)
    return run.path / "export" / f"{name}.onnx"


def _write(lines: Sequence[str]) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
