"""
Fakes below the application layer: sessions that remember what was sent to them, of generations that are made up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.config import Config
from siotwisted.connections import Connection
from siotwisted.errors import QueueFull, SessionClosed, UnsupportedByClient
from siotwisted.handshake import Handshake
from siotwisted.outbox import Outbox
from siotwisted.outgoing import Outgoing, Queued, outgoingOf
from siotwisted.packets import Kind, Packet, Reason
from siotwisted.server import SocketIO
from siotwisted.session import Session

__all__ = ["NEW", "OLD", "SIMPLE", "ApplicationCase", "FakeDialect", "FakeSession", "Says"]


@dataclass(frozen=True)
class FakeDialect:
    """
    A generation.

    :ivar speechless: the kinds of packets that it has no words for.
    """

    name: str
    joinsRoot: bool
    rootIsAll: bool
    strict: bool
    recovers: bool = False
    speechless: frozenset[Kind] = field(default_factory=frozenset)

    def connectionID(self, sessionID: str, namespace: str) -> str:
        """The id of a client in a namespace."""
        return sessionID if self.joinsRoot else f"{sessionID}{namespace}"


#: Clients that join every namespace themselves, and whose rules are strict.
NEW = FakeDialect("new", joinsRoot=False, rootIsAll=False, strict=True)
#: Clients that the server joins to the root.
OLD = FakeDialect("old", joinsRoot=True, rootIsAll=False, strict=False)
#: Clients that know nothing but messages.
SIMPLE = FakeDialect("simple", True, True, False, False, frozenset(Kind) - {Kind.MESSAGE, Kind.JSON})

#: What was sent, as kind, data, namespace and number.
Says = tuple[Kind, Any, str, int | None]


class FakeSession:
    """
    One client, without transports.

    :ivar sent: every packet that was sent.
    :ivar volatile: whether each of them was.
    :ivar full: whether the queue is.
    """

    def __init__(self, sio: SocketIO, id: str, dialect: FakeDialect = NEW) -> None:
        self.sio = sio
        self.id = id
        self.label = f"label of {id}"
        self.dialect = dialect
        self.transportName = "websocket"
        self.handshake = Handshake(
            "GET", "/socket.io/", {"host": "chat.example"}, {"room": "blue", "t": "1"}, "192.0.2.7"
        )
        self.closed = False
        self.full = False
        self.bytesReceived = 0
        self.listener: object = None
        self.reason: Reason | None = None
        self.sent: list[Says] = []
        self.volatile: list[bool] = []
        self.outgoings: list[Outgoing] = []
        self.outbox = Outbox(10_000, 10_000_000)

    def open(self) -> None:
        """It has its first transport."""
        self.sio.sessionOpened(cast(Session, self))

    def tell(self, outgoing: Outgoing) -> None:
        """Accept a packet of the library's own."""
        self.send(outgoing)

    def confirm(self, place: int) -> None:
        """The client has all up to this place."""
        self.outbox.confirm(place)

    def send(self, queued: Queued, volatile: bool = False) -> bool:
        """Accept a packet."""
        outgoing = outgoingOf(queued)
        if self.closed:
            raise SessionClosed("the session has ended")
        if outgoing.packet.kind in self.dialect.speechless:
            raise UnsupportedByClient(f"no words for {outgoing.packet.kind}")
        if self.full:
            raise QueueFull("too much waits")
        self.sent.append(tuple(outgoing.packet))
        self.volatile.append(volatile)
        self.outgoings.append(outgoing)
        self.outbox.accept(outgoing)
        return True

    def close(self, reason: Reason) -> None:
        """End it."""
        if not self.closed:
            self.closed = True
            self.reason = reason
            self.sio.sessionClosed(cast(Session, self), reason)
            self.sio.sessionSettled(cast(Session, self), reason, self.outbox.release())

    def says(self, kind: Kind, data: Any = None, namespace: str = "/", id: int | None = None) -> None:
        """The client sends a packet; a session that has ended hears none."""
        if not self.closed:
            self.sio.packetReceived(cast(Session, self), Packet(kind, data, namespace, id))

    def emits(self, *event: Any, namespace: str = "/", id: int | None = None) -> None:
        """The client sends an event."""
        self.says(Kind.EVENT, list(event), namespace, id)

    def take(self) -> list[Says]:
        """All that was sent since the last time."""
        sent, self.sent = self.sent, []
        return sent


class ApplicationCase(SynchronousTestCase):
    """
    A server, whose clients are :class:`FakeSession`.

    :ivar calls: for handlers to note what they were called with.
    """

    config = Config()

    def setUp(self) -> None:
        """Make the server."""
        self.clock = Clock()
        self.sio = SocketIO(self.clock, self.config)
        self.calls: list[Any] = []
        self._sessions = 0

    def tearDown(self) -> None:
        """Nothing is left to do when all clients have gone."""
        for client in list(self.sio._clients.values()):
            client.session.close(Reason.TRANSPORT_CLOSE)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def note(self, name: str) -> Callable[..., None]:
        """A handler that notes its name and what it gets."""
        return lambda *arguments: self.calls.append((name, *arguments))

    def session(self, dialect: FakeDialect = NEW) -> FakeSession:
        """A new client, that has not joined anything by itself."""
        self._sessions += 1
        session = FakeSession(self.sio, f"s{self._sessions}", dialect)
        session.open()
        return session

    def client(self, namespace: str = "/", dialect: FakeDialect = NEW) -> tuple[Connection, FakeSession]:
        """A new client that has joined a namespace."""
        session = self.session(dialect)
        session.says(Kind.CONNECT, None, namespace)
        session.take()
        return self.connection(session, namespace), session

    def connection(self, session: FakeSession, namespace: str = "/") -> Connection:
        """The connection of a client to a namespace."""
        connection = self.sio.of(namespace).getConnection(session.dialect.connectionID(session.id, namespace))
        assert connection is not None
        return connection
