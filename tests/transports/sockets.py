"""
WebSockets in memory: a client with a connection of its own, and cases for both ways in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IProtocol, IProtocolFactory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Site
from txaio.tx import config as autobahnConfig

from siotwisted.config import Config
from siotwisted.packets import Reason
from siotwisted.resource import SocketIOResource
from siotwisted.transports.websocketfactory import SocketIOWebSocketFactory
from tests.transports import Application, Connection
from tests.websocketpeer import CLOSE, TEXT, clientFrame, framed, serverFrames, unframed, upgradeRequest

ADDRESS = "192.0.2.7"
MAX_PAYLOAD = 2_000
#: A text that no answer and no log may repeat.
SECRET = "Tr0mbone"


class ServerEnd(StringTransport):
    """
    The server's end of a TCP connection: it ends in a later turn, and nothing is read or written after that was asked.

    :ivar writes: what the server wrote, write by write.
    :ivar stuck: whether the client reads nothing any more, so that the last bytes never leave.
    :ivar aborted: whether the server cut it.
    """

    def __init__(self, clock: Clock, protocol: IProtocol) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", ADDRESS, 54321), lenient=True)
        self.writes: list[bytes] = []
        self.stuck = self.aborted = False
        self._clock = clock
        self._protocol = protocol

    def write(self, data: bytes) -> None:
        """Remember what is written as long as it is connected."""
        if self.connected and not self.disconnecting:
            self.writes.append(data)
            super().write(data)

    def loseConnection(self) -> None:
        """End it when all is written."""
        if self.connected and not self.disconnecting:
            self.disconnecting = True
            if not self.stuck:
                self._clock.callLater(0, self.lost, ConnectionDone())

    def abortConnection(self) -> None:
        """Cut it."""
        if self.connected and not self.aborted:
            self.aborted = self.disconnecting = True
            self._clock.callLater(0, self.lost, ConnectionAborted())

    def unregisterProducer(self) -> None:
        """Forget the producer, if there is one."""
        self.producer = self.streaming = None

    def lost(self, reason: Exception) -> None:
        """Tell the server, once, that the connection is gone."""
        if self.connected:
            self.connected = False
            self._protocol.connectionLost(Failure(reason))


class Peer:
    """
    A client, with a connection of its own.

    :ivar end: the server's end of the connection.
    """

    def __init__(self, clock: Clock, factory: IProtocolFactory) -> None:
        protocol = factory.buildProtocol(IPv4Address("TCP", ADDRESS, 54321))
        assert protocol is not None
        self._clock = clock
        self.protocol = protocol
        self.end = ServerEnd(clock, protocol)
        protocol.makeConnection(self.end)

    def send(self, *pieces: bytes) -> None:
        """Send bytes, each piece a segment of its own, all in one turn of the server's reactor."""
        for piece in pieces:
            if self.end.connected and not self.end.disconnecting:
                self.protocol.dataReceived(piece)
        self.turn()

    def say(self, *messages: str) -> None:
        """Send messages as one payload."""
        self.send(clientFrame(framed(*messages)))

    def turn(self) -> None:
        """Let the turn end, and those that it leads to."""
        self._clock.pump([0, 0, 0])

    def fallBehind(self) -> None:
        """Read too slowly."""
        assert self.end.producer is not None
        self.end.producer.pauseProducing()

    def catchUp(self) -> None:
        """Read all that was written."""
        assert self.end.producer is not None
        self.end.producer.resumeProducing()
        self.turn()

    def cut(self) -> None:
        """Lose the connection without a word."""
        self.end.lost(ConnectionLost())
        self.turn()

    @property
    def head(self) -> str:
        """The head of the answer."""
        head: bytes = self.end.value().partition(b"\r\n\r\n")[0]
        return head.decode("latin-1")

    @property
    def status(self) -> int:
        """The HTTP status; 0 if there was no answer."""
        return int(self.head.split(" ")[1]) if self.head else 0

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the answer, by lower-case name."""
        lines = [line.partition(": ") for line in self.head.split("\r\n")[1:]]
        return {name.lower(): value for name, _, value in lines}

    @property
    def frames(self) -> list[tuple[int, bytes]]:
        """The WebSocket frames behind the head."""
        return serverFrames(self.end.value().partition(b"\r\n\r\n")[2])

    @property
    def messages(self) -> list[str]:
        """The messages in them, the session id first."""
        texts = [payload.decode("utf-8") for opcode, payload in self.frames if opcode == TEXT]
        return [message for text in texts for message in unframed(text)]

    @property
    def closeCodes(self) -> list[int]:
        """The codes of the server's close frames."""
        return [int.from_bytes(payload[:2], "big") for opcode, payload in self.frames if opcode == CLOSE]

    @property
    def open(self) -> bool:
        """Whether the connection is, and will stay so."""
        return bool(self.end.connected) and not self.end.disconnecting


class WebSocketCase(SynchronousTestCase):
    """
    A server in memory, on a ``Clock``.

    :cvar alone: whether there is nothing but WebSockets on the port.
    """

    alone = False

    def setUp(self) -> None:
        """Stop the time and watch the log."""
        self.clock = Clock()
        self.clock.advance(1_000_000.8)
        self.patch(autobahnConfig, "loop", self.clock)
        self.events: list[LogEvent] = []
        observer = cast(ILogObserver, self.events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.configure()

    def configure(self, **settings: Any) -> None:
        """Start anew with these settings."""
        self.sio = Application(self.clock, Config(**{"maxPayload": MAX_PAYLOAD, "closeTimeout": 1.0, **settings}))
        self.connections: list[Connection] = []
        self.received: list[Any] = []
        self.reasons: list[Reason] = []
        self.sio.onConnect(self.connections.append)
        self.sio.onMessage(lambda connection, message: self.received.append(message))
        self.sio.onDisconnect(lambda connection, reason: self.reasons.append(reason))
        if self.alone:
            self.factory: IProtocolFactory = SocketIOWebSocketFactory(self.sio)
        else:
            root = Resource()
            root.putChild(b"socket.io", SocketIOResource(self.sio))
            self.factory = Site(root, reactor=self.clock)

    def connect(self) -> Peer:
        """A new TCP connection."""
        return Peer(self.clock, self.factory)

    def request(self, *arguments: Any, **more: Any) -> Peer:
        """Ask for an upgrade, on a connection of its own; the parameters are those of ``upgradeRequest``."""
        peer = self.connect()
        peer.send(upgradeRequest(*arguments, **more))
        return peer

    def join(self, path: str = "/socket.io/websocket", headers: Mapping[str, str | None] | None = None) -> Peer:
        """Open a WebSocket with a session of its own."""
        peer = self.request(path, headers)
        self.assertEqual(peer.status, 101, peer.head)
        return peer

    def lines(self) -> list[str]:
        """What was logged since the last time, by the server or by Autobahn, that an operator would see."""
        events, self.events[:] = self.events[:], []
        return [
            str(formatEvent(event))
            for event in events
            if event["log_level"] >= LogLevel.info and event["log_namespace"].startswith(("siotwisted", "autobahn"))
        ]

    def assertNothingLeft(self) -> None:
        """No session, no transport, no delayed call."""
        self.assertEqual(len(self.sio.registry), 0)
        self.assertEqual(self.sio.registry.transports, set())
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Embedded(WebSocketCase):
    """Below a resource, in a site."""


class Alone(WebSocketCase):
    """The factory is all there is."""

    alone = True
