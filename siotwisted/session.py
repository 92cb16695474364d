"""
One client, however often its transport changes.

A session has a transport, or waits for one (between two polls, or because the client is away), or has ended. It owns
what the client is not known to have. While a client tries out a WebSocket, to move there from its polls, the session
has that one too, as its probe.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall
from zope.interface import implementer

from siotwisted.deadlines import Alarms
from siotwisted.dialects.dialect import Dialect, Route
from siotwisted.errors import ProtocolError, SessionClosed
from siotwisted.handshake import Handshake
from siotwisted.interfaces import IPacketReceiver, ISessionTransport
from siotwisted.liveness import LIVENESS
from siotwisted.outbox import Entry
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Kind, Packet, Reason
from siotwisted.sender import Sender, SenderOwner
from siotwisted.upgrade import Upgrade

__all__ = ["Session", "SessionOwner"]

_GOODBYE = Packet(Kind.CLOSE)
_NOTHING = Packet(Kind.NOOP)
#: An answer to a poll that is no answer, and no packet at all.
_SILENCE: tuple[list[bytes], bool] = ([], False)
#: What belongs to the session alone, beside the signs of life, and means nothing here.
_IGNORED = frozenset((Kind.OPEN, Kind.NOOP, Kind.UPGRADE))
#: The ends that we bring about and the client hears of, if need be from its next poll.
_TOLD = frozenset((Reason.SERVER_DISCONNECT, Reason.FORCED_CLOSE))


class SessionOwner(SenderOwner, Protocol):
    """
    What a session needs of the registry of all sessions.

    :ivar transports: every transport that has not ended yet, of whatever session.
    :ivar late: sessions that have ended, and have a last word for a client that was between two polls.
    :ivar alarms: wakes those whose deadline passes.
    """

    transports: set[ISessionTransport]
    late: dict[str, Session]
    alarms: Alarms

    def opened(self, session: Session) -> None:
        """Its first transport is there."""

    def received(self, session: Session, packet: Packet) -> None:
        """A packet came that is not the session's own."""

    def forget(self, session: Session) -> None:
        """A session is about to end: no request finds it any more."""

    def ended(self, session: Session, reason: Reason) -> None:
        """A session has ended."""

    def settled(self, session: Session, reason: Reason, entries: Sequence[Entry]) -> None:
        """Nothing more is heard of what a session that has ended had accepted: these its client may not have."""

    def transportGone(self, transport: ISessionTransport) -> None:
        """A transport has ended."""


class EventListener(Protocol):
    """Who hears ordinary events at once. It never fails."""

    def heard(self, member: Any, event: list[Any], /) -> None:
        """
        An event has come from a client.

        :param member: see :attr:`Session.member`.
        :param event: its name and its arguments.
        """


