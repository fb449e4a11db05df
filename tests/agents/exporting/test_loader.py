"""A good file with one fault at a time: every one is refused, with a sentence that names the point."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from agents.exporting import loader
from agents.exporting.loader import Expected, RefusedError
from bridge import CodecSettings, NativeActions
from bridge.actions import make_codec
from tests.agents.exporting.files import GOAL, GRIDWORLD, IMAGE, NUMBERS, config_of, model_of, spec_of, untrained

SPEC = spec_of(GRIDWORLD, IMAGE, GOAL, NUMBERS)
GOOD = model_of(untrained(SPEC, config_of(network={"observations": ["image", "goal"]})), GRIDWORLD)
LEVELS = make_codec(NativeActions(low=(-1.0, -1.0), high=(1.0, 1.0)), CodecSettings())
CRANE = spec_of(LEVELS, NUMBERS)
CONTINUOUS = model_of(untrained(CRANE, config_of()), LEVELS)

Fault = Callable[[ModelProto], None]


def refusals(model: ModelProto, folder: Path, expected: Expected | None = None) -> list[str]:
    """What is said of a model as a file."""
    path = folder / "model.onnx"
    onnx.save_model(model, path)
    try:
        read = loader.read(path)
    except RefusedError as error:
        return str(error).splitlines()
    return loader.check(read, expected or Expected.of(SPEC, GRIDWORLD.native))


def assert_names(
    change: Fault, sentence: str, good: ModelProto, folder: Path, expected: Expected | None = None
) -> None:
    """A copy of a good model with this change is refused, and the sentence is what is said first."""
    faulty = ModelProto()
    faulty.CopyFrom(good)
    change(faulty)
    first = refusals(faulty, folder, expected)[0]
    assert re.search(sentence, first), first


def value(model: ModelProto, name: str) -> ValueInfoProto:
    return next(item for item in (*model.graph.input, *model.graph.output) if item.name == name)


def constant(model: ModelProto, name: str, values: object, dtype: type = np.float32) -> None:
    """Another value for an initializer, and the declared type of the output with this name."""
    (found,) = [item for item in model.graph.initializer if item.name == name]
    array = np.asarray(values, dtype)
    found.CopyFrom(numpy_helper.from_array(array, name))
    output = helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
    for item in model.graph.output:
        if item.name == name:
            item.CopyFrom(output)


def node_of(model: ModelProto, output: str) -> NodeProto:
    return next(node for node in model.graph.node if output in node.output)


def renamed(model: ModelProto, old: str, new: str) -> None:
    """A tensor under another name, everywhere."""
    for item in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        if item.name == old:
            item.name = new
    for node in model.graph.node:
        for names in (node.input, node.output):
            for position, name in enumerate(names):
                if name == old:
                    names[position] = new


def through(model: ModelProto, output: str, operator: str, **attributes: object) -> None:
    """One more node between an output and what made it."""
    made = node_of(model, output)
    position = list(made.output).index(output)
    made.output[position] = f"{output}_before"
    model.graph.node.append(helper.make_node(operator, [f"{output}_before"], [output], **attributes))


def masks_of(model: ModelProto) -> NodeProto:
    """The node that adds the penalty of forbidden actions."""
    chooser = node_of(model, "discrete_actions")
    return node_of(model, chooser.input[0])


def q_times_mask(model: ModelProto) -> None:
    add = masks_of(model)
    for node in model.graph.node:
        for position, name in enumerate(node.input):
            if name == add.output[0]:
                node.input[position] = add.input[0]


def inverted(model: ModelProto) -> None:
    for node in model.graph.node:
        for position, name in enumerate(node.input):
            if name == "action_masks":
                node.input[position] = "inverted"
    model.graph.initializer.append(numpy_helper.from_array(np.float32(1), "one"))
    nodes = [helper.make_node("Sub", ["one", "action_masks"], ["inverted"]), *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def without_mask(model: ModelProto) -> None:
    del model.graph.input[[item.name for item in model.graph.input].index("action_masks")]
    model.graph.initializer.append(numpy_helper.from_array(np.ones((1, 5), np.float32), "action_masks"))


def ignored_mask(model: ModelProto) -> None:
    """There and connected, but without a say."""
    add = masks_of(model)
    q = node_of(model, add.input[0]).input[0]
    for name in ("discrete_actions", "deterministic_discrete_actions"):
        node_of(model, name).input[0] = q
    through(model, "discrete_actions", "Identity")
    model.graph.output.append(helper.make_tensor_value_info(add.output[0], TensorProto.FLOAT, ["batch", 5]))


def infinite_penalty(model: ModelProto) -> None:
    (penalty,) = [item for item in model.graph.initializer if (numpy_helper.to_array(item) == np.float32(-1e8)).all()]
    penalty.CopyFrom(numpy_helper.from_array(np.float32(-np.inf), penalty.name))


def opset(model: ModelProto, version: int) -> None:
    model.opset_import[0].version = version


def another_domain(model: ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def external(model: ModelProto) -> None:
    onnx.external_data_helper.convert_model_to_external_data(model, location="weights.bin", size_threshold=0)


def unknown_operator(model: ModelProto) -> None:
    through(model, "discrete_actions", "Celu")  # never run: the checker comes later


def dimension(name: str, position: int, size: int) -> Fault:
    def change(model: ModelProto) -> None:
        value(model, name).type.tensor_type.shape.dim[position].dim_value = size

    return change


def channels_last(model: ModelProto) -> None:
    dims = value(model, "obs_0").type.tensor_type.shape.dim
    sizes = [dim.dim_value for dim in dims]
    for dim, size in zip(dims[1:], (sizes[2], sizes[3], sizes[1]), strict=True):
        dim.dim_value = size
    for node in model.graph.node:
        for position, name in enumerate(node.input):
            if name == "obs_0":
                node.input[position] = "nchw"
    nodes = [helper.make_node("Transpose", ["obs_0"], ["nchw"], perm=[0, 3, 1, 2]), *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def another_vector_size(model: ModelProto) -> None:
    (product,) = [node for node in model.graph.node if node.op_type == "MatMul"]
    constant(model, product.input[1], np.zeros((6, 5)))
    dimension("obs_2", 1, 6)(model)


def narrow_mask(model: ModelProto) -> None:
    """Of the agent's 4 actions; the fifth is allowed inside."""
    dimension("action_masks", 1, 4)(model)
    for node in model.graph.node:
        for position, name in enumerate(node.input):
            if name == "action_masks":
                node.input[position] = "wide_masks"
    nodes = [
        helper.make_node("Slice", ["action_masks"], ["first"], axes=[1], starts=[0], ends=[1]),
        helper.make_node("Concat", ["first", "action_masks"], ["wide_masks"], axis=1),
        *model.graph.node,
    ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def typed(name: str, kind: int) -> Fault:
    def change(model: ModelProto) -> None:
        value(model, name).type.tensor_type.elem_type = kind

    return change


def float_action(model: ModelProto) -> None:
    through(model, "discrete_actions", "Cast", to=TensorProto.FLOAT)
    typed("discrete_actions", TensorProto.FLOAT)(model)


def flat_action(model: ModelProto) -> None:
    """Rank 1: [batch] instead of [batch, 1]."""
    through(model, "discrete_actions", "Squeeze", axes=[1])
    del value(model, "discrete_actions").type.tensor_type.shape.dim[1]


def uint8_image(model: ModelProto) -> None:
    value(model, "obs_0").type.tensor_type.elem_type = TensorProto.UINT8
    for node in model.graph.node:
        for position, name in enumerate(node.input):
            if name == "obs_0":
                node.input[position] = "floats"
    nodes = [helper.make_node("Cast", ["obs_0"], ["floats"], to=TensorProto.FLOAT), *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def disconnected(model: ModelProto) -> None:
    """The unused observation is not multiplied by zeros any more; a constant has taken its place."""
    (product,) = [node for node in model.graph.node if node.op_type == "MatMul"]
    product.input[0] = "nothing"
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((1, 5), np.float32), "nothing"))


