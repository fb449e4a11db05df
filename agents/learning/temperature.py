"""The temperature of a softmax policy over Q-values."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor


class Temperature:
    """Stays as it is, or is learned so that the policy keeps an entropy (Haarnoja et al. 2018, arXiv 1812.05905).

    Args:
        start: in units of Q.
        entropy_target: part of the largest possible entropy that the policy is to have; None: nothing is learned.
        learning_rate: step size of Adam on the temperature's logarithm.
    """

    def __init__(self, start: float, entropy_target: float | None, learning_rate: float, device: torch.device) -> None:
        self._entropy_target = entropy_target
        self._log = torch.tensor(math.log(start), device=device)
        self._optimizer = torch.optim.Adam([self._log], lr=learning_rate)

    @property
    def value(self) -> Tensor:
        """Of this moment, a tensor without dimensions."""
        return self._log.exp()

    def follow(self, entropy: Tensor, largest: Tensor) -> None:
        """One step towards the target, from the entropies that the policy has and could have [batch], nats."""
        if self._entropy_target is None:
            return
        # The gradient of log(temperature) * (entropy - target) by log(temperature).
        self._log.grad = (entropy - self._entropy_target * largest).mean()
        self._optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        return {"log": self._log, "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._log.copy_(state["log"])
        self._optimizer.load_state_dict(state["optimizer"])
