"""The learned temperature against the entropy that it is to keep."""

from __future__ import annotations

import copy

import pytest
import torch

from agents.learning.branches import BranchLayout
from agents.learning.losses import BranchOps, entropy
from agents.learning.temperature import Temperature

CPU = torch.device("cpu")
OPS = BranchOps(BranchLayout((5, 3)), CPU)
Q = torch.linspace(-2.0, 2.0, 7 * 8).reshape(7, 8)
MASK = torch.ones(7, 8, dtype=torch.bool)
MASK[:, 1] = False


def followed(temperature: Temperature, updates: int, target: float) -> float:
    """After so many updates, the part of the largest entropy that the policy over `Q` has."""
    for _ in range(updates):
        policy = OPS.policy(Q, MASK, temperature.value)
        temperature.follow(entropy(policy), target * OPS.largest_entropy(MASK))
    policy = OPS.policy(Q, MASK, temperature.value)
    return (entropy(policy).mean() / OPS.largest_entropy(MASK).mean()).item()


@pytest.mark.parametrize("start", [0.001, 100.0])
@pytest.mark.parametrize("target", [0.2, 0.8])
def test_the_policy_comes_to_have_the_entropy_asked_for(start: float, target: float) -> None:
    assert followed(Temperature(start, 0.02, CPU), 1500, target) == pytest.approx(target, abs=0.01)


def test_its_state_goes_on() -> None:
    first, second = Temperature(1.0, 0.02, CPU), Temperature(5.0, 0.02, CPU)
    followed(first, 20, 0.3)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert followed(first, 20, 0.3) == followed(second, 20, 0.3)
    assert first.value == second.value
