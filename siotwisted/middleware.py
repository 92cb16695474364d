"""
Middleware of one connection: what is asked about every event of its client, and the events that wait meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from siotwisted.backlog import Backlog
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
    :param backlog: where events wait.
    """

    __slots__ = ("_backlog", "_connection", "_running", "_thinking", "middleware")

    _log = Logger()

    def __init__(self, connection: Asking, backlog: Backlog) -> None:
        self.middleware: list[Callable[..., object]] = []
        self._connection = connection
        self._backlog = backlog
        self._running = False
        self._thinking: Deferred[Any] | None = None

    def received(self, packet: Packet) -> bool:
        """
        An event has come.

        :return: False if there is no more room for it.
        """
        if not self._backlog.add(packet):
            return False
        if not self._running:
            self._running = True
            Deferred.fromCoroutine(self._work())
        return True

    def stop(self) -> None:
        """The client has left: what waits is dropped, and middleware that thinks about an event is cancelled."""
        self._backlog.clear()
        if self._thinking is not None:
            self._thinking.cancel()

    async def _work(self) -> None:
        while self._backlog:
            packet = self._backlog.take()
            event, *arguments = told(packet)
            if await self._passes(str(event), arguments) and self._connection.connected:
                self._connection.dispatch(packet.id, event, *arguments)
        self._running = False

    async def _passes(self, event: str, arguments: list[Any]) -> bool:
        for middleware in self.middleware:
            try:
                self._thinking = waitable(middleware(self._connection, event, arguments))
                if self._thinking is not None:
                    if not self._connection.connected:
                        self._thinking.cancel()
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
