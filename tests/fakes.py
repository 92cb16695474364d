"""
Fakes that the tests of sessions and of what lies above them share: transports that remember what was written to them
and report their end as the real ones do, and a receiver that remembers what sessions told it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

from zope.interface import implementer

from siotwisted.dialects import SOCKETIO_06, Route
from siotwisted.handshake import Handshake
from siotwisted.interfaces import ISessionTransport
from siotwisted.packets import Packet, Reason
from siotwisted.session import Session, SessionRegistry
from siotwisted.wire.codec import Codec
from siotwisted.wire.sio06 import SIOCodec

__all__ = [
    "FakePoll",
    "FakeReceiver",
    "FakeStream",
    "FakeTransport",
    "FakeWebSocket",
    "attach",
    "connect",
    "makeHandshake",
    "makeRoute",
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
    :ivar over: whether it has ended in good order, or was asked to.
    :ivar aborted: whether it was cut from our side.
    :ivar nextRequest: called when an HTTP answer is complete: there Twisted Web serves the next request of the same
        connection, if it is there already.
    """

    name: ClassVar[str]
    form: ClassVar[str]
    streaming: ClassVar[bool]

    def __init__(self, session: Session) -> None:
        self.session = session
        self.ready = True
        self.writes: list[bytes] = []
        self.over = False
        self.aborted = False
        self.nextRequest: Callable[[], None] = _nothing

    def dress(self, frame: bytes) -> bytes:
        """The frame as it is."""
        return frame

    def write(self, chunks: Sequence[bytes]) -> None:
        """Remember one write."""
        if self.over:
            raise RuntimeError("write after the end")
        self.writes.append(b"".join(chunks))

    def loseConnection(self, farewell: Sequence[bytes] = ()) -> None:
        """Remember the farewell and the end."""
        if farewell:
            self.write(farewell)
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
    """A held poll: it takes one write, and reports its end before that returns."""

    name = "xhr-polling"
    form = "fake bare"
    streaming = False

    def write(self, chunks: Sequence[bytes]) -> None:
        """Answer the poll."""
        super().write(chunks)
        self.over = True
        self.session.transportLost(self, Reason.RECONNECT_TIMEOUT)
        self.nextRequest()

    def loseConnection(self, farewell: Sequence[bytes] = ()) -> None:
        """Answer the poll, with nothing or with the farewell."""
        self.write(farewell)


class FakeStream(FakeTransport):
    """An endless answer: its end is reported before :meth:`loseConnection` returns."""

    name = "htmlfile"
    form = "fake htmlfile"
    streaming = True

    def loseConnection(self, farewell: Sequence[bytes] = ()) -> None:
        """End the answer."""
        super().loseConnection(farewell)
        self.nextRequest()  # before the end is reported, as Twisted Web does it
        self.session.transportLost(self, Reason.SERVER_DISCONNECT)


class FakeWebSocket(FakeTransport):
    """A WebSocket: it ends when the client has answered the closing handshake, in a later turn."""

    name = "websocket"
    form = "fake websocket"
    streaming = True

    def closedByClient(self) -> None:
        """The client has said goodbye, or answered ours."""
        self.session.transportLost(self, Reason.TRANSPORT_CLOSE, final=True)


class FakeReceiver:
    """
    Remembers what sessions tell.

    :ivar events: all of it in order: ``("opened", id)``, ``("packet", id, data)`` and ``("closed", id, reason)``.
    :ivar onOpened: called with every session that opens; ``onPacket`` and ``onClosed`` alike.
    """

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
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

    @property
    def packets(self) -> list[Any]:
        """The data of every packet so far."""
        return [event[2] for event in self.events if event[0] == "packet"]

    @property
    def reasons(self) -> list[Reason]:
        """Why sessions have ended so far."""
        return [event[2] for event in self.events if event[0] == "closed"]


_Transport = TypeVar("_Transport", bound=FakeTransport)


def makeRoute(transport: str = "xhr-polling", sessionID: str = "", codec: type[Codec] = SIOCodec) -> Route:
    """What a URL may ask for."""
    return Route(SOCKETIO_06, codec, transport, sessionID, 0 if transport == "jsonp-polling" else None)


def makeHandshake(transport: str = "xhr-polling") -> Handshake:
    """What a client may say when it comes."""
    return Handshake(
        method="GET",
        path=f"/socket.io/{transport}//1700000000000",
        headers={"host": "chat.example", "user-agent": "test"},
        query={"room": "blue"},
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
    registry: SessionRegistry, kind: type[_Transport], codec: type[Codec] = SIOCodec
) -> tuple[Session, _Transport]:
    """A new client comes."""
    session = registry.open(makeRoute(kind.name, codec=codec), makeHandshake(kind.name))
    return session, attach(session, kind)


def received(*transports: FakeTransport) -> list[Any]:
    """The data of all ``~m~`` frames that were written to these transports, one after the other."""
    written = b"".join(each for transport in transports for each in transport.writes)
    return [packet.data for packet in SIOCodec(transports[0].session).decode(written.decode("utf-8"))]
