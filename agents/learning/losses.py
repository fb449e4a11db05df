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
        return self._by_branch(allowed).argmax(dim=2)

    def policy(self, q: Tensor, mask: Tensor, temperature: Tensor) -> Tensor:
        """softmax of q / temperature over the allowed actions of each branch, [batch, branches, widest]."""
        return self._by_branch((q / temperature).masked_fill(~mask, -torch.inf)).softmax(dim=2)

    def expected_value(self, q: Tensor, policy: Tensor) -> Tensor:
        """Q of a policy's actions [batch]: the mean over branches of its expectations."""
        return (policy * q[:, self._index]).sum(dim=2).mean(dim=1)

    def largest_entropy(self, mask: Tensor) -> Tensor:
        """That of the uniform policy over the allowed actions [batch]: the mean over branches, nats."""
        return (mask[:, self._index] & self._valid).sum(dim=2).log().mean(dim=1)

    def _by_branch(self, flat: Tensor) -> Tensor:
        """[batch, total] -> [batch, branches, widest], padded with -inf."""
        padded: Tensor = flat[:, self._index].masked_fill(~self._valid, -torch.inf)
        return padded


def entropy(policy: Tensor) -> Tensor:
    """Of a policy [batch, branches, widest]: the mean over branches [batch], nats."""
    of_branches: Tensor = torch.special.entr(policy).sum(dim=2)
    return of_branches.mean(dim=1)


def soft_value(ops: BranchOps, q_target_t: Tensor, policy_t: Tensor, entropy_t: Tensor, temperature: Tensor) -> Tensor:
    """What the next state is worth to a policy that is also paid for its entropy, [batch] (SAC for discrete actions,
    arXiv 1910.07207, with the policy that maximises it: softmax of Q over the temperature)."""
    return ops.expected_value(q_target_t, policy_t) + temperature * entropy_t


def bootstrap_value(ops: BranchOps, q_target_t: Tensor, q_online_t: Tensor | None, mask_t: Tensor) -> Tensor:
    """max over a of Q(s_t, a) [batch], among the allowed actions.

    Args:
        q_target_t: values that count.
        q_online_t: values that choose, for double Q-learning (arXiv 1509.06461); None: q_target_t chooses.
    """
    choosing = q_target_t if q_online_t is None else q_online_t
    return ops.value_of(q_target_t, ops.greedy(choosing, mask_t))


def regret(ops: BranchOps, q: Tensor, action: Tensor, mask: Tensor) -> Tensor:
    """How much less than the best allowed action the given one is worth, [batch]. Advantage learning takes a
    part of it from the action's target (Baird 1999; Bellemare et al. 2016, arXiv 1512.04860)."""
    return bootstrap_value(ops, q, None, mask) - ops.value_of(q, action)


def td_target(reward_t: Tensor, discount_t: Tensor, value_t: Tensor) -> Tensor:
    """r + discount * V, [batch]. discount is gamma^n, or 0 after a termination."""
    return reward_t + discount_t * value_t


def td_loss(q_tm1: Tensor, target: Tensor, kind: str) -> Tensor:
    """Mean loss of q [batch] against its target, which gets no gradient: `huber` (threshold 1) or `mse`."""
    if kind == "mse":
        return torch.nn.functional.mse_loss(q_tm1, target)
    return torch.nn.functional.huber_loss(q_tm1, target)
