"""A model file that plays through a bridge, by ONNX Runtime."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto

from agents.exporting import names
from agents.exporting.loader import session_of
from agents.exporting.model import native_columns
from bridge import ActionCodec, ActionError, BehaviorSpec, Steps

Array = npt.NDArray[Any]


class OnnxPolicy:
    """Chooses as the file does, in Unity's form or the plain one; without memory.

    Args:
        spec, codec: of the bridge that it plays on.

    Raises:
        RefusedError: ONNX Runtime cannot load it.
    """

    def __init__(self, model: ModelProto, spec: BehaviorSpec, codec: ActionCodec) -> None:
        self._session = session_of(model)
        self._spec = spec
        self._codec = codec
        self._inputs = {
            item.name for item in (*self._session.get_inputs(), *self._session.get_overridable_initializers())
        }
        self._is_unity = is_unity(model)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of its actions: all of them are to be the same."""
        if not self._is_unity:
            return (names.ACTION,)
        if self._codec.native.is_discrete:
            return names.DISCRETE, names.DETERMINISTIC_DISCRETE
        return names.CONTINUOUS, names.DETERMINISTIC_CONTINUOUS

    def run(self, rows: Steps, *outputs: str, rng: np.random.Generator | None = None) -> list[Array]:
        """These outputs of the file for the observations and masks of `rows`.

        Args:
            rng: decides whether actions that the agent does not have are allowed; without it they are.
        """
        feeds: dict[str, Array] = {}
        for index, (item, values) in enumerate(zip(self._spec.observations, rows.obs, strict=True)):
            if not self._is_unity:
                feeds[item.name] = values
            elif item.kind == "image":
                feeds[names.observation(index)] = values.astype(np.float32) / np.float32(255)
            else:
                feeds[names.observation(index)] = values
        if self._codec.native.is_discrete:
            feeds[names.MASKS] = self._masks(rows, rng)
        found: list[Array] = self._session.run(
            list(outputs), {name: values for name, values in feeds.items() if name in self._inputs}
        )
        return found

    def choose(
        self,
        rows: Steps,
        epsilon: float,
        rng: np.random.Generator,  # noqa: ARG002 - as every player has it
    ) -> npt.NDArray[np.int32]:
        """Actions of the agent for deciding rows, int32 [N, branches]. A file does not explore: `epsilon` must be 0.

        Raises:
            ActionError: the file chose an action that the bridge's codec cannot express.
        """
        if epsilon:
            raise ValueError(f"epsilon is {epsilon:g}, expected 0: a model file always takes its best action.")
        if len(rows) == 0:
            return np.zeros((0, len(self._spec.actions.branches)), np.int32)
        (native,) = self.run(rows, self.outputs[0])
        try:
            return self._codec.decode(native)
        except ActionError as error:
            raise ActionError(
                f"the file chose what the bridge cannot send: {error} Continuous builds take a file of agents.export "
                "only, with the levels that it was trained with."
            ) from None

    def _masks(self, rows: Steps, rng: np.random.Generator | None) -> npt.NDArray[np.float32]:
        """float32 [N, the environment's total], 1 = allowed."""
        shape = (len(rows), sum(self._codec.native.branches))
        masks = np.ones(shape, np.float32) if rng is None else rng.integers(2, size=shape).astype(np.float32)
        masks[:, native_columns(self._codec)] = np.concatenate(rows.mask, axis=1)
        return masks


def is_unity(model: ModelProto) -> bool:
    """Whether the file has the form that Unity loads; otherwise it should be a plain one."""
    return names.ACTION not in {item.name for item in model.graph.output}


def settings_of(model: ModelProto) -> dict[str, Any]:
    """What `PolicyModel` kept in the file; empty for a file of others."""
    kept = {item.key: item.value for item in model.metadata_props}
    try:
        settings = json.loads(kept.get(names.METADATA, "{}"))
    except ValueError:
        return {}
    return settings if isinstance(settings, dict) else {}
