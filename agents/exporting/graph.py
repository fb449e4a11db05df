"""A Q-network as ONNX nodes of opset 9, from its weights.

Built by hand and not by `torch.onnx.export`: the exporter that still writes such files is deprecated, and Unity needs
names, constants and unused inputs to be exactly where it looks for them. That these nodes compute what the network
does is shown for every exported file (`agents.exporting.proofs`). Only operators that every Unity package reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn

from agents.learning.networks import QNetwork, RunningNorm, SpatialSoftmax
from agents.settings.config import ConfigError

Array = npt.NDArray[Any]
Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]

OPSET = 9


class Graph:
    """Nodes and constants in the making. Tensors are known by their names.

    Attributes:
        nodes: in an order in which they can be computed.
        constants: their initializers.
    """

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def constant(self, values: npt.ArrayLike, dtype: npt.DTypeLike = np.float32, name: str = "") -> str:
        name = name or f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype), name))
        return name

    def node(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Adds a node of one output; returns the output's name."""
        name = name or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=f"make_{name}", **attributes))
        return name

    def linear(self, features: str, weight: npt.ArrayLike, bias: npt.ArrayLike, name: str = "") -> str:
        """features [batch, width] times weight [units, width], plus bias [units]."""
        return self.node("Gemm", features, self.constant(weight), self.constant(bias), name=name, transB=1)

    def joined(self, parts: Sequence[str], name: str = "") -> str:
        """Side by side, along axis 1. With a name there must be several parts."""
        return parts[0] if len(parts) == 1 and not name else self.node("Concat", *parts, name=name, axis=1)

    def column(self, values: str, start: int, size: int = 1) -> str:
        """[batch, start : start + size] of [batch, width]."""
        return self.node("Slice", values, axes=[1], starts=[start], ends=[start + size])


def features(graph: Graph, network: QNetwork, obs: Sequence[str]) -> str:
    """Everything of the network but its last layer: [batch, units].

    Args:
        obs: one float32 tensor per observation of the network: images [batch, C, H, W] from 0 to 255, vectors
            [batch, D].

    Raises:
        ConfigError: the network has a layer that cannot be exported.
    """
    goals = [graph.column(obs[i], part) for i in network.goals for part in range(network.observations[i].shape[0])]
    parts = [
        _encoded(graph, network, obs[i], i, encoder, goals)
        for i, encoder in zip(network.images, network.encoders, strict=True)
    ]
    for i in network.vectors:
        norm = _norm_of(network, i)
        parts.append(obs[i] if norm is None else _normalized(graph, norm, obs[i], (1, -1)))
    return _layers(graph, network.body, graph.joined(parts))


def head(network: QNetwork) -> tuple[Float32Array, Float32Array]:
    """The last layer as one linear one: weight [total, units], bias [total].

    Dueling streams are linear in the features, so that their sum is, too: q = v + a - mean of a in its branch.
    """
    weight, bias = _double(network.advantage.weight), _double(network.advantage.bias)
    if network.value is not None:
        centre = _double(network.centre)
        weight = weight - centre.T @ weight + _double(network.value.weight)
        bias = bias - bias @ centre + _double(network.value.bias)
    return weight.astype(np.float32), bias.astype(np.float32)


def _encoded(graph: Graph, network: QNetwork, image: str, index: int, encoder: nn.Module, goals: Sequence[str]) -> str:
    norm = _norm_of(network, index)
    if norm is None:
        image = graph.node("Mul", image, graph.constant(1.0 / 255.0))
    else:
        image = _normalized(graph, norm, image, (1, -1, 1, 1))
    if network.goal == "gate":
        shape = graph.constant([-1, 1, 1, 1], np.int64)
        image = graph.joined([graph.node("Mul", image, graph.node("Reshape", goal, shape)) for goal in goals])
    encoded = _layers(graph, encoder, image)
    if network.goal == "product":
        encoded = graph.joined([graph.node("Mul", encoded, goal) for goal in goals])
    return encoded


def _norm_of(network: QNetwork, index: int) -> RunningNorm | None:
    """Of one observation of the network."""
    found = dict(network.norms.items()).get(str(index))
    return found if isinstance(found, RunningNorm) else None


