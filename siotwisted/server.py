"""
One server: the wiring of sessions, admission and the application.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from siotwisted.admission import Admission
from siotwisted.config import Config
from siotwisted.namespaces import Namespace
from siotwisted.packets import Packet, Reason
from siotwisted.session import Session, SessionRegistry

__all__ = ["SocketIO"]

_Handler = TypeVar("_Handler", bound=Callable[..., object])


class SocketIO(Namespace):
    """
    A Socket.IO server, and the namespace that all its clients are in.

    Clients reach it through a :class:`~siotwisted.SocketIOResource`, a :class:`~siotwisted.SocketIOWebSocketFactory`,
    or any number of both: they share its sessions.

    :param reactor: for the time, and to write at the end of its turns.
    :param config: the settings; the defaults if left out.
    """

    def __init__(self, reactor: IReactorTime, config: Config | None = None) -> None:
        super().__init__()
        self.config = config or Config()
        self.registry = SessionRegistry(reactor, self.config, self)
        self.admission = Admission(self.registry)

    def authorize(self, handler: _Handler) -> _Handler:
        """
        Ask ``handler(request)`` whether a new client may connect. Can be used as a decorator; all that are registered
        must agree.

        The handler gets the :class:`~siotwisted.handshake.Handshake`, and returns True or False, or a Deferred or
        coroutine of one. A client that it refuses is told so with the HTTP status of its generation, 401 for Socket.IO
        0.6; if it fails, 500.
        """
        self.admission.authorizers.append(handler)
        return handler

    def stop(self) -> Deferred[None]:
        """
        End every connection and let no new one in.

        :return: fires when all are closed. A WebSocket whose client does not react is cut after ``closeTimeout``.
        """
        return self.registry.stop()

    def sessionOpened(self, session: Session) -> None:
        """A session has its first transport."""
        self.connected(session)

    def packetReceived(self, session: Session, packet: Packet) -> None:
        """A session got a message. The realms of the streaming codec all meet in the one namespace."""
        self.received(session, packet)

    def sessionClosed(self, session: Session, reason: Reason) -> None:
        """A session has ended."""
        self.disconnected(session, reason)
