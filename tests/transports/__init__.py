"""
The transports without a network: a server in a ``Site``, on a ``Clock``, and clients that hold byte strings.

:class:`Server` is a whole server with an application that takes notes; :class:`Client` is one connection to it, whose
answers :meth:`Client.responses` reads. :class:`ServerCase` makes them, and watches the log.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import ANY

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IAddress, IProtocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import LogEvent, Logger, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from siotwisted.admission import Admission
from siotwisted.clientfiles import ClientFiles
from siotwisted.config import Config
from siotwisted.dialects.engineio import ENGINES
from siotwisted.dialects.routing import Router
from siotwisted.dialects.socketio09 import PROTOCOLS
from siotwisted.errors import QueueFull
from siotwisted.handshake import Handshake
from siotwisted.outbox import Entry
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Packet, Reason, messagePacket
from siotwisted.registry import SessionRegistry
from siotwisted.resource import SocketIOResource
from siotwisted.session import Session

__all__ = [
    "ADDRESS",
    "COMMON",
    "GET_TRANSPORTS",
    "Application",
    "Client",
    "Connection",
    "Response",
    "Server",
    "ServerCase",
    "SilentSite",
]

_log = Logger()

ADDRESS = "192.0.2.7"
#: The headers of every answer of the endpoint, whatever it says.
COMMON = {
    "date": ANY,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "vary": "Origin",
}
#: The transports whose GET is a plain one.
GET_TRANSPORTS = ("htmlfile", "xhr-multipart", "xhr-polling", "jsonp-polling")


@dataclass
class Response:
    """
    One answer of the server.

    :ivar headers: by lower-case name.
    :ivar body: as the client gets it, without the transfer coding.
    :ivar chunks: the chunks it came in; None if it is not chunked.
    :ivar ended: whether the client can tell that it is complete.
    """

    status: int
    reason: str
    headers: dict[str, str]
    body: bytes
    chunks: list[bytes] | None = None
    ended: bool = True


def readResponse(data: bytes, closed: bool) -> tuple[Response, bytes]:
    """
    Read one response.

    :param closed: whether the server has closed the connection behind the data.
    :return: the response and what follows it.
    """
    head, separator, rest = data.partition(b"\r\n\r\n")
    assert separator, f"no response: {data!r}"
    first, *lines = head.decode("latin-1").split("\r\n")
    version, status, reason = first.split(" ", 2)
    assert version in ("HTTP/1.0", "HTTP/1.1"), first
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        assert name.lower() not in headers, f"{name} twice"
        headers[name.lower()] = value
    response = Response(int(status), reason, headers, b"")
    if response.status in (204, 304):
        return response, rest
    if headers.get("transfer-encoding") == "chunked":
        response.chunks, response.ended, rest = readChunks(rest)
        response.body = b"".join(response.chunks)
    elif "content-length" in headers:
        length = int(headers["content-length"])
        response.body, rest = rest[:length], rest[length:]
        response.ended = len(response.body) == length
    else:
        response.body, rest, response.ended = rest, b"", closed
    return response, rest


def readChunks(data: bytes) -> tuple[list[bytes], bool, bytes]:
    """The chunks that have come, whether the last one is among them, and what follows it."""
    chunks: list[bytes] = []
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        chunk, end, data = data[:length], data[length : length + 2], data[length + 2 :]
        assert end == b"\r\n", f"a chunk of {length} bytes ends with {end!r}"
        if not length:
            return chunks, True, data
        chunks.append(chunk)
    return chunks, False, b""


class ServerEnd(StringTransport):
    """
    The server's end of a connection. What the server does to it comes about at the end of the turn, as with TCP.

    :ivar closed: whether the server closed it, after all that it wrote.
    :ivar aborted: whether the server cut it.
    :ivar disconnected: whether it is gone, as TCP tells it.
    """

    def __init__(self, clock: Clock, protocol: IProtocol, peer: IAddress) -> None:
        super().__init__(peerAddress=peer, lenient=True)
        self.closed = self.aborted = self.disconnected = False
        self._clock = clock
        self._protocol = protocol

    def loseConnection(self) -> None:
        """Close it in order."""
        if self.connected and not self.disconnecting:
            self.disconnecting = self.closed = True
            self._clock.callLater(0, self.lost, ConnectionDone())

    def abortConnection(self) -> None:
        """Cut it."""
        if self.connected:
            self.disconnecting = self.aborted = True
            self._clock.callLater(0, self.lost, ConnectionAborted())

    def unregisterProducer(self) -> None:
        """Forget the producer, if there is one, as TCP does."""
        self.producer = self.streaming = None

    def lost(self, error: Exception) -> None:
        """Tell the server that the connection is gone, once."""
        if self.connected:
            self.connected, self.disconnected = False, True
            self._protocol.connectionLost(Failure(error))


class Client:
    """
    One connection to a server.

    :ivar end: the server's end of it.
    """

    def __init__(self, server: Server, peer: IAddress) -> None:
        protocol = server.site.buildProtocol(peer)
        assert protocol is not None
        self._server = server
        self._protocol = protocol
        self.end = ServerEnd(server.clock, protocol, peer)
        protocol.makeConnection(self.end)

    @property
    def received(self) -> bytes:
        """All that has come from the server."""
        received: bytes = self.end.value()
        return received

    @property
    def open(self) -> bool:
        """Whether the connection is."""
        return bool(self.end.connected)

    def send(self, data: bytes) -> None:
        """Send bytes, and let the server's turn end."""
        if self.end.connected and not self.end.disconnecting:
            self._protocol.dataReceived(data)
        self._server.turn()

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        version: str = "HTTP/1.1",
    ) -> None:
        """
        Send a request.

        :param path: below the endpoint, with its first slash.
        """
        fields = {"Host": "chat.example", **(headers or {})}
        if body and "Transfer-Encoding" not in fields:
            fields["Content-Length"] = str(len(body))
        lines = [f"{method} {self._server.endpoint}{path} {version}"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    def leave(self) -> None:
        """Lose the connection, from the client's side."""
        self.end.lost(ConnectionLost())
        self._server.turn()

    def responses(self) -> list[Response]:
        """All answers so far."""
        data, found = self.received, []
        while data:
            response, data = readResponse(data, self.end.closed)
            found.append(response)
        return found

    def response(self) -> Response:
        """The only answer so far."""
        (response,) = self.responses()
        return response


class SilentSite(Site):
    """A site without an access log."""

    def log(self, request: object) -> None:
        """Write nothing."""


class Connection:
    """
    One client, as the application of these tests knows it.

    :ivar id: the id of its session.
    :ivar handshake: its first request.
    """

    def __init__(self, session: Session) -> None:
        self.id = session.id
        self.session = session
        self.handshake = session.handshake

    @property
    def transport(self) -> str:
        """The transport that it uses."""
        return self.session.transportName

    def send(self, data: object) -> None:
        """Send it a message."""
        self.session.send(Outgoing(messagePacket(data)))

    def close(self) -> None:
        """End its session."""
        self.session.close(Reason.SERVER_DISCONNECT)


@dataclass
class Notes:
    """What the application was told."""

    connected: list[Connection] = field(default_factory=list)
    messages: list[Any] = field(default_factory=list)
    packets: list[Packet] = field(default_factory=list)
    disconnected: list[tuple[str, Reason]] = field(default_factory=list)
    undelivered: list[tuple[Any, bool]] = field(default_factory=list)


class Application:
    """
    The application of a server: it takes notes, and calls whom a test names.

    :ivar registry: the sessions.
    :ivar admission: the door.
    """

    def __init__(self, clock: Clock, config: Config | None = None, router: Router | None = None) -> None:
        self.config = config or Config()
        self.registry = SessionRegistry(clock, self.config, self)
        if router is None:
            router = Router({codec.name: codec for codec in self.config.codecs}, ENGINES, PROTOCOLS)
        self.admission = Admission(self.registry, router)
        self.notes = Notes()
        self._connections: dict[str, Connection] = {}
        self._onConnect: list[Callable[[Connection], object]] = []
        self._onMessage: list[Callable[[Connection, Any], object]] = []
        self._onDisconnect: list[Callable[[Connection, Reason], object]] = []

    def onConnect(self, handler: Callable[[Connection], object]) -> Callable[[Connection], object]:
        """Call it for every client."""
        self._onConnect.append(handler)
        return handler

    def onMessage(self, handler: Callable[[Connection, Any], object]) -> Callable[[Connection, Any], object]:
        """Call it for every packet, with its data."""
        self._onMessage.append(handler)
        return handler

    def onDisconnect(self, handler: Callable[[Connection, Reason], object]) -> Callable[[Connection, Reason], object]:
        """Call it for every client that is gone."""
        self._onDisconnect.append(handler)
        return handler

    def authorize(self, handler: Callable[[Handshake], Any]) -> Callable[[Handshake], Any]:
        """Ask it about every client."""
        self.admission.authorizers.append(handler)
        return handler

    def getConnection(self, id: str) -> Connection | None:
        """The client of this id."""
        return self._connections.get(id)

    def broadcast(self, data: object, *excluded: Connection) -> int:
        """Send one message to everybody but some; how many took it."""
        outgoing, accepted = Outgoing(messagePacket(data)), 0
        for connection in self._connections.values():
            if connection not in excluded:
                try:
                    connection.session.send(outgoing)
                except QueueFull:
                    continue
                accepted += 1
        return accepted

    def stop(self) -> Deferred[None]:
        """End all sessions."""
        return self.registry.stop()

    def sessionOpened(self, session: Session) -> None:
        """A client is there."""
        connection = self._connections[session.id] = Connection(session)
        self.notes.connected.append(connection)
        for handler in self._onConnect:
            handler(connection)

    def packetReceived(self, session: Session, packet: Packet) -> None:
        """It says something."""
        self.notes.packets.append(packet)
        self.notes.messages.append(packet.data)
        for handler in self._onMessage:
            try:
                handler(self._connections[session.id], packet.data)
            except Exception:
                _log.failure("handler failed")

    def sessionClosed(self, session: Session, reason: Reason) -> None:
        """It is gone."""
        connection = self._connections.pop(session.id, None)
        if connection is not None:
            self.notes.disconnected.append((session.id, reason))
            for handler in self._onDisconnect:
                handler(connection, reason)

    def sessionSettled(self, session: Session, reason: Reason, entries: Sequence[Entry]) -> None:
        """Its client may not have these."""
        self.notes.undelivered += [(entry.outgoing.packet.data, entry.sent) for entry in entries]


class Server:
    """
    A server in memory.

    :param config: its settings.
    :param clientFiles: what it serves beside the transports.
    :param router: the URLs that it knows; those of all generations of Socket.IO if left out.
    :ivar endpoint: the path that it is at.
    :ivar notes: what its application was told.
    """

    endpoint = "/socket.io"
    #: What makes its site.
    siteFactory: type[Site] = SilentSite

    def __init__(
        self, config: Config | None = None, clientFiles: ClientFiles | None = None, router: Router | None = None
    ) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000)
        self.sio = Application(self.clock, config, router)
        self.notes = self.sio.notes
        root = Resource()
        root.putChild(b"socket.io", SocketIOResource(self.sio, clientFiles))
        self.site = self.siteFactory(root, timeout=None, reactor=self.clock)

    def turn(self) -> None:
        """Let the reactor's turn end, and the one that it leads to."""
        self.clock.pump([0, 0])

    def connect(self, peer: IAddress | None = None) -> Client:
        """A new connection."""
        return Client(self, peer or IPv4Address("TCP", ADDRESS, 54321))

    def request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"", **more: str
    ) -> Client:
        """Make a request on a connection of its own; the parameters are those of :meth:`Client.request`."""
        client = self.connect()
        client.request(method, path, headers, body, **more)
        return client

    def get(self, path: str, **headers: str) -> Client:
        """GET on a connection of its own. The names of headers have ``_`` for ``-``."""
        return self.request("GET", path, {name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path: str, payload: str, **headers: str) -> Client:
        """Post a payload on a connection of its own."""
        quoted = "".join(f"%{byte:02X}" for byte in payload.encode("utf-8"))
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", path, named, f"data={quoted}".encode("ascii"))

    def open(self, transport: str = "xhr-polling") -> str:
        """
        Begin a session.

        :return: its id.
        """
        client = self.get(f"/{transport}//1322000000000/0")
        found = re.search(rb"~m~27~m~([a-z][A-Za-z0-9_-]{26})", client.received)
        assert found, client.received
        return found[1].decode("ascii")

    @property
    def connection(self) -> Connection:
        """The connection of the client that came last."""
        return self.notes.connected[-1]

    @property
    def reasons(self) -> list[str]:
        """Why clients are gone."""
        return [str(reason) for _, reason in self.notes.disconnected]


class ServerCase(SynchronousTestCase):
    """A test with a server in memory. Logged failures that it does not expect fail it, as ever under trial."""

    def setUp(self) -> None:
        """Watch the log."""
        self._events: list[LogEvent] = []
        observer: Any = self._events.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def logged(self) -> list[str]:
        """What was logged since the last time."""
        events = self._events[:]
        self._events.clear()
        return [formatEvent(event) for event in events]

    def assertRefused(self, client: Client, status: int, body: str) -> None:
        """The client got one answer, a fixed text without permission to be read, and the log one line."""
        response = client.response()
        self.assertEqual((response.status, response.body), (status, body.encode("ascii")))
        self.assertEqual(response.headers["content-type"], "text/plain; charset=UTF-8")
        self.assertTrue(response.ended)
        self.assertNotIn("server", response.headers)
        self.assertEqual(self.logged(), [f"refused {ADDRESS}: {body}"])

    def assertCut(self, client: Client, message: str = "unknown session") -> None:
        """The client got no byte of an answer, and the log one line."""
        self.assertEqual((client.received, client.end.aborted, client.open), (b"", True, False))
        self.assertEqual(self.logged(), [f"refused {ADDRESS}: {message}"])
