"""
One client, however often its transport changes, and the registry of all of them.

A session has a transport, or waits for one (between two polls, or because the client is away), or has ended. It owns
what the client has not been sent yet and the only deadline that runs for the client at the time::

    on a stream            the next heartbeat is due; or, one being asked, its answer is
    on a held poll         the poll has been held long enough and is answered empty
    without a transport    the client has been away long enough: the end

Whatever is accepted in one turn of the reactor leaves at the end of it, in one write.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from hashlib import blake2s
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from siotwisted.config import Config
from siotwisted.dialects import Route
from siotwisted.errors import ProtocolError, QueueFull, SessionClosed
from siotwisted.handshake import Handshake
from siotwisted.interfaces import IPacketReceiver, ISessionTransport
from siotwisted.outbox import Outbox
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Kind, Packet, Reason

__all__ = ["Session", "SessionReceiver", "SessionRegistry", "newSessionID"]

#: How many bytes are written to a stream at once, before it is asked again whether it takes more.
_SLICE = 65536
_GOODBYE = Outgoing(Packet(Kind.CLOSE, ""))


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
        """A client sent a message."""

    def sessionClosed(self, session: Session, reason: Reason) -> None:
        """The session has ended. Called once for each, and nothing is called for it afterwards."""


@implementer(IPacketReceiver)
class Session:
    """
    One client.

    :ivar id: its id, which is also the secret that lets it come back.
    :ivar handshake: its first request.
    :ivar transportName: the transport that it uses, or used last.
    :ivar closed: whether it has ended.
    """

    __slots__ = (
        "_alarm",
        "_config",
        "_due",
        "_flushing",
        "_greeting",
        "_heartbeat",
        "_heartbeats",
        "_lost",
        "_opened",
        "_outbox",
        "_overflowing",
        "_registry",
        "closed",
        "codec",
        "handshake",
        "id",
        "route",
        "transport",
        "transportName",
    )

    def __init__(self, id: str, registry: SessionRegistry, route: Route, handshake: Handshake) -> None:
        config = registry.config
        self.id = id
        self.route = route
        self.handshake = handshake
        self.codec = route.codec(self)
        self.transport: ISessionTransport | None = None
        self.transportName = route.transport
        self.closed = False
        self._registry = registry
        self._config = config
        self._outbox = Outbox(config.queueMessages, config.queueBytes)
        self._flushing = False
        self._opened = False
        self._overflowing = False
        #: The packet that opens the session, until it is sent.
        self._greeting: Outgoing | None = Outgoing(Packet(Kind.OPEN, id))
        #: The heartbeat that waits for its echo; and how many there were.
        self._heartbeat: Outgoing | None = None
        self._heartbeats = 0
        #: Why the client is away.
        self._lost = Reason.RECONNECT_TIMEOUT
        self._due = 0.0
        self._alarm: IDelayedCall | None = None

    @property
    def label(self) -> str:
        """A short name for logs, from which the id can't be told."""
        return blake2s(self.id.encode("ascii"), digest_size=4).hexdigest()

    # What the application asks for.

    def send(self, outgoing: Outgoing) -> None:
        """
        Accept a message: it leaves at the end of this turn of the reactor, or when the client is there to take it; at
        once if a full queue has to make room for it, and can.

        :raises SessionClosed: if the session has ended.
        :raises siotwisted.errors.QueueFull: if too much waits already.
        :raises siotwisted.errors.EncodeError: if the client's codec can't write it.
        """
        if self.closed:
            raise SessionClosed("the session has ended")
        size = len(self.codec.frame(outgoing))
        try:
            self._outbox.accept(outgoing, size)
        except QueueFull:
            self._acceptMore(outgoing, size)
        self._scheduleFlush()

    def _acceptMore(self, outgoing: Outgoing, size: int) -> None:
        """
        The queue is full: a stream that takes bytes takes them now, for one turn may bring more than a queue holds.
        """
        if self.transport is not None and self.transport.streaming:
            self.flush()
        try:
            self._outbox.accept(outgoing, size)
        except QueueFull:
            if not self._overflowing:
                self._overflowing = True
                self._registry.log.warn("session {label}: its queue is full, and refuses messages", label=self.label)
            raise

    def close(self, reason: Reason) -> None:
        """
        End the session, once: what was accepted is written if the client is there to take it, the client's transport
        ends, and the receiver is told. A second call does nothing.
        """
        if self.closed:
            return
        self.closed = True
        self._registry.forget(self)
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        transport = self.transport
        if transport is not None:
            try:
                chunks = self._farewell()
            except Exception:
                self._failed()
                chunks = []
            self._detach()
            if transport.streaming or chunks:
                transport.loseConnection(chunks)
            else:
                # Any answer, even an empty one, would make the client poll again.
                transport.abortConnection()
        self._registry.ended(self, reason, len(self._outbox))
        del self.codec  # which knows its session: without this, both would wait for the garbage collector

    def _farewell(self) -> list[bytes]:
        """All that waits, and goodbye if the codec has a word for it, dressed for the transport."""
        batch = self._waiting()
        if self.codec.frame(_GOODBYE):
            batch.append(_GOODBYE)
        return self.codec.dressed(batch)

    def _failed(self) -> None:
        """A codec that is not ours raised what it must not: the application's log gets it."""
        self._registry.log.failure("session {label}: its codec failed", label=self.label)

    # What the client's transports tell.

    def attach(self, transport: ISessionTransport) -> None:
        """
        Use this transport from now on; the one before it, if there still is one, ends with an orderly goodbye.

        :raises SessionClosed: if the session has ended.
        """
        if self.closed:
            raise SessionClosed("the session has ended")
        previous = self.transport
        self._detach()
        self._registry.transports.add(transport)
        self.transport = transport
        self.transportName = transport.name
        self.codec.makeConnection(transport)
        self._wakeIn(self._config.heartbeatInterval if transport.streaming else self._config.pollDuration)
        self._scheduleFlush()
        if previous is not None:
            previous.loseConnection()
        if not self._opened:
            self._opened = True
            self._registry.receiver.sessionOpened(self)

    def transportLost(self, transport: ISessionTransport, reason: Reason, final: bool = False) -> None:
        """
        A transport has ended: a poll was answered, a connection was lost.

        :param final: whether the client said that it is leaving: the session ends, rather than to wait for its return.
        """
        self._registry.transportGone(transport)
        if transport is self.transport:
            self._detach()
            if final:
                self.close(reason)
            else:
                self._lost = reason
                self._wakeIn(self._config.reconnectTimeout)

    def transportReady(self) -> None:
        """The transport takes bytes again."""
        self._scheduleFlush()

    def dataReceived(self, payload: str, form: bool = False) -> bool:
        """
        The client sent a payload. If it is damaged, the good packets before the damage count, and the session ends.

        :param form: the payload went through an HTML form.
        :return: whether it was whole.
        """
        if self.closed:
            return True  # nobody listens any more
        try:
            self.codec.dataReceived(payload, form)
        except ProtocolError as error:
            self.fail(error)
            return False
        except Exception:
            self._failed()
            self.close(Reason.PARSE_ERROR)
            return False
        return True

    def fail(self, error: ProtocolError) -> None:
        """The client broke its protocol: log it and end the session, and no other."""
        if not self.closed:
            self._registry.log.info("session {label}: {error}", label=self.label, error=error)
            self.close(Reason.PARSE_ERROR)

    def packetsReceived(self, packets: Sequence[Packet]) -> None:
        """
        The packets of one payload, from the codec: signs of life and goodbyes are ours, the rest is the receiver's.
        """
        for packet in packets:
            if self.closed:
                return
            if packet.kind is Kind.HEARTBEAT:
                self._heard(packet.data)
            elif packet.kind is Kind.CLOSE:
                self.close(Reason.CLIENT_DISCONNECT)
            else:
                self._registry.receiver.packetReceived(self, packet)

    # Bytes out.

    def _waiting(self, most: int | None = None) -> list[Outgoing]:
        """All that waits to be sent, the greeting before everything."""
        self._overflowing = False
        batch = self._outbox.take(most)
        if self._greeting is not None:
            batch.insert(0, self._greeting)
            self._greeting = None
        return batch

    def _scheduleFlush(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._registry.flushSoon(self)

    def flush(self) -> None:
        """
        Write all that waits, or as much of it as the transport takes. Called by the registry at the end of a turn.

        A stream gets it in slices until it is full: what it holds is its own copy, what waits here is shared.
        """
        self._flushing = False
        transport = self.transport
        if transport is None:
            return
        slice = _SLICE if transport.streaming else None
        try:
            while transport is self.transport and transport.ready and (batch := self._waiting(slice)):
                self.codec.send(batch)
        except Exception:
            self._failed()

    def _detach(self) -> None:
        if self.transport is not None:
            self.transport = None
            self._heartbeat = None
            self.codec.connectionLost()

    # Time.

    def _heard(self, number: str) -> None:
        """An echo counts if it is the one that is due; no other buys the client time."""
        if self._heartbeat is not None and number == self._heartbeat.text:
            self._heartbeat = None
            self._wakeIn(self._config.heartbeatInterval)

    def _wakeIn(self, seconds: float) -> None:
        """Set the deadline. The alarm behind it is moved only if it would ring too late; too early does no harm."""
        clock = self._registry.clock
        self._due = clock.seconds() + seconds
        if self._alarm is None:
            self._alarm = clock.callLater(seconds, self._wake)
        elif self._alarm.getTime() > self._due:
            self._alarm.reset(seconds)

    def _wake(self) -> None:
        self._alarm = None
        left = self._due - self._registry.clock.seconds()
        if left > 0:
            self._alarm = self._registry.clock.callLater(left, self._wake)
        elif self.transport is None:
            self.close(self._lost)
        elif not self.transport.streaming:
            self.transport.loseConnection()
        elif self._heartbeat is None:
            self._askForLife(self.transport)
        else:
            stream = self.transport
            self.transportLost(stream, Reason.PING_TIMEOUT)
            stream.abortConnection()

    def _askForLife(self, stream: ISessionTransport) -> None:
        """Send a heartbeat, behind all that waits: its echo then speaks for all of it."""
        self._heartbeats += 1
        self._heartbeat = Outgoing(Packet(Kind.HEARTBEAT, str(self._heartbeats)))
        self._wakeIn(self._config.heartbeatTimeout)
        # Small as it is, it is sent to a client that reads too slowly too, which has no more time for it than others.
        waiting = self._waiting() if stream.ready or self._greeting is not None else []
        self.codec.send([*waiting, self._heartbeat])


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
        #: Every transport that has not ended yet, of whatever session.
        self.transports: set[ISessionTransport] = set()
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
        """The session of this id, if there is one."""
        return self._sessions.get(id)

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

    def ended(self, session: Session, reason: Reason, undelivered: int) -> None:
        """
        A session has ended: tell the receiver.

        :param undelivered: how many messages it had accepted that were never written.
        """
        if undelivered:
            self.log.warn(
                "session {label} ended ({reason}) with {undelivered} messages undelivered",
                label=session.label,
                reason=str(reason),
                undelivered=undelivered,
            )
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
            self._closing = False
            self._checkStopped()
        result: Deferred[None] = Deferred()
        self._stopped.addCallback(lambda _: result.callback(None))
        return result

    def _checkStopped(self) -> None:
        if self._stopped is not None and not (self._closing or self.transports or self._stopped.called):
            self._stopped.callback(None)
