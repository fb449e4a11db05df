"""What Unity demands of a model file, restated from the C# of com.unity.ml-agents 2.x, 3.x and 4.x.

Unity itself only looks at names and shapes when a file is assigned; the rest shows when the scene runs, or never. So
the file is also run, as Unity will run it. Nothing here knows our exporter: any file can be checked. Each complaint
is a sentence that says what was found and what was expected.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import ModelProto, TensorProto, ValueInfoProto

from agents.exporting import names
from bridge import BehaviorSpec, NativeActions, ObsSpec

Array = npt.NDArray[Any]

VERSION = 3
#: Opsets that Barracuda, Sentis and Inference Engine all read.
OLDEST_OPSET, NEWEST_OPSET = 7, 15
#: Barracuda's list (its manual, "Supported ONNX operators"), which the later ones contain.
OPERATORS = frozenset(
    """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization Cast Ceil Clip Concat
    Constant ConstantOfShape Conv ConvTranspose Cos Cosh DepthToSpace Div Dropout Elu Equal Exp Expand Flatten Floor
    Gather Gemm GlobalAveragePool GlobalMaxPool Greater Identity ImageScaler InstanceNormalization LRN LSTM LeakyRelu
    Less LessOrEqual Log LogSoftmax MatMul Max MaxPool Mean Min Mul Multinomial Neg NonMaxSuppression NonZero Not OneHot
    Or PRelu Pad Pow RandomNormal RandomNormalLike RandomUniform RandomUniformLike Reciprocal ReduceMax ReduceMean
    ReduceMin ReduceProd ReduceSum Relu Reshape Resize Round Selu Shape Sigmoid Sin Sinh Slice Softmax SpaceToDepth
    Split Sqrt Squeeze Sub Sum Tan Tanh Tile TopK Transpose Unsqueeze Upsample Where Xor
    """.split()  # noqa: SIM905 - it is read as a list
)
#: Inputs besides observations and masks that Unity fills; a DQN has none of them.
OTHER_INPUTS = ("recurrent_in", "prev_action", "sequence_length", "epsilon")
RECURRENT_IN, RECURRENT_OUT = "recurrent_in", "recurrent_out"
BATCHES = (1, 2, 9)
#: Rows of random observations and masks that the sweep tries, for each size of the observations.
SWEEP_ROWS, SWEEP_SPREADS = 256, (1.0, 10.0, 1000.0)


@dataclass(frozen=True)
class Expected:
    """What a build's behaviour declares.

    Attributes:
        observations: in the order of the sensors.
        native: the build's own actions.
    """

    observations: tuple[ObsSpec, ...]
    native: NativeActions

    @classmethod
    def of(cls, spec: BehaviorSpec, native: NativeActions) -> Expected:
        return cls(spec.observations, native)


class RefusedError(ValueError):
    """A file that cannot be used; the message has a sentence per line."""


def read(path: Path) -> ModelProto:
    """The model in a file, checked for itself: format, opset, operators, one file.

    Raises:
        RefusedError: what is wrong with it.
    """
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's DecodeError, and whatever a file of something else leads to
        raise RefusedError(f"{path} is no ONNX file: {_one_line(error)}.") from None
    complaints = [*_format(model)]
    if complaints:
        raise RefusedError("\n".join(complaints))
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # ValidationError, InferenceError, ...
        raise RefusedError(f"the ONNX checker refuses the file: {_one_line(error)}") from None
    return model


def session_of(model: ModelProto) -> onnxruntime.InferenceSession:
    """A runtime on one CPU thread, which complains of nothing but errors.

    Raises:
        RefusedError: ONNX Runtime cannot load it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions share no base class
        raise RefusedError(f"ONNX Runtime does not load the file: {_one_line(error)}") from None


def check(model: ModelProto, expected: Expected) -> list[str]:
    """What Unity would refuse, or do wrong with, for agents of this behaviour; one sentence each."""
    complaints = [*_inputs(model, expected), *_outputs(model, expected)]
    if complaints:
        return complaints  # without these it cannot be run as Unity does
    return [*_Trial(model, expected).complaints()]


