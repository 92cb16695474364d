"""
All sessions of one server: every transport finds them here.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from siotwisted.config import Config
from siotwisted.dialects.dialect import Route
from siotwisted.handshake import Handshake
from siotwisted.interfaces import ISessionTransport
from siotwisted.packets import Packet, Reason
from siotwisted.session import Session

__all__ = ["SessionReceiver", "SessionRegistry", "newSessionID"]


def newSessionID() -> str:
    """
    A new session id: 160 bits that nobody can guess, in 27 characters that a URL can hold.

    The first is a letter, always: a number in its place in a URL is a time against caches.
    """
    return secrets.choice("abcdefghijklmnopqrstuvwxyz") + secrets.token_urlsafe(20)[:26]


class SessionReceiver(Protocol):
    """What sessions tell: the server."""

    def sessionOpened(self, session: Session) -> None:
        """A new client is there and can be sent to."""

    def packetReceived(self, session: Session, packet: Packet) -> None:
        """A client sent a packet that is not the session's own."""

    def sessionClosed(self, session: Session, reason: Reason) -> None:
        """The session has ended. Called once for each, and nothing is called for it afterwards."""


class SessionRegistry:
    """
    All sessions of one server: every transport finds them here.

    :param clock: the reactor, or a :class:`~twisted.internet.task.Clock`.
    :param receiver: is told of sessions that open and close, and of what clients send.
    """

    log = Logger()

    def __init__(self, clock: IReactorTime, config: Config, receiver: SessionReceiver) -> None:
        self.clock = clock
        self.config = config
        self.receiver = receiver
        self.opened = receiver.sessionOpened
        self.received = receiver.packetReceived
        #: Every transport that has not ended yet, of whatever session.
        self.transports: set[ISessionTransport] = set()
        #: Sessions that have ended, and have a last word for a client that was between two polls.
        self.late: dict[str, Session] = {}
        self._sessions: dict[str, Session] = {}
        self._flushes: list[Session] = []
        self._stopped: Deferred[None] | None = None
        self._closing = False

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    @property
    def stopping(self) -> bool:
        """Whether :meth:`stop` was called: no new session is welcome."""
        return self._stopped is not None

    def get(self, id: str) -> Session | None:
        """The session of this id, if there is one; one that has ended, if it still has something to say."""
        return self._sessions.get(id) or self.late.get(id)

    def open(self, route: Route, handshake: Handshake) -> Session:
        """
        Begin a session. It can be found from now on; the receiver is told of it when its first transport is attached.
        """
        session = Session(newSessionID(), self, route, handshake)
        self._sessions[session.id] = session
        return session

    def forget(self, session: Session) -> None:
        """A session is about to end: no request finds it any more."""
        del self._sessions[session.id]

    def undelivered(self, session: Session, count: int) -> None:
        """So many messages of a session were accepted, and never written."""
        self.log.warn(
            "session {label} ended with {undelivered} messages undelivered", label=session.label, undelivered=count
        )

    def ended(self, session: Session, reason: Reason) -> None:
        """A session has ended: tell the receiver."""
        self.receiver.sessionClosed(session, reason)

    def transportGone(self, transport: ISessionTransport) -> None:
        """A transport has ended."""
        self.transports.discard(transport)
        self._checkStopped()

    def flushSoon(self, session: Session) -> None:
        """Have ``session.flush()`` called at the end of this turn of the reactor."""
        if not self._flushes:
            self.clock.callLater(0, self._flushAll)
        self._flushes.append(session)

    def _flushAll(self) -> None:
        sessions, self._flushes = self._flushes, []
        for session in sessions:
            session.flush()

    def stop(self) -> Deferred[None]:
        """
        End every session.

        :return: fires when the last transport has ended; a WebSocket whose client does not react is cut after
            ``closeTimeout``.
        """
        if self._stopped is None:
            self._stopped = Deferred()
            self._closing = True
            for session in self:
                session.close(Reason.SERVER_SHUTTING_DOWN)
            for session in list(self.late.values()):
                session.forget()
            self._closing = False
            self._checkStopped()
        result: Deferred[None] = Deferred()
        self._stopped.addCallback(lambda _: result.callback(None))
        return result

    def _checkStopped(self) -> None:
        if self._stopped is not None and not (self._closing or self.transports or self._stopped.called):
            self._stopped.callback(None)
