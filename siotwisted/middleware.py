"""
Middleware of one connection: what is asked about every event of its client, and the events that wait meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from siotwisted.errors import EventRefused
from siotwisted.events import told
from siotwisted.handlers import waitable
from siotwisted.packets import Packet

__all__ = ["Asking", "PacketMiddleware"]


class Asking(Protocol):
    """Whose events are looked at: a connection."""

    @property
    def connected(self) -> bool:
        """Whether its client is still there."""

    def dispatch(self, id: int | None, event: Any, *arguments: Any) -> None:
        """This event has passed."""


class PacketMiddleware:
    """
    The middleware of one connection, and its events in the order in which they came.

    :ivar middleware: what is asked; each gets the connection, the name of the event, and its arguments in a list.
    :param limit: how many events may wait.
    """

    __slots__ = ("_connection", "_limit", "_queue", "_running", "_thinking", "middleware")

    _log = Logger()

    def __init__(self, connection: Asking, limit: int) -> None:
        self.middleware: list[Callable[..., object]] = []
        self._connection = connection
        self._limit = limit
        self._queue: deque[Packet] = deque()
        self._running = False
        self._thinking: Deferred[Any] | None = None

    def received(self, packet: Packet) -> bool:
        """
        An event has come.

        :return: False if there is no more room for it.
        """
        if len(self._queue) >= self._limit:
            return False
        self._queue.append(packet)
        if not self._running:
            self._running = True
            Deferred.fromCoroutine(self._work())
        return True

    def stop(self) -> None:
        """The client has left: what waits is dropped, and middleware that thinks about an event is cancelled."""
        self._queue.clear()
        if self._thinking is not None:
            self._thinking.cancel()

    async def _work(self) -> None:
        while self._queue:
            packet = self._queue.popleft()
            event, *arguments = told(packet)
            if await self._passes(str(event), arguments) and self._connection.connected:
                self._connection.dispatch(packet.id, event, *arguments)
        self._running = False

    async def _passes(self, event: str, arguments: list[Any]) -> bool:
        for middleware in self.middleware:
            try:
                self._thinking = waitable(middleware(self._connection, event, arguments))
                if self._thinking is not None:
                    await self._thinking
            except EventRefused:
                return False
            except (Exception, SystemExit) as error:
                if self._connection.connected or not isinstance(error, CancelledError):  # else it was stopped
                    self._log.failure(
                        "middleware {middleware!r} failed for {event}", middleware=middleware, event=event
                    )
                return False
            finally:
                self._thinking = None
            if not self._connection.connected:
                return False
        return True