@implementer(IPacketReceiver)
class Session(Sender):
    """
    One client.

    Its id is also the secret that lets the client come back.

    :ivar handshake: its first request.
    :ivar transportName: the transport that it uses, or used last.
    :ivar posted: what the client posted last, as its transports remember it.
    :ivar bytesReceived: how many bytes, or characters of text, have come from the client.
    :ivar listener: wants to have ordinary events at once, rather than as packets; None while nobody does.
    :ivar member: the one in whose name it listens.
    """

    __slots__ = (
        "_config",
        "_late",
        "_lost",
        "_opened",
        "_told",
        "_upgrade",
        "_withheld",
        "bytesReceived",
        "handshake",
        "listener",
        "member",
        "posted",
        "route",
        "transportName",
    )

    _registry: SessionOwner

    def __init__(self, id: str, registry: SessionOwner, route: Route, handshake: Handshake) -> None:
        config = registry.config
        super().__init__(id, config)
        self.route = route
        self.handshake = handshake
        self.codec = route.codec(self)
        self.codec.begin(handshake, config.maxAttachments, 10 * config.maxPayload)
        if config.recovery is not None and route.dialect.recovers:
            self.codec.stampEvents()
            self.outbox.floors = {}
        self.transportName = route.transport
        self.bytesReceived = 0
        self.listener: EventListener | None = None
        self.member: Any = None
        self.posted: tuple[Any, ...] = ()
        self._registry = registry
        self._config = config
        self._opened = False
        if self.codec.saysHello:
            self._greeting = Outgoing(Packet(Kind.OPEN, self.opening(route.carrier == "websocket")))
        #: The client's move from polls to a WebSocket, while it lasts.
        self._upgrade: Upgrade | None = None
        #: Until when a client that was between two polls when its session ended can hear the rest.
        self._late: IDelayedCall | None = None
        #: What is not sent any more, for the client has come back in another session.
        self._withheld: Sequence[Entry] = ()
        #: Whether the receiver knows of the end, and not yet of what is undelivered.
        self._told = False
        #: Why the client is away.
        self._lost = Reason.RECONNECT_TIMEOUT
        self._liveness = LIVENESS[route.dialect.heartbeat](self, registry.alarms, config)

    @property
    def dialect(self) -> Dialect:
        """The generation of the client."""
        return self.route.dialect

    def opening(self, streaming: bool) -> str:
        """
        What the client is told of the new session.

        :param streaming: whether it has a WebSocket already.
        """
        return self.dialect.opening(self.id, streaming, self._config)

    # The end.

    def close(self, reason: Reason) -> None:
        """
        End the session, once: what was accepted is written if the client is there to take it, the client's transport
        ends, and the receiver is told. A second call does nothing.
        """
        self._end(reason, Outgoing(_GOODBYE))

    def withhold(self) -> None:
        """The client has come back in another session, which is to send it what this one has not."""
        self._withheld = [*self._withheld, *self.outbox.release()]

    def _end(self, reason: Reason, goodbye: Outgoing) -> None:
        if self.closed:
            return
        self.closed = True
        self._reason = reason
        self._registry.forget(self)
        self._liveness.stop()
        if self.transport is None and self._opened and reason in _TOLD and self.route.carrier != "websocket":
            # A client that is on its way to a WebSocket comes by that, and not with another poll.
            self._linger()
        else:
            self._stay()
            if self.transport is not None:
                self._leave(goodbye)
        self._registry.ended(self, reason)
        self._told = True
        self._settle()

    def _leave(self, goodbye: Outgoing) -> None:
        """
        What waits is the last that the transport carries, as far as the codec has words for it.

        On a poll, goodbye is left for the next one: clients from 4.6 on heed it before what comes with it, and would
        not know that it was us who ended the session.
        """
        transport = self.transport
        assert transport is not None
        batch = self._batch(self.outbox.take())
        later = bool(batch) and self.codec.saysGoodbye and not transport.streaming
        if not later:
            batch.append(goodbye)
        try:
            chunks, binary = self.codec.dressed(batch)
        except Exception:
            self._failed()
            chunks, binary = [], False
        self._detach()
        if later:
            self._answered = transport
            if self._reason in _TOLD:
                self._linger()
        if transport.streaming or chunks:
            transport.loseConnection(chunks, binary)
        else:
            # Any answer, even an empty one, would make the client poll again.
            transport.abortConnection()

    def _linger(self) -> None:
        """The client is between two polls: the next one will carry what it does not know yet."""
        if self.outbox.waiting or self._beside or self.codec.saysGoodbye:
            self._late = self._registry.clock.callLater(self._config.closeTimeout, self.forget)
            self._registry.late[self.id] = self
        else:
            self._stay()

    def forget(self) -> None:
        """The client has not come for what it was still to hear, and no longer can."""
        self._tidy()
        self._settle()

    def _tidy(self) -> None:
        """Nothing is left to hear."""
        assert self._late is not None
        if self._late.active():
            self._late.cancel()
        self._late = None
        del self._registry.late[self.id]
        self._stay()

    def _settle(self) -> None:
        """
        Once the receiver knows of the end and nobody can come for the rest, tell what is undelivered.

        The codec knows its session: both would have to wait for the garbage collector.
        """
        if not self._told or self._late is not None:
            return
        self._told = False
        entries = [*self._withheld, *self.outbox.release()]
        del self.codec
        self._answered, self.posted = None, ()
        self._registry.settled(self, self._reason, entries)

    # What the client's transports tell.

    def expectTransport(self) -> None:
        """The client knows its session, and will come with a transport soon."""
        self._liveness.wakeIn(self._config.connectTimeout)

    def canResume(self, got: int) -> bool:
        """Whether a client that has got so many messages of this session can go on with the next."""
        return self.outbox.placeOf(got) is not None

    def attach(self, transport: ISessionTransport, got: int | None = None, moved: bool = False) -> None:
        """
        Use this transport from now on; the one before it, if there still is one, ends with an orderly goodbye.

        :param got: how many messages the client has got in this session, if it says so.
        :param moved: whether the client had taken all that was sent to it when it left its last transport.
        :raises SessionClosed: if the session has ended.
        """
        if self._late is not None:
            self._tellLate(transport, got, moved)
            return
        if self.closed:
            raise SessionClosed("the session has ended")
        previous, farewell = self.transport, _SILENCE
        if previous is not None:
            if not previous.streaming:
                farewell = self._nothing()
            self._detach()
        self._registry.transports.add(transport)
        self.transport = transport
        self._streams = transport.streaming
        self.transportName = transport.name
        self.codec.makeConnection(transport)
        self._liveness.attached(transport)
        if self._resume(transport, got, moved):
            if self.outbox.waiting or self._beside or self._greeting is not None:
                self._scheduleFlush()
        else:
            self.withhold()
            self.close(Reason.TRANSPORT_ERROR)
        if previous is not None:
            previous.loseConnection(*farewell)
        if self._upgrade is not None:
            self._upgrade.polled()
        if not self._opened and not self.closed:
            self._opened = True
            self._registry.opened(self)

    def _resume(self, transport: ISessionTransport, got: int | None, moved: bool) -> bool:
        """
        How the client comes tells what it has.

        :return: whether the session can go on: not if nobody can know whether an answer was read.
        """
        outbox = self.outbox
        answered, self._answered = self._answered, None
        besides, self._besides = self._besides, None
        self._pinged = None
        place = None if got is None else outbox.placeOf(got)
        read: bool | None = moved
        if answered is not None and not transport.streaming and place is None:
            read = transport.tells(answered)
        if read and place is None:
            outbox.confirm(outbox.handed)
        else:
            outbox.confirm(place or 0)
            outbox.handBack()
            if answered is not None and read is False:
                # The whole answer was lost, and a question with it.
                self._beside = [*(besides or ()), *(self._beside or ())] or None
        return read is not None

    def _tellLate(self, transport: ISessionTransport, got: int | None, moved: bool) -> None:
        """The session has ended, and here is the transport that takes the last words."""
        self._tidy()
        self._registry.transports.add(transport)
        self.transport = transport
        self._streams = transport.streaming
        self.codec.makeConnection(transport)
        if not self._resume(transport, got, moved):
            self.withhold()
        self._leave(Outgoing(_GOODBYE))
        self._settle()

    def _nothing(self) -> tuple[list[bytes], bool]:
        """An answer to a poll that has nothing to say."""
        return self.codec.dressed([Outgoing(_NOTHING)])

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

    def dataReceived(self, payload: str | bytes, form: bool = False) -> bool:
        """
        The client posted a payload. If it is damaged, the good packets before the damage count, and the session ends.

        :param form: the payload went through an HTML form.
        :return: whether it was whole.
        """
        if self.closed:
            return True  # nobody listens any more
        self.bytesReceived += len(payload)
        listener = self.listener
        try:
            if not self._opened:
                raise ProtocolError("packets of a client that has no transport yet")
            event = None if listener is None else self.codec.eventIn(payload, form)
            if event is None or listener is None:
                self.codec.dataReceived(payload, form)
            else:
                self._liveness.touched()
                listener.heard(self.member, event)
        except ProtocolError as error:
            self.fail(error)
            return False
        except Exception:
            self._failed()
            self.close(Reason.PARSE_ERROR)
            return False
        return True

    def textReceived(self, transport: ISessionTransport, text: bytes) -> None:
        """
        A message came on a WebSocket that is text, in UTF-8; otherwise as :meth:`messageReceived`.

        :raises UnicodeDecodeError: if it is no UTF-8; nothing has happened then.
        """
        listener = self.listener
        if listener is not None and transport is self.transport:
            event = self.codec.eventOfUTF8(text)
            if event is not None:
                self.bytesReceived += len(text)
                self._liveness.touched()
                listener.heard(self.member, event)
                return
        self.messageReceived(transport, text.decode())

    def messageReceived(self, transport: ISessionTransport, message: str | bytes) -> None:
        """A message came on a WebSocket; otherwise as :meth:`dataReceived`."""
        if transport is self.transport:  # which a session that has ended has none of
            self.bytesReceived += len(message)
            listener = self.listener
            try:
                event = None if listener is None else self.codec.eventOf(message)
                if event is None or listener is None:
                    self.codec.messageReceived(message)
                else:
                    self._liveness.touched()
                    listener.heard(self.member, event)
            except ProtocolError as error:
                self.fail(error)
            except Exception:
                self._failed()
                self.close(Reason.PARSE_ERROR)
        elif self._upgrade is not None and transport is self._upgrade.probe:
            self._upgrade.messageReceived(message)

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
                self._end(self.dialect.goodbye, Outgoing(_NOTHING))
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
            self.attach(transport, moved=True)

    def _stay(self) -> None:
        """The client can't move any more, if it was about to."""
        if self._upgrade is not None:
            self._upgrade.probe.loseConnection()
            self.moved(None)

    def _detach(self) -> None:
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
