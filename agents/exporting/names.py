"""Names of tensors in a model file. Those of Unity are the contract of its package com.unity.ml-agents 2.x to 4.x."""

from __future__ import annotations

MASKS = "action_masks"
VERSION = "version_number"
MEMORY_SIZE = "memory_size"
DISCRETE_SIZES = "discrete_action_output_shape"
DISCRETE = "discrete_actions"
DETERMINISTIC_DISCRETE = "deterministic_discrete_actions"
CONTINUOUS_SIZE = "continuous_action_output_shape"
CONTINUOUS = "continuous_actions"
DETERMINISTIC_CONTINUOUS = "deterministic_continuous_actions"

#: The output of a plain file.
ACTION = "action"
#: Inside a file that we wrote: Q-values of the environment's discrete actions, or of the agent's, [batch, total].
Q_VALUES = "q_values"

BATCH = "batch"
#: Settings of the environment that are needed to play a file, as JSON in its metadata.
METADATA = "dqn-bridge"


def observation(index: int) -> str:
    """Unity's name of the sensor with this index."""
    return f"obs_{index}"
