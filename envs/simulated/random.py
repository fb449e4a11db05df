"""Unity's random numbers."""

from __future__ import annotations

_WORD = 0xFFFFFFFF


class UnityRandom:
    """`UnityEngine.Random`: Marsaglia's xorshift128, "Xorshift RNGs" (2003), seeded as `InitState` seeds it.

    Chosen over numpy's generators because the same seed then gives the episodes a real build is believed to give: the
    algorithm is common knowledge about Unity and was never compared with a run of it. Its quality is enough: cells and
    goals are uniform within an episode stream and over consecutive seeds (tested).
    """

    def __init__(self, seed: int) -> None:
        state = [seed & _WORD]
        for _ in range(3):
            state.append((state[-1] * 1812433253 + 1) & _WORD)
        self._x, self._y, self._z, self._w = state

    def next(self) -> int:
        """The next 32 bits."""
        t = self._x ^ (self._x << 11) & _WORD
        self._x, self._y, self._z = self._y, self._z, self._w
        self._w = self._w ^ self._w >> 19 ^ t ^ t >> 8
        return self._w

    def range(self, low: int, high: int) -> int:
        """An integer of low..high-1."""
        return low + self.next() % (high - low)

    def uniform(self, low: float, high: float) -> float:
        """A number of low..high, both included, from 23 bits."""
        return low + (high - low) * (self.next() & 0x7FFFFF) / 0x7FFFFF
