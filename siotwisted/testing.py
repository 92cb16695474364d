"""
For the tests of applications: clients of every generation with no socket behind them, and an echo for the tests of
Engine.IO itself::

    clock = Clock()
    sio = SocketIO(clock)
    ...                                             # the application's handlers
    peer = MemoryPeer(sio)                          # a client of today; MemoryPeer(sio, SOCKETIO_09) is one of 2012
    answer = peer.call("add", 1, 2)                 # a Deferred
    peer.take()                                     # all that it was told since it was asked last
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any
from urllib.parse import urlencode

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from siotwisted.config import Config
from siotwisted.dialects.dialect import Dialect, Heartbeat, Refusal, Route
from siotwisted.dialects.engineio import ENGINEIO_3, ENGINEIO_4
from siotwisted.dialects.socketio06 import SOCKETIO_06
from siotwisted.dialects.socketio09 import SOCKETIO_09
from siotwisted.engine import EngineIO
from siotwisted.errors import UnsupportedByClient
from siotwisted.handshake import Handshake
from siotwisted.interfaces import IPacketReceiver, ISessionTransport
from siotwisted.outbox import Entry
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Kind, Packet, Reason
from siotwisted.resource import SocketIOResource
from siotwisted.server import SocketIO
from siotwisted.session import Session
from siotwisted.wire import engine3, engine4, sio09, sio45
from siotwisted.wire.sio06 import SIOCodec

__all__ = ["ENGINEIO_3", "ENGINEIO_4", "SOCKETIO_06", "SOCKETIO_09", "EngineEchoResource", "MemoryPeer"]


class _Wire(ABC):
    """The client's side of a generation: packets as the messages of a WebSocket, and back."""

    @abstractmethod
    def encode(self, packet: Packet) -> Sequence[str | bytes]:
        """The messages of a packet."""

    @abstractmethod
    def decode(self, message: str | bytes) -> Iterable[Packet]:
        """The packets that a message completes."""


class _EngineWire(_Wire):
    """Clients from 1.0 on."""

    def __init__(self, engine: Any, revision: int) -> None:
        self._engine = engine
        self._revision = revision
        self._decoder = sio45.Decoder(revision)

    def encode(self, packet: Packet) -> Sequence[str | bytes]:
        if packet.kind in (Kind.PONG, Kind.PING, Kind.CLOSE):
            return [self._engine.encodeFrame(packet)]
        if packet.kind in (Kind.MESSAGE, Kind.JSON):
            packet = packet._replace(kind=Kind.EVENT, data=["message", packet.data])
        elif packet.kind is Kind.CONNECT and packet.data is not None and self._revision < 5:
            packet = Packet(Kind.CONNECT, None, f"{packet.namespace}?{urlencode(packet.data)}")
        messages = sio45.encode(packet, self._revision)
        return [self._engine.encodeFrame(Packet(Kind.MESSAGE, message)) for message in messages]

    def decode(self, message: str | bytes) -> Iterable[Packet]:
        packet = self._engine.decodeFrame(message)
        if packet.kind is Kind.MESSAGE:
            packet = self._decoder.receive(packet.data)
        return () if packet is None else (packet,)


class _Wire09(_Wire):
    """Clients 0.7 to 0.9."""

    def encode(self, packet: Packet) -> Sequence[str]:
        if packet.kind is Kind.CLOSE:
            packet = Packet(Kind.DISCONNECT)
        elif packet.kind is Kind.CONNECT and packet.data is not None:
            packet = packet._replace(data=f"?{urlencode(packet.data)}")
        return [sio09.encode(packet)]

    def decode(self, message: str | bytes) -> Iterable[Packet]:
        assert isinstance(message, str)
        return [received.packet for received in sio09.decode(message)]


@implementer(IPacketReceiver)
class _Wire06(_Wire):
    """Clients 0.5 and 0.6."""

    def __init__(self) -> None:
        self._codec = SIOCodec(self)
        self._begun = False

    def packetsReceived(self, packets: Sequence[Packet]) -> None:
        """The codec is asked, and tells nobody."""

    def encode(self, packet: Packet) -> Sequence[str]:
        messages = self._codec.messages(Outgoing(packet))
        if not messages:
            raise UnsupportedByClient(f"Socket.IO 0.6 has no words for {packet.kind.value}")
        return messages

    def decode(self, message: str | bytes) -> Iterator[Packet]:
        """The first message is the client's id."""
        assert isinstance(message, str)
        for packet in self._codec.decode(message):
            yield packet if self._begun else Packet(Kind.CONNECT, {"sid": packet.data})
            self._begun = True


_WIRES = {
    ENGINEIO_4: lambda: _EngineWire(engine4, 5),
    ENGINEIO_3: lambda: _EngineWire(engine3, 4),
    SOCKETIO_09: _Wire09,
    SOCKETIO_06: _Wire06,
}