def without_output(name: str) -> Fault:
    def change(model: ModelProto) -> None:
        del model.graph.output[[item.name for item in model.graph.output].index(name)]

    return change


def one_too_many(model: ModelProto) -> None:
    """The action that the build does not have, 5, where it has 4."""
    through(model, "discrete_actions", "Cast", to=TensorProto.FLOAT)
    cast = node_of(model, "discrete_actions")
    cast.output[0] = "float_action"
    model.graph.initializer.append(numpy_helper.from_array(np.float32(1), "one_more"))
    model.graph.node.append(helper.make_node("Add", ["float_action", "one_more"], ["moved"]))
    model.graph.node.append(helper.make_node("Cast", ["moved"], ["discrete_actions"], to=TensorProto.INT64))


FAULTS: dict[str, tuple[Fault, str]] = {
    "version 2": (lambda m: constant(m, "version_number", [2]), "version_number is 2, expected 3"),
    "version 4": (lambda m: constant(m, "version_number", [4]), "version_number is 4, expected 3"),
    "integer version": (
        lambda m: constant(m, "version_number", [3], np.int64),
        "output 'version_number' is int64, expected float32",
    ),
    "version without a dimension": (
        lambda m: constant(m, "version_number", 3),
        r"output 'version_number' has shape \[\], expected \[1\]",
    ),
    "no version": (without_output("version_number"), "there is no output 'version_number'"),
    "renamed version": (lambda m: renamed(m, "version_number", "13"), "there is no output 'version_number'; found 13,"),
    "memory 8": (lambda m: constant(m, "memory_size", [8]), "memory_size is 8, but there are no recurrent_in"),
    "no memory size": (without_output("memory_size"), "there is no output 'memory_size'"),
    "the agent's branch size": (
        lambda m: constant(m, "discrete_action_output_shape", [[4]]),
        "discrete_action_output_shape is 4, but the build's actions are 5",
    ),
    "two branches": (
        lambda m: constant(m, "discrete_action_output_shape", [[5, 2]]),
        r"'discrete_action_output_shape' has shape \[1, 2\], expected \[1, 1\]",
    ),
    "flat branch sizes": (
        lambda m: constant(m, "discrete_action_output_shape", [5]),
        r"'discrete_action_output_shape' has shape \[1\], expected \[1, 1\]",
    ),
    "no branch sizes": (without_output("discrete_action_output_shape"), "no output 'discrete_action_output_shape'"),
    "float action": (float_action, "output 'discrete_actions' is float32, expected int64"),
    "action of rank 1": (flat_action, r"'discrete_actions' has shape \[batch\], expected \[batch, 1\]"),
    "fixed batch of an action": (dimension("discrete_actions", 0, 1), "'discrete_actions' has the fixed batch 1"),
    "no actions": (without_output("discrete_actions"), "there is no output 'discrete_actions'"),
    "no deterministic actions": (without_output("deterministic_discrete_actions"), "no output 'deterministic_discrete"),
    "action that the build lacks": (one_too_many, "'discrete_actions' holds 5 in branch 0, expected 0 to 4"),
    "fixed batch of an image": (dimension("obs_0", 0, 1), "input 'obs_0' has the fixed batch 1"),
    "fixed batch of the masks": (dimension("action_masks", 0, 1), "input 'action_masks' has the fixed batch 1"),
    "channels last": (channels_last, r"'obs_0' has shape \[44, 52, 3\], expected \[3, 44, 52\] .*NHWC"),
    "another picture size": (dimension("obs_0", 2, 45), r"'obs_0' has shape \[3, 45, 52\], expected \[3, 44, 52\]"),
    "another vector size": (another_vector_size, r"'obs_2' has shape \[6\], expected \[5\] for sensor 'numbers'"),
    "bytes for a picture": (uint8_image, "input 'obs_0' is uint8; Unity fills it with float32"),
    "wrong input name": (lambda m: renamed(m, "obs_1", "goal"), "there is no input 'obs_1' for sensor 'goal'"),
    "the name of model version 2": (
        lambda m: renamed(m, "obs_0", "visual_observation_0"),
        "there is no input 'obs_0' for sensor 'camera'",
    ),
    "pruned observation": (disconnected, "input 'obs_2' is not connected to anything"),
    "one sensor too many": (
        lambda m: m.graph.input.append(helper.make_tensor_value_info("obs_3", TensorProto.FLOAT, ["batch", 1])),
        "Unity does not know the input 'obs_3'",
    ),
    "no mask": (without_mask, "there is no input 'action_masks' for the action mask"),
    "mask of the agent's actions": (narrow_mask, r"'action_masks' has shape \[4\], expected \[5\]"),
    "q times mask": (q_times_mask, "holds the forbidden action"),
    "inverted mask": (inverted, "holds the forbidden action .* 1 means allowed"),
    "mask without a say": (ignored_mask, "holds the forbidden action"),
    "infinite penalty": (infinite_penalty, "holds the forbidden action|not finite"),
    "opset 6": (lambda m: opset(m, 6), "opset 6; Unity reads 7 to 15"),
    "opset 17": (lambda m: opset(m, 17), "opset 17; Unity reads 7 to 15"),
    "operators of others": (another_domain, "operators of 'com.microsoft'"),
    "operator that Barracuda lacks": (unknown_operator, "the operator Celu, which Barracuda lacks"),
    "external data": (external, r"in another file \(external data\)"),
}


