"""
Fakes that the tests of sessions and of what lies above them share: transports that remember what was written to them
and report their end as the real ones do, and a receiver that remembers what sessions told it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

from zope.interface import implementer

from siotwisted.dialects.dialect import Dialect, Route
from siotwisted.dialects.socketio06 import SOCKETIO_06
from siotwisted.handshake import Handshake
from siotwisted.interfaces import ISessionTransport
from siotwisted.outbox import Entry
from siotwisted.packets import Kind, Packet, Reason
from siotwisted.registry import SessionRegistry
from siotwisted.session import Session
from siotwisted.wire.codec import BaseCodec
from siotwisted.wire.sio06 import SIOCodec, frame

__all__ = [
    "EnginePoll",
    "EngineSocket",
    "FakePoll",
    "FakeReceiver",
    "FakeStream",
    "FakeTransport",
    "FakeWebSocket",
    "attach",
    "connect",
    "echo",
    "makeHandshake",
    "makeRoute",
    "messages",
    "received",
]


def _nothing() -> None:
    """What there is behind most requests."""


@implementer(ISessionTransport)
class FakeTransport:
    """
    One way to a client that exists in a test only.

    :ivar ready: whether it takes bytes; a test may change it.
    :ivar writes: the bytes of every write, farewells among them.
    :ivar binary: for every write, whether it was said to be bytes that are no text.
    :ivar told: what it tells of a poll that was answered before: whether the client has read that.
    :ivar pings: the places that it was asked about.
    :ivar over: whether it has ended in good order, or was asked to.
    :ivar aborted: whether it was cut from our side.
    :ivar nextRequest: called when an HTTP answer is complete: there Twisted Web serves the next request of the same
        connection, if it is there already.
    """

    name: str
    form: ClassVar[str]
    streaming: ClassVar[bool]
    messages: ClassVar[bool] = False
    framed: ClassVar[bool] = False
    takesBytes: ClassVar[bool] = False

    def __init__(self, session: Session) -> None:
        self.session = session
        self.ready = True
        self.writes: list[bytes] = []
        self.binary: list[bool] = []
        self.told: bool | None = True
        self.pings: list[int] = []
        self.over = False
        self.aborted = False
        self.nextRequest: Callable[[], None] = _nothing

    def dress(self, data: str | bytes, text: bool = False) -> bytes:
        """The payload, or the message, as it is."""
        return data if isinstance(data, bytes) else data.encode("utf-8")

    def write(self, chunks: Sequence[bytes], binary: bool = False) -> None:
        """Remember one write."""
        if self.over:
            raise RuntimeError("write after the end")
        self.writes.append(b"".join(chunks))
        self.binary.append(binary)

    def tells(self, answered: ISessionTransport) -> bool | None:
        """What the test says."""
        return self.told

    def ping(self, place: int) -> None:
        """Remember what was asked for."""
        self.pings.append(place)

    def loseConnection(self, chunks: Sequence[bytes] = (), binary: bool = False) -> None:
        """Remember the farewell, if it says something, and the end."""
        if any(chunks):
            self.write(chunks, binary)
        if self.over:
            raise RuntimeError("a second end")
        self.over = True

    def abortConnection(self) -> None:
        """Remember it; :meth:`connectionLost` follows in a later turn."""
        self.aborted = True

    def connectionLost(self) -> None:
        """The TCP connection is gone: cut by us, or by the client without a word."""
        self.session.transportLost(self, Reason.TRANSPORT_CLOSE)


class FakePoll(FakeTransport):
    """A held poll: it takes one write, and reports that it was answered before that returns."""

    name = "xhr-polling"
    form = "fake bare"
    streaming = False
    takesBytes = True

    def write(self, chunks: Sequence[bytes], binary: bool = False) -> None:
        """Answer the poll."""
        super().write(chunks, binary)
        self.over = True
        self.session.pollAnswered(self)
        self.nextRequest()

    def loseConnection(self, chunks: Sequence[bytes] = (), binary: bool = False) -> None:
        """Answer the poll, with nothing or with the farewell."""
        self.write(chunks, binary)


class FakeStream(FakeTransport):
    """An endless answer: its end is reported before :meth:`loseConnection` returns."""

    name = "htmlfile"
    form = "fake htmlfile"
    streaming = True

    def loseConnection(self, chunks: Sequence[bytes] = (), binary: bool = False) -> None:
        """End the answer."""
        super().loseConnection(chunks, binary)
        self.nextRequest()  # before the end is reported, as Twisted Web does it
        self.session.transportLost(self, Reason.SERVER_DISCONNECT)


class FakeWebSocket(FakeTransport):
    """A WebSocket: it ends when the client has answered the closing handshake, in a later turn."""

    name = "websocket"
    form = "fake websocket"
    streaming = True
    messages = True
    takesBytes = True

    def closedByClient(self) -> None:
        """The client has said goodbye, or answered ours."""
        self.session.transportLost(self, Reason.TRANSPORT_CLOSE, final=True)


class EnginePoll(FakePoll):
    """A held poll of a client from 1.0 on."""

    name = "polling"


class EngineSocket(FakeWebSocket):
    """A WebSocket of a client from 1.0 on, whose messages can be told apart."""

    form = "fake engine socket"

    def dress(self, data: str | bytes, text: bool = False) -> bytes:
        """The message with its type and its length."""
        payload = super().dress(data, text)
        return struct.pack("!?I", isinstance(data, bytes) and not text, len(payload)) + payload

    @property
    def sent(self) -> list[str | bytes]:
        """The messages of all writes."""
        data, found = b"".join(self.writes), list[str | bytes]()
        while data:
            binary, length = struct.unpack("!?I", data[:5])
            payload, data = data[5 : 5 + length], data[5 + length :]
            found.append(payload if binary else payload.decode("utf-8"))
        return found

    def receive(self, *messages: str | bytes) -> None:
        """The client sends messages."""
        for message in messages:
            self.session.messageReceived(self, message)


class FakeReceiver:
    """
    Remembers what sessions tell.

    :ivar events: all of it in order: ``("opened", id)``, ``("packet", id, data)`` and ``("closed", id, reason)``.
    :ivar settled: the id of each session that is settled, and the data of what its client may not have, with whether
        it was sent.
    :ivar onOpened: called with every session that opens; ``onPacket`` and ``onClosed`` alike.
    """

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.settled: list[tuple[str, list[tuple[Any, bool]]]] = []
        self.onOpened: Callable[[Session], None] | None = None
        self.onPacket: Callable[[Session, Packet], None] | None = None
        self.onClosed: Callable[[Session, Reason], None] | None = None

    def sessionOpened(self, session: Session) -> None:
        """A session has opened."""
        self.events.append(("opened", session.id))
        if self.onOpened is not None:
            self.onOpened(session)

    def packetReceived(self, session: Session, packet: Packet) -> None:
        """A message has come."""
        self.events.append(("packet", session.id, packet.data))
        if self.onPacket is not None:
            self.onPacket(session, packet)

    def sessionClosed(self, session: Session, reason: Reason) -> None:
        """A session has ended."""
        self.events.append(("closed", session.id, reason))
        if self.onClosed is not None:
            self.onClosed(session, reason)

    def sessionSettled(self, session: Session, reason: Reason, entries: Sequence[Entry]) -> None:
        """Nothing more is heard of what a session had accepted."""
        self.settled.append((session.id, [(entry.outgoing.packet.data, entry.sent) for entry in entries]))

    @property
    def packets(self) -> list[Any]:
        """The data of every packet so far."""
        return [event[2] for event in self.events if event[0] == "packet"]

    @property
    def reasons(self) -> list[Reason]:
        """Why sessions have ended so far."""
        return [event[2] for event in self.events if event[0] == "closed"]


_Transport = TypeVar("_Transport", bound=FakeTransport)


def makeRoute(
    transport: str = "xhr-polling",
    sessionID: str = "",
    codec: type[BaseCodec] | None = None,
    dialect: Dialect = SOCKETIO_06,
) -> Route:
    """What a URL may ask for; the codec is that of the dialect, unless another one is named."""
    carrier = {"polling": "xhr-polling", "flashsocket": "websocket"}.get(transport, transport)
    index = 0 if transport == "jsonp-polling" else None
    return Route(dialect, codec or dialect.codec, transport, carrier, sessionID, index)


def makeHandshake(transport: str = "xhr-polling", /, **query: str) -> Handshake:
    """What a client may say when it comes."""
    return Handshake(
        method="GET",
        path=f"/socket.io/{transport}//1700000000000",
        headers={"host": "chat.example", "user-agent": "test"},
        query=query or {"room": "blue"},
        address="192.0.2.7",
        time=12.5,
        transport=transport,
    )


def attach(session: Session, kind: type[_Transport]) -> _Transport:
    """The session's client comes by a transport of this kind."""
    transport = kind(session)
    session.attach(transport)
    return transport


