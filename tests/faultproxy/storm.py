"""
A seeded storm: for every client, one fault after the other.

Each client has a generator of random numbers of its own, so what happens to it does not depend on the others. What a
fault does, where in the bytes, and when the next one comes is drawn; which of the client's connections it meets is the
client's own doing.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from .proxy import DIRECTIONS, Fault, FaultProxy, Link

__all__ = ["Storm"]

#: How often each kind comes, in parts of all.
_SHARES = {"rst": 36, "fin": 36, "half-open": 8, "stall": 6, "slow": 5, "segments": 7, "away": 2}

#: Between which seconds each kind lasts.
_LENGTHS = {
    "half-open": (0.3, 4.0),
    "stall": (0.1, 2.5),
    "slow": (0.2, 2.0),
    "segments": (0.05, 0.5),
    "away": (1.0, 6.0),
}

# A cut does not wait longer than this for its byte, in seconds: there are cuts between messages, too.
_PATIENCE = 0.3


class Storm:
    """
    Draws faults and arms them, until it is stopped.

    :param reactor: for the time
    :param proxy: where they happen
    :param seed: the same for the same faults
    :param pause: how many seconds there are between two faults of a client, on average
    """

    def __init__(self, reactor: Any, proxy: FaultProxy, seed: int, pause: float) -> None:
        self._reactor = reactor
        self._proxy = proxy
        self._seed = seed
        self._pause = pause
        self._going = False
        self._randoms: dict[str, Random] = {}
        #: Faults that wait for a connection to come.
        self._due: dict[str, Fault] = {}

    def start(self, names: Sequence[str]) -> None:
        """Begin with the connections of these clients."""
        self._going = True
        self._proxy.onLink = self._linked
        for name in names:
            self._randoms[name] = Random(f"{self._seed} {name}")
            self._wait(name)

    def stop(self) -> None:
        """Draw no more faults."""
        self._going = False
        self._due.clear()
        self._proxy.heal()

    def draw(self, random: Random) -> Fault:
        """What happens next; the kind "away" is not the proxy's, but the client's whole line."""
        (kind,) = random.choices([*_SHARES], weights=[*_SHARES.values()])
        seconds = random.uniform(*_LENGTHS.get(kind, (0.0, 0.0)))
        # Many faults in the first bytes, some far behind.
        after = int(2 ** random.uniform(0, 12)) - 1
        cuts = kind in ("rst", "fin", "half-open")
        both = random.random() < 0.5
        return Fault(kind, random.choice(DIRECTIONS), after, seconds, both, _PATIENCE if cuts else None)

    def _wait(self, name: str) -> None:
        pause = min(self._randoms[name].expovariate(1 / self._pause), 4 * self._pause)
        self._reactor.callLater(pause, self._strike, name)

    def _strike(self, name: str) -> None:
        if not self._going:
            return
        random = self._randoms[name]
        fault = self.draw(random)
        links = self._proxy.of(name)
        if fault.kind == "away":
            self._proxy.leave(name, fault.seconds)
        elif links:
            random.choice(links).arm(fault)
        else:
            self._due[name] = fault
        self._wait(name)

    def _linked(self, link: Link) -> None:
        fault = self._due.pop(link.name, None)
        if fault is not None:
            link.arm(fault)