# ---- the file for itself


def _format(model: ModelProto) -> Iterator[str]:
    if not model.graph.output:
        yield "the file has no graph with outputs; expected an ONNX model."
        return
    outside = [item.name for item in model.graph.initializer if item.data_location == TensorProto.EXTERNAL]
    if outside:
        yield f"the weights {outside[0]!r} are in another file (external data); expected one file with everything."
    for opset in model.opset_import:
        if opset.domain not in ("", "ai.onnx"):
            yield f"the file uses operators of {opset.domain!r}; expected those of ai.onnx only."
        elif not OLDEST_OPSET <= opset.version <= NEWEST_OPSET:
            yield f"the file has opset {opset.version}; Unity reads {OLDEST_OPSET} to {NEWEST_OPSET}, 9 at best."
    unknown = sorted({node.op_type for node in model.graph.node} - OPERATORS)
    if unknown:
        yield f"the file uses the operator{'s' * (len(unknown) > 1)} {', '.join(unknown)}, which Barracuda lacks."


# ---- names, types and shapes


def _inputs(model: ModelProto, expected: Expected) -> Iterator[str]:
    constants = {item.name for item in model.graph.initializer}
    found = {item.name: item for item in model.graph.input if item.name not in constants}
    wanted: dict[str, tuple[str, ObsSpec | None, tuple[int, ...]]] = {
        names.observation(index): (f"sensor {item.name!r}", item, item.shape)
        for index, item in enumerate(expected.observations)
    }
    branches = expected.native.branches
    if branches:
        wanted[names.MASKS] = ("the action mask", None, (sum(branches),))
    used = {name for node in model.graph.node for name in node.input}
    for name, (what, item, shape) in wanted.items():
        if name not in found:
            yield f"there is no input {name!r} for {what}; found {', '.join(sorted(found)) or 'none'}."
            continue
        yield from _input(found[name], what, item, shape)
        if name not in used:
            yield f"input {name!r} is not connected to anything: Unity drops it and then fails to fill it."
    for name in found.keys() - wanted.keys() - set(OTHER_INPUTS):
        yield f"Unity does not know the input {name!r}; expected {', '.join(wanted)}."


def _input(found: ValueInfoProto, what: str, item: ObsSpec | None, shape: tuple[int, ...]) -> Iterator[str]:
    name, kind = found.name, found.type.tensor_type.elem_type
    if kind != TensorProto.FLOAT:
        yield f"input {name!r} is {_kind(kind)}; Unity fills it with float32."
    batch, *rest = _dims(found) or ("none",)
    if isinstance(batch, int):
        yield f"input {name!r} has the fixed batch {batch}; expected a free one, for any number of agents."
    if tuple(rest) == shape:
        return
    channels_last = item is not None and item.kind == "image" and tuple(rest) == (*shape[1:], shape[0])
    why = ": channels come last (NHWC), Unity gives NCHW" if channels_last else ""
    yield f"input {name!r} has shape {_shown(rest)}, expected {_shown(shape)} for {what}{why}."


def _outputs(model: ModelProto, expected: Expected) -> Iterator[str]:
    found = {item.name: item for item in model.graph.output}
    native = expected.native
    floats, actions = (TensorProto.FLOAT,), (TensorProto.INT64, TensorProto.INT32)
    wanted: dict[str, tuple[tuple[int, ...], tuple[int | None, ...]]] = {
        names.VERSION: (floats, (1,)),
        names.MEMORY_SIZE: (floats, (1,)),
    }
    if native.is_discrete:
        count = len(native.branches)
        wanted[names.DISCRETE_SIZES] = (floats, (1, count))
        wanted |= dict.fromkeys((names.DISCRETE, names.DETERMINISTIC_DISCRETE), (actions, (None, count)))
        others = names.CONTINUOUS_SIZE
    else:
        dims = len(native.low)
        wanted[names.CONTINUOUS_SIZE] = (floats, (1,))
        wanted |= dict.fromkeys((names.CONTINUOUS, names.DETERMINISTIC_CONTINUOUS), (floats, (None, dims)))
        others = names.DISCRETE_SIZES
    for name, (kinds, shape) in wanted.items():
        if name in found:
            yield from _output(found[name], kinds, shape)
        else:
            yield f"there is no output {name!r}; found {', '.join(found)}."
    if others in found:
        yield f"the file has the output {others!r}, but the build has no such actions."


