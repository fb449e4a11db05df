"""The temperature of a softmax policy over Q-values."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor


class Temperature:
    """Learned so that the policy has the entropy that it is to have (Haarnoja et al. 2018, arXiv 1812.05905).

    Args:
        start: in units of Q.
        learning_rate: step size of Adam on the temperature's logarithm.
    """

    def __init__(self, start: float, learning_rate: float, device: torch.device) -> None:
        self._log = torch.tensor(math.log(start), device=device)
        self._optimizer = torch.optim.Adam([self._log], lr=learning_rate)

    @property
    def value(self) -> Tensor:
        """Of this moment, a tensor without dimensions."""
        return self._log.exp()

    def follow(self, entropy: Tensor, wanted: Tensor) -> None:
        """One step towards the target, from the entropies that the policy has and is to have [batch], nats."""
        # The gradient of log(temperature) * (entropy - wanted) by log(temperature).
        self._log.grad = (entropy - wanted).mean()
        self._optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        return {"log": self._log, "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._log.copy_(state["log"])
        self._optimizer.load_state_dict(state["optimizer"])