@implementer(ISessionTransport)
class _MemoryTransport:
    """What is written to it, the peer has at once."""

    form = "memory"
    streaming = True
    messages = True
    framed = False
    takesBytes = True

    def __init__(self, peer: MemoryPeer, name: str) -> None:
        self.name = name
        self.ready = True
        self._peer = peer

    def dress(self, data: str | bytes, text: bool = False) -> bytes:
        """A message behind its kind and its length."""
        payload = data if isinstance(data, bytes) else data.encode("utf-8")
        return b"%c%10d%b" % (text or isinstance(data, str), len(payload), payload)

    def write(self, chunks: Sequence[bytes], binary: bool = False) -> None:
        """The peer reads them."""
        data = b"".join(chunks)
        while data:
            end = 11 + int(data[1:11])
            payload = data[11:end]
            self._peer.messageReceived(payload.decode("utf-8") if data[0] else payload)
            data = data[end:]

    def tells(self, answered: ISessionTransport) -> bool | None:
        """This is no poll."""
        return True

    def ping(self, place: int) -> None:
        """The client has read everything."""
        if self._peer.session is not None:
            self._peer.session.pongReceived(self, place)

    def loseConnection(self, chunks: Sequence[bytes] = (), binary: bool = False) -> None:
        """The last words, and the end."""
        self.write(chunks)
        self.abortConnection()

    def abortConnection(self) -> None:
        """The end."""
        self._peer.transportEnded(self)


