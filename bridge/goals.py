"""What a transition would have earned under another goal: reward rules, by name.

A build cannot say how its rewards depend on the goal, so whoever opens it does (option `reward_rule`). An agent may
then learn from each transition under the goal that it did not have, too (hindsight, arXiv 1707.01495).
"""

from __future__ import annotations

from collections.abc import Callable

from bridge.errors import UsageError
from bridge.types import Array, BehaviorSpec, BoolArray, Float32Array

#: goal float32 [N, G], reward float32 [N], terminated bool [N] -> goal and reward of the same moves under another goal.
RewardRule = Callable[[Array, Float32Array, BoolArray], tuple[Array, Float32Array]]


def opposite(goal: Array, reward: Float32Array, terminated: BoolArray) -> tuple[Array, Float32Array]:
    """Two goals, one-hot: what ends an episode rightly under one ends it wrongly under the other, for the opposite
    reward. Whatever is earned on the way is the same under both.
    """
    changed: Float32Array = reward.copy()
    changed[terminated] *= -1
    return 1 - goal, changed


REWARD_RULES: dict[str, RewardRule] = {"opposite": opposite}


def check_reward_rule(spec: BehaviorSpec) -> None:
    """Raises `UsageError` for a rule that does not exist or does not fit the observations."""
    if spec.reward_rule is None:
        return
    if spec.reward_rule not in REWARD_RULES:
        raise UsageError(f"unknown reward rule {spec.reward_rule!r}; there are {', '.join(REWARD_RULES)}.")
    goals = [item for item in spec.observations if item.is_goal]
    if [item.shape for item in goals] != [(2,)]:
        raise UsageError(
            f"the reward rule {spec.reward_rule!r} is for one goal observation of two numbers, found "
            f"{', '.join(f'{item.name} {item.shape}' for item in goals) or 'none'} in {spec.name}: leave option "
            "'reward_rule' out, or set it to none."
        )
