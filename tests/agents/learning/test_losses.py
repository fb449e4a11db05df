"""The maths of Q-learning against slow loops."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from agents.learning.branches import BranchLayout
from agents.learning.losses import BranchOps, bootstrap_value, entropy, regret, soft_value, td_loss, td_target

CPU = torch.device("cpu")


@dataclass
class Case:
    """Random values for a layout, at least one action allowed in each branch."""

    sizes: tuple[int, ...]
    q: Tensor
    online: Tensor
    mask: Tensor
    action: Tensor

    @property
    def ops(self) -> BranchOps:
        return BranchOps(BranchLayout(self.sizes), CPU)

    def split(self, values: Tensor, row: int) -> list[list[float]]:
        """Per branch the values of one row."""
        found = []
        start = 0
        for size in self.sizes:
            found.append(values[row, start : start + size].tolist())
            start += size
        return found


@st.composite
def cases(draw: st.DrawFn) -> Case:
    sizes = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    batch = draw(st.integers(1, 6))
    mask = rng.random((batch, sum(sizes))) < 0.5
    start = 0
    for size in sizes:
        mask[np.arange(batch), start + rng.integers(size, size=batch)] = True
        start += size
    values = torch.as_tensor(rng.normal(size=(2, batch, sum(sizes))), dtype=torch.float32)
    return Case(
        sizes,
        values[0],
        values[1],
        torch.as_tensor(mask),
        torch.as_tensor(rng.integers(sizes, size=(batch, len(sizes)))),
    )


def slow_greedy(values: list[float], allowed: list[float]) -> int:
    return max((value, -action) for action, value in enumerate(values) if allowed[action])[1] * -1


@settings(deadline=None)
@given(case=cases())
def test_the_value_of_an_action_is_the_mean_over_its_branches(case: Case) -> None:
    found = case.ops.value_of(case.q, case.action)
    for row in range(len(case.q)):
        values = case.split(case.q, row)
        chosen = [values[branch][action] for branch, action in enumerate(case.action[row].tolist())]
        assert found[row].item() == pytest.approx(sum(chosen) / len(chosen), abs=1e-6)


@settings(deadline=None)
@given(case=cases())
def test_greedy_is_the_best_allowed_action_per_branch(case: Case) -> None:
    found = case.ops.greedy(case.q, case.mask)
    assert found.dtype == torch.int64
    for row in range(len(case.q)):
        branches = zip(case.split(case.q, row), case.split(case.mask, row), strict=True)
        assert found[row].tolist() == [slow_greedy(values, allowed) for values, allowed in branches]


@settings(deadline=None)
@given(case=cases(), double=st.booleans())
def test_the_bootstrap_is_the_mean_of_what_each_branch_would_choose(case: Case, double: bool) -> None:
    found = bootstrap_value(case.ops, case.q, case.online if double else None, case.mask)
    for row in range(len(case.q)):
        values, choosing, allowed = (case.split(each, row) for each in (case.q, case.online, case.mask))
        chosen = [
            values[branch][slow_greedy((choosing if double else values)[branch], allowed[branch])]
            for branch in range(len(case.sizes))
        ]
        assert found[row].item() == pytest.approx(sum(chosen) / len(chosen), abs=1e-6)


def test_one_branch_is_plain_dqn() -> None:
    rng = np.random.default_rng(0)
    q, online = (torch.as_tensor(rng.normal(size=(50, 5)), dtype=torch.float32) for _ in range(2))
    ops = BranchOps(BranchLayout((5,)), CPU)
    everything = torch.ones_like(q, dtype=torch.bool)
    assert torch.equal(bootstrap_value(ops, q, None, everything), q.max(dim=1).values)
    double = q.gather(1, online.argmax(dim=1, keepdim=True))[:, 0]
    assert torch.equal(bootstrap_value(ops, q, online, everything), double)
    action = torch.as_tensor(rng.integers(5, size=(50, 1)))
    assert torch.equal(ops.value_of(q, action), q[torch.arange(50), action[:, 0]])


@pytest.mark.parametrize("double", [False, True])
def test_a_masked_action_never_counts_however_good_it_is(double: bool) -> None:
    q = torch.tensor([[1.0, 1e9, -5.0, 1e9]])
    mask = torch.tensor([[True, False, True, False]])
    value = bootstrap_value(BranchOps(BranchLayout((2, 2)), CPU), q, q if double else None, mask)
    assert value.item() == (1.0 - 5.0) / 2


def test_only_allowed_actions_however_bad_they_are() -> None:
    """Lower than whatever stands in for a masked or a padded action."""
    q = torch.tensor([[-1e38, 0.0, 0.0, -1e38, 0.0]])
    mask = torch.tensor([[True, False, False, True, False]])
    ops = BranchOps(BranchLayout((3, 2)), CPU)
    assert ops.greedy(q, mask).tolist() == [[0, 0]]


@settings(deadline=None)
@given(case=cases())
def test_the_regret_is_the_mean_of_what_each_branch_gives_away(case: Case) -> None:
    found = regret(case.ops, case.q, case.action, case.mask)
    for row, action in enumerate(case.action.tolist()):
        branches = zip(case.split(case.q, row), case.split(case.mask, row), action, strict=True)
        lost = [values[slow_greedy(values, allowed)] - values[taken] for values, allowed, taken in branches]
        assert found[row].item() == pytest.approx(sum(lost) / len(lost), abs=1e-6)


def test_the_target_is_each_transitions_own_reward_and_discounted_future() -> None:
    """The loss of one transition must not see the reward of another."""
    reward, discount, value = (
        torch.tensor([1.0, 2.0, 3.0]),
        torch.tensor([0.9, 0.0, 0.5]),
        torch.tensor([10.0, 20.0, 30.0]),
    )
    assert td_target(reward, discount, value).tolist() == pytest.approx([10.0, 2.0, 18.0])


@pytest.mark.parametrize("kind", ["huber", "mse"])
def test_the_loss_is_the_mean_over_the_batch(kind: str) -> None:
    q = torch.tensor([0.0, 1.0, -3.0, 2.0])
    target = torch.tensor([0.5, 1.0, 1.0, -0.75])
    errors = [0.5, 0.0, 4.0, 2.75]
    squares = [error**2 for error in errors]
    hubers = [error**2 / 2 if error <= 1 else error - 0.5 for error in errors]
    expected = sum(squares if kind == "mse" else hubers) / 4
    assert td_loss(q, target, kind).item() == pytest.approx(expected)


@settings(deadline=None)
@given(case=cases(), temperature=st.floats(0.05, 5.0))
def test_the_soft_value_is_temperature_times_logsumexp_of_its_own_values(case: Case, temperature: float) -> None:
    """The closed form, per branch over the allowed actions, when the values that count are those that choose."""
    warmth = torch.tensor(temperature)
    policy = case.ops.policy(case.q, case.mask, warmth)
    found = soft_value(case.ops, case.q, policy, entropy(policy), warmth)
    for row in range(len(case.q)):
        expected = []
        for values, allowed in zip(case.split(case.q, row), case.split(case.mask, row), strict=True):
            chances = [value / temperature for value, is_allowed in zip(values, allowed, strict=True) if is_allowed]
            expected.append(temperature * np.log(np.sum(np.exp(chances))))
        assert found[row].item() == pytest.approx(np.mean(expected), rel=1e-4, abs=1e-4)


@settings(deadline=None)
@given(case=cases(), temperature=st.floats(0.05, 5.0))
def test_double_soft_values_are_chosen_by_one_network_and_counted_by_the_other(case: Case, temperature: float) -> None:
    warmth = torch.tensor(temperature)
    policy = case.ops.policy(case.online, case.mask, warmth)
    entropies = entropy(policy)
    found = soft_value(case.ops, case.q, policy, entropies, warmth)
    for row in range(len(case.q)):
        worth, randomness = [], []
        lists = zip(*(case.split(values, row) for values in (case.q, case.online, case.mask)), strict=True)
        for counting, choosing, allowed in lists:
            weights = np.array([np.exp(v / temperature) if a else 0.0 for v, a in zip(choosing, allowed, strict=True)])
            chances = weights / weights.sum()
            worth.append(chances @ np.array(counting))
            randomness.append(-sum(p * np.log(p) for p in chances if p > 0))
        assert entropies[row].item() == pytest.approx(np.mean(randomness), abs=1e-4)
        assert found[row].item() == pytest.approx(np.mean(worth) + temperature * np.mean(randomness), abs=1e-3)


@settings(deadline=None)
@given(case=cases())
def test_a_cold_soft_value_is_the_plain_one(case: Case) -> None:
    cold = torch.tensor(1e-6)
    policy = case.ops.policy(case.online, case.mask, cold)
    found = soft_value(case.ops, case.q, policy, entropy(policy), cold)
    torch.testing.assert_close(found, bootstrap_value(case.ops, case.q, case.online, case.mask), atol=1e-4, rtol=0)


@settings(deadline=None)
@given(case=cases())
def test_the_largest_entropy_is_that_of_a_hot_policy(case: Case) -> None:
    policy = case.ops.policy(case.q, case.mask, torch.tensor(1e6))
    torch.testing.assert_close(entropy(policy), case.ops.largest_entropy(case.mask), atol=1e-4, rtol=0)