def _output(found: ValueInfoProto, kinds: Sequence[int], shape: Sequence[int | None]) -> Iterator[str]:
    name, kind = found.name, found.type.tensor_type.elem_type
    if kind not in kinds:
        yield f"output {name!r} is {_kind(kind)}, expected {_kind(kinds[0])}."
    dims = _dims(found)
    if shape[0] is None and dims and isinstance(dims[0], int):
        yield f"output {name!r} has the fixed batch {dims[0]}; expected a free one, for any number of agents."
    elif len(dims) != len(shape) or any(
        isinstance(dim, int) and dim != size for dim, size in zip(dims, shape, strict=True)
    ):
        wanted = _shown([names.BATCH if size is None else size for size in shape])
        yield f"output {name!r} has shape {_shown(dims)}, expected {wanted}."


# ---- the file as Unity runs it


class _Trial:
    """Runs of a file whose names and shapes are right."""

    def __init__(self, model: ModelProto, expected: Expected) -> None:
        self._expected = expected
        self._native = expected.native
        self._inputs = {item.name: _dims(item) for item in model.graph.input}
        self._session = session_of(model)
        self._rng = np.random.default_rng(0)

    def complaints(self) -> Iterator[str]:
        zeros = self._feeds(1)
        constants = yield from self._run(zeros, "on zeros, masks included, as Unity does at first")
        if constants is None:
            return
        yield from self._constants(constants)
        for rows in BATCHES:
            outputs = yield from self._run(self._feeds(rows, random=1.0), f"on {rows} agents")
            if outputs is None:
                return
            yield from self._actions(outputs, rows)
        if self._native.is_discrete:
            yield from self._sweep()

    def _run(self, feeds: Mapping[str, Array], how: str) -> Generator[str, None, dict[str, Array] | None]:
        """Returns the outputs by name; None after a complaint."""
        outputs = [item.name for item in self._session.get_outputs()]
        try:
            values: Sequence[Array] = self._session.run(None, dict(feeds))
        except Exception as error:  # onnxruntime's own exceptions share no base class
            yield f"the file cannot be run {how}: {_one_line(error)}"
            return None
        found = dict(zip(outputs, values, strict=True))
        for name, array in found.items():
            if not np.isfinite(array).all():
                yield f"output {name!r} is not finite when the file is run {how}."
                return None
        return found

    def _constants(self, found: Mapping[str, Array]) -> Iterator[str]:
        version = float(found[names.VERSION].ravel()[0])
        if version != VERSION:
            yield f"{names.VERSION} is {version:g}, expected {VERSION} (packages 2.x to 4.x)."
        memory = float(found[names.MEMORY_SIZE].ravel()[0])
        if memory and not (RECURRENT_IN in self._inputs and RECURRENT_OUT in found):
            yield f"{names.MEMORY_SIZE} is {memory:g}, but there are no {RECURRENT_IN} and {RECURRENT_OUT}; expected 0."
        name = names.DISCRETE_SIZES if self._native.is_discrete else names.CONTINUOUS_SIZE
        wanted = self._native.branches if self._native.is_discrete else (len(self._native.low),)
        sizes = found[name].ravel()
        if len(sizes) != len(wanted) or (sizes != wanted).any():
            found_sizes = ", ".join(f"{size:g}" for size in sizes)
            yield f"{name} is {found_sizes}, but the build's actions are {', '.join(map(str, wanted))}."

    def _actions(self, found: Mapping[str, Array], rows: int) -> Iterator[str]:
        for name in self._action_names():
            shape = (rows, len(self._native.branches) or len(self._native.low))
            if found[name].shape != shape:
                yield f"output {name!r} of {rows} agents has shape {found[name].shape}, expected {shape}."

    def _sweep(self) -> Iterator[str]:
        """Never a forbidden action, whatever the observations: one allowed per branch, then random ones."""
        branches = self._native.branches
        ends = list(accumulate(branches))
        for spread in SWEEP_SPREADS:
            feeds = self._feeds(SWEEP_ROWS, random=spread)
            allowed = self._rng.random((SWEEP_ROWS, sum(branches))) < 0.5
            only = np.stack([self._rng.integers(size, size=SWEEP_ROWS) for size in branches], axis=1)
            single = np.arange(SWEEP_ROWS) < SWEEP_ROWS // 2
            for branch, (end, size) in enumerate(zip(ends, branches, strict=True)):
                allowed[single, end - size : end] = False
                allowed[np.arange(SWEEP_ROWS), end - size + only[:, branch]] = True
            feeds[names.MASKS] = allowed.astype(np.float32)
            outputs = yield from self._run(feeds, f"on random observations of size {spread:g}")
            if outputs is None:
                return
            for name in self._action_names():
                complaint = _masked(outputs[name], allowed, branches, name)
                if complaint:
                    yield complaint
                    return

    def _action_names(self) -> tuple[str, str]:
        if self._native.is_discrete:
            return names.DISCRETE, names.DETERMINISTIC_DISCRETE
        return names.CONTINUOUS, names.DETERMINISTIC_CONTINUOUS

    def _feeds(self, rows: int, random: float = 0.0) -> dict[str, Array]:
        """Zeros, or observations of this size and masks that allow everything."""
        feeds: dict[str, Array] = {}
        for name, dims in self._inputs.items():
            shape = (rows, *(dim if isinstance(dim, int) else 1 for dim in dims[1:]))
            feeds[name] = np.zeros(shape, np.float32)
            if random and name == names.MASKS:
                feeds[name] += 1
            elif random and len(shape) == 4:
                feeds[name] = self._rng.random(shape, np.float32)
            elif random and name not in OTHER_INPUTS:
                feeds[name] = (random * self._rng.standard_normal(shape)).astype(np.float32)
        return feeds


