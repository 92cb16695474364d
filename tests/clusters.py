"""Servers that are one, in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from zope.interface import implementer

from siotwisted.interfaces import ICluster

__all__ = ["MemoryCluster", "SlowCluster"]


@implementer(ICluster)
class MemoryCluster:
    """
    One of several servers in one process; each is told at once, with copies of all values.

    :param all: all of them that are there, by number.
    """

    def __init__(self, number: int, all: dict[int, MemoryCluster]) -> None:
        self.number = number
        self._all = all
        self._handlers: dict[str, list[Callable[..., None]]] = {}
        self._come: list[Callable[[int], None]] = []
        self._go: list[Callable[[int], None]] = []

    def enter(self) -> None:
        """It is there: it and the others know of each other."""
        others = list(self._all.values())
        self._all[self.number] = self
        for other in others:
            for one, two in ((self, other), (other, self)):
                for handler in one._come:
                    handler(two.number)

    def leave(self) -> None:
        """It is gone."""
        del self._all[self.number]
        for other in list(self._all.values()):
            for handler in other._go:
                handler(self.number)

    def tell(self, topic: str, *values: Any) -> None:
        """See :class:`ICluster`."""
        for number in list(self._all):
            if number != self.number:
                self.tellOne(number, topic, *values)

    def tellOne(self, number: int, topic: str, *values: Any) -> None:
        """See :class:`ICluster`."""
        other = self._all.get(number)
        if other is not None and self.number in self._all:
            copies = msgspec.msgpack.decode(msgspec.msgpack.encode(values))
            for handler in other._handlers.get(topic, ()):
                handler(self.number, *copies)

    def on(self, topic: str, handler: Callable[..., None]) -> None:
        """See :class:`ICluster`."""
        self._handlers.setdefault(topic, []).append(handler)

    def onCome(self, handler: Callable[[int], None]) -> None:
        """See :class:`ICluster`."""
        self._come.append(handler)

    def onGo(self, handler: Callable[[int], None]) -> None:
        """See :class:`ICluster`."""
        self._go.append(handler)


class SlowCluster(MemoryCluster):
    """The same, but what is told is on its way until it is delivered."""

    def __init__(self, number: int, all: dict[int, MemoryCluster]) -> None:
        super().__init__(number, all)
        self._sent: dict[int, list[tuple[str, tuple[Any, ...]]]] = {}

    def tellOne(self, number: int, topic: str, *values: Any) -> None:
        """See :class:`ICluster`."""
        if number in self._all:
            self._sent.setdefault(number, []).append((topic, values))

    @property
    def waiting(self) -> list[int]:
        """For whom something is on its way."""
        return [number for number, sent in self._sent.items() if sent]

    def deliver(self, number: int) -> None:
        """The next of it arrives there."""
        topic, values = self._sent[number].pop(0)
        super().tellOne(number, topic, *values)
