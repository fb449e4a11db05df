"""The loop that collects and learns."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import pytest

from agents.learning.agent import DQNAgent, Update
from agents.learning.loop import PHASES, EpisodeEnded, Event, Exchanged, Updated, collect_and_learn
from bridge import EnvSpec, connect
from tests.agents.scripted import (
    FIRST,
    LAST,
    MID,
    VECTOR,
    Playback,
    Row,
    behavior,
    everything,
    number_in,
    small_agent,
    small_config,
)

SPEC = behavior()

#: Three agents; one ends and decides at once, one leaves, one joins, and once nobody decides.
EXCHANGES = [
    [Row(0, FIRST, 1), Row(1, FIRST, 2), Row(2, FIRST, 3)],
    [Row(1, LAST, 4, 1.0, True), Row(0, MID, 5, 0.1), Row(3, FIRST, 6), Row(2, MID, 7, 0.2)],
    [Row(0, LAST, 8, 0.3), Row(3, LAST, 9, -1.0, True), Row(2, LAST, 10, 0.4)],
    [Row(4, FIRST, 11)],
    [Row(4, MID, 12, 0.5)],
    [Row(4, LAST, 13, 0.6, True), Row(5, FIRST, 14)],
]


def run(bridge: Playback, agent: DQNAgent, exchanges: int) -> list[Event]:
    """The events of so many exchanges."""
    events: list[Event] = []
    for event in collect_and_learn(bridge, agent):
        events.append(event)
        if isinstance(event, Exchanged):
            exchanges -= 1
            if not exchanges:
                break
    return events


def test_every_row_of_every_agent_is_used() -> None:
    """Not only agent 0's reward, action and end."""
    bridge = Playback(SPEC, *EXCHANGES)
    agent = small_agent(SPEC, learner={"learning_starts": 100})
    events = run(bridge, agent, 5)
    assert [len(actions) for actions in bridge.sent] == [3, 3, 0, 1, 1]
    batch = everything(agent.replay)
    found = {
        int(number_in(VECTOR, before)): (
            int(action[0]),
            float(reward),
            int(number_in(VECTOR, after)) if discount else None,
        )
        for before, action, reward, discount, after in zip(
            batch.obs_tm1[0], batch.action_tm1, batch.reward_t, batch.discount_t, batch.obs_t[0], strict=True
        )
    }
    sent = [actions[:, 0].tolist() for actions in bridge.sent]
    tenth = [pytest.approx(value / 10) for value in range(10)]
    assert found == {
        1: (sent[0][0], tenth[1], 5),
        2: (sent[0][1], 1.0, None),
        3: (sent[0][2], tenth[2], 7),
        5: (sent[1][0], tenth[3], 8),
        6: (sent[1][1], -1.0, None),
        7: (sent[1][2], tenth[4], 10),
        11: (sent[3][0], tenth[5], 12),
        12: (sent[4][0], tenth[6], None),
    }
    assert agent.steps == 8
    assert agent.episodes == 5
    results = [event.result for event in events if isinstance(event, EpisodeEnded)]
    assert [(result.episode, result.length, result.truncated) for result in results] == [
        (1, 1, False),
        (0, 2, True),
        (3, 1, False),
        (2, 2, True),
        (4, 2, False),
    ]
    assert [result.score for result in results] == pytest.approx([1.0, 0.4, -1.0, 0.6, 1.1])


def test_it_learns_while_the_environment_computes() -> None:
    bridge = Playback(SPEC, *EXCHANGES)
    agent = small_agent(SPEC, learner={"batch_size": 1, "updates_per_step": 2.0})
    seen: list[str] = []
    learn = agent.learn

    def recorded() -> Iterator[Update]:
        for update in learn():
            seen.append(bridge.calls[-1])
            yield update

    agent.learn = recorded  # type: ignore[method-assign]
    events = run(bridge, agent, 5)
    assert bridge.calls == ["reset(None)", *["send", "receive"] * 5]
    assert set(seen) == {"send"}
    assert len(seen) == sum(isinstance(event, Updated) for event in events) == agent.updates


def test_an_exchange_is_over_when_its_episodes_are_told() -> None:
    events = run(Playback(SPEC, *EXCHANGES), small_agent(SPEC, learner={"learning_starts": 100}), 3)
    assert [type(event).__name__ for event in events] == [
        "EpisodeEnded",
        "Exchanged",
        *["EpisodeEnded"] * 3,
        "Exchanged",
        "Exchanged",
    ]


def test_an_exchange_tells_what_was_sent_and_where_its_time_went() -> None:
    bridge = Playback(SPEC, *EXCHANGES)
    events = run(bridge, small_agent(SPEC, learner={"learning_starts": 0}), 4)
    exchanges = [event for event in events if isinstance(event, Exchanged)]
    for event, sent in zip(exchanges, bridge.sent, strict=True):
        np.testing.assert_array_equal(event.actions, sent)
        assert tuple(event.seconds) == PHASES
        assert all(seconds > 0 for seconds in event.seconds.values())


def test_starting_again_ends_the_open_episodes_where_they_are_known() -> None:
    """What was open will never end; the two decisions whose outcome came before the reset have one step each."""
    agent = small_agent(SPEC, learner={"learning_starts": 100, "n_step": 3})
    run(Playback(SPEC, *EXCHANGES), agent, 1)
    before = len(agent.replay)
    run(Playback(SPEC, [Row(2, FIRST, 100)], [Row(2, LAST, 101, 1.0, True)]), agent, 1)
    batch = everything(agent.replay)
    assert len(agent.replay) == before + 2 + 1
    assert batch.obs_tm1[0][-1] == 100
    assert batch.reward_t[-1] == 1.0


@pytest.mark.parametrize("settings", [{}, {"exploration": {"hold": 3.0}}, {"exploration": {"kind": "boltzmann"}}])
def test_an_exchange_in_which_nobody_decides_is_sent_empty(settings: dict[str, Any]) -> None:
    bridge = Playback(SPEC, *EXCHANGES)
    run(bridge, small_agent(SPEC, **settings), 5)
    assert bridge.sent[2].shape == (0, 1)


def test_a_run_can_be_repeated() -> None:
    def numbers() -> list[Any]:
        config = small_config(learner={"learning_starts": 20}, exploration={"duration": 100}, training={"seed": 5})
        with connect(EnvSpec("gym", "CartPole-v1", {"num_envs": 2}, seed=5)) as bridge:
            agent = DQNAgent(bridge.spec, config)
            events = list(islice(collect_and_learn(bridge, agent), 300))
        losses = [float(event.update.loss) for event in events if isinstance(event, Updated)]
        scores = [event.result for event in events if isinstance(event, EpisodeEnded)]
        return [losses, scores, agent.steps]

    first = numbers()
    assert len(first[0]) > 100
    assert len(first[1]) > 3
    assert first == numbers()


def test_what_the_loop_hands_on_is_the_bridges_own_order_of_rows() -> None:
    bridge = Playback(SPEC, *EXCHANGES)
    agent = small_agent(SPEC, exploration={"start": 0.0, "end": 0.0}, learner={"learning_starts": 100})
    run(bridge, agent, 2)
    deciding = [[1, 2, 3], [5, 6, 7]]
    for numbers, actions in zip(deciding, bridge.sent, strict=True):
        rows = bridge._exchanges[0].select(np.zeros(3, np.int64))
        rows.obs[0][:] = np.array(numbers, np.float32)[:, None]
        assert agent.q_values(rows).argmax(axis=1).tolist() == actions[:, 0].tolist()
