"""
What was accepted for one client and has not been handed to a transport yet: a queue with two limits.
"""

from __future__ import annotations

from collections import deque

from siotwisted.errors import QueueFull
from siotwisted.outgoing import Outgoing

__all__ = ["Outbox"]


class Outbox:
    """
    The outgoing queue of one session: it refuses at the door and never drops what it let in.

    :param maxMessages: how many messages may wait.
    :param maxBytes: how many bytes their frames may have together.
    :ivar bytes: how many bytes wait.
    """

    __slots__ = ("_maxBytes", "_maxMessages", "_waiting", "bytes")

    def __init__(self, maxMessages: int, maxBytes: int) -> None:
        self._maxMessages = maxMessages
        self._maxBytes = maxBytes
        self._waiting: deque[tuple[Outgoing, int]] = deque()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def accept(self, outgoing: Outgoing, size: int) -> None:
        """
        Take a message into the queue.

        :param size: the bytes of its frame.
        :raises QueueFull: if it does not fit; nothing changes then.
        """
        waiting = self._waiting
        if len(waiting) >= self._maxMessages or self.bytes + size > self._maxBytes:
            raise QueueFull(f"{len(waiting)} messages of {self.bytes} bytes wait, and this one has {size}")
        self.add(outgoing, size)

    def add(self, outgoing: Outgoing, size: int) -> None:
        """Take a packet of our own into the queue, which no limit may keep out."""
        self._waiting.append((outgoing, size))
        self.bytes += size

    def take(self, most: int | None = None) -> list[Outgoing]:
        """The first that wait, in order, until they have ``most`` bytes; all of them without it."""
        waiting = self._waiting
        if most is None or self.bytes <= most:
            self._waiting, self.bytes = deque(), 0
            return [outgoing for outgoing, _ in waiting]
        batch: list[Outgoing] = []
        while waiting and most > 0:
            outgoing, size = waiting.popleft()
            batch.append(outgoing)
            self.bytes -= size
            most -= size
        return batch
