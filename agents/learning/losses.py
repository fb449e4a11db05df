"""The maths of Q-learning over branches, as pure functions. torch only; no config, no replay.

Shapes: q [batch, total], all branches side by side; action int64 [batch, branches]; mask bool [batch, total], True =
allowed. With several branches the value of a joint action is the mean over its branches (DecQN, arXiv 2210.12566);
with one branch everything is plain DQN.
"""

from __future__ import annotations

import torch
from torch import Tensor

from agents.learning.branches import BranchLayout


class BranchOps:
    """The branch operations of one layout, with its index tensors on one device."""

    def __init__(self, layout: BranchLayout, device: torch.device) -> None:
        self._offsets = torch.as_tensor(layout.offsets, device=device)  # [branches]
        self._index = torch.as_tensor(layout.pad_index, device=device)  # [branches, widest]
        self._valid = torch.as_tensor(layout.pad_valid, device=device)
        self._single = len(layout.sizes) == 1

    def value_of(self, q: Tensor, action: Tensor) -> Tensor:
        """Q(s, a) [batch]: the mean over branches of the chosen actions' values."""
        return q.gather(1, action + self._offsets).mean(dim=1)

    def greedy(self, q: Tensor, mask: Tensor) -> Tensor:
        """The best allowed action per branch, int64 [batch, branches]."""
        allowed = q.masked_fill(~mask, -torch.inf)
        if self._single:
            return allowed.argmax(dim=1, keepdim=True)
        return allowed[:, self._index].masked_fill(~self._valid, -torch.inf).argmax(dim=2)


def bootstrap_value(ops: BranchOps, q_target_t: Tensor, q_online_t: Tensor | None, mask_t: Tensor) -> Tensor:
    """max over a of Q(s_t, a) [batch], among the allowed actions.

    Args:
        q_target_t: values that count.
        q_online_t: values that choose, for double Q-learning (arXiv 1509.06461); None: q_target_t chooses.
    """
    choosing = q_target_t if q_online_t is None else q_online_t
    return ops.value_of(q_target_t, ops.greedy(choosing, mask_t))


def td_target(reward_t: Tensor, discount_t: Tensor, value_t: Tensor) -> Tensor:
    """r + discount * V, [batch]. discount is gamma^n, or 0 after a termination."""
    return reward_t + discount_t * value_t


def td_loss(q_tm1: Tensor, target: Tensor, kind: str) -> Tensor:
    """Mean loss of q [batch] against its target, which gets no gradient: `huber` (threshold 1) or `mse`."""
    if kind == "mse":
        return torch.nn.functional.mse_loss(q_tm1, target)
    return torch.nn.functional.huber_loss(q_tm1, target)
