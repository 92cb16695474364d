"""
One client, however often its transport changes.

A session has a transport, or waits for one (between two polls, or because the client is away), or has ended. It owns
what the client has not been sent yet. While a client tries out a WebSocket, to move there from its polls, the session
has that one too, as its probe.

Whatever is accepted in one turn of the reactor leaves at the end of it, in one write.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2s
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from siotwisted.config import Config
from siotwisted.dialects.dialect import Dialect, Route
from siotwisted.errors import ProtocolError, QueueFull, SessionClosed, UnsupportedByClient
from siotwisted.handshake import Handshake
from siotwisted.interfaces import IPacketReceiver, ISessionTransport
from siotwisted.liveness import LIVENESS
from siotwisted.outbox import Outbox
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Kind, Packet, Reason
from siotwisted.upgrade import Upgrade

__all__ = ["Session", "SessionOwner"]

#: How many bytes are written to a stream at once, before it is asked again whether it takes more.
_SLICE = 65536
_GOODBYE = Outgoing(Packet(Kind.CLOSE))
_NOTHING = Outgoing(Packet(Kind.NOOP))
#: What belongs to the session alone, beside the signs of life, and means nothing here.
_IGNORED = frozenset((Kind.OPEN, Kind.NOOP, Kind.UPGRADE))
#: The ends that we bring about and the client hears of, if need be from its next poll.
_TOLD = frozenset((Reason.SERVER_DISCONNECT, Reason.FORCED_CLOSE))


class SessionOwner(Protocol):
    """
    What a session needs of the registry of all sessions.

    :ivar transports: every transport that has not ended yet, of whatever session.
    :ivar late: sessions that have ended, and have a last word for a client that was between two polls.
    """

    log: Logger
    clock: IReactorTime
    config: Config
    transports: set[ISessionTransport]
    late: dict[str, Session]

    def opened(self, session: Session) -> None:
        """Its first transport is there."""

    def received(self, session: Session, packet: Packet) -> None:
        """A packet came that is not the session's own."""

    def forget(self, session: Session) -> None:
        """A session is about to end: no request finds it any more."""

    def undelivered(self, session: Session, count: int) -> None:
        """So many messages of a session were accepted, and never written."""

    def ended(self, session: Session, reason: Reason) -> None:
        """A session has ended."""

    def transportGone(self, transport: ISessionTransport) -> None:
        """A transport has ended."""

    def flushSoon(self, session: Session) -> None:
        """Have ``session.flush()`` called at the end of this turn of the reactor."""