def _masked(actions: Array, allowed: npt.NDArray[np.bool_], branches: Sequence[int], name: str) -> str:
    """A complaint about the first action that is forbidden or does not exist; empty if there is none."""
    for branch, (end, size) in enumerate(zip(accumulate(branches), branches, strict=True)):
        chosen = actions[:, branch]
        outside = (chosen < 0) | (chosen >= size)
        if outside.any():
            return f"{name!r} holds {chosen[outside][0]} in branch {branch}, expected 0 to {size - 1}."
        mask = allowed[:, end - size : end]
        wrong = ~mask[np.arange(len(chosen)), chosen.astype(np.int64)]
        if wrong.any():
            row = int(wrong.argmax())
            return (
                f"{name!r} holds the forbidden action {chosen[row]} in branch {branch} although "
                f"{np.flatnonzero(mask[row]).tolist()} are allowed ({int(wrong.sum())} of {len(chosen)} random masks; "
                f"in {names.MASKS!r} 1 means allowed)."
            )
    return ""


def _dims(value: ValueInfoProto) -> tuple[int | str, ...]:
    """Sizes of a tensor; a name, perhaps empty, where a size is free."""
    dims = value.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in dims)


def _shown(dims: Sequence[int | str]) -> str:
    return f"[{', '.join(str(dim) or '?' for dim in dims)}]"


def _kind(kind: int) -> str:
    return "float32" if kind == TensorProto.FLOAT else TensorProto.DataType.keys()[kind].lower()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300].rstrip(".")
