"""From Q-values to actions."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import groupby

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.learning.branches import BranchLayout
from agents.learning.exploration import Exploration, epsilon_greedy, greedy, uniform

ONE = BranchLayout((4,))
#: So many actions that a random one is hardly ever the greedy one, which is action 0.
WIDE = BranchLayout((200, 200))

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]


def best_is_first(layout: BranchLayout, rows: int) -> tuple[Floats, Bools]:
    """Q-values whose greedy action is 0 in every branch, and nothing masked."""
    q = np.zeros((rows, layout.total), np.float32)
    q[:, layout.offsets] = 1.0
    return q, np.ones(q.shape, np.bool_)


def assert_share(hits: float, draws: int, share: float) -> None:
    """A count of independent draws is within five deviations of what it should be."""
    assert abs(hits - draws * share) <= 5 * np.sqrt(draws * share * (1 - share)) + 1e-9, (hits / draws, share)


def run(
    exploration: Exploration, layout: BranchLayout, decisions: int, agents: int, level: float
) -> npt.NDArray[np.int32]:
    """The actions of some agents over time, [decisions, agents, branches]."""
    q, mask = best_is_first(layout, agents)
    return np.stack([choose(exploration, q, mask, np.arange(agents), level) for _ in range(decisions)])


def choose(
    exploration: Exploration, q: Floats, mask: Bools, episodes: npt.NDArray[np.int64], level: float
) -> npt.NDArray[np.int32]:
    return exploration.choose(lambda: q, mask, episodes, level)


def of_kind(kind: str, layout: BranchLayout, seed: int = 0) -> Exploration:
    rng = np.random.default_rng(seed)
    held = {"held": "epsilon", "held-noise": "boltzmann"}
    return Exploration(held[kind], 4.0, layout, rng) if kind in held else Exploration(kind, 1.0, layout, rng)


@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple),
    kind=st.sampled_from(["epsilon", "held", "boltzmann", "held-noise"]),
    level=st.sampled_from([0.0, 0.3, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_masked_action_is_ever_chosen(sizes: tuple[int, ...], kind: str, level: float, seed: int) -> None:
    layout = BranchLayout(sizes)
    rng = np.random.default_rng(seed)
    exploration = of_kind(kind, layout, seed)
    for _ in range(10):
        q = rng.normal(size=(5, layout.total)).astype(np.float32) * 10
        mask = rng.random(q.shape) < 0.4
        mask[np.arange(5)[:, None], layout.offsets + rng.integers(sizes, size=(5, len(sizes)))] = True
        for actions in (
            choose(exploration, q, mask, np.arange(5), level),
            greedy(q, mask, layout),
            uniform(mask, layout, rng),
            epsilon_greedy(q, mask, level, layout, rng),
        ):
            assert actions.shape == (5, len(sizes))
            assert actions.dtype == np.int32
            assert ((actions >= 0) & (actions < np.array(sizes))).all()
            assert mask[np.arange(5)[:, None], layout.offsets + actions].all()


def test_greedy_takes_the_best_allowed_action_of_each_branch() -> None:
    layout = BranchLayout((2, 3))
    q = np.array([[5, -1, 0, 2, 9], [-3, -2, 7, 8, 7]], np.float32)
    mask = np.array([[True, True, True, True, False], [True, False, True, True, True]])
    assert greedy(q, mask, layout).tolist() == [[0, 1], [0, 1]]


def test_greedy_takes_an_allowed_action_however_bad_it_is() -> None:
    q = np.array([[-1e30, 0, 0, 0]], np.float32)
    assert greedy(q, np.array([[True, False, False, False]]), ONE).tolist() == [[0]]


@pytest.mark.parametrize("epsilon", [0.01, 0.05, 0.5, 1.0])
def test_epsilon_is_the_share_of_decisions_that_explore(epsilon: float) -> None:
    """A normal draw compared with epsilon explores half of the time at 0.01."""
    rows = 40_000
    q, mask = best_is_first(ONE, rows)
    actions = epsilon_greedy(q, mask, epsilon, ONE, np.random.default_rng(0))[:, 0]
    for action, share in enumerate([1 - 0.75 * epsilon, *[0.25 * epsilon] * 3]):
        assert_share((actions == action).sum(), rows, share)


def test_the_exploration_at_one_percent_explores_one_percent() -> None:
    exploration = Exploration("epsilon", 1.0, WIDE, np.random.default_rng(1))
    actions = run(exploration, WIDE, decisions=400, agents=25, level=0.01)
    assert_share((actions != 0).sum(), actions.size, 0.01 * 0.995)


def test_every_agent_and_every_branch_draws_for_itself() -> None:
    q, mask = best_is_first(WIDE, 2)
    rng = np.random.default_rng(2)
    explored = np.stack(
        [epsilon_greedy(q, mask, 0.5, WIDE, rng) != 0 for _ in range(1000)]
    )  # [draws, agents, branches]
    for first, second in (
        (explored[:, 0, 0], explored[:, 0, 1]),  # branches of one agent
        (explored[:, 0, 0], explored[:, 1, 0]),  # agents
    ):
        assert_share((first & second).sum(), 1000, 0.25)
        assert_share((first & ~second).sum(), 1000, 0.25)


def test_random_actions_of_two_agents_differ() -> None:
    actions = uniform(np.ones((2, WIDE.total), np.bool_), WIDE, np.random.default_rng(3))
    assert len(np.unique(actions)) == 4


def test_uniform_is_uniform_among_the_allowed_actions() -> None:
    layout = BranchLayout((4, 2))
    rows = 30_000
    mask = np.tile(np.array([True, False, True, True, False, True]), (rows, 1))
    actions = uniform(mask, layout, np.random.default_rng(4))
    for action, share in enumerate([1 / 3, 0, 1 / 3, 1 / 3]):
        assert_share((actions[:, 0] == action).sum(), rows, share)
    assert (actions[:, 1] == 1).all()


@pytest.mark.parametrize("hold", [1.0, 3.0])
@pytest.mark.parametrize("temperature", [0.3, 1.0, 20.0])
def test_boltzmann_draws_by_the_softmax(temperature: float, hold: float) -> None:
    """For given values every decision, also when its noise has been there before."""
    layout = BranchLayout((3, 2))
    rows = 30_000
    q = np.array([1.0, 0.5, 3.0, -1.0, 0.0], np.float32)
    allowed = np.array([True, True, False, True, True])
    exploration = Exploration("boltzmann", hold, layout, np.random.default_rng(5))
    given = np.tile(q, (rows, 1)), np.tile(allowed, (rows, 1)), np.arange(rows), temperature
    for _ in range(3):
        actions = choose(exploration, *given)
    weight = np.where(allowed, np.exp(q.astype(np.float64) / temperature), 0.0)
    for branch, (start, size) in enumerate(zip(layout.offsets, layout.sizes, strict=True)):
        mine = weight[start : start + size]
        for action in range(size):
            assert_share((actions[:, branch] == action).sum(), rows, mine[action] / mine.sum())


@pytest.mark.parametrize("kind", ["epsilon", "held", "boltzmann", "held-noise"])
def test_level_0_is_greedy(kind: str) -> None:
    exploration = of_kind(kind, WIDE)
    assert (run(exploration, WIDE, decisions=100, agents=3, level=0.0) == 0).all()


@pytest.mark.parametrize(("epsilon", "hold"), [(0.3, 6.0), (0.05, 2.5), (0.9, 4.0)])
def test_held_actions_keep_the_share_and_last_as_long_as_asked(epsilon: float, hold: float) -> None:
    exploration = Exploration("epsilon", hold, WIDE, np.random.default_rng(6))
    actions = run(exploration, WIDE, decisions=2500, agents=8, level=epsilon)
    series = actions.reshape(2500, -1).T  # one row per agent and branch
    holds = np.array([len(list(same)) for one in series for action, same in groupby(one.tolist()) if action])
    deviations = 4 / np.sqrt(len(holds))
    assert (series != 0).mean() == pytest.approx(epsilon, rel=deviations)
    assert holds.mean() == pytest.approx(hold, rel=deviations)
    # Geometric times: of those that are held, the share 1 - 1/hold goes on each time.
    assert_share((holds >= 2).sum(), len(holds), 1 - 1 / hold)
    assert_share((holds >= 3).sum(), len(holds), (1 - 1 / hold) ** 2)


def test_at_level_1_every_decision_is_random_also_when_held() -> None:
    exploration = Exploration("epsilon", 5.0, WIDE, np.random.default_rng(7))
    actions = run(exploration, WIDE, decisions=500, agents=4, level=1.0)
    assert (actions != 0).mean() == pytest.approx(0.995, abs=0.004)


def test_noise_is_held_as_long_as_asked() -> None:
    exploration = Exploration("boltzmann", 5.0, WIDE, np.random.default_rng(6))
    actions = run(exploration, WIDE, decisions=2500, agents=8, level=1e9)  # all look alike: the noise decides
    holds = np.array([len(list(same)) for one in actions.reshape(2500, -1).T for _, same in groupby(one.tolist())])
    assert holds.mean() == pytest.approx(5.0 / 0.995, rel=4 / np.sqrt(len(holds)))  # 1 in 200 draws is the same again
    assert_share((holds >= 2).sum(), len(holds), 1 - 0.995 / 5.0)
    assert_share((holds >= 3).sum(), len(holds), (1 - 0.995 / 5.0) ** 2)


def test_held_noise_is_no_held_action() -> None:
    """What looks better is chosen at once, and again what the noise prefers when nothing does."""
    exploration = Exploration("soft", 1e9, ONE, np.random.default_rng(7))
    _, mask = best_is_first(ONE, 1)
    level, better = np.zeros((1, 4), np.float32), np.array([[0, 0, 50, 0]], np.float32)
    found = [choose(exploration, q, mask, np.array([0]), 1.0).item() for q in (level, better, level, -better, level)]
    assert found[1] == 2 != found[3]
    assert found[0] == found[2] == found[4]


def test_agents_and_branches_hold_noise_for_themselves() -> None:
    exploration = Exploration("boltzmann", 6.0, WIDE, np.random.default_rng(8))
    actions = run(exploration, WIDE, decisions=2000, agents=2, level=1e9)
    changes = actions[1:] != actions[:-1]
    for first, second in ((changes[:, 0, 0], changes[:, 0, 1]), (changes[:, 0, 0], changes[:, 1, 0])):
        assert_share((first & second).sum(), len(changes), (0.995 / 6.0) ** 2)


def test_agents_and_branches_hold_for_themselves() -> None:
    exploration = Exploration("epsilon", 6.0, WIDE, np.random.default_rng(8))
    random = run(exploration, WIDE, decisions=2000, agents=2, level=0.5) != 0
    for first, second in ((random[:, 0, 0], random[:, 0, 1]), (random[:, 0, 0], random[:, 1, 0])):
        assert abs(np.corrcoef(first, second)[0, 1]) < 0.1


def test_a_held_action_is_dropped_where_it_is_forbidden() -> None:
    exploration = Exploration("epsilon", 1e9, ONE, np.random.default_rng(9))
    q, mask = best_is_first(ONE, 1)
    (((held,),), *_) = [choose(exploration, q, mask, np.array([0]), 1.0).tolist() for _ in range(3)]
    mask[0, held] = False
    assert choose(exploration, q, mask, np.array([0]), 1.0).item() != held


@pytest.mark.parametrize("kind", ["epsilon", "soft"])
def test_what_is_held_follows_the_episode_not_the_row(kind: str) -> None:
    exploration = Exploration(kind, 1e9, WIDE, np.random.default_rng(10))
    q, mask = best_is_first(WIDE, 2)
    before = choose(exploration, q, mask, np.array([7, 8]), 1.0)
    after = choose(exploration, q, mask, np.array([8, 7]), 1.0)
    assert after[::-1].tolist() == before.tolist()
    alone = choose(exploration, q[:1], mask[:1], np.array([8]), 1.0)
    assert alone[0].tolist() == before[1].tolist()


@pytest.mark.parametrize("kind", ["epsilon", "soft"])
def test_what_an_ended_episode_held_is_forgotten(kind: str) -> None:
    exploration = Exploration(kind, 1e9, WIDE, np.random.default_rng(11))
    q, mask = best_is_first(WIDE, 2)
    before = choose(exploration, q, mask, np.array([7, 8]), 1.0)
    exploration.forget(np.array([7]))
    assert list(exploration.state_dict()["held"]) == ["8"]
    after = choose(exploration, q, mask, np.array([7, 8]), 1.0)
    assert (after[0] != before[0]).all()
    assert after[1].tolist() == before[1].tolist()
    exploration.forget_all()
    assert exploration.state_dict()["held"] == {}


def test_nobody_deciding_is_no_error() -> None:
    q, mask = best_is_first(WIDE, 0)
    for kind in ("epsilon", "held", "boltzmann", "held-noise"):
        assert choose(of_kind(kind, WIDE), q, mask, np.zeros(0, np.int64), 0.5).shape == (0, 2)


@pytest.mark.parametrize("kind", ["epsilon", "soft"])
def test_the_state_goes_through_json_and_goes_on(kind: str) -> None:
    first = Exploration(kind, 4.0, WIDE, np.random.default_rng(12))
    run(first, WIDE, decisions=5, agents=3, level=0.8)
    second = Exploration(kind, 4.0, WIDE, np.random.default_rng(0))
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    second._rng.bit_generator.state = first._rng.bit_generator.state
    expected = run(first, WIDE, decisions=50, agents=3, level=0.8)
    assert run(second, WIDE, decisions=50, agents=3, level=0.8).tolist() == expected.tolist()


def softmax(
    q: Floats, mask: Bools, temperature: float, layout: BranchLayout, rng: np.random.Generator
) -> npt.NDArray[np.int32]:
    """By a race: an action is first as often as its rate, exp(q / temperature), is of all of them."""
    times = -np.log(rng.uniform(1e-12, 1.0, q.shape)) / np.exp(q.astype(np.float64) / temperature)
    return greedy(-times.astype(np.float32), mask, layout)


@pytest.mark.parametrize(("kind", "plain"), [("epsilon", epsilon_greedy), ("soft", softmax)])
def test_a_hold_of_1_holds_nothing(kind: str, plain: Callable[..., npt.NDArray[np.int32]]) -> None:
    q, mask = best_is_first(WIDE, 50)
    exploration = Exploration(kind, 1.0, WIDE, np.random.default_rng(13))
    rng = np.random.default_rng(13)
    for _ in range(3):
        chosen = choose(exploration, q, mask, np.arange(50), 0.3)
        assert chosen.tolist() == plain(q, mask, 0.3, WIDE, rng).tolist()
    assert exploration.state_dict()["held"] == {}


def test_a_run_goes_on_with_another_kind_and_holds_nothing_of_the_former_one() -> None:
    for before, after in (("epsilon", "soft"), ("soft", "epsilon")):
        first = Exploration(before, 4.0, WIDE, np.random.default_rng(14))
        run(first, WIDE, decisions=5, agents=3, level=0.8)
        assert first.state_dict()["held"]
        second = Exploration(after, 4.0, WIDE, np.random.default_rng(15))
        second.load_state_dict(first.state_dict())
        assert second.state_dict()["held"] == {}
        run(second, WIDE, decisions=5, agents=3, level=0.8)


@pytest.mark.parametrize("kind", ["epsilon", "held"])
def test_values_are_asked_only_where_somebody_is_greedy(kind: str) -> None:
    q, mask = best_is_first(ONE, 1)
    exploration, twin = of_kind(kind, ONE), of_kind(kind, ONE)
    asked, greedily = 0, 0

    def values() -> Floats:
        nonlocal asked
        asked += 1
        return q

    for _ in range(400):
        # Another best action, for the same random numbers, is chosen where the choice is greedy, and only there.
        chosen = exploration.choose(values, mask, np.array([0]), 0.5)
        other = choose(twin, -q, mask, np.array([0]), 0.5)
        greedily += int((chosen != other).any())
    assert asked == greedily
    assert 100 < asked < 300