def _normalized(graph: Graph, norm: RunningNorm, values: str, shape: tuple[int, ...]) -> str:
    """In torch's own order of operations: where a variance is tiny, another one would round differently."""
    scale = 1.0 / np.sqrt(_double(norm.var) + norm.EPS)
    scale32 = scale.astype(np.float32)
    shift = (-_double(norm.mean) * scale32).astype(np.float32)
    scaled = graph.node("Mul", values, graph.constant(scale32.reshape(shape)))
    moved = graph.node("Add", scaled, graph.constant(shift.reshape(shape)))
    return graph.node("Clip", moved, min=-norm.LIMIT, max=norm.LIMIT)


def _layers(graph: Graph, layers: nn.Module, values: str) -> str:
    for layer in layers.children():
        values = _layer(graph, layer, values)
    return values


def _layer(graph: Graph, layer: nn.Module, values: str) -> str:
    if isinstance(layer, nn.Linear):
        return graph.linear(values, _double(layer.weight), _double(layer.bias))
    if isinstance(layer, nn.Conv2d) and layer.bias is not None:
        kernel, strides = list(layer.kernel_size), list(layer.stride)
        weight, bias = graph.constant(_double(layer.weight)), graph.constant(_double(layer.bias))
        return graph.node("Conv", values, weight, bias, kernel_shape=kernel, strides=strides, pads=[0, 0, 0, 0])
    if isinstance(layer, nn.ReLU):
        return graph.node("Relu", values)
    if isinstance(layer, nn.ELU):
        return graph.node("Elu", values, alpha=float(layer.alpha))
    if isinstance(layer, nn.Flatten):
        return graph.node("Flatten", values, axis=1)
    if isinstance(layer, nn.LayerNorm):
        return _layer_norm(graph, layer, values)
    if isinstance(layer, SpatialSoftmax):
        return _spatial_softmax(graph, layer, values)
    raise _unknown(layer)


def _spatial_softmax(graph: Graph, layer: SpatialSoftmax, values: str) -> str:
    """Spelled out in four dimensions: Unity keeps images with their channels last, and reshapes none of them so."""
    sharp = graph.node("Mul", values, graph.constant(_double(layer.sharpness).reshape(1, -1, 1, 1)))
    preference = _double(layer.preference).reshape(1, -1, layer.height, layer.width)
    logits = graph.node("Add", sharp, graph.constant(preference))
    lower = graph.node("Sub", logits, graph.node("ReduceMax", logits, axes=[2, 3], keepdims=1))
    weights = graph.node("Exp", lower)
    total = graph.node("ReduceSum", weights, axes=[2, 3], keepdims=1)
    means = []
    for positions in _double(layer.positions).T:
        weighted = graph.node("Mul", weights, graph.constant(positions.reshape(1, 1, layer.height, layer.width)))
        means.append(graph.node("Div", graph.node("ReduceSum", weighted, axes=[2, 3], keepdims=1), total))
    return graph.node("Flatten", graph.joined(means), axis=1)


def _layer_norm(graph: Graph, layer: nn.LayerNorm, values: str) -> str:
    """Spelled out: the operator came with opset 17."""
    centred = graph.node("Sub", values, graph.node("ReduceMean", values, axes=[1], keepdims=1))
    variance = graph.node("ReduceMean", graph.node("Mul", centred, centred), axes=[1], keepdims=1)
    deviation = graph.node("Sqrt", graph.node("Add", variance, graph.constant(layer.eps)))
    scaled = graph.node("Mul", graph.node("Div", centred, deviation), graph.constant(_double(layer.weight)))
    return graph.node("Add", scaled, graph.constant(_double(layer.bias)))


def _unknown(layer: nn.Module) -> ConfigError:
    return ConfigError(f"the network has the layer {layer}, which agents.exporting.graph cannot write: add it there.")


def _double(values: Tensor | nn.Module) -> Float64Array:
    """A weight or buffer, float64."""
    assert isinstance(values, Tensor)
    array: Float64Array = values.detach().cpu().numpy().astype(np.float64)
    return array
