"""
All sessions of one server: every transport finds them here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from siotwisted.config import Config
from siotwisted.deadlines import Alarms
from siotwisted.dialects.dialect import Route
from siotwisted.handshake import Handshake
from siotwisted.ids import newSessionID
from siotwisted.interfaces import ISessionTransport
from siotwisted.outbox import Entry
from siotwisted.packets import Packet, Reason
from siotwisted.sender import Sender
from siotwisted.session import Session

__all__ = ["SessionReceiver", "SessionRegistry"]


#: How often, in seconds, the server looks whether its clients have all that was sent to them, before it stops.
_LOOK = 0.05


class SessionReceiver(Protocol):
    """What sessions tell: the server."""

    def sessionOpened(self, session: Session) -> None:
        """A new client is there and can be sent to."""

    def packetReceived(self, session: Session, packet: Packet) -> None:
        """A client sent a packet that is not the session's own."""

    def sessionClosed(self, session: Session, reason: Reason) -> None:
        """The session has ended. Called once for each; only :meth:`sessionSettled` follows."""

    def sessionSettled(self, session: Session, reason: Reason, entries: Sequence[Entry]) -> None:
        """Of all that a session that has ended had accepted, its client may not have these messages."""


class SessionRegistry:
    """
    All sessions of one server: every transport finds them here.

    :param clock: the reactor, or a :class:`~twisted.internet.task.Clock`.
    :param receiver: is told of sessions that open and close, and of what clients send.
    :param server: which of several servers this one is, if it is one of such.
    """

    log = Logger()

    def __init__(
        self, clock: IReactorTime, config: Config, receiver: SessionReceiver, server: int | None = None
    ) -> None:
        self._server = server
        self.clock = clock
        self.alarms = Alarms(clock)
        self.config = config
        self.receiver = receiver
        self.received = receiver.packetReceived
        #: Every transport that has not ended yet, of whatever session.
        self.transports: set[ISessionTransport] = set()
        #: Sessions that have ended, and have a last word for a client that was between two polls.
        self.late: dict[str, Session] = {}
        self._sessions: dict[str, Session] = {}
        self._flushes: list[Sender] = []
        self._stopped: Deferred[None] | None = None
        self._closing = False
        #: The next look at whether all clients have what was sent to them; and until when that is waited for.
        self._draining: IDelayedCall | None = None
        self._drained = 0.0

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
        session = Session(newSessionID(self._server), self, route, handshake)
        self._sessions[session.id] = session
        return session

    def opened(self, session: Session) -> None:
        """A session has its first transport: tell the receiver."""
        try:
            self.receiver.sessionOpened(session)
        except Exception:
            self._failed(session)

    def forget(self, session: Session) -> None:
        """A session is about to end: no request finds it any more."""
        del self._sessions[session.id]

    def ended(self, session: Session, reason: Reason) -> None:
        """A session has ended: tell the receiver."""
        try:
            self.receiver.sessionClosed(session, reason)
        except Exception:
            self._failed(session)

    def settled(self, session: Session, reason: Reason, entries: Sequence[Entry]) -> None:
        """Nothing more is heard of what a session had accepted: tell the receiver."""
        try:
            self.receiver.sessionSettled(session, reason, entries)
        except Exception:
            self._failed(session)

    def _failed(self, session: Session) -> None:
        """A receiver that is not ours raised what it must not: the application's log gets it."""
        self.log.failure("session {label}: the receiver failed", label=session.label)

    def transportGone(self, transport: ISessionTransport) -> None:
        """A transport has ended."""
        self.transports.discard(transport)
        if self._stopped is not None:
            self._checkStopped()

    def flushSoon(self, sender: Sender) -> None:
        """Have ``sender.flush()`` called at the end of this turn of the reactor."""
        if not self._flushes:
            self.clock.callLater(0, self._flushAll)
        self._flushes.append(sender)

    def _flushAll(self) -> None:
        senders, self._flushes = self._flushes, []
        for sender in senders:
            sender.flush()

    def stop(self, drainTimeout: float = 0.0) -> Deferred[None]:
        """
        Let no new client in, wait until all that are there have what was sent to them, and end every session. A second
        call can only shorten the wait.

        :param drainTimeout: for how many seconds they are waited for.
        :return: fires when the last transport has ended; a WebSocket whose client does not react is cut after
            ``closeTimeout``.
        """
        deadline = self.clock.seconds() + drainTimeout
        if self._stopped is None:
            self._stopped = Deferred()
            self._drained = deadline
            self._drain()
        else:
            self._drained = min(self._drained, deadline)
            if self._draining is not None:
                self._draining.cancel()
                self._drain()
        result: Deferred[None] = Deferred()
        self._stopped.addCallback(lambda _: result.callback(None))
        return result

    def _drain(self) -> None:
        self._draining = None
        self._closing = True  # one that answers at once may be the last
        waits = self._drained > self.clock.seconds() and (not all([each.drain() for each in self]) or bool(self.late))
        left = self._drained - self.clock.seconds()
        if waits and left > 0:
            self._closing = False
            self._draining = self.clock.callLater(min(_LOOK, left), self._drain)
        else:
            self._closeAll()

    def _closeAll(self) -> None:
        assert self._stopped is not None
        self._closing = True
        for session in self:
            session.close(Reason.SERVER_SHUTTING_DOWN)
        for session in list(self.late.values()):
            session.forget()
        self._closing = False
        self._checkStopped()

    def _checkStopped(self) -> None:
        busy = self._closing or self._draining or self.transports
        if self._stopped is not None and not busy and not self._stopped.called:
            self._stopped.callback(None)