def test_the_good_file_is_accepted(tmp_path: Path) -> None:
    assert refusals(GOOD, tmp_path) == []
    assert refusals(CONTINUOUS, tmp_path, Expected.of(CRANE, LEVELS.native)) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named(fault: str, tmp_path: Path) -> None:
    assert_names(*FAULTS[fault], GOOD, tmp_path)


def test_q_times_mask_is_found_among_many_actions(tmp_path: Path) -> None:
    """Random masks alone always allow one of 40 actions whose value is positive."""
    codec = make_codec(NativeActions(branches=(40,)), CodecSettings())
    spec = spec_of(codec, NUMBERS)
    faulty = model_of(untrained(spec, config_of()), codec)
    assert refusals(faulty, tmp_path, Expected.of(spec, codec.native)) == []
    q_times_mask(faulty)
    (found,) = refusals(faulty, tmp_path, Expected.of(spec, codec.native))
    assert "holds the forbidden action" in found


CONTINUOUS_FAULTS: dict[str, tuple[Fault, str]] = {
    "another size": (
        lambda m: constant(m, "continuous_action_output_shape", [3]),
        "continuous_action_output_shape is 3, but the build's actions are 2",
    ),
    "no size": (without_output("continuous_action_output_shape"), "no output 'continuous_action_output_shape'"),
    "discrete besides": (
        lambda m: (
            m.graph.initializer.append(
                numpy_helper.from_array(np.ones((1, 1), np.float32), "discrete_action_output_shape")
            ),
            m.graph.output.append(
                helper.make_tensor_value_info("discrete_action_output_shape", TensorProto.FLOAT, [1, 1])
            ),
        )[0],
        "the file has the output 'discrete_action_output_shape', but the build has no such actions",
    ),
    "no actions": (without_output("continuous_actions"), "there is no output 'continuous_actions'"),
}


@pytest.mark.parametrize("fault", CONTINUOUS_FAULTS)
def test_a_fault_of_continuous_actions_is_named(fault: str, tmp_path: Path) -> None:
    assert_names(*CONTINUOUS_FAULTS[fault], CONTINUOUS, tmp_path, Expected.of(CRANE, LEVELS.native))


@pytest.mark.parametrize("content", [b"", b"something else", b"\x08\x04" * 100])
def test_what_is_no_model_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "no.onnx").write_bytes(content)
    with pytest.raises(RefusedError, match=r"no ONNX file|no graph with outputs"):
        loader.read(tmp_path / "no.onnx")


def test_a_file_for_another_build_is_refused(tmp_path: Path) -> None:
    assert refusals(CONTINUOUS, tmp_path)
    assert refusals(GOOD, tmp_path, Expected.of(CRANE, LEVELS.native))
