"""A person as a player: sees a picture and a few lines, answers by keys."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence

import numpy as np

from agents.episodes.players import Action, Episode, score_text
from agents.filming.sheet import sheet
from agents.playing.keyboard import QUIT, Answer, Controls, Masks
from agents.playing.screen import CLOSED, Picture, Screen
from bridge import Bridge, Steps, StepType, UnsupportedError

#: How long one wait for a key may last, in seconds; what it is does not matter.
WAIT_SECONDS = 1.0
BEGIN = ("space", "enter")
#: Numbers of an observation that are shown where there is no picture.
SHOWN_NUMBERS = 16


class Quit(Exception):  # noqa: N818 - no error
    """The person wants no more."""


class Person:
    """Chooses by keys.

    Args:
        step_seconds: an environment that does not wait goes on after so long, with the action that was chosen last;
            None: each step waits for a key.
        episodes: how many there will be, for the text.
    """

    def __init__(
        self, bridge: Bridge, screen: Screen, controls: Controls, step_seconds: float | None, episodes: int
    ) -> None:
        self._bridge = bridge
        self._screen = screen
        self._controls = controls
        self._step_seconds = step_seconds
        self._episodes = episodes
        self._ended = 0
        self._steps = 0
        self._score = 0.0
        self._message = ""
        self._deadline = 0.0
        self._typed: list[str] = []  # ahead of what the environment asks

    def choose(self, deciding: Steps, place: int) -> Action:
        """See `agents.episodes.players.Player`. Raises `Quit`."""
        row = deciding.select([place])
        mask = [allowed[0] for allowed in row.mask]
        picture = self._picture(row, alone=len(deciding) == 1)
        begins = bool(row.step_type[0] == StepType.FIRST)
        if begins:
            self._steps, self._score = 0, 0.0
            self._forget_keys()
        else:
            self._steps += 1
            self._score += float(row.reward[0])
        show = self._shower(row, picture)
        if self._step_seconds is None:
            self._wait(show, lambda key: self._press(key, mask) is Answer.DECIDED)
        else:
            if begins:
                self._message = " ".join([self._message, "Space begins."]).strip()
                self._wait(show, lambda key: self._begins(key, mask))
                self._deadline = time.monotonic()
            self._message = ""
            self._go_on(show, mask, self._step_seconds)
        self._message = ""
        return np.array([self._controls.action(mask)], np.int32)

    def ended(self, episode: Episode) -> None:
        """Says how it went."""
        self._ended += 1
        result = episode.result
        self._message = f"Episode {self._ended}: score {score_text(result.score)} in {result.length} steps."

    def _wait(self, show: Callable[[], None], is_enough: Callable[[str], bool]) -> None:
        """Until a key is enough."""
        while True:
            show()
            self._typed += self._keys(WAIT_SECONDS) if not self._typed else []
            while self._typed:
                if is_enough(self._typed.pop(0)):
                    return

    def _begins(self, key: str, mask: Masks) -> bool:
        """Whether this key begins the episode; another one may choose how."""
        if key not in BEGIN:
            self._controls.press(key, mask)
        return key in BEGIN

    def _go_on(self, show: Callable[[], None], mask: Masks, seconds: float) -> None:
        """For as long as a step takes; keys change what will be done at its end."""
        self._deadline = max(self._deadline + seconds, time.monotonic())
        show()
        while (left := self._deadline - time.monotonic()) > 0:
            for key in self._keys(left):
                self._press(key, mask)
                show()

    def _forget_keys(self) -> None:
        """What was typed ahead was meant for the episode before."""
        if self._ended:
            self._typed = []
            self._keys(0.0)

    def _keys(self, timeout: float) -> list[str]:
        keys = self._screen.keys(timeout)
        if QUIT in keys or CLOSED in keys:
            raise Quit
        return keys

    def _press(self, key: str, mask: Masks) -> Answer:
        answer = self._controls.press(key, mask)
        self._message = {Answer.FORBIDDEN: "Not allowed here.", Answer.UNKNOWN: "Not a key."}.get(answer, "")
        return answer

    def _shower(self, row: Steps, picture: Picture | None) -> Callable[[], None]:
        """What draws this row, with the latest choice and message."""
        numbers = _numbers(self._bridge, row, everything=picture is None)

        def show() -> None:
            state = (
                f"Episode {self._ended + 1} of {self._episodes}   step {self._steps}   "
                f"score {score_text(self._score)}   action {self._controls.chosen}"
            )
            keys = f"Keys: {self._controls.help}; {QUIT} ends."
            self._screen.show(picture, [*numbers, state, keys, self._message])

        return show

    def _picture(self, row: Steps, *, alone: bool) -> Picture | None:
        """The environment's own where it shows this agent alone, else all that the agent sees; None for no picture."""
        specs = zip(self._bridge.spec.observations, row.obs, strict=True)
        images = [[values[0]] for spec, values in specs if spec.kind == "image"]
        if alone and len(images) <= 1:
            with contextlib.suppress(UnsupportedError):
                return self._bridge.render()
        return sheet(images) if images else None


def _numbers(bridge: Bridge, row: Steps, *, everything: bool) -> Sequence[str]:
    """The goals, which no picture need show, as text; in place of a picture all that is observed."""
    lines = ["No picture comes from this environment: watch its own window, or these numbers."] if everything else []
    for spec, values in zip(bridge.spec.observations, row.obs, strict=True):
        if spec.is_goal or everything:
            shown = " ".join(f"{value:.3g}" for value in values[0][:SHOWN_NUMBERS])
            rest = " ..." if len(values[0]) > SHOWN_NUMBERS else ""
            lines.append(f"{'Goal' if spec.is_goal else 'Observation'} {spec.name}: {shown}{rest}")
    return lines
