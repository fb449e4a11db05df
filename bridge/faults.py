"""What an environment lost and why: the ledger that reaches the log, the curves and the summary of a run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """The end of one incarnation of a worker before its time.

    Attributes:
        worker, incarnation: whose.
        reason: what happened, with the last lines of its log.
        lost: transitions that were decided and will never be reported: one for each open episode.
        seconds: since the bridge was opened.
    """

    worker: int
    incarnation: int
    reason: str
    lost: int
    seconds: float

    @property
    def headline(self) -> str:
        """The reason's first line."""
        return self.reason.partition("\n")[0]


class Ledger:
    """The faults of one bridge in their order; empty for a bridge that restarts nothing."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        self._faults.append(fault)

    @property
    def faults(self) -> tuple[Fault, ...]:
        return tuple(self._faults)

    @property
    def lost(self) -> int:
        """Transitions lost in all."""
        return sum(fault.lost for fault in self._faults)

    def __len__(self) -> int:
        return len(self._faults)

    def __str__(self) -> str:
        count = len(self)
        transitions = f"{self.lost} transition{'' if self.lost == 1 else 's'}"
        return f"{count} fault{'' if count == 1 else 's'}, {transitions} lost"
