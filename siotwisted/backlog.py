"""
Packets of a client that wait for an application to make up its mind.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from siotwisted.packets import Packet

__all__ = ["Backlog", "Counting"]


class Counting(Protocol):
    """Where they come from: a session."""

    #: How many bytes have come from the client, ever.
    bytesReceived: int


class Backlog:
    """
    A queue with two limits.

    :param session: whose packets they are.
    :param maxPackets: how many may wait.
    :param maxBytes: how many bytes may have come from the client since the first of them.
    """

    __slots__ = ("_maxBytes", "_maxPackets", "_packets", "_session")

    def __init__(self, session: Counting, maxPackets: int, maxBytes: int) -> None:
        self._session = session
        self._maxPackets = maxPackets
        self._maxBytes = maxBytes
        #: Each with what had come from the client then.
        self._packets: deque[tuple[Packet, int]] = deque()

    def __len__(self) -> int:
        return len(self._packets)

    def add(self, packet: Packet) -> bool:
        """
        Let a packet wait.

        :return: False if there is no room for it.
        """
        waiting, received = self._packets, self._session.bytesReceived
        if waiting and (len(waiting) >= self._maxPackets or received - waiting[0][1] > self._maxBytes):
            return False
        waiting.append((packet, received))
        return True

    def take(self) -> Packet:
        """The first that waits."""
        return self._packets.popleft()[0]

    def clear(self) -> None:
        """Forget all of them."""
        self._packets.clear()