def connect(
    registry: SessionRegistry,
    kind: type[_Transport],
    codec: type[BaseCodec] | None = None,
    dialect: Dialect = SOCKETIO_06,
    **query: str,
) -> tuple[Session, _Transport]:
    """A new client comes, with this query in its first request."""
    session = registry.open(makeRoute(kind.name, "", codec, dialect), makeHandshake(kind.name, **query))
    return session, attach(session, kind)


def received(*transports: FakeTransport) -> list[Any]:
    """The data of all ``~m~`` frames that were written to these transports, one after the other."""
    return [packet.data for packet in _frames(*transports)]


def messages(*transports: FakeTransport) -> list[Any]:
    """The same without heartbeats, which come whenever much is unconfirmed."""
    return [packet.data for packet in _frames(*transports) if packet.kind is not Kind.HEARTBEAT]


def echo(transport: FakeTransport) -> None:
    """The client answers the heartbeat that it got last on this transport, if it got one."""
    asked = [packet.data for packet in _frames(transport) if packet.kind is Kind.HEARTBEAT]
    if asked:
        transport.session.dataReceived(frame(f"~h~{asked[-1]}"))


def _frames(*transports: FakeTransport) -> list[Packet]:
    written = b"".join(each for transport in transports for each in transport.writes)
    return list(SIOCodec(transports[0].session).decode(written.decode("utf-8")))