@implementer(IPacketReceiver)
class Session:
    """
    One client.

    :ivar id: its id, which is also the secret that lets it come back.
    :ivar handshake: its first request.
    :ivar transportName: the transport that it uses, or used last.
    :ivar closed: whether it has ended.
    :ivar bytesReceived: how many bytes, or characters of text, have come from the client.
    """

    __slots__ = (
        "_config",
        "_flushing",
        "_greeting",
        "_late",
        "_liveness",
        "_lost",
        "_opened",
        "_outbox",
        "_overflowing",
        "_registry",
        "_upgrade",
        "bytesReceived",
        "closed",
        "codec",
        "handshake",
        "id",
        "route",
        "transport",
        "transportName",
    )

    def __init__(self, id: str, registry: SessionOwner, route: Route, handshake: Handshake) -> None:
        config = registry.config
        self.id = id
        self.route = route
        self.handshake = handshake
        self.codec = route.codec(self)
        self.codec.begin(handshake, config.maxAttachments, 10 * config.maxPayload)
        self.transport: ISessionTransport | None = None
        self.transportName = route.transport
        self.closed = False
        self.bytesReceived = 0
        self._registry = registry
        self._config = config
        self._outbox = Outbox(config.queueMessages, config.queueBytes)
        self._flushing = False
        self._opened = False
        self._overflowing = False
        #: The packet that opens the session, until it is sent, if its protocol has one.
        self._greeting: Outgoing | None = None
        if self.codec.saysHello:
            self._greeting = Outgoing(Packet(Kind.OPEN, self.opening(route.carrier == "websocket")))
        #: The client's move from polls to a WebSocket, while it lasts.
        self._upgrade: Upgrade | None = None
        #: What a client that was between two polls when its session ended is still to hear; and until when it can.
        self._late: tuple[list[Outgoing], IDelayedCall] | None = None
        #: Why the client is away.
        self._lost = Reason.RECONNECT_TIMEOUT
        self._liveness = LIVENESS[route.dialect.heartbeat](self, registry.clock, config)

    @property
    def dialect(self) -> Dialect:
        """The generation of the client."""
        return self.route.dialect

    @property
    def label(self) -> str:
        """A short name for logs, from which the id can't be told."""
        return blake2s(self.id.encode("ascii"), digest_size=4).hexdigest()

    def opening(self, streaming: bool) -> str:
        """
        What the client is told of the new session.

        :param streaming: whether it has a WebSocket already.
        """
        return self.dialect.opening(self.id, streaming, self._config)

    # What the application asks for.

    def send(self, outgoing: Outgoing, volatile: bool = False) -> bool:
        """
        Accept a packet: it leaves at the end of this turn of the reactor, or when the client is there to take it; at
        once if a full queue has to make room for it, and can.

        :param volatile: forget it, rather than to keep it for a client that can't take it now.
        :return: whether it was accepted: always, unless it is volatile.
        :raises SessionClosed: if the session has ended.
        :raises siotwisted.errors.QueueFull: if too much waits already.
        :raises siotwisted.errors.UnsupportedByClient: if the client's generation has no words for it.
        """
        if self.closed:
            raise SessionClosed("the session has ended")
        size = self.codec.said(outgoing).size
        if volatile and not (self.transport is not None and self.transport.ready):
            return False
        try:
            self._outbox.accept(outgoing, size)
        except QueueFull:
            self._acceptMore(outgoing, size)
        self._scheduleFlush()
        return True

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
        self._end(reason, _GOODBYE)

    def _end(self, reason: Reason, goodbye: Outgoing) -> None:
        if self.closed:
            return
        self.closed = True
        self._registry.forget(self)
        self._liveness.stop()
        if self.transport is None and self._opened and reason in _TOLD and self.route.carrier != "websocket":
            # A client that is on its way to a WebSocket comes by that, and not with another poll.
            self._linger([*self._waiting(), goodbye])
        else:
            self._stay()
            if self.transport is not None:
                self._leave(reason, [*self._waiting(), goodbye])
            else:
                self._finish()
        if len(self._outbox):
            self._registry.undelivered(self, len(self._outbox))
        self._registry.ended(self, reason)

    def _leave(self, reason: Reason, batch: list[Outgoing]) -> None:
        """
        These packets, as far as the codec has words for them, are the last that the transport carries.

        On a poll, goodbye is left for the next one: clients from 4.6 on heed it before what comes with it, and would
        not know that it was us who ended the session.
        """
        transport = self.transport
        assert transport is not None
        later: list[Outgoing] = []
        if reason in _TOLD and len(batch) > 1 and self.codec.saysGoodbye and not transport.streaming:
            batch, later = batch[:-1], batch[-1:]
        try:
            chunks, binary = self.codec.dressed(batch)
        except Exception:
            self._failed()
            chunks, binary = [], False
        self._detach()
        if later:
            self._linger(later)
        else:
            self._finish()
        if transport.streaming or chunks:
            transport.loseConnection(chunks, binary)
        else:
            # Any answer, even an empty one, would make the client poll again.
            transport.abortConnection()

    def _linger(self, batch: list[Outgoing]) -> None:
        """The client is between two polls: the next one will carry what it does not know yet."""
        if len(batch) > 1 or self.codec.saysGoodbye:
            timeout = self._registry.clock.callLater(self._config.closeTimeout, self.forget)
            self._late = batch, timeout
            self._registry.late[self.id] = self
        else:
            self._stay()
            self._finish()

    def _finish(self) -> None:
        """Nothing is left to say. The codec knows its session: both would have to wait for the garbage collector."""
        del self.codec

    def forget(self) -> None:
        """The client has not come for what it was still to hear, and no longer can."""
        undelivered = len(self._tidy()) - 1
        self._finish()
        if undelivered:
            self._registry.undelivered(self, undelivered)

    def _tidy(self) -> list[Outgoing]:
        """Nothing is left to hear."""
        assert self._late is not None
        batch, timeout = self._late
        if timeout.active():
            timeout.cancel()
        self._late = None
        del self._registry.late[self.id]
        self._stay()
        return batch

    def _failed(self) -> None:
        """A codec that is not ours raised what it must not: the application's log gets it."""
        self._registry.log.failure("session {label}: its codec failed", label=self.label)

    # What the client's transports tell.

    def expectTransport(self) -> None:
        """The client knows its session, and will come with a transport soon."""
        self._liveness.wakeIn(self._config.connectTimeout)

    def attach(self, transport: ISessionTransport) -> None:
        """
        Use this transport from now on; the one before it, if there still is one, ends with an orderly goodbye.

        :raises SessionClosed: if the session has ended.
        """
        if self._late is not None:
            self._tellLate(transport)
            return
        if self.closed:
            raise SessionClosed("the session has ended")
        previous = self.transport
        farewell = self._nothing() if previous is not None and not previous.streaming else ([], False)
        self._detach()
        self._registry.transports.add(transport)
        self.transport = transport
        self.transportName = transport.name
        self.codec.makeConnection(transport)
        self._liveness.attached(transport)
        self._scheduleFlush()
        if previous is not None:
            previous.loseConnection(*farewell)
        if self._upgrade is not None:
            self._upgrade.polled()
        if not self._opened:
            self._opened = True
            self._registry.opened(self)

    def _tellLate(self, transport: ISessionTransport) -> None:
        """The session has ended, and here is the poll that takes the last words."""
        self._registry.transports.add(transport)
        self.transport = transport
        self.codec.makeConnection(transport)
        self._leave(Reason.SERVER_DISCONNECT, self._tidy())

    def _nothing(self) -> tuple[list[bytes], bool]:
        """An answer to a poll that has nothing to say."""
        return self.codec.dressed([_NOTHING])

    def transportLost(self, transport: ISessionTransport, reason: Reason, final: bool = False) -> None:
        """
        A connection was lost: that of a stream, or of a held poll.

        :param final: whether the client said that it is leaving: the session ends, rather than to wait for its return.
        """
        self._registry.transportGone(transport)
        if self._upgrade is not None and transport is self._upgrade.probe:
            self.moved(None)
        elif transport is self.transport:
            self._detach()
            outlives = self.dialect.outlivesStreams if transport.streaming else self.dialect.outlivesPolls
            if final or not outlives:
                self.close(reason)
            else:
                self._lost = reason
                self._liveness.detached()

    def pollAnswered(self, transport: ISessionTransport) -> None:
        """A poll has been answered; the client comes with another."""
        self._registry.transportGone(transport)
        if transport is self.transport:
            self._detach()
            self._lost = Reason.RECONNECT_TIMEOUT
            self._liveness.detached()

    def transportReady(self) -> None:
        """The transport takes bytes again."""
        self._scheduleFlush()

    def dataReceived(self, payload: str | bytes, form: bool = False) -> bool:
        """
        The client posted a payload. If it is damaged, the good packets before the damage count, and the session ends.

        :param form: the payload went through an HTML form.
        :return: whether it was whole.
        """
        if self.closed:
            return True  # nobody listens any more
        self.bytesReceived += len(payload)
        try:
            if not self._opened:
                raise ProtocolError("packets of a client that has no transport yet")
            self.codec.dataReceived(payload, form)
        except ProtocolError as error:
            self.fail(error)
            return False
        except Exception:
            self._failed()
            self.close(Reason.PARSE_ERROR)
            return False
        return True

    def messageReceived(self, transport: ISessionTransport, message: str | bytes) -> None:
        """A message came on a WebSocket; otherwise as :meth:`dataReceived`."""
        if self._upgrade is not None and transport is self._upgrade.probe:
            self._upgrade.messageReceived(message)
        elif not self.closed and transport is self.transport:
            self.bytesReceived += len(message)
            try:
                self.codec.messageReceived(message)
            except ProtocolError as error:
                self.fail(error)
            except Exception:
                self._failed()
                self.close(Reason.PARSE_ERROR)

    def fail(self, error: ProtocolError) -> None:
        """The client broke its protocol: log it and end the session, and no other."""
        if not self.closed:
            self._registry.log.info("session {label}: {error}", label=self.label, error=error)
            self.close(Reason.PARSE_ERROR)

    def packetsReceived(self, packets: Sequence[Packet]) -> None:
        """
        The packets of one payload, from the codec: signs of life and goodbyes are ours, the rest is the receiver's.
        """
        liveness = self._liveness
        if not self.closed:
            liveness.touched()
        for packet in packets:
            if self.closed:
                return
            kind = packet.kind
            if kind in liveness.kinds:
                liveness.heard(packet)
            elif kind is Kind.CLOSE:
                self._end(self.dialect.goodbye, _NOTHING)
            elif kind not in _IGNORED:
                try:
                    self._registry.received(self, packet)
                except Exception:
                    self._registry.log.failure("session {label}: the receiver failed", label=self.label)

    # From polls to a WebSocket.

    def probe(self, transport: ISessionTransport) -> None:
        """
        Let the client try out a WebSocket: it asks there for an answer, then moves to it for good.

        One that comes when there is a WebSocket already is closed.
        """
        self._registry.transports.add(transport)
        busy = self._upgrade is not None or (self.transport is not None and self.transport.streaming)
        if self.closed or busy or not self._config.allowUpgrades:
            transport.loseConnection()
        else:
            self._upgrade = Upgrade(self, transport, self._registry.clock, self._config)

    def moved(self, transport: ISessionTransport | None) -> None:
        """The client has come to the WebSocket that it tried out; or to none, and goes on polling."""
        assert self._upgrade is not None
        self._upgrade.stop()
        self._upgrade = None
        if transport is not None:
            self.attach(transport)

    def _stay(self) -> None:
        """The client can't move any more, if it was about to."""
        if self._upgrade is not None:
            self._upgrade.probe.loseConnection()
            self.moved(None)

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
            self.codec.connectionLost()

    # What the deadline asks for.

    def abandon(self) -> None:
        """End the session, for the reason for which its client is away."""
        self.close(self._lost)

    def answerPoll(self) -> None:
        """Answer the poll, so that the client polls again."""
        assert self.transport is not None
        self.transport.loseConnection(*self._nothing())

    def cut(self, reason: Reason) -> None:
        """Cut the transport off, and wait for the client to come back with another."""
        transport = self.transport
        assert transport is not None
        self.transportLost(transport, reason)
        transport.abortConnection()

    def ask(self, question: Outgoing) -> None:
        """
        Send a question for a sign of life, behind all that waits: its answer then speaks for all of it.

        Small as it is, it is sent to a client that reads too slowly too, which has no more time for it than others.
        """
        transport = self.transport
        if transport is None or not transport.streaming:
            self._outbox.add(question, self.codec.said(question).size)
            self._scheduleFlush()
        else:
            waiting = self._waiting() if transport.ready or self._greeting is not None else []
            self.codec.send([*waiting, question])

    def answer(self, packet: Packet) -> None:
        """Send the answer to a question; one who asks more than a queue holds, or what can't be said, is no client."""
        try:
            self.send(Outgoing(packet))
        except (QueueFull, UnsupportedByClient):
            self.close(Reason.TRANSPORT_ERROR)