class MemoryPeer:
    """
    A client without a socket, of any generation.

    It gives signs of life by itself. Whatever it does has been done when the call returns, if the
    server's reactor is a :class:`~twisted.internet.task.Clock`.

    :param sio: the server.
    :param dialect: the generation: ``ENGINEIO_4`` is 3.x and 4.x, ``ENGINEIO_3`` 1.x and 2.x, ``SOCKETIO_09`` and
        ``SOCKETIO_06``.
    :param auth: what it says when it joins the namespace ``/``, for clients since 3.0.
    :param query: of its first request.
    :param headers: of its first request, by lower-case name.
    :param address: where it comes from.
    :param transport: what its transport is called.
    :ivar received: what its application was told, in order, but for what :meth:`take` has taken.
    :ivar ids: its id in each namespace that it is in.
    :ivar refusal: how it was refused at the door, if it was.
    :ivar closed: whether its connection has ended.
    """

    def __init__(
        self,
        sio: SocketIO,
        dialect: Dialect = ENGINEIO_4,
        *,
        auth: object = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        address: str = "127.0.0.1",
        transport: str = "websocket",
    ) -> None:
        self.received: list[Packet] = []
        self.ids: dict[str, str] = {}
        self.refusal: Refusal | None = None
        self.closed = False
        self.session: Session | None = None
        self._sio = sio
        self._dialect = dialect
        self._wire: _Wire = _WIRES[dialect]()
        self._numbers = count(1)
        self._calls: dict[int, Deferred[Any]] = {}
        self._alarm: IDelayedCall | None = None
        self._transport = _MemoryTransport(self, transport)
        route = Route(dialect, dialect.codec, transport, "websocket")
        handshake = Handshake(
            method="GET",
            path="/socket.io/",
            headers=headers or {},
            query=query or {},
            address=address,
            time=sio.registry.clock.seconds(),
            transport=transport,
        )
        sio.admission.authorize(route, handshake).addCallback(self._decided, route, handshake, auth)

    def _decided(self, refusal: Refusal | None, route: Route, handshake: Handshake, auth: object) -> None:
        self.refusal = refusal
        if refusal is None:
            self.session = self._sio.registry.open(route, handshake)
            self.session.attach(self._transport)
            if not self.closed:
                self._askLater()
                if not self._dialect.joinsRoot:
                    self.connect("/", auth)
        self._settle()

    def _settle(self) -> None:
        """What the server has accepted leaves at the end of a turn: this is one."""
        advance = getattr(self._sio.registry.clock, "advance", None)
        if advance is not None:
            advance(0)

    def _say(self, packet: Packet) -> None:
        assert self.session is not None, "it was refused at the door"
        for message in self._wire.encode(packet):
            self.session.messageReceived(self._transport, message)
        self._settle()

    def _askLater(self) -> None:
        if self._dialect.heartbeat is Heartbeat.CLIENT:
            self._alarm = self._sio.clock.callLater(self._sio.config.pingInterval, self._ask)

    def _ask(self) -> None:
        self._askLater()
        self._reply(Packet(Kind.PING))

    def _gone(self) -> None:
        self.closed = True
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    # What the client does.

    def connect(self, namespace: str, auth: Any = None) -> None:
        """
        Join a namespace.

        :param auth: what it says for itself; before 3.0 this is a query: names and texts.
        :raises siotwisted.UnsupportedByClient: before 0.7.
        """
        self._say(Packet(Kind.CONNECT, auth, namespace))

    def send(self, data: object, namespace: str = "/") -> None:
        """Send a message."""
        self._say(Packet(Kind.MESSAGE if isinstance(data, str) else Kind.JSON, data, namespace))

    def emit(self, event: str, *args: object, namespace: str = "/") -> None:
        """Send an event."""
        self._say(Packet(Kind.EVENT, [event, *args], namespace))

    def call(self, event: str, *args: object, namespace: str = "/") -> Deferred[list[Any]]:
        """
        Send an event that wants an answer.

        :return: fires with the arguments of the answer, when it comes.
        """
        number = next(self._numbers)
        answer: Deferred[list[Any]] = Deferred()
        self._calls[number] = answer
        self._say(Packet(Kind.EVENT, [event, *args], namespace, number))
        return answer

    def answer(self, packet: Packet, *args: object) -> None:
        """Answer an event of the server that wanted it, one of :attr:`received`."""
        self._say(Packet(Kind.ACK, list(args), packet.namespace, packet.id))

    def disconnect(self, namespace: str = "/") -> None:
        """Leave a namespace."""
        self.ids.pop(namespace, None)
        self._say(Packet(Kind.DISCONNECT, None, namespace))

    def close(self) -> None:
        """Close the connection, in good order."""
        self._end(final=True)

    def lose(self) -> None:
        """Lose the connection, without a word."""
        self._end(final=False)

    def _end(self, final: bool) -> None:
        if self.session is not None and not self.closed:
            self._gone()
            self.session.transportLost(self._transport, Reason.TRANSPORT_CLOSE, final)
            self._settle()

    # What it was told.

    def take(self, namespace: str | None = None) -> list[list[Any]]:
        """
        The events and messages that came since this was asked last, each a list of the name and the arguments. A
        message is the event ``message``.

        :param namespace: those of this one alone; the others stay.
        """
        self._settle()
        taken, kept = [], []
        for packet in self.received:
            if packet.kind in (Kind.EVENT, Kind.MESSAGE, Kind.JSON) and namespace in (None, packet.namespace):
                taken.append(packet.data if packet.kind is Kind.EVENT else ["message", packet.data])
            else:
                kept.append(packet)
        self.received = kept
        return taken

    def messageReceived(self, message: str | bytes) -> None:
        """A message has come from the server."""
        for packet in self._wire.decode(message):
            kind = packet.kind
            if kind is Kind.PING:
                self._reply(Packet(Kind.PONG, packet.data))
            elif kind is Kind.HEARTBEAT:
                self._reply(packet)
            elif kind is Kind.ACK and packet.id in self._calls:
                self._calls.pop(packet.id).callback(packet.data)
            elif kind not in (Kind.OPEN, Kind.PONG, Kind.NOOP):
                if kind is Kind.CONNECT:
                    self.ids[packet.namespace] = self._idFrom(packet)
                elif kind is Kind.DISCONNECT:
                    self.ids.pop(packet.namespace, None)
                self.received.append(packet)

    def _idFrom(self, packet: Packet) -> str:
        """Its id in a namespace: what it was told, or what clients make of the session's id that they know."""
        if isinstance(packet.data, dict):
            id: str = packet.data["sid"]
            return id
        assert self.session is not None
        return self._dialect.connectionID(self.session.id, packet.namespace)

    def _reply(self, packet: Packet) -> None:
        assert self.session is not None
        for message in self._wire.encode(packet):
            self.session.messageReceived(self._transport, message)

    def transportEnded(self, transport: _MemoryTransport) -> None:
        """The server has ended the connection."""
        if not self.closed:
            self._gone()
            assert self.session is not None
            self.session.transportLost(transport, Reason.SERVER_DISCONNECT, True)


class _Echo:
    """Sends every message back."""

    def sessionOpened(self, session: Session) -> None:
        """Nothing to do."""

    def packetReceived(self, session: Session, packet: Packet) -> None:
        """A message is its own answer."""
        session.send(Outgoing(packet))

    def sessionClosed(self, session: Session, reason: Reason) -> None:
        """Nothing to do."""

    def sessionSettled(self, session: Session, reason: Reason, entries: Sequence[Entry]) -> None:
        """Nothing to do."""


class EngineEchoResource(SocketIOResource):
    """
    Engine.IO 3 and 4 alone, echoing text and bytes: what the public test suites of Engine.IO want to find.

    :param reactor: for the time, and to write at the end of its turns.
    :param config: the settings; the suites want ``pingInterval=0.3`` and ``pingTimeout=0.2``.
    """

    def __init__(self, reactor: IReactorTime, config: Config | None = None) -> None:
        super().__init__(EngineIO(reactor, _Echo(), config))
