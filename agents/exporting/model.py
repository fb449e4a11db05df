"""The model file around a Q-network: in the form that Unity's packages 2.x to 4.x load, and a plain one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from agents.exporting import names
from agents.exporting.graph import OPSET, Float32Array, Graph, features, head
from agents.learning.inputs import NetworkInputs
from agents.learning.networks import QNetwork
from bridge import ActionCodec, BehaviorSpec, ObsSpec

#: The one that torch writes with opset 9.
IR_VERSION = 4
#: ML-Agents' number for "one input per sensor, discrete and continuous actions".
MODEL_VERSION = 3.0
#: Q-value of an action of the build that the agent does not have: above that of a forbidden one, below all others.
LEFT_OUT, FORBIDDEN = -1e6, -1e8

Array = npt.NDArray[Any]


class PolicyModel:
    """Writes one model file.

    Args:
        network: of the agent.
        inputs: what of the environment's observations the network is given.
        spec, codec: of the environment's bridge.
        settings: JSON values kept in the file's metadata.
    """

    def __init__(
        self,
        network: QNetwork,
        inputs: NetworkInputs,
        spec: BehaviorSpec,
        codec: ActionCodec,
        settings: Mapping[str, Any],
    ) -> None:
        self._network = network
        self._inputs = inputs
        self._spec = spec
        self._codec = codec
        self._settings = settings
        self._graph = Graph()

    def unity(self) -> ModelProto:
        """With Unity's names: every sensor is an input `obs_i`, images are float32 from 0 to 1.

        Raises:
            ConfigError: the network has a layer that cannot be exported.
        """
        graph, observations = self._graph, self._spec.observations
        obs = [names.observation(index) for index in range(len(observations))]
        used = [self._pixels(obs[index], observations[index]) for index in self._inputs.indices]
        q = self._q_values(used, unused=[i for i in range(len(obs)) if i not in self._inputs.indices])
        values = [_value(name, TensorProto.FLOAT, item.shape) for name, item in zip(obs, observations, strict=True)]
        self._constant_output(names.VERSION, [MODEL_VERSION])
        self._constant_output(names.MEMORY_SIZE, [0.0])
        outputs = [_value(name, TensorProto.FLOAT, (1,), batch=False) for name in (names.VERSION, names.MEMORY_SIZE)]
        native = self._codec.native
        if native.is_discrete:
            branches = native.branches
            values.append(_value(names.MASKS, TensorProto.FLOAT, (sum(branches),)))
            masked = self._masked(q)
            for name in (names.DISCRETE, names.DETERMINISTIC_DISCRETE):
                self._choices(masked, branches, name)
                outputs.append(_value(name, TensorProto.INT64, (len(branches),)))
            self._constant_output(names.DISCRETE_SIZES, [branches])
            outputs.append(_value(names.DISCRETE_SIZES, TensorProto.FLOAT, (1, len(branches)), batch=False))
        else:
            dims = len(native.low)
            for name in (names.CONTINUOUS, names.DETERMINISTIC_CONTINUOUS):
                self._levels(q, name)
                outputs.append(_value(name, TensorProto.FLOAT, (dims,)))
            self._constant_output(names.CONTINUOUS_SIZE, [dims])
            outputs.append(_value(names.CONTINUOUS_SIZE, TensorProto.FLOAT, (1,), batch=False))
        return self._model(graph, values, outputs)

    def plain(self) -> ModelProto:
        """Observations of the bridge under their own names in, images as uint8; `action` out, of the environment.

        Masks are optional: without the input, every action is allowed.

        Raises:
            ConfigError: the network has a layer that cannot be exported.
        """
        graph = self._graph
        used, values = [], []
        for index in self._inputs.indices:
            item = self._spec.observations[index]
            is_image = item.kind == "image"
            values.append(_value(item.name, TensorProto.UINT8 if is_image else TensorProto.FLOAT, item.shape))
            tensor = graph.node("Cast", item.name, to=TensorProto.FLOAT) if is_image else item.name
            used.append(self._thinned(tensor, item))
        q = self._q_values(used, unused=())
        native = self._codec.native
        if native.is_discrete:
            total = sum(native.branches)
            # The default has one row for all, so that its batch is not that of the observations.
            values.append(helper.make_tensor_value_info(names.MASKS, TensorProto.FLOAT, ["masks", total]))
            graph.constant(np.ones((1, total)), name=names.MASKS)
            self._choices(self._masked(q), native.branches, names.ACTION)
            output = _value(names.ACTION, TensorProto.INT64, (len(native.branches),))
        else:
            self._levels(q, names.ACTION)
            output = _value(names.ACTION, TensorProto.FLOAT, (len(native.low),))
        return self._model(graph, values, [output])

    # ---- observations

    def _pixels(self, tensor: str, item: ObsSpec) -> str:
        """Unity's 0..1 as the 0..255 that the bridge hands to the agent, rounded in the same way."""
        if item.kind != "image":
            return tensor
        graph = self._graph
        scaled = graph.node("Mul", self._thinned(tensor, item), graph.constant(255.0))
        return graph.node("Floor", graph.node("Add", scaled, graph.constant(0.5)))

    def _thinned(self, tensor: str, item: ObsSpec) -> str:
        """Every n-th pixel of every n-th row, by a convolution: slices with steps came with opset 10."""
        step = self._inputs.downsample
        if item.kind != "image" or step == 1:
            return tensor
        graph, channels = self._graph, item.shape[0]
        kernel = graph.constant(np.eye(channels)[:, :, None, None])
        return graph.node("Conv", tensor, kernel, kernel_shape=[1, 1], strides=[step, step], pads=[0, 0, 0, 0])

    def _unused(self, index: int, total: int) -> str:
        """Zeros [batch, total] from an observation: an input without a consumer would be taken out by Unity."""
        graph, item = self._graph, self._spec.observations[index]
        tensor = names.observation(index)
        if item.kind == "image":
            mean = graph.node("GlobalAveragePool", tensor)  # [batch, C, 1, 1]
            tensor = graph.node("Flatten", mean, axis=1)
        return graph.node("MatMul", tensor, graph.constant(np.zeros((item.shape[0], total))))

    # ---- actions

    def _q_values(self, obs: Sequence[str], unused: Sequence[int]) -> str:
        weight, bias = self._native_head()
        body = features(self._graph, self._network, obs)
        if not unused:
            return self._graph.linear(body, weight, bias, name=names.Q_VALUES)
        q = self._graph.linear(body, weight, bias)
        for index in unused:
            name = names.Q_VALUES if index == unused[-1] else ""
            q = self._graph.node("Add", q, self._unused(index, len(bias)), name=name)
        return q

    def _native_head(self) -> tuple[Float32Array, Float32Array]:
        """For discrete actions with a row for each action of the environment, for continuous ones for each of the
        agent's."""
        weight, bias = head(self._network)
        if not self._codec.native.is_discrete:
            return weight, bias
        columns = native_columns(self._codec)
        total = sum(self._codec.native.branches)
        wide = np.zeros((total, weight.shape[1]), np.float32)
        shift = np.full(total, LEFT_OUT, np.float32)
        wide[columns], shift[columns] = weight, bias
        return wide, shift

    def _masked(self, q: str) -> str:
        """q * m - 1e8 * (1 - m): no infinity, also where Unity tries the file with masks that forbid everything."""
        graph = self._graph
        forbidden = graph.node("Add", graph.node("Mul", names.MASKS, graph.constant(-1.0)), graph.constant(1.0))
        return graph.node(
            "Add", graph.node("Mul", q, names.MASKS), graph.node("Mul", forbidden, graph.constant(FORBIDDEN))
        )

    def _choices(self, values: str, sizes: Sequence[int], name: str = "") -> list[str]:
        """The best action of each branch, int64 [batch, 1] each; with a name side by side under that name."""
        graph = self._graph
        branches = [values]
        if len(sizes) > 1:
            starts = [end - size for end, size in zip(accumulate(sizes), sizes, strict=True)]
            branches = [graph.column(values, start, size) for start, size in zip(starts, sizes, strict=True)]
        alone = name if len(sizes) == 1 else ""
        chosen = [graph.node("ArgMax", branch, name=alone, axis=1, keepdims=1) for branch in branches]
        if name and not alone:
            graph.joined(chosen, name)
        return chosen

    def _levels(self, q: str, name: str) -> None:
        """Each number of the continuous action from the table of the branch that decides it."""
        graph, tables = self._graph, self._codec.tables
        chosen = self._choices(q, [len(table) for table in tables])
        dims = len(self._codec.native.low)
        owners = [int(np.argmax([np.abs(table[:, dim]).max() for table in tables])) for dim in range(dims)]
        alone = name if dims == 1 else ""
        numbers = [
            graph.node("Gather", graph.constant(tables[owner][:, dim]), chosen[owner], name=alone, axis=0)
            for dim, owner in enumerate(owners)
        ]
        if not alone:
            graph.joined(numbers, name)

    # ---- the file

    def _constant_output(self, name: str, values: npt.ArrayLike) -> None:
        """An initializer that is an output, too: Barracuda looks for the constant by this very name."""
        self._graph.constant(values, name=name)

    def _model(self, graph: Graph, inputs: Sequence[ValueInfoProto], outputs: Sequence[ValueInfoProto]) -> ModelProto:
        made = helper.make_graph(graph.nodes, "policy", inputs, outputs, graph.constants)
        model = helper.make_model(
            made,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="dqn-bridge",
        )
        helper.set_model_props(model, {names.METADATA: json.dumps(self._settings)})
        return model


def native_columns(codec: ActionCodec) -> npt.NDArray[np.int64]:
    """Where each of the agent's discrete actions stands among all of the environment's, int64 [agent's total]."""
    starts = [0, *accumulate(codec.native.branches)]
    return np.concatenate([starts[branch] + table[:, branch] for branch, table in enumerate(codec.tables)])


def with_q_values(model: ModelProto) -> ModelProto:
    """A twin of a file that we wrote, which puts out its Q-values [batch, total], too."""
    twin = ModelProto()
    twin.CopyFrom(model)
    twin.graph.output.append(helper.make_tensor_value_info(names.Q_VALUES, TensorProto.FLOAT, [names.BATCH, None]))
    return twin


def _value(name: str, kind: int, shape: Sequence[int], *, batch: bool = True) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, [names.BATCH, *shape] if batch else list(shape))
